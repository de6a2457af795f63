"""Ciphertext that is fetched once, verified, and read again: in memory while small, then in an unlinked file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator

from .sizes import READ_BYTES, WRITE_BYTES


class VerifiedSpool:
    """The ciphertext of one object. Never its plaintext: a temporary file outlives the process that is killed.

    Args:
        memory_bytes: Up to this many bytes are held in memory; 0 for none.
    """

    def __init__(self, memory_bytes: int = 0) -> None:
        if memory_bytes:
            self._file = tempfile.SpooledTemporaryFile(max_size=memory_bytes)  # noqa: SIM115 - closed by close
        else:
            self._file = tempfile.TemporaryFile()  # type: ignore[assignment]  # noqa: SIM115 - closed by close
        self._length = 0

    def __enter__(self) -> VerifiedSpool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def length(self) -> int:
        """How many bytes it has."""
        return self._length

    def fill(self, pieces: Iterator[bytes], verify: Callable[[Iterator[bytes]], Iterator[object]]) -> None:
        """Take in ciphertext piece by piece. After an error nothing is left of it.

        Args:
            pieces: The ciphertext, in order.
            verify: Gets the same pieces; comes to its end only if they are what was encrypted.
        """
        try:
            for _ in verify(self._copied(pieces)):
                pass
        except BaseException:
            self.close()
            raise

    def _copied(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._file.write(piece)
            self._length += len(piece)
            yield piece

    def write_at(self, offset: int, data: bytes) -> None:
        """Put a piece of ciphertext at its place; verifying it is the caller's business."""
        self._file.seek(offset)
        for start in range(0, len(data), WRITE_BYTES):
            self._file.write(data[start : start + WRITE_BYTES])
        self._length = max(self._length, offset + len(data))

    def read_span(self, start: int, stop: int) -> bytes:
        """Return the ciphertext in a span."""
        self._file.seek(start)
        return self._file.read(stop - start)

    def pieces(self) -> Iterator[bytes]:
        """Yield all of the ciphertext, in order."""
        self._file.seek(0)
        while piece := self._file.read(READ_BYTES):
            yield piece

    def close(self) -> None:
        """Drop the ciphertext."""
        self._file.close()
