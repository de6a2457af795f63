"""A second thread that computes, one call after another, while the caller's own waits for the network.

Not an executor of concurrent.futures, which takes no more work once the main thread has ended: threads that are left
then, handlers of ``atexit``, and executors of the user's own still read and write objects.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from ..exceptions import CipherStateError

_T = TypeVar("_T")


class Task(Future[_T]):
    """A call that is made once, by whichever thread, and what came of it."""

    def __init__(self, function: Callable[[], _T]) -> None:
        super().__init__()
        self._function = function
        self._process_id = os.getpid()

    def make(self) -> None:
        """Make the call."""
        function = self._function
        # What it holds is needed no longer.
        del self._function
        try:
            value = function()
        except BaseException as error:
            self.set_exception(error)
        else:
            self.set_result(value)

    def drop(self) -> None:
        """Don't make it: whoever waits for it gets an error."""
        del self._function
        self.set_exception(CipherStateError("The body was closed."))

    def result(self, timeout: float | None = None) -> _T:
        """Wait for the call, and return or raise what it did."""
        # In a forked process nobody makes it any more.
        _check_process(self._process_id)
        return super().result(timeout)


class BackgroundThread:
    """A thread of its own, which ends with ``stop``, or when nobody holds this object any more.

    Where the system gives no thread (too many of them, or the interpreter is about to end), calls are made at once, by
    who submits them.
    """

    # Also of one whose construction failed, which is dropped all the same.
    _thread: _Thread | None = None

    def __init__(self) -> None:
        self._process_id = os.getpid()
        with contextlib.suppress(RuntimeError):
            thread = _Thread()
            thread.start()
            self._thread = thread

    def submit(self, function: Callable[..., _T], *args: Any) -> Task[_T]:
        """Let the thread make a call after those before it."""
        _check_process(self._process_id)
        call, thread = Task(partial(function, *args)), self._thread
        if thread is None or thread.stopped.is_set() or not thread.is_alive():
            call.make()
        else:
            thread.calls.put(call)
        return call

    def stop(self) -> None:
        """Let the thread end after the call that it is making. Waits for nothing, so finalizers may do it."""
        if self._thread is not None:
            self._thread.stopped.set()
            self._thread.calls.put(None)

    def join(self) -> None:
        """Wait until a stopped thread makes no call any more."""
        if self._thread is not None:
            self._thread.join()

    def __del__(self) -> None:
        self.stop()


class _Thread(threading.Thread):
    """Makes calls until it gets None. It does not hold its worker, which would live as long as it."""

    def __init__(self) -> None:
        # Not to be waited for at the interpreter's end: who never ends a body does not keep the program.
        super().__init__(name="s3_encryption", daemon=True)
        self.calls: SimpleQueue[Task[Any] | None] = SimpleQueue()
        self.stopped = threading.Event()

    def run(self) -> None:
        while (call := self.calls.get()) is not None:
            if self.stopped.is_set():
                call.drop()
            else:
                call.make()
            # Not held while the next one is waited for.
            del call


@atexit.register
def _end_all() -> None:
    # The cipher library may be unloaded next, which a thread that is in it would not survive.
    for thread in threading.enumerate():
        if isinstance(thread, _Thread):
            thread.calls.put(None)
            thread.join()


def _check_process(process_id: int) -> None:
    if os.getpid() != process_id:
        raise CipherStateError("A body can't be used in a process forked after it was begun.")
