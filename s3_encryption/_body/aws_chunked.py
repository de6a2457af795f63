"""How encrypted bodies go out: small ones at once, large ones in chunks with a checksum behind them (aws-chunked).

Over TLS botocore sends large bodies in chunks, and copies each several times on the way. This makes the same encoding
without a copy: the blocks of an ``EncryptingReader`` go to the socket as they are, and their checksum is computed where
they are encrypted.

The format: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator
from typing import Protocol

from .._crypto.primitives import Buffer
from .plaintext import Crc32
from .sizes import IO_BLOCK_BYTES

_CRC32_TRAILER = b"x-amz-checksum-crc32"
_CRC32_TEXT_BYTES = 8


class Reader(Protocol):
    """What an encrypted body must have to be sent in chunks."""

    def __len__(self) -> int:
        """Return its length in bytes."""

    def blocks(self, observe: Callable[[Buffer], object]) -> Generator[Buffer, None, None]:
        """Yield all of it, after having shown each block to ``observe``."""

    def rewind(self) -> None:
        """Go back to its start."""

    def signal_transferring(self) -> None:
        """Take note that from now on reading is progress."""

    def signal_not_transferring(self) -> None:
        """Take note that from now on reading is not progress."""


class ChunkedBody:
    """An encrypted body in chunks of IO_BLOCK_BYTES, with a CRC-32 of the ciphertext behind them: what urllib3 reads.

    Its length is known beforehand, so it needs no chunks of HTTP's own around it.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._pieces = self._new_pass()

    def __len__(self) -> int:
        full, rest = divmod(len(self._reader), IO_BLOCK_BYTES)
        framing = full * len(_frame(IO_BLOCK_BYTES)) + (len(_frame(rest)) if rest else 0)
        return len(self._reader) + framing + len(_end(bytes(_CRC32_TEXT_BYTES)))

    def read(self, size: int | None = -1) -> Buffer:
        """Return the next piece, whatever its size, since urllib3 sends what it gets; nothing at the end only.

        All that is left for None or a negative size. Whoever keeps a piece, as an event handler that reads the body
        before it is sent, finds it as it was.
        """
        if size is None or size < 0:
            return b"".join([bytes(piece) for piece in self._pieces])
        return next(self._pieces, b"")

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go back to the start, the only place that botocore goes to."""
        if (offset, whence) != (0, 0):
            raise ValueError("an aws-chunked body can be read again from its start only")
        self._reader.rewind()
        self._pieces = self._new_pass()
        return 0

    def signal_transferring(self) -> None:
        """Pass on what s3transfer says to its bodies."""
        self._reader.signal_transferring()

    def signal_not_transferring(self) -> None:
        """Pass on what s3transfer says to its bodies."""
        self._reader.signal_not_transferring()

    # As s3transfer's older S3Transfer says it.
    enable_callback = signal_transferring
    disable_callback = signal_not_transferring

    def _new_pass(self) -> Generator[Buffer, None, None]:
        crc = Crc32()
        left, left_in_chunk = len(self._reader), 0
        before = b""
        for block in self._reader.blocks(crc.update):
            rest = memoryview(block)
            while rest:
                if not left_in_chunk:
                    left_in_chunk = min(IO_BLOCK_BYTES, left)
                    left -= left_in_chunk
                    yield b"%s%x\r\n" % (before, left_in_chunk)
                    before = b"\r\n"
                piece, rest = rest[:left_in_chunk], rest[left_in_chunk:]
                left_in_chunk -= len(piece)
                yield piece
        yield before + _end(base64.b64encode(crc.digest()))


def _frame(size: int) -> bytes:
    return b"%x\r\n\r\n" % size


def _end(checksum: bytes) -> bytes:
    return b"0\r\n%s:%s\r\n\r\n" % (_CRC32_TRAILER, checksum)
