"""Soak: mixed work by many threads over a bad network, for SOAK_SECONDS, in rounds; prints what came of it.

    python tests/soak [SEED]

Exit code 1 says that an object was lost or wrong, that an error had no name, that something hung or was left over, or
that memory grew.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
THREADS = 6
ROUNDS = 6
# By that much more memory may be in use after the last round than after the second: the allocator keeps some.
GROWTH_BYTES = 64 * 2**20


def main(seed: str) -> int:
    """Work all rounds, print what came of it, and return an exit code."""
    from soak.campaign import run

    outcomes: Counter[tuple[str, str]] = Counter()
    faults: Counter[str] = Counter()
    broken: list[str] = []
    resident: list[int] = []
    for number in range(ROUNDS):
        report = run(f"{seed} {number}", THREADS, lambda: _until(time.monotonic() + SECONDS / ROUNDS))
        outcomes += report.outcomes
        faults += report.faults
        broken += report.broken
        resident.append(report.resident_bytes)
    if resident[-1] > resident[1] + GROWTH_BYTES:
        broken.append("memory grew")
    _print(f"{outcomes.total()} operations", outcomes_by_name(outcomes))
    _print(f"{faults.total()} faults", faults)
    _print("memory after each round in MiB: " + ", ".join(str(size >> 20) for size in resident), {})
    print("\n".join(broken) or "nothing lost, wrong, unnamed, hanging or left over")
    return bool(broken)


def outcomes_by_name(outcomes: Counter[tuple[str, str]]) -> Counter[str]:
    """Return how often each outcome came, whatever the operation."""
    named: Counter[str] = Counter()
    for (_, outcome), count in outcomes.items():
        named[outcome] += count
    return named


def _until(deadline: float) -> Iterator[None]:
    while time.monotonic() < deadline:
        yield


def _print(title: str, counts: Counter[str] | dict[str, int]) -> None:
    print(title)
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        print(f"  {count:7} {name}")


if __name__ == "__main__":
    # As a script it finds neither its own package nor, when that isn't installed, the project's.
    sys.path[:1] = [str(FOLDER.parent), str(FOLDER.parent.parent)]
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else str(time.time_ns())))
