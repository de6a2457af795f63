"""A pytest plugin: runs what is a row of the catalogue, wherever it is, and prints how much was tried (make attack)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from . import counts
from .rows import ROW, rows_in_name

_DIRECTORY = Path(__file__).parent
_rows: dict[str, list[str]] = {}
_passed: set[str] = set()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that are no attack."""
    for item in items:
        case = getattr(getattr(item, "callspec", None), "id", "")
        _rows[item.nodeid] = rows_in_name(item.name) + re.findall(rf"(?:^|-)({ROW})(?=-|$)", case)
    left_out = [item for item in items if not _rows[item.nodeid] and item.path.parent != _DIRECTORY]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note which tests passed."""
    if report.when == "call" and report.passed:
        _passed.add(report.nodeid)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how much was tried."""
    rows = {row for test in _passed for row in _rows[test]}
    terminalreporter.section("attacks")
    for line in counts.lines(tests=len(_passed), rows=len(rows)):
        terminalreporter.write_line(line)
