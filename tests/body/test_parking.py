"""Plaintext that waits: it comes back as it was, as often as it is read, and is nowhere to be seen meanwhile."""

from __future__ import annotations

import io
import random
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.properties import reproducible

from s3_encryption import BodyChangedError, UnsupportedOperationError
from s3_encryption._body.parking import ParkingSpace
from s3_encryption._body.plaintext import PlaintextSource
from s3_encryption._body.sizes import SPOOL_MEMORY_BYTES

DATA = random.Random("parking").randbytes(5000)


@pytest.fixture
def space() -> Iterator[ParkingSpace]:
    """Return a space with nothing in it."""
    made = ParkingSpace()
    yield made
    made.close()


def kept_by(space: ParkingSpace) -> bytes:
    """Return what somebody finds who can read the temporary file."""
    file: Any = space._file
    file.seek(0)
    return bytes(file.read())


@settings(reproducible, max_examples=100)
@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(1, 500), min_size=1, max_size=8))
def test_what_is_parked_comes_back_however_it_is_read(blocks: list[bytes], sizes: list[int]) -> None:
    """Law: reads of any sizes, from any position, give the bytes that went in."""
    space, whole = ParkingSpace(), b"".join(blocks)
    body = space.park(blocks)
    assert (body.length, body.read()) == (len(whole), whole)
    for size in sizes:
        start = body.seek(size % (len(whole) + 1))
        piece = body.read(size)
        assert whole[start:].startswith(piece)
        assert piece or start == len(whole)
    body.seek(0)
    assert b"".join(iter(lambda: body.read(sizes[0]), b"")) == whole
    space.close()


def test_parked_body_is_a_source_that_can_be_read_again(space: ParkingSpace) -> None:
    """It tells its length, and starts anew: what is sent from it may be sent again."""
    source = PlaintextSource(space.park([DATA[:3000], DATA[3000:]]))
    assert source.length == len(DATA)
    for _ in range(2):
        assert b"".join(source.blocks()) == DATA
        source.rewind()


def test_temporary_file_holds_no_plaintext_and_no_two_equal_blocks(space: ParkingSpace) -> None:
    """Each block has an IV of its own, also where one takes the place of another."""
    seen = set()
    for _ in range(5):
        body = space.park([bytes(1000)])
        kept = kept_by(space)
        assert bytes(16) not in kept
        seen.add(kept)
        body.leave()
    assert len(seen) == 5


def test_space_that_was_left_is_used_again(space: ParkingSpace) -> None:
    """An upload whose parts come and go does not need room for all of them at once."""
    for _ in range(50):
        space.park([DATA[:1000], DATA[1000:3000]]).leave()
    assert len(kept_by(space)) == 3000 + 2 * 16


def test_what_left_can_not_be_read(space: ParkingSpace) -> None:
    """Others are where it was."""
    body = space.park([DATA])
    body.leave()
    body.leave()
    with pytest.raises(ValueError, match="closed"):
        body.read(1)


@pytest.mark.parametrize("place", [0, 1500, 2015, 2040])
def test_changed_temporary_file_is_found_out(space: ParkingSpace, place: int) -> None:
    """Whoever can write to the temporary folder can't have another text sent."""
    body = space.park([DATA[:2000], DATA[2000:]])
    file: Any = space._file
    file.seek(place)
    byte = file.read(1)
    file.seek(place)
    file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(BodyChangedError, match="temporary file"):
        io.BufferedReader(body).read()


def test_failed_source_leaves_nothing(space: ParkingSpace) -> None:
    """What had come of it gives its room back, and the error is the source's own."""

    def failing() -> Iterator[bytes]:
        yield DATA[:1000]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        space.park(failing())
    space.park([DATA[1000:2000]])
    assert len(kept_by(space)) == 1016


def test_little_is_kept_in_memory_and_more_in_one_file(space: ParkingSpace) -> None:
    """However many parts wait, there is one file descriptor, and a bound to the memory."""
    block = bytes(2**20)
    bodies = [space.park([block]) for _ in range(SPOOL_MEMORY_BYTES // 2**20 - 1)]
    assert isinstance(space._file, io.BytesIO)
    bodies += [space.park([block]) for _ in range(3)]
    assert not isinstance(space._file, io.BytesIO)
    assert all(body.read(2**20) == block for body in bodies)


def test_threads_park_and_read_at_the_same_time(space: ParkingSpace) -> None:
    """Each gets its own bytes back."""
    wrong: list[int] = []

    def work(number: int) -> None:
        text = bytes([number]) * 997
        for _ in range(50):
            body = space.park([text, text])
            if body.read() != text * 2:
                wrong.append(number)
            body.leave()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_full_disk_loses_nothing_that_was_parked_before(space: ParkingSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in memory stays there until all of it is in the file; with room again, the next part is taken."""
    block = bytes(2**20)
    bodies = [space.park([block]) for _ in range(SPOOL_MEMORY_BYTES // 2**20 - 1)]

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(tempfile, "TemporaryFile", Full)
        with pytest.raises(OSError, match="No space left"):
            space.park([block, block])
    bodies += [space.park([block]) for _ in range(3)]
    assert all(body.read(2**20) == block for body in bodies)


def test_closed_space_says_that_the_upload_has_ended(space: ParkingSpace) -> None:
    """An abort may come while a part is being parked, or read."""
    body = space.park([DATA])
    space.close()
    with pytest.raises(UnsupportedOperationError, match="has ended"):
        space.park([DATA])
    with pytest.raises(UnsupportedOperationError, match="has ended"):
        body.read(1)
