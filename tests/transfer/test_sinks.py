"""Where downloads go: a file that appears at the end only, what is opened late, and pieces at their places."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Generator
from pathlib import Path

import pytest

from s3_encryption._transfer.sinks import OffsetSink, OpenOnWrite, new_file, write_all, write_at


def test_file_gets_its_name_at_the_end(tmp_path: Path) -> None:
    """Until all is written there is no such file, and only its owner may read what is there."""
    path = tmp_path / "target"
    with new_file(str(path)) as file:
        file.write(b"content")
        (temporary,) = tmp_path.iterdir()
        assert temporary.name != "target"
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    assert path.read_bytes() == b"content"
    usual = tmp_path / "usual"
    usual.write_bytes(b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


def test_file_that_is_there_stays_when_something_fails(tmp_path: Path) -> None:
    """A failure leaves the old content, and no other file."""
    path = tmp_path / "target"
    path.write_bytes(b"old")

    def fail() -> None:
        with new_file(str(path)) as file:
            file.write(b"new")
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127])
def test_longest_names_have_room_for_a_temporary_one(name: str, tmp_path: Path) -> None:
    """A name that the file system just takes can be written to."""
    path = tmp_path / name
    with new_file(str(path)) as file:
        file.write(b"content")
    assert path.read_bytes() == b"content"


def test_late_file_is_opened_by_the_first_piece(tmp_path: Path) -> None:
    """What fails before there is anything to write leaves a device alone."""
    path = tmp_path / "device"
    OpenOnWrite(str(path)).close()
    assert not path.exists()
    late = OpenOnWrite(str(path))
    late.write(b"content")
    late.close()
    assert path.read_bytes() == b"content"


def test_pieces_are_passed_on_with_their_offsets() -> None:
    """What s3transfer seeks and writes arrives as pairs of offset and piece."""
    taken: list[tuple[int, bytes]] = []
    sink = OffsetSink(lambda offset, data: taken.append((offset, data)))
    assert sink.seekable()
    for offset, data in ((10, b"b"), (0, b"a")):
        sink.seek(offset)
        sink.write(data)
    assert taken == [(10, b"b"), (0, b"a")]


def test_large_pieces_arrive_whole_at_their_places() -> None:
    """However a piece is cut on the way to the file, all of it is there."""
    data, file = os.urandom(700_001), io.BytesIO(bytes(800_000))
    write_at(file, 50_000, data)
    assert file.getvalue() == bytes(50_000) + data + bytes(49_999)


def test_all_pieces_are_written_from_the_start_and_counted() -> None:
    """A target that can seek gets them from its start; progress tells each piece."""
    seen: list[int] = []

    def pieces() -> Generator[bytes, None, None]:
        yield from (b"ab", b"", b"cde")

    target = io.BytesIO(b"old, and longer")
    target.seek(5)
    write_all(target, pieces(), seen.append)
    assert target.getvalue() == b"abcde" + b"old, and longer"[5:]
    assert sum(seen) == 5
