"""How much was tried: tests report it, and ``make attack`` prints it."""

from __future__ import annotations

from collections import Counter

BIT_FLIPS = "bit flips"
TRUNCATIONS = "truncations"
EXTENSIONS = "extensions"
METADATA_MUTATIONS = "metadata mutations"
REFUSALS = "refusals"
KMS_CALLS_FOR_REFUSED = "KMS calls for objects that format or policy refuses (must be 0)"

COUNTS: Counter[str] = Counter(
    dict.fromkeys((BIT_FLIPS, TRUNCATIONS, EXTENSIONS, METADATA_MUTATIONS, REFUSALS, KMS_CALLS_FOR_REFUSED), 0)
)


def tried(what: str, times: int = 1) -> None:
    """Count attempts."""
    COUNTS[what] += times


def lines(tests: int, rows: int) -> list[str]:
    """Return what was tried, one line for each kind."""
    numbers = {"tests": tests, "rows of the catalogue": rows, **COUNTS}
    width = max(len(f"{number:,}") for number in numbers.values())
    return [f"{number:>{width},} {name}" for name, number in numbers.items()]
