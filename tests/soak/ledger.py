"""What every object may hold by now: after an error nobody knows whether the write took place."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

MIB = 2**20
MAX_BYTES = 20 * MIB
SIZES = (0, 1, 15, 16, 17, 1000, 65_536, MIB, MIB + 1, 5 * MIB - 1, 5 * MIB, 8 * MIB, 12 * MIB + 7, MAX_BYTES)
# Small ones are more frequent, as in life, so that there are many operations.
_WEIGHTS = (4, 4, 4, 4, 4, 8, 8, 4, 4, 2, 2, 2, 1, 1)

_POOL = random.Random("soak").randbytes(MAX_BYTES + MIB)


@dataclass(frozen=True, slots=True)
class Content:
    """A plaintext: a cut from random bytes, so that it can be told from every other one that is not tiny."""

    offset: int
    size: int

    @classmethod
    def drawn(cls, chance: random.Random, most: int = MAX_BYTES) -> Content:
        """Return a content of a random size up to ``most``."""
        size = min(most, chance.choices(SIZES, _WEIGHTS)[0])
        return cls(chance.randrange(MIB), size)

    @property
    def data(self) -> bytes:
        """The bytes."""
        return _POOL[self.offset : self.offset + self.size]

    def holds(self, data: bytes, start: int = 0) -> bool:
        """Return whether these bytes stand at a position; at position 0, whether they are all."""
        return memoryview(_POOL)[self.offset + start : self.offset + start + len(data)] == data


@dataclass(slots=True)
class Entry:
    """What one key may hold: contents, or None for nothing. ``torn`` says that envelope and body may not fit."""

    candidates: set[Content | None] = field(default_factory=lambda: {None})
    # Writes that failed may still be under way, for good.
    failed: set[Content | None] = field(default_factory=set)
    torn: bool = False

    def wrote(self, contents: Iterable[Content | None]) -> None:
        """Note a write that was reported as done."""
        self.candidates = {*contents, *self.failed}
        self.torn = False

    def may_have_written(self, contents: Iterable[Content | None], *, torn: bool = False) -> None:
        """Note a write that ended in an error."""
        self.failed |= {*contents}
        self.candidates |= self.failed
        self.torn = self.torn or torn

    def is_right(self, data: bytes) -> bool:
        """Return whether the object may hold just this."""
        return any(c is not None and c.size == len(data) and c.holds(data) for c in self.candidates)
