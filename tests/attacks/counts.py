"""How much is tried: the numbers of the catalogue, and what tests report of theirs, which ``make attack`` prints."""

from __future__ import annotations

import os
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


# Set by make attack.
_IN_FULL = os.environ.get("ATTACK_IN_FULL") == "1"


def in_full(number: int, *, otherwise: int) -> int:
    """Return a number of the catalogue; a smaller one where the attacks are not what is run, because it takes long."""
    return number if _IN_FULL else otherwise


def tried(what: str, times: int = 1) -> None:
    """Count attempts."""
    COUNTS[what] += times


def lines(tests: int, rows: int) -> list[str]:
    """Return what was tried, one line for each kind."""
    numbers = {"tests": tests, "rows of the catalogue": rows, **COUNTS}
    width = max(len(f"{number:,}") for number in numbers.values())
    return [f"{number:>{width},} {name}" for name, number in numbers.items()]
