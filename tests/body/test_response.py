"""DecryptingStream: pieces in memory that is used again, and the second thread that decrypts large bodies."""

from __future__ import annotations

import gc
import io
import random
import threading
import weakref
from typing import Any

import pytest
from support.content_keys import content_key

from s3_encryption import CipherStateError
from s3_encryption._body.response import DecryptingStream

MIB = 2**20
SIZE = 8 * MIB
DATA = random.Random("stream").randbytes(9 * MIB + 5)
KEY = content_key()


@pytest.mark.parametrize("release_unverified", [True, False], ids=["delayed", "verified"])
@pytest.mark.parametrize("length", [3 * MIB + 5, 9 * MIB + 5], ids=["one thread", "two threads"])
@pytest.mark.parametrize("size", [1000, 700_001, MIB, 2_500_001, 10 * MIB])
def test_reads_may_go_from_piece_to_piece(size: int, length: int, release_unverified: bool) -> None:
    """Reads of any size make the plaintext, though the memory of a piece is used again for a later one."""
    body = KEY.encrypt(DATA[:length])
    stream = DecryptingStream(
        io.BytesIO(body),
        lambda release: KEY.decryptor(release_unverified=release, ciphertext_length=len(body)),
        KEY.decrypt,
        ciphertext_length=len(body),
        buffer_size=MIB,
        release_unverified=release_unverified,
        on_error=lambda error: None,
    )
    assert b"".join(iter(lambda: stream.read(size), b"")) == DATA[:length]


class SlowContext:
    """A context that changes nothing, and after its first piece takes until ``go_on`` is set."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.working = threading.Event()
        self._pieces = 0

    def output_size(self, size: int) -> int:
        """Return how many bytes come out."""
        return size

    def update_into(self, data: Any, output: Any) -> int:
        """Let the data through, in time, and return their length."""
        self._pieces += 1
        if self._pieces > 1:
            self.working.set()
            self.go_on.wait(10)
            self.working.clear()
        output[:] = data
        return len(data)

    def update(self, data: Any) -> bytes:
        """Return the data, in time."""
        output = bytearray(len(data))
        self.update_into(data, output)
        return bytes(output)

    def finalize(self) -> bytes:
        """Return nothing."""
        return b""


def stream_through(context: SlowContext) -> DecryptingStream:
    """Return a stream of a body that is large enough for a second thread."""
    return DecryptingStream(
        io.BytesIO(bytes(SIZE)),
        lambda release_unverified: context,
        bytes,
        ciphertext_length=SIZE,
        buffer_size=SIZE,
        release_unverified=True,
        on_error=lambda error: None,
    )


def test_garbage_collector_does_not_wait_for_the_second_thread() -> None:
    """It may come when the interpreter holds the lock that threads need to end: it would wait for good."""
    before = set(threading.enumerate())
    context = SlowContext()
    stream: Any = stream_through(context)
    stream.read(1)
    assert context.working.wait(5)
    stream.itself = stream
    del stream
    gc.collect()
    assert context.working.is_set()
    context.go_on.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def test_second_thread_that_reads_at_the_same_time_is_refused() -> None:
    """Two readers would each get an unknown part; the first one goes on."""
    context = SlowContext()
    stream = stream_through(context)
    stream.read(1)
    assert context.working.wait(5)
    first = threading.Thread(target=stream.read, args=(SIZE,))
    first.start()
    # It waits for the context, as soon as it has read what is there.
    while stream._in_use.acquire(blocking=False):
        stream._in_use.release()
    with pytest.raises(CipherStateError, match="two threads"):
        stream.read(1)
    context.go_on.set()
    first.join(10)
    assert stream.tell() == SIZE
    assert stream.read(1) == b""


@pytest.mark.parametrize(
    "options",
    [{"release_unverified": True, "buffer_size": MIB}, {"release_unverified": False, "buffer_size": MIB}],
    ids=["delayed", "spool"],
)
def test_half_read_body_goes_when_it_is_dropped(options: dict[str, Any]) -> None:
    """Its thread, its temporary file and its connection don't wait for the garbage collector."""
    body = KEY.encrypt(DATA)
    source, before = io.BytesIO(body), set(threading.enumerate())
    stream = DecryptingStream(
        source,
        lambda release: KEY.decryptor(release_unverified=release, ciphertext_length=len(body)),
        KEY.decrypt,
        ciphertext_length=len(body),
        on_error=lambda error: None,
        **options,
    )
    assert stream.read(10) == DATA[:10]
    threads = set(threading.enumerate()) - before
    assert threads
    gone = weakref.ref(stream)
    gc.disable()
    try:
        del stream
        assert gone() is None
        assert source.closed
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
    finally:
        gc.enable()
