"""Memory for the blocks of large objects, used again and again: fresh memory would cost more than the cipher."""

from __future__ import annotations

from collections import deque


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


def fresh_memory(size: int) -> memoryview:
    """Return room for ``size`` bytes that nobody else has."""
    return memoryview(bytearray(size))
