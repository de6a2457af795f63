"""Request bodies: what becomes of the Body that a caller gives before it goes out encrypted.

A small body is encrypted once, in memory. A large one becomes an ``EncryptingReader``, which encrypts while botocore
reads it, as often as botocore reads it (checksum, signature, sending, retries), and makes sure that it is the same
plaintext every time. A source that can't be read twice is encrypted into a temporary file first.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Generator, Iterator
from typing import IO, Any

from .._crypto.buffers import BufferRing, LendingRing, fresh_memory
from .._crypto.contexts import CipherContext, update_to_memory
from .._crypto.keystream import KeystreamSegment
from .._crypto.primitives import Buffer
from .aws_chunked import ChunkedBody
from .background import BackgroundThread, Task
from .plaintext import PlaintextClaims, PlaintextSource, with_crc32
from .raw_stream import RawStream
from .sizes import IO_BLOCK_BYTES, SPOOL_MEMORY_BYTES


def encrypted_blocks(
    source: PlaintextSource,
    context: CipherContext,
    claims: PlaintextClaims,
    memory: Callable[[int], memoryview],
    observe: Callable[[Buffer], object] = len,
) -> Generator[Buffer, None, None]:
    """Yield the ciphertext of a source. Its end is released only after all checks of the plaintext have passed.

    Args:
        source: The plaintext.
        context: What encrypts it.
        claims: What it is compared with.
        memory: Returns room for that many bytes of output; used again, if at all, when the next block is asked for.
        observe: Sees each block before it is yielded.
    """
    last: Buffer = b""
    for block in source.checked_blocks(claims):
        output = update_to_memory(context, block, memory)
        if last and output:
            observe(last)
            yield last
        last = output or last
    end = b"".join((last, context.finalize()))
    observe(end)
    yield end


class SmallBody(io.BytesIO):
    """A small body, ready to be sent: not worth the question whether it may be ("Expect: 100-continue")."""

    # What it adds to the parameters of its request.
    with_checksum = staticmethod(with_crc32)


class EncryptingReader(RawStream):
    """The Body that botocore reads: the ciphertext of a source, made while it is read.

    ``seek`` starts the same keystream again; the segment sees to it that the source did not change meanwhile. After an
    error every later read fails in the same way, so that no retry of botocore's can send something else.

    Args:
        source: The plaintext; its length must be known.
        segment: What it is encrypted as: shared by all readers that use the same keystream.
        claims: What each pass is compared with.
        ahead: Whether a second thread reads and encrypts one block ahead of the network.
    """

    def __init__(
        self, source: PlaintextSource, segment: KeystreamSegment, claims: PlaintextClaims, *, ahead: bool = False
    ) -> None:
        super().__init__()
        assert source.length is not None  # what has no length goes through a spool
        self._source = source
        self._segment = segment
        self._claims = claims
        self._ahead = ahead
        self._length = segment.ciphertext_length(source.length)
        # A pass of reads, begun with the first one: ``blocks`` makes passes of its own.
        self._blocks: Iterator[Buffer] | None = None
        self._block = memoryview(b"")
        self._taken = 0
        self._made_ahead: _MadeAhead | None = None

    def __len__(self) -> int:
        # Asked by botocore for the Content-Length; without it, it would seek to the end.
        return self._length

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = max(0, self._sought(offset, whence, self._length))
        if self._position < self._taken:
            self.rewind()
        return self._position

    def rewind(self) -> None:
        """Go back to where the source was given: for ``blocks``, or for another pass of reads.

        At once, and not with the next read: s3transfer counts what is read again from here on as progress.
        """
        self.stop()
        self._source.rewind()

    def stop(self) -> None:
        """End the pass, and wait until nobody reads the source any more."""
        if self._made_ahead is not None:
            self._made_ahead.stop()
        self._made_ahead = self._blocks = None
        self._block = memoryview(b"")
        self._taken = 0

    def __exit__(self, *exception: object) -> None:
        # Not in close(), which finalizers call: they must not wait for a thread.
        self.stop()
        self.close()

    def blocks(self, observe: Callable[[Buffer], object]) -> Generator[Buffer, None, None]:
        """Yield all of the ciphertext, from a source that is at its start; a block that is kept stays as it is.

        The fast way to read, and the only one in that pass.

        Args:
            observe: Sees each block before it is yielded.
        """
        if self._failure is not None:
            raise self._failure
        try:
            # One block waits while the next is made; made ahead, a third is being sent meanwhile. And who asks for more
            # still holds what was sent last.
            yield from self._pass(LendingRing(4 if self._ahead else 3), observe)
        except Exception as error:
            self._failure = error
            raise

    def read(self, size: int | None = -1) -> Any:
        """Return at most ``size`` bytes of ciphertext: what is left of a block, so that nothing is copied together.

        All that is left for None or a negative size; nothing at the end only.
        """
        self._check_usable()
        try:
            if size is None or size < 0:
                return b"".join(iter(lambda: self.read(IO_BLOCK_BYTES), b""))
            self._skip_to(min(self._position, self._length))
            data = self._take(min(size, max(0, self._length - self._position)))
        except Exception as error:
            self._failure = error
            raise
        self._position += len(data)
        return data

    def in_chunks(self) -> ChunkedBody:
        """Return the same body as botocore would send it in chunks, with a checksum behind it, but without copies."""
        return ChunkedBody(self)

    def signal_transferring(self) -> None:
        """Pass on what s3transfer says to its bodies: from now on reading is progress."""
        self._source.signal("signal_transferring")

    def signal_not_transferring(self) -> None:
        """Pass on what s3transfer says to its bodies: from now on reading is not progress."""
        self._source.signal("signal_not_transferring")

    # As s3transfer's older S3Transfer says it.
    enable_callback = signal_transferring
    disable_callback = signal_not_transferring

    def _pass(self, memory: Callable[[int], memoryview], observe: Callable[[Buffer], object]) -> Iterator[Buffer]:
        blocks = encrypted_blocks(self._source, self._segment.new_context(), self._claims, memory, observe)
        if not self._ahead:
            return blocks
        self._made_ahead = _MadeAhead(blocks)
        return self._made_ahead

    def _skip_to(self, position: int) -> None:
        while self._taken < position:
            self._take(min(position - self._taken, IO_BLOCK_BYTES))

    def _take(self, size: int) -> Buffer:
        """Return up to ``size`` bytes of the current block, which is the next one if it was used up."""
        if not self._block and size:
            if self._blocks is None:
                self._blocks = self._pass(fresh_memory, len)
            block = next(self._blocks)
            if len(block) <= size:
                self._taken += len(block)
                return block
            self._block = memoryview(block)
        part = self._block[:size]
        self._block = self._block[size:]
        self._taken += len(part)
        return bytes(part)


class _MadeAhead:
    """The blocks of an iterator, each made by a second thread while the one before it is sent.

    Nothing waits for the thread but ``stop``: the garbage collector may come for one of these at a moment in which no
    thread can end, so that a finalizer that waited would wait for ever.
    """

    def __init__(self, blocks: Iterator[Buffer]) -> None:
        self._blocks = blocks
        self._worker = BackgroundThread()
        self._following = self._submitted()

    def _submitted(self) -> Task[Buffer | None]:
        return self._worker.submit(next, self._blocks, None)

    def __iter__(self) -> _MadeAhead:
        return self

    def __next__(self) -> Buffer:
        block = self._following.result()
        if block is None:
            raise StopIteration
        self._following = self._submitted()
        return block

    def stop(self) -> None:
        """End the thread; when this returns, no block is being made."""
        self._worker.stop()
        self._worker.join()


def encrypted_in_spool(source: PlaintextSource, context: CipherContext, claims: PlaintextClaims) -> IO[bytes]:
    """Return a file with the ciphertext of a source that can't be read twice: in memory while small, then on disk."""
    source.signal("signal_transferring")
    spool = tempfile.SpooledTemporaryFile(max_size=SPOOL_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
    try:
        for block in encrypted_blocks(source, context, claims, BufferRing(2)):
            spool.write(block)
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return spool
