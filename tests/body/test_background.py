"""BackgroundThread: calls made by a second thread, in order; and what becomes of them where there is none any more."""

from __future__ import annotations

import gc
import os
import threading
from typing import Any

import pytest

from s3_encryption import CipherStateError
from s3_encryption._body.background import BackgroundThread


def fail() -> None:
    """Raise an error."""
    raise ValueError("so it is")


def end_of(worker: BackgroundThread) -> Any:
    """Return the thread of a worker."""
    assert worker._thread is not None
    return worker._thread


def test_calls_are_made_in_order_by_another_thread() -> None:
    """Each call starts when the one before it has ended, and results are had in any order."""
    worker, made = BackgroundThread(), list[tuple[int, int]]()
    calls = [worker.submit(lambda number=number: made.append((number, threading.get_ident()))) for number in range(50)]
    for call in reversed(calls):
        call.result()
    assert [number for number, _ in made] == list(range(50))
    assert {thread for _, thread in made} == {end_of(worker).ident}
    assert end_of(worker).ident != threading.get_ident()


def test_error_comes_to_who_asks_for_the_result() -> None:
    """A call that fails raises its error there, and the next one is made."""
    worker = BackgroundThread()
    failed, following = worker.submit(fail), worker.submit(lambda: 5)
    with pytest.raises(ValueError, match="so it is"):
        failed.result()
    assert following.result() == 5


def test_stopped_worker_makes_no_further_call_and_lets_nobody_wait() -> None:
    """What waits when it is stopped fails; the call that is under way ends; later ones are made at once."""
    worker, begun, go_on, made = BackgroundThread(), threading.Event(), threading.Event(), list[str]()

    def work() -> bool:
        begun.set()
        return go_on.wait(10)

    under_way = worker.submit(work)
    waiting = worker.submit(made.append, "waiting")
    assert begun.wait(10)
    worker.stop()
    go_on.set()
    assert under_way.result()
    with pytest.raises(CipherStateError, match="closed"):
        waiting.result()
    worker.join()
    assert not end_of(worker).is_alive()
    assert worker.submit(threading.get_ident).result() == threading.get_ident()
    assert made == []


def test_thread_ends_with_what_it_works_for() -> None:
    """A worker that nobody holds any more needs no garbage collector to go, and its thread goes with it."""
    worker = BackgroundThread()
    worker.submit(int).result()
    thread = end_of(worker)
    gc.disable()
    try:
        del worker
        thread.join(10)
    finally:
        gc.enable()
    assert not thread.is_alive()


def test_caller_makes_the_calls_where_no_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on threads, or the end of the interpreter, costs time and nothing else."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    worker = BackgroundThread()
    assert worker.submit(threading.get_ident).result() == threading.get_ident()
    with pytest.raises(ValueError, match="so it is"):
        worker.submit(fail).result()
    worker.stop()
    worker.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forked_process_is_refused_instead_of_waiting_for_ever() -> None:
    """The thread is not in the child: neither a new call nor a result of an old one is waited for there."""
    worker = BackgroundThread()
    call = worker.submit(int)
    call.result()
    child = os.fork()
    if child == 0:
        refused = 0
        for attempt in (call.result, lambda: worker.submit(int)):
            try:
                attempt()
            except CipherStateError:
                refused += 1
        os._exit(refused)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 2


def test_call_after_the_end_of_all_threads_is_made_at_once() -> None:
    """At the interpreter's end threads end, and later handlers of ``atexit`` may still have work."""
    worker = BackgroundThread()
    thread = end_of(worker)
    thread.calls.put(None)  # as at the end
    thread.join(10)
    assert worker.submit(threading.get_ident).result() == threading.get_ident()
