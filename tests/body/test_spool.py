"""The verified spool: ciphertext comes in once, is verified, and comes out again; never to a file with a name."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3_encryption import DecryptionError
from s3_encryption._body.sizes import READ_BYTES
from s3_encryption._body.spool import VerifiedSpool

DATA = random.Random("spool").randbytes(2 * READ_BYTES + 12_345)
memories = pytest.mark.parametrize("memory_bytes", [0, 1, len(DATA) // 2, 2 * len(DATA)])


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    """Yield data in pieces."""
    return (data[start : start + size] for start in range(0, len(data), size))


@memories
@pytest.mark.parametrize("size", [70_000, READ_BYTES, len(DATA)])
def test_what_was_filled_in_comes_out(memory_bytes: int, size: int) -> None:
    """In order or span by span, the bytes are those that came in, and whoever verifies sees the same ones."""
    seen: list[bytes] = []

    def verify(data: Iterator[bytes]) -> Iterator[None]:
        seen.extend(data)
        yield None

    with VerifiedSpool(memory_bytes) as spool:
        spool.fill(pieces_of(DATA, size), verify)
        assert b"".join(seen) == DATA
        assert spool.length == len(DATA)
        for start, stop in ((0, 0), (0, 10), (READ_BYTES - 5, READ_BYTES + 5), (len(DATA) - 1, len(DATA))):
            assert spool.read_span(start, stop) == DATA[start:stop]
        assert b"".join(spool.pieces()) == DATA
        assert b"".join(spool.pieces()) == DATA


@memories
def test_pieces_may_come_in_any_order(memory_bytes: int) -> None:
    """What is fetched in ranges is put where it belongs."""
    offsets = list(range(0, len(DATA), 300_000))
    random.Random("order").shuffle(offsets)
    with VerifiedSpool(memory_bytes) as spool:
        for offset in offsets:
            spool.write_at(offset, DATA[offset : offset + 300_000])
        assert spool.length == len(DATA)
        assert b"".join(spool.pieces()) == DATA


@memories
def test_nothing_is_left_of_what_was_not_verified(memory_bytes: int) -> None:
    """After an error the spool is closed, and can't be read."""

    def refuse(data: Iterator[bytes]) -> Iterator[None]:
        for _ in data:
            yield None
        raise DecryptionError

    spool = VerifiedSpool(memory_bytes)
    with pytest.raises(DecryptionError):
        spool.fill(pieces_of(DATA, 70_000), refuse)
    with pytest.raises(ValueError, match="closed"):
        spool.read_span(0, 1)


def test_file_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks into the folder for temporary files finds nothing, while it is in use and after."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with VerifiedSpool() as spool:
        spool.write_at(0, DATA)
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []
