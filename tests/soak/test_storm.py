"""Mixed work over a bad network, in small: always the same work, always the same faults."""

from __future__ import annotations

from .campaign import run
from .storm import FAULTS


def test_nothing_is_lost_or_wrong_or_left_over_after_a_storm() -> None:
    """Each operation ends in success or in a named error, each object is what was written, and nothing is kept."""
    report = run("storm", threads=3, steps=lambda: iter(range(80)), largest=2 * 2**20)
    assert not report.broken, "\n".join(report.broken)
    assert report.successes > 100
    assert {fault.split()[0] for fault in report.faults} == set(FAULTS)
