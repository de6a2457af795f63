"""The checks of one peer against the reference: round trips both ways, and what must be refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .environment import Environment
from .formats import ALL_CELLS, Cell, Participant
from .peer_process import Peer, PeerError
from .stored import VectorWriter, flip_bit, load_object, plaintext

CONTEXT = {"project": "interop", "stage": "test"}
WRONG_CONTEXT = {"project": "another"}
# The body's size and the encryption context of each round trip.
TRIPS: dict[int, dict[str, str]] = {
    0: {},
    1: CONTEXT,
    16: CONTEXT,
    17: {},
    1000: CONTEXT,
    100000: {},
}
TAMPERED_SIZE = 1000
KEPT_SIZES = (0, 16, 1000)


class Failure(NamedTuple):
    """One thing that did not work in one cell of one peer, with the sizes it was seen at."""

    peer: str
    cell: Cell
    direction: str
    problem: str
    sizes: list[int]

    def __str__(self) -> str:
        """Return the line for the report."""
        sizes = ", ".join(map(str, self.sizes))
        return f"{self.peer} {self.direction} {self.cell} ({sizes} bytes): {self.problem}"


Problem = tuple[int, str]
"""What went wrong, after the size of the body."""


@dataclass
class Column:
    """One peer's results: its cells, and all that failed in them."""

    peer: Peer
    writes: frozenset[Cell]
    reads: frozenset[Cell]
    failures: list[Failure] = field(default_factory=list)

    def mark(self, cell: Cell) -> str:
        """Return what the matrix shows: the peer's proven abilities, `FAIL`, or `-`."""
        if any(failure.cell == cell for failure in self.failures):
            return "FAIL"
        return "R" * (cell in self.reads) + "W" * (cell in self.writes) or "-"


class Comparison:
    """All checks of one peer against the reference, which is our client but in self-tests."""

    def __init__(
        self,
        environment: Environment,
        reference: Participant,
        peer: Peer,
        refusal: type[Exception] | None,
        vectors: VectorWriter,
    ) -> None:
        """Prepare; without a `refusal` type the reference isn't tested on tampered objects."""
        self._environment = environment
        self._reference = reference
        self._refusal = refusal
        self._vectors = vectors
        self._peer = peer
        self.column = Column(peer, peer.writes & reference.reads, peer.reads & reference.writes)

    def run(self) -> Column:
        """Run all cells, in the matrix's order."""
        for cell in ALL_CELLS:
            if cell in self.column.writes:
                self._check(cell, "writes", self._peer_writes)
            if cell in self.column.reads:
                self._check(cell, "reads", self._peer_reads)
        return self.column

    def _check(self, cell: Cell, direction: str, trips: Callable[[Cell], Iterator[Problem]]) -> None:
        sizes_of: dict[str, list[int]] = {}
        for size, problem in trips(cell):
            sizes_of.setdefault(problem, []).append(size)
        self.column.failures += (
            Failure(self._peer.name, cell, direction, problem, sizes) for problem, sizes in sizes_of.items()
        )

    def _peer_writes(self, cell: Cell) -> Iterator[Problem]:
        for size, context in TRIPS.items():
            key = f"{self._peer.name}/writes/{cell}/{size}"
            problem = self._trip(self._peer, self._reference, cell, key, size)
            if problem:
                yield size, problem
                continue
            if size in KEPT_SIZES:
                stored = load_object(self._environment.s3, key, cell.location)
                self._vectors.add(cell, size, stored)
            if size == TAMPERED_SIZE and self._refusal:
                for problem in self._refusals(cell, key, context, self._refusal):
                    yield size, problem

    def _peer_reads(self, cell: Cell) -> Iterator[Problem]:
        for size in TRIPS:
            key = f"{self._peer.name}/reads/{cell}/{size}"
            problem = self._trip(self._reference, self._peer, cell, key, size)
            if problem:
                yield size, problem

    def _trip(self, writer: Participant, reader: Participant, cell: Cell, key: str, size: int) -> str | None:
        """Return what went wrong between a put and a get, if anything."""
        body, context = plaintext(size), TRIPS[size]
        try:
            writer.put(cell, key, body, context)
            mismatch = load_object(self._environment.s3, key, cell.location).mismatch(cell)
        except Exception as error:
            return f"written by {writer.name}: {described(error)}"
        if mismatch:
            return f"written by {writer.name}: {mismatch}"
        try:
            read = reader.get(cell, key, self._read_context(cell, key, context))
        except Exception as error:
            return f"read by {reader.name}: {described(error)}"
        if read != body:
            return f"read by {reader.name}: other bytes, {len(read)} of them"
        return None

    def _read_context(self, cell: Cell, key: str, context: dict[str, str]) -> dict[str, str]:
        """Return the context for the read: nothing when the writer had no way to take one."""
        if not cell.format.may_drop_context:
            return context
        stored = load_object(self._environment.s3, key, cell.location)
        return context if stored.caller_context else {}

    def _refusals(self, cell: Cell, key: str, context: dict[str, str], refusal: type[Exception]) -> Iterator[str]:
        """Yield what the reference wrongly takes of an object that it just read."""
        stored = load_object(self._environment.s3, key, cell.location)
        if cell.format.is_kms:
            yield from self._must_refuse("another context", refusal, cell, key, WRONG_CONTEXT)
        read_context = self._read_context(cell, key, context)
        flip_bit(self._environment.s3, key, stored)
        yield from self._must_refuse("a flipped bit", refusal, cell, key, read_context)

    def _must_refuse(
        self,
        what: str,
        refusal: type[Exception],
        cell: Cell,
        key: str,
        context: dict[str, str],
    ) -> Iterator[str]:
        try:
            self._reference.get(cell, key, context)
        except refusal:
            return
        except Exception as error:
            yield f"{what} gives {described(error)}, not a {refusal.__name__}"
        else:
            yield f"{what} is accepted by {self._reference.name}"


def described(error: Exception) -> str:
    """Return the error as one line; a peer's answer already names its class."""
    text = str(error) if isinstance(error, PeerError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())
