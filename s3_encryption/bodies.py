"""Request bodies: what becomes of the Body that a caller gives before it goes out encrypted.

A small body is encrypted once, in memory. A large one becomes an ``EncryptingReader``, which encrypts while botocore
reads it, as often as botocore reads it (checksum, signature, sending, retries), and makes sure that it is the same
plaintext every time. A source that can't be read twice is encrypted into a temporary file first.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import IO, Any

from .algorithms import GCM_MAX_PLAINTEXT_BYTES
from .ciphers import Buffer, Filter, updated
from .declared import Declared, wrong_length
from .exceptions import BodyChangedError, ConfigurationError, ConfigurationTypeError
from .memory import ReusedMemory, fresh_memory
from .segments import Segment
from .worker import Call, Worker

# How much is read, encrypted, remembered by a digest and sent at a time.
BLOCK_BYTES = 1024 * 1024
# From this size on, a file is read and encrypted by a second thread, one block ahead of the network.
_AHEAD_BYTES = 4 * 1024 * 1024
# Up to this size the ciphertext is held in memory: encrypting once is then cheaper than a reader that can start again.
SMALL_BODY_BYTES = 1024 * 1024
# Up to this size a ciphertext that must be kept is kept in memory. The held last part of a multipart upload fits in.
SPOOL_MEMORY_BYTES = 6 * 1024 * 1024


class Source:
    """A caller's Body, from the position at which it was given.

    Raises:
        ConfigurationTypeError: It is not what boto3 takes as a Body, or it is a text stream.
        ConfigurationError: It is positioned behind its end.
    """

    def __init__(self, body: Any) -> None:
        if isinstance(body, str):
            body = body.encode("utf-8")
        # Bytes need not be copied to be read.
        self._content = memoryview(body) if isinstance(body, bytes) else None
        if isinstance(body, (bytes, bytearray)):
            body = io.BytesIO(body)
        if not callable(getattr(body, "read", None)):
            raise ConfigurationTypeError(f"Body must be bytes or a binary file-like object, not {type(body).__name__}.")
        if isinstance(body, io.TextIOBase):
            raise ConfigurationTypeError("Body must be a file opened in binary mode ('rb'), not a text stream.")
        self.body = body
        self._base = _position(body)
        # The length in bytes; None when only reading to the end can tell.
        self.length = None if self._base is None else self._measure(self._base)
        self._left = self.length
        # What was read ahead, to see whether the source is small.
        self._ahead = b""
        if self.length == 0:
            # Otherwise nothing would be read of a file that was opened for writing, and nobody told.
            self.body.read(0)

    @property
    def can_be_read_ahead(self) -> bool:
        """Whether a second thread may read it, and is worth it: other objects than files may belong to their thread."""
        return self._is_plain_file and self.length is not None and self.length >= _AHEAD_BYTES

    @property
    def _is_plain_file(self) -> bool:
        # Not a subclass of one, nor a buffer over one: it may do other things.
        body = self.body.raw if type(self.body) is io.BufferedReader else self.body
        return type(body) in (io.BytesIO, io.FileIO)

    def _measure(self, base: int) -> int | None:
        end = _end(self.body)
        self.body.seek(base)
        if end is None:
            return None
        if end < base:
            raise ConfigurationError(f"Body is positioned at {base}, behind its end at {end}. Seek to where it starts.")
        return end - base

    def rewind(self) -> None:
        """Go back to where the body was given. Not to its start: that is not part of what was given."""
        self.body.seek(self._base)
        self._left = self.length

    def __enter__(self) -> Source:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """After an error, go back to where the body was given: the caller's own retry must not store what is left."""
        if error is not None and self._base is not None:
            # A body that can't go back, or was closed meanwhile, must not hide the error.
            with contextlib.suppress(Exception):
                self.signal("signal_not_transferring")
                self.rewind()

    def take_small(self) -> bytes | None:
        """Return all of a source of at most SMALL_BODY_BYTES; None for a longer one, which stays as it was."""
        if self.length is not None and self.length > SMALL_BODY_BYTES:
            return None
        self.signal("signal_transferring")
        self._ahead = b"".join(self._read_until(SMALL_BODY_BYTES + 1 if self.length is None else self.length))
        if len(self._ahead) > SMALL_BODY_BYTES:
            return None
        self.check_end()
        return self._ahead

    def _read_until(self, size: int) -> Iterator[bytes]:
        while size > 0 and (block := self._block(min(size, BLOCK_BYTES))):
            size -= len(block)
            yield block

    def blocks(self) -> Iterator[Buffer]:
        """Yield what is left, in blocks of BLOCK_BYTES; what a source grows by after it was given is not part of it.

        A block is good until the next one is asked for.
        """
        ahead, self._ahead = self._ahead, b""
        if ahead:
            yield ahead
        if self._content is not None:
            next_block: Callable[[], Buffer] = self._next_of_content
        elif self._is_plain_file and self._left is not None:
            next_block = partial(self._next_of_file, memoryview(bytearray(min(BLOCK_BYTES, self._left))))
        else:
            next_block = partial(self._block, BLOCK_BYTES)
        while block := next_block():
            yield block

    def _next_of_content(self) -> memoryview:
        assert self._content is not None  # checked by who calls
        assert self._left is not None  # bytes have a length
        start = len(self._content) - self._left
        block = self._content[start : start + BLOCK_BYTES]
        self._left -= len(block)
        return block

    def _next_of_file(self, memory: memoryview) -> memoryview:
        """Return the next block of a file, read into memory that is there: fresh memory costs more than the cipher."""
        assert self._left is not None  # a file with a position has a length
        wanted = min(len(memory), self._left)
        filled = 0
        while filled < wanted and (size := self.body.readinto(memory[filled:wanted])):
            filled += size
        self._left -= filled
        return memory[:filled]

    def check_end(self) -> None:
        """Pass when all that the source held when it was given has been read.

        Raises:
            BodyChangedError: It has become shorter.
        """
        if self._left:
            raise BodyChangedError(
                f"The source of the upload has become shorter than the {self.length} bytes that it had. "
                "Nothing was stored."
            )

    def _block(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end, however short the source's own reads are."""
        parts: list[bytes] = []
        if self._left is not None:
            size = min(size, self._left)
        while size > 0:
            part = self.body.read(size)
            if not isinstance(part, (bytes, bytearray, memoryview)):
                raise ConfigurationTypeError(
                    f"Body.read() must return bytes, not {type(part).__name__}: open files in binary mode ('rb')."
                )
            if not part:
                break
            if len(part) > size:
                raise ConfigurationError("Body.read(size) returned more than size bytes.")
            parts.append(bytes(part))
            size -= len(part)
        block = parts[0] if len(parts) == 1 else b"".join(parts)
        if self._left is not None:
            self._left -= len(block)
        return block

    def signal(self, name: str) -> None:
        """Pass on what s3transfer says to its bodies, where this is one of them."""
        receiver = getattr(self.body, name, None)
        if receiver is not None:
            receiver()

    def raise_if_cancelled(self) -> None:
        """Raise what a read would, without reading: the bodies of a cancelled s3transfer upload raise its error."""
        self._ahead += self.body.read(0)


def _position(body: Any) -> int | None:
    """Return the current position of a body; None if it can't be read twice."""
    try:
        seekable = getattr(body, "seekable", True)
        if not (seekable() if callable(seekable) else seekable):
            return None
        position = int(body.tell())
        body.seek(position)
    except (AttributeError, OSError, ValueError):
        return None
    return position


def _end(body: Any) -> int | None:
    """Return the position of a body's end; None if only reading can tell it."""
    # Bodies of older transfer classes, and some others, can go to a place, and tell their length, but not go to their
    # end.
    with contextlib.suppress(TypeError, OSError, ValueError):
        body.seek(0, io.SEEK_END)
        return int(body.tell())
    with contextlib.suppress(TypeError):
        return len(body)
    return None


def encrypted_blocks(
    source: Source,
    filter: Filter,
    declared: Declared,
    memory: Callable[[int], memoryview],
    observe: Callable[[Buffer], object] = len,
) -> Generator[Buffer, None, None]:
    """Yield the ciphertext of a source. Its end is released only after all checks of the plaintext have passed.

    Args:
        source: The plaintext.
        filter: What encrypts it.
        declared: What it is compared with.
        memory: Returns room for so many bytes of output; used again, if at all, when the next block is asked for.
        observe: Sees each block before it is yielded.
    """
    check = declared.new_check()
    last: Buffer = b""
    for block in source.blocks():
        check.update(block)
        output = updated(filter, block, memory)
        if last and output:
            observe(last)
            yield last
        last = output or last
    source.check_end()
    check.finish()
    end = b"".join((last, filter.finalize()))
    observe(end)
    yield end


class SmallBody(io.BytesIO):
    """A small body, ready to be sent: not worth the question whether it may be ("Expect: 100-continue")."""


class EncryptingReader(io.RawIOBase):
    """The Body that botocore reads: the ciphertext of a source, made while it is read.

    ``seek`` starts the same keystream again; the segment sees to it that the source did not change meanwhile. After an
    error every later read fails in the same way, so that no retry of botocore's can send something else.

    Args:
        source: The plaintext; its length must be known.
        segment: What it is encrypted as: shared by all readers that use the same keystream.
        declared: What each pass is compared with.
        ahead: Whether a second thread reads and encrypts one block ahead of the network.
    """

    def __init__(self, source: Source, segment: Segment, declared: Declared, *, ahead: bool = False) -> None:
        super().__init__()
        assert source.length is not None  # what has no length goes through a spool
        self._source = source
        self._segment = segment
        self._declared = declared
        self._ahead = ahead
        self._length = segment.ciphertext_length(source.length)
        self._position = 0
        self._failure: Exception | None = None
        # A pass of reads, begun with the first one: ``blocks`` makes passes of its own.
        self._blocks: Iterator[Buffer] | None = None
        self._block = memoryview(b"")
        self._taken = 0
        self._made_ahead: _MadeAhead | None = None

    def __len__(self) -> int:
        # Asked by botocore for the Content-Length; without it, it would seek to the end.
        return self._length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, start + offset)
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
        """Yield all of the ciphertext, from a source that is at its start; a block is good until the next is asked for.

        The fast way to read, and the only one in that pass.

        Args:
            observe: Sees each block before it is yielded.
        """
        if self._failure is not None:
            raise self._failure
        try:
            # One block waits while the next is made; made ahead, a third is being sent meanwhile.
            yield from self._pass(ReusedMemory(3 if self._ahead else 2), observe)
        except Exception as error:
            self._failure = error
            raise

    def read(self, size: int | None = -1) -> Any:
        """Return at most ``size`` bytes of ciphertext: what is left of a block, so that nothing is copied together.

        All that is left for None or a negative size; nothing at the end only.
        """
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if self._failure is not None:
            raise self._failure
        try:
            if size is None or size < 0:
                return b"".join(iter(lambda: self.read(BLOCK_BYTES), b""))
            self._skip_to(min(self._position, self._length))
            data = self._take(min(size, max(0, self._length - self._position)))
        except Exception as error:
            self._failure = error
            raise
        self._position += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def signal_transferring(self) -> None:
        """Pass on what s3transfer says to its bodies: from now on reading is progress."""
        self._source.signal("signal_transferring")

    def signal_not_transferring(self) -> None:
        """Pass on what s3transfer says to its bodies: from now on reading is not progress."""
        self._source.signal("signal_not_transferring")

    def _pass(self, memory: Callable[[int], memoryview], observe: Callable[[Buffer], object]) -> Iterator[Buffer]:
        blocks = encrypted_blocks(self._source, self._segment.new_filter(), self._declared, memory, observe)
        if not self._ahead:
            return blocks
        self._made_ahead = _MadeAhead(blocks)
        return self._made_ahead

    def _skip_to(self, position: int) -> None:
        while self._taken < position:
            self._take(min(position - self._taken, BLOCK_BYTES))

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
        self._worker = Worker()
        self._following = self._submitted()

    def _submitted(self) -> Call[Buffer | None]:
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


def encrypted_in_spool(source: Source, filter: Filter, declared: Declared) -> IO[bytes]:
    """Return a file with the ciphertext of a source that can't be read twice: in memory while small, then on disk."""
    source.signal("signal_transferring")
    spool = tempfile.SpooledTemporaryFile(max_size=SPOOL_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
    try:
        for block in encrypted_blocks(source, filter, declared, ReusedMemory(2)):
            spool.write(block)
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return spool


def check_length(source: Source, declared: Declared) -> None:
    """Pass when a source has the declared length, as far as it can tell its length, and not more than can be encrypted.

    Raises:
        BodyMismatchError: It has another length.
        ConfigurationError: It is too long for one key and IV.
    """
    if source.length is None:
        return
    if declared.length is not None and declared.length != source.length:
        raise wrong_length(declared.length, source.length)
    if source.length > GCM_MAX_PLAINTEXT_BYTES:
        raise ConfigurationError(
            f"The body has {source.length} bytes; AES-GCM encrypts {GCM_MAX_PLAINTEXT_BYTES} (64 GiB) at most."
        )
