"""Memory that is used again: no block changes while it is in use, and none is claimed on a mere announcement."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from s3_encryption._crypto.buffers import BufferRing, GrowingBuffer, LendingRing, fresh_memory

MIB = 1024 * 1024
DATA = random.Random("buffers").randbytes(300_000)


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_block_stays_as_it_is_until_its_turn_comes_again(blocks: int) -> None:
    """With so many blocks, as many calls less one leave each alone, and the next one takes it."""
    ring = BufferRing(blocks)
    given = []
    for number in range(3 * blocks):
        block = ring(4)
        block[:] = bytes([number]) * 4
        given.append(block)
        in_use = given[-blocks:]
        assert [bytes(each)[0] for each in in_use] == list(range(number + 1 - len(in_use), number + 1))
    assert bytes(given[0]) == bytes(given[-blocks])


def test_block_has_the_size_that_is_asked_for() -> None:
    """Larger blocks are made anew, smaller ones are cut from what is there."""
    ring = BufferRing()
    first = ring(100)
    assert [len(ring(size)) for size in (10, 100, 0, 200, 150)] == [10, 100, 0, 200, 150]
    ring(200)[:] = b"x" * 200
    assert bytes(first) == bytes(100)


def test_memory_that_is_held_is_not_used_again() -> None:
    """A block, or any part of one, that somebody keeps stays as it is, however often the ring goes round."""
    ring, kept = LendingRing(2), []
    for number in range(10):
        block = ring(100)
        block[:] = bytes([number]) * 100
        kept.append(block[40:60] if number % 2 else block)
    assert [set(bytes(each)) for each in kept] == [{number} for number in range(10)]


def test_memory_that_nobody_holds_is_used_again() -> None:
    """With one block more than are in use, who lets each go when he has the next one gets the same memory."""
    ring, used = LendingRing(3), []
    block = before = ring(100)
    for size in (100, 100, 50, 0, 100, 70):
        before, block = block, ring(size)
        assert (len(block), before.obj is block.obj) == (size, False)
        used.append(block.obj)
    assert len({id(memory) for memory in used}) == 3


def test_fresh_memory_is_nobody_elses() -> None:
    """Each call returns other memory, of zeros."""
    first, second = fresh_memory(5), fresh_memory(5)
    first[:] = b"first"
    assert bytes(second) == bytes(5)


@pytest.mark.parametrize("announced", [-1, 0, 1, 299_999, 300_000, 300_001, 10 * MIB])
@pytest.mark.parametrize("step", [1000, 65536, 300_000])
def test_growing_buffer_holds_what_was_written(announced: int, step: int) -> None:
    """Whatever was announced, all that was written comes back, in order, and nothing else."""
    buffer = GrowingBuffer(announced)
    for start in range(0, 200_000, step):
        piece = DATA[start : min(start + step, 200_000)]

        def write_into(room: memoryview, piece: bytes = piece) -> int:
            room[: len(piece)] = piece
            return len(piece)

        # It may turn out to be less than there was room for.
        buffer.fill(len(piece) + 7, write_into)
    buffer.write(DATA[200_000:])
    assert buffer.getvalue() == DATA


def test_empty_buffer_holds_nothing() -> None:
    """Without anything written the announced length is not filled up with zeros."""
    assert GrowingBuffer(1000).getvalue() == b""


def test_announced_length_claims_little_memory() -> None:
    """A length of terabytes claims at most 64 MiB before anything has come, and grows by what is written."""
    tracemalloc.start()
    try:
        buffer = GrowingBuffer(2**50)
        buffer.write(b"x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The zeros that it starts from are there twice for a moment.
    assert peak < 140 * MIB
    assert buffer.getvalue() == b"x"
