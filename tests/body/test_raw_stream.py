"""What the raw streams share: reads that are whole, positions, and failures that stay."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator

import pytest

from s3_encryption._body.raw_stream import RawStream, read_full


class Countdown(RawStream):
    """A stream of the digits 9 to 0, which fails at a digit."""

    def __init__(self, fails_at: int = -1) -> None:
        super().__init__()
        self._digits = iter(b"9876543210")
        self._fails_at = fails_at

    def read(self, size: int | None = -1) -> bytes:
        """Return one digit, whatever the size."""
        self._check_usable()
        if self._position == self._fails_at:
            self._failure = ConnectionError("the first failure")
            raise self._failure
        piece = bytes(itertools.islice(self._digits, 1 if size is None else min(1, size)))
        self._position += len(piece)
        return piece


@pytest.mark.parametrize("size", [0, 1, 3, 10, 11, 100])
def test_number_of_bytes_is_read_however_short_reads_are(size: int) -> None:
    """What comes byte by byte is put together; at the end there is less."""
    asked: list[int] = []
    source = Countdown()

    def read(wanted: int) -> bytes:
        asked.append(wanted)
        return source.read(wanted)

    assert read_full(read, size) == b"9876543210"[:size]
    assert max(asked, default=0) <= size


def test_whole_piece_is_not_copied() -> None:
    """One read that gives all is returned as it is."""
    piece = bytes(1000)
    pieces: Iterator[bytes] = iter([piece])
    assert read_full(lambda size: next(pieces), 1000) is piece


def test_stream_is_read_by_the_standard_library() -> None:
    """A buffer over it reads into memory, and it tells its position."""
    stream = Countdown()
    assert stream.readable()
    assert not stream.seekable()
    assert io.BufferedReader(stream, 4).read(6) == b"987654"
    assert stream.tell() == 6


def test_failure_stays() -> None:
    """After a failure every read fails in the same way; after the end of use, in Python's own."""
    stream = Countdown(fails_at=2)
    assert read_full(stream.read, 2) == b"98"
    for _ in range(2):
        with pytest.raises(ConnectionError, match="the first failure"):
            stream.read(1)
    stream.close()
    with pytest.raises(ValueError, match="closed file"):
        stream.read(1)
