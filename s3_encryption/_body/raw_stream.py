"""What the raw streams of the package share, and the one way to read a number of bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any


def read_full(read: Callable[[int], bytes], size: int) -> bytes:
    """Return ``size`` bytes, fewer only at the end, however short single reads are."""
    parts = []
    while size > 0 and (part := read(size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class RawStream(io.RawIOBase):
    """A raw stream that is read by ``read``, knows its position, and after a failure fails in the same way again."""

    def __init__(self) -> None:
        super().__init__()
        self._position = 0
        self._failure: BaseException | None = None

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer)) or b""
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        # Python also closes what has no state, because its construction failed.
        if not self.closed and hasattr(self, "_position"):
            self._drop()
        super().close()

    def _drop(self) -> None:
        """Drop what it holds: it is being closed."""

    def _check_usable(self) -> None:
        """Check that it is open, and that no read has failed.

        Raises:
            ValueError: It is closed.
            BaseException: That of the read that failed.
        """
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if self._failure is not None:
            raise self._failure

    def _sought(self, offset: int, whence: int, length: int) -> int:
        """Return the position that a seek means in a stream of that length in bytes; it may be before its start."""
        return offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: length}[whence]
