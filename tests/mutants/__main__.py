"""Print what came of a run of mutmut in the current folder: every change that no test noticed, and the score.

    python tests/mutants MUTMUT

A change is noticed when a test fails, or when a test no longer ends (``killed``, or ``timeout`` where mutmut itself
had to end it). What survives is not always a gap: a text of an error may differ, or the change changes nothing.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter, defaultdict

_RESULT = re.compile(r"\s*(?P<name>\w+\.(?P<module>\w+)\.\S+__mutmut_\d+): (?P<status>.+)")
_NOT_RUN = "not checked"
_NOTICED = ("killed", "timeout", "segfault")


def main(mutmut: str) -> None:
    """Print the changes that survived, each as a diff, and a line of numbers for each module."""
    scores: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for found in map(_RESULT.fullmatch, _output(mutmut, "results", "--all", "true").splitlines()):
        if found is None or found["status"] == _NOT_RUN:
            continue
        scores[found["module"]][found["status"]] += 1
        if found["status"] not in _NOTICED:
            print(_output(mutmut, "show", found["name"]))
    for module, counts in sorted(scores.items()):
        print(_line(module, counts))
    print(_line("all", sum(scores.values(), Counter())))


def _line(module: str, counts: Counter[str]) -> str:
    noticed = sum(counts[status] for status in _NOTICED)
    numbers = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    return f"{module:12} {noticed}/{counts.total()} noticed: {numbers}"


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
