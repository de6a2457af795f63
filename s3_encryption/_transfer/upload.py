"""What is uploaded by s3transfer: a source that does what s3transfer takes for granted."""

from __future__ import annotations

from typing import Any

from .._body.raw_stream import read_full
from .._checks import checked_read


class FullReader:
    """A file-like object whose ``read(size)`` is short only at the end, and never anything but bytes.

    s3transfer takes one read for one part, and what a socket or pipe did not deliver at once would be lost; and it
    takes None, of a non-blocking source, for the end.
    """

    def __init__(self, source: Any) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def read(self, size: int | None = -1) -> bytes:
        """Return ``size`` bytes, or all that is left.

        Raises:
            ConfigurationError: The source gives anything else than bytes, or more than it is asked for.
        """
        if size is None or size < 0:
            return checked_read(self._source.read())
        # Nothing is asked of the source, too: that is how some say that they can't be read.
        return read_full(self._read_some, size) if size else self._read_some(0)

    def _read_some(self, size: int) -> bytes:
        return checked_read(self._source.read(size), size)
