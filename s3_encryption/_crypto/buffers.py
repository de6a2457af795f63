"""Memory for the bytes of large objects: fresh memory would cost more than the cipher."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable

# How much memory an announced length may claim before anything has come.
_FIRST_BUFFER_BYTES = 64 * 1024 * 1024


class BufferRing:
    """Room for a few blocks, used by turns.

    Args:
        blocks: How many are in use at a time: one that is made, and those that wait or are being sent.
    """

    def __init__(self, blocks: int = 1) -> None:
        self._blocks: deque[memoryview] = deque([memoryview(b"")] * blocks)

    def __call__(self, size: int) -> memoryview:
        """Return room for ``size`` bytes, which stays as it is for as many calls less one as there are blocks."""
        self._blocks.rotate()
        if size > len(self._blocks[0]):
            self._blocks[0] = fresh_memory(size)
        return self._blocks[0][:size]


class LendingRing:
    """The same for blocks that may be kept: memory that somebody still holds is not used again.

    Args:
        blocks: How many are in use at a time, and one more: who asks for a block may hold the last one until he has it.
    """

    def __init__(self, blocks: int) -> None:
        self._blocks: deque[bytearray] = deque([bytearray() for _ in range(blocks)])

    def __call__(self, size: int) -> memoryview:
        """Return room for ``size`` bytes, which stays as it is as long as any view of it is held."""
        self._blocks.rotate()
        if size > len(self._blocks[0]) or _is_held(self._blocks[0]):
            self._blocks[0] = bytearray(size)
        return memoryview(self._blocks[0])[:size]


def _is_held(memory: bytearray) -> bool:
    """Return whether there is a view of some memory: then Python does not let its size be changed."""
    if not memory:
        return False
    try:
        memory.append(memory.pop())
    except BufferError:
        return True
    return False


def fresh_memory(size: int) -> memoryview:
    """Return room for ``size`` bytes that nobody else has."""
    return memoryview(bytearray(size))


class GrowingBuffer:
    """Memory for an output whose length is announced but not trusted: it grows with what is really written.

    Args:
        announced_bytes: How much it will be, as far as one may believe it.
    """

    def __init__(self, announced_bytes: int) -> None:
        self._announced = announced_bytes
        self._capacity = max(0, min(announced_bytes, _FIRST_BUFFER_BYTES))
        # Zeroed pages are not touched before they are written, and getvalue() shares them: nothing is copied.
        self._file = io.BytesIO(bytes(self._capacity))
        self._written = 0

    def fill(self, size: int, write_into: Callable[[memoryview], int]) -> None:
        """Let a function write up to ``size`` bytes behind the last ones. It returns how many it has written."""
        self._reserve(size)
        with self._file.getbuffer() as room:
            self._written += write_into(room[self._written :])

    def write(self, data: bytes) -> None:
        """Write bytes behind the last ones."""
        self._file.seek(self._written)
        self._file.write(data)
        self._written += len(data)

    def getvalue(self) -> bytes:
        """Return all that was written."""
        self._file.truncate(self._written)
        return self._file.getvalue()

    def _reserve(self, size: int) -> None:
        needed = self._written + size
        if needed > self._capacity:
            self._capacity = max(needed, min(self._announced, 2 * self._capacity))
            self._file.seek(self._capacity - 1)
            self._file.write(b"\0")
