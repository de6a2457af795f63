"""A second thread that computes, one call after another, while the caller's own waits for the network.

Not concurrent.futures, which takes no more work once the main thread has ended: threads that are left then, handlers of
``atexit``, and executors of the user's own still read and write objects.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeAlias, TypeVar

from .exceptions import CipherStateError

_T = TypeVar("_T")


class Call(Generic[_T]):
    """A call that is made once, by whichever thread, and what came of it."""

    def __init__(self, function: Callable[[], _T]) -> None:
        self._function: Callable[[], _T] | None = function
        self._value: _T
        self._error: BaseException | None = None
        self._process_id = os.getpid()
        self._is_pending = threading.Lock()
        self._is_pending.acquire()

    def make(self) -> None:
        """Make the call."""
        assert self._function is not None  # each is made once
        try:
            self._value = self._function()
        except BaseException as error:
            self._error = error
        self._end()

    def drop(self) -> None:
        """Don't make it: whoever waits for it gets an error."""
        self._error = CipherStateError("The body was closed.")
        self._end()

    def _end(self) -> None:
        # What it holds is needed no longer.
        self._function = None
        self._is_pending.release()

    def result(self) -> _T:
        """Wait for the call, and return or raise what it did."""
        _check_process(self._process_id)
        with self._is_pending:
            error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise error
        finally:
            # The error's traceback has this frame.
            del error


_Calls: TypeAlias = "SimpleQueue[Call[Any] | None]"


class Worker:
    """A thread of its own, which ends with ``stop``, or when nobody holds this object any more.

    Where the system gives no thread (too many of them, or the interpreter is about to end), calls are made at once, by
    who submits them.
    """

    def __init__(self) -> None:
        self._process_id = os.getpid()
        self._calls: _Calls = SimpleQueue()
        self._stopped = threading.Event()
        # Not to be waited for at the interpreter's end. It must not hold this object, which would live as long as it.
        thread = threading.Thread(target=_work, args=(self._calls, self._stopped), name="s3_encryption", daemon=True)
        self._thread: threading.Thread | None = thread
        try:
            thread.start()
        except RuntimeError:
            self._thread = None
        _workers.add(self)

    def submit(self, function: Callable[..., _T], *args: Any) -> Call[_T]:
        """Let the thread make a call after those before it."""
        _check_process(self._process_id)
        call = Call(partial(function, *args))
        if self._thread is None or self._stopped.is_set():
            call.make()
        else:
            self._calls.put(call)
        return call

    def stop(self) -> None:
        """Let the thread end after the call that it is making. Waits for nothing, so finalizers may do it."""
        self._stopped.set()
        self._calls.put(None)

    def join(self) -> None:
        """Wait until a stopped thread makes no call any more."""
        if self._thread is not None:
            self._thread.join()

    def finish(self) -> None:
        """Wait until all that was submitted is made."""
        if self._process_id == os.getpid():
            self.submit(int).result()

    def __del__(self) -> None:
        self.stop()


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def _finish_all() -> None:
    # The cipher library may be unloaded next, which a thread that is in it would not survive.
    for worker in list(_workers):
        worker.finish()


def _work(calls: _Calls, stopped: threading.Event) -> None:
    while (call := calls.get()) is not None:
        if stopped.is_set():
            call.drop()
        else:
            call.make()
        # Not held while the next one is waited for.
        del call


def _check_process(process_id: int) -> None:
    if os.getpid() != process_id:
        raise CipherStateError("A body can't be used in a process forked after it was begun.")
