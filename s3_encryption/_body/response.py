"""Response bodies: the decrypting stream under botocore's StreamingBody."""

from __future__ import annotations

import base64
import contextlib
import io
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

from .._botocore import file_below, replace_checksum
from .._crypto.buffers import BufferRing
from .._crypto.contexts import HOLDBACK_BYTES, CipherContext, update_to_memory
from .._crypto.primitives import Buffer
from ..exceptions import CipherStateError
from .background import BackgroundThread, Task
from .raw_stream import RawStream, read_full
from .sizes import AHEAD_BYTES, READ_BYTES
from .spool import VerifiedSpool

# How many pieces may wait for it.
_PIECES_AHEAD = 2


class DecryptingStream(RawStream):
    """The raw stream of a decrypted response: botocore's StreamingBody reads it as it would read the socket.

    Plaintext is released when the whole object was verified: ``read()`` of everything verifies in memory, and so does
    any read of an object of at most ``buffer_size`` bytes; a longer one is spooled, as ciphertext, to an unlinked
    temporary file, verified, and decrypted while it is read. With ``release_unverified`` plaintext comes as it arrives,
    and the error comes at the end. After an error every later read fails in the same way.

    Args:
        body: The ciphertext: a botocore StreamingBody, so that its length and checksum are checked and botocore's own
            errors come out of it.
        new_context: Makes a decrypting context; its argument is ``release_unverified``.
        decrypt: Returns the verified plaintext of a body that came as a whole.
        ciphertext_length: The length of the body in bytes; None when the server did not say.
        buffer_size: How many bytes may be held in memory.
        release_unverified: Whether plaintext may be released before it is verified.
        on_error: Called with every error before it is raised.
    """

    def __init__(
        self,
        body: Any,
        new_context: Callable[[bool], CipherContext],
        decrypt: Callable[[bytes], bytes],
        *,
        ciphertext_length: int | None,
        buffer_size: int,
        release_unverified: bool,
        on_error: Callable[[BaseException], None],
    ) -> None:
        super().__init__()
        self._body = body
        self._new_context = new_context
        self._decrypt = decrypt
        self._ciphertext_length = ciphertext_length
        self._buffer_size = buffer_size
        self._release_unverified = release_unverified
        self._on_error = on_error
        self._pieces: Iterator[Buffer] | None = None
        self._piece = memoryview(b"")
        self._in_use = threading.Lock()

    def read(self, size: int | None = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end; everything that is left for None or a negative size."""
        if not self._in_use.acquire(blocking=False):
            raise CipherStateError("A body can't be read by two threads at once.")
        try:
            if size is not None and 0 < size <= len(self._piece) and not self.closed:
                # A small read from a block that is there.
                part = self._piece[:size]
                self._piece = self._piece[size:]
                self._position += size
                return bytes(part)
            return self._read(size)
        finally:
            self._in_use.release()

    def _read(self, size: int | None) -> bytes:
        self._check_usable()
        try:
            data = self._read_all() if size is None or size < 0 else read_full(self._take_up_to, size)
        except BaseException as error:
            # Also after an interrupt: what was read is lost, and the next read must not look like the end.
            self._failure = error
            self._on_error(error)
            self._release()
            raise
        self._position += len(data)
        return data

    def _drop(self) -> None:
        self._release()
        close_body(self._body)

    @property
    def _fp(self) -> Any:
        # Where botocore's set_socket_timeout looks for the socket.
        return file_below(self._body)

    # --- what is left, and what is next -------------------------------------------------------------------------------

    def _read_all(self) -> bytes:
        if self._pieces is None:
            # The caller wants it all in memory anyway: no spool is needed, and nothing is released unverified.
            self._pieces = iter(())
            return self._verified_in_memory()
        # Shares its memory with the buffer, where b"".join() would hold everything twice.
        whole = io.BytesIO(bytes(self._take()))
        whole.seek(0, io.SEEK_END)
        for piece in self._started():
            whole.write(piece)
        return whole.getvalue()

    def _take_up_to(self, size: int) -> bytes:
        if not self._fill():
            return b""
        # A copy: the next piece may be made in the same memory.
        part = bytes(self._piece[:size])
        self._piece = self._piece[size:]
        return part

    def _take(self) -> memoryview:
        rest, self._piece = self._piece, memoryview(b"")
        return rest

    def _fill(self) -> bool:
        """Have a non-empty piece ready; False at the end."""
        while not self._piece:
            piece = next(self._started(), None)
            if piece is None:
                return False
            self._piece = memoryview(piece)
        return True

    def _started(self) -> Iterator[Buffer]:
        if self._pieces is None:
            self._pieces = self._start()
        return self._pieces

    def _start(self) -> Iterator[Buffer]:
        if self._release_unverified:
            return self._passed(self._new_context(True))
        if self._ciphertext_length is not None and self._ciphertext_length <= self._buffer_size:
            return iter((self._verified_in_memory(),))
        return self._verified_in_spool()

    def _release(self) -> None:
        # Not waiting for the garbage collector: spools and threads end with what makes the pieces.
        if isinstance(self._pieces, Generator):
            # Another thread may be in it: then it ends there, because the body is closed.
            with contextlib.suppress(ValueError):
                self._pieces.close()

    # --- verification -------------------------------------------------------------------------------------------------

    def _verified_in_memory(self) -> bytes:
        if self._ciphertext_length is not None and self._ciphertext_length <= READ_BYTES + HOLDBACK_BYTES:
            # All at once. The read behind the end makes botocore compare length and checksum, and finds an excess.
            return self._decrypt(read_up_to(self._body, self._ciphertext_length) + self._body.read(1))
        # Nothing comes out before the end.
        *_, plaintext = self._passed(self._new_context(False))
        return bytes(plaintext)

    def _verified_in_spool(self) -> Iterator[Buffer]:
        """Return plaintext from a second pass over the ciphertext, after a first one has verified it."""
        # An announced length is longer than the memory allowed: then it goes to a file at once.
        spool = VerifiedSpool(self._buffer_size if self._ciphertext_length is None else 0)
        spool.fill(self._ciphertext(), partial(self._processed, self._new_context(True)))
        # The second pass verifies again at its end, so that a changed temporary file does not go unnoticed.
        return _from_spool(spool, self._new_context(True), self._ciphertext_length)

    def _passed(self, context: CipherContext) -> Iterator[Buffer]:
        """Return what a context makes of the body."""
        return self._processed(context, self._ciphertext())

    def _processed(self, context: CipherContext, data: Iterator[bytes]) -> Iterator[Buffer]:
        return _processed(data, context, self._ciphertext_length, self._body)

    def _ciphertext(self) -> Iterator[bytes]:
        return _ciphertext(self._body, self._ciphertext_length or 0)


# Outside of the stream, which they must not hold: it could not go before the garbage collector came round.


def _ciphertext(body: Any, left: int) -> Iterator[bytes]:
    # What a context holds back comes with the first read, so that the pieces that it makes have READ_BYTES each.
    size = READ_BYTES + HOLDBACK_BYTES
    # Of what is announced not more is asked for than there is: then urllib3 need not copy it together. The last, empty
    # read makes botocore compare length and checksum before the context's end releases anything.
    while data := body.read(min(size, left) if left > 0 else size):
        yield data
        size, left = READ_BYTES, left - len(data)


def _from_spool(spool: VerifiedSpool, context: CipherContext, size: int | None) -> Iterator[Buffer]:
    with spool:
        yield from _processed(spool.pieces(), context, size)


def _processed(data: Iterator[bytes], context: CipherContext, size: int | None, body: Any = None) -> Iterator[Buffer]:
    is_large = size is not None and size >= AHEAD_BYTES
    return _processed_behind(data, context, body) if is_large else processed(data, context)


def processed(data: Iterator[bytes], context: CipherContext) -> Iterator[Buffer]:
    """Yield what a context makes of pieces of data, to its end; a piece is good until the next is asked for."""
    memory = BufferRing()
    for piece in data:
        yield update_to_memory(context, piece, memory)
    yield context.finalize()


def _processed_behind(data: Iterator[bytes], context: CipherContext, body: Any) -> Iterator[Buffer]:
    """Do the same, and fetch each piece while a second thread works on the one before it.

    The thread computes only, also the checksum of the ``body`` where the data come from one: whatever may block or fail
    in the network stays with the caller's.
    """
    worker = BackgroundThread()
    replace_checksum(body, lambda checksum: _ChecksumBehind(checksum, worker))
    try:
        waiting: deque[Task[memoryview]] = deque()
        # Those that wait, and the one that is being read.
        memory = BufferRing(_PIECES_AHEAD + 1)
        for piece in data:
            waiting.append(worker.submit(update_to_memory, context, piece, memory))
            if len(waiting) > _PIECES_AHEAD:
                yield waiting.popleft().result()
        for made in waiting:
            yield made.result()
    finally:
        # Not waited for: this may be the garbage collector's doing, at a moment in which no thread can end.
        worker.stop()
    yield context.finalize()


class _ChecksumBehind:
    """A checksum of botocore's, computed by a second thread: for a CRC-32 that is half as much work as to decrypt."""

    def __init__(self, checksum: Any, worker: BackgroundThread) -> None:
        self._checksum = checksum
        self._worker = worker
        self._update: Task[None] | None = None

    def update(self, chunk: Buffer) -> None:
        """Take in one more piece, in time."""
        self._update = self._worker.submit(self._checksum.update, chunk)

    def digest(self) -> bytes:
        """Return the checksum of all pieces."""
        if self._update is not None:
            self._update.result()
        digest: bytes = self._checksum.digest()
        return digest

    def b64digest(self) -> str:
        """Return the same as text."""
        return base64.b64encode(self.digest()).decode()


def close_body(body: Any) -> None:
    """Close a response body, if it can be closed: what answers in S3's place, in a user's tests, need not have that."""
    with contextlib.suppress(AttributeError):
        body.close()


@contextlib.contextmanager
def closing_body(body: Any) -> Iterator[Any]:
    """Yield a response body, and close it in the same way."""
    try:
        yield body
    finally:
        close_body(body)


def read_bounded(body: Any, limit: int) -> bytes:
    """Return at most ``limit`` + 1 bytes of a response body and close it; the one too many tells of excess."""
    with closing_body(body):
        return read_up_to(body, limit + 1)


def read_up_to(body: Any, size: int) -> bytes:
    """Return ``size`` bytes of a response body; fewer at its end, which botocore then has found to be the true one."""
    return read_full(body.read, size)
