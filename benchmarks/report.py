"""The results, as a table to read and as JSON to keep."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .cases import NO_TARGET, Case
from .clients import OURS, TITLES
from .data import GIB
from .environments import AWS_PACKAGE, AWS_VERSION
from .runner import Outcome, Plan

_PACKAGES = ("boto3", "botocore", "s3transfer", "pycryptodome", "cryptography", "s3-encryption-client")
_MILLION = 1e6
_HEADINGS = ("case", "client", "speed", "CPU", "memory", "ratio", "more memory", "target", "")
_ALIGNED_LEFT = 2


@dataclass(frozen=True)
class Row:
    """One client in one case."""

    case: Case
    kind: str
    outcome: Outcome
    plain: Outcome

    @property
    def is_measured(self) -> bool:
        """Whether there is a result."""
        return bool(self.outcome.measurements)

    @property
    def ratio(self) -> float | None:
        """How many times as fast as plain boto3 it is."""
        return None if self.kind == "plain" else self.outcome.ratio_to(self.plain)

    @property
    def more_memory_mib(self) -> float | None:
        """How much more memory than plain boto3 it needs at its peak."""
        return None if self.kind == "plain" else self.outcome.memory_over(self.plain)

    @property
    def speed(self) -> float:
        """Bytes or operations in a second."""
        return self.case.volume / self.outcome.median("seconds")

    @property
    def cpu(self) -> float:
        """Seconds of processor time for a GiB or, of small objects, for 1000 operations."""
        unit = 1000 if self.case.counts_operations else GIB
        return self.outcome.median("cpu_seconds") * unit / self.case.volume

    @property
    def reaches_target(self) -> bool | None:
        """Whether this library does what it is to do; None where nothing is asked."""
        target = self.case.target
        ratio, memory = self.ratio, self.more_memory_mib
        if self.kind not in OURS or target == NO_TARGET or ratio is None or memory is None:
            return None
        wanted = target.ratios[self.kind]
        is_fast = wanted is None or ratio >= wanted
        return is_fast and (target.memory_mib is None or memory <= target.memory_mib)

    def as_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        if not self.is_measured:
            return {"failure": self.outcome.failure}
        unit = "operations" if self.case.counts_operations else "bytes"
        cpu_unit = "1000_operations" if self.case.counts_operations else "gib"
        return {
            f"{unit}_per_second": round(self.speed, 1),
            f"cpu_seconds_per_{cpu_unit}": round(self.cpu, 4),
            "memory_mib": round(self.outcome.median("memory_mib"), 1),
            "requests": self.outcome.median("requests"),
            "kms_requests": self.outcome.median("kms_requests"),
            "ratio": _rounded(self.ratio, 3),
            "more_memory_mib": _rounded(self.more_memory_mib, 1),
            "reaches_target": self.reaches_target,
            "rounds": [asdict(measurement) for measurement in self.outcome.measurements],
        }

    def as_cells(self) -> list[str]:
        """Return the result for the table."""
        if not self.is_measured:
            return [self.case.title, TITLES[self.kind], "fails", *[""] * (len(_HEADINGS) - _ALIGNED_LEFT - 1)]
        operations = self.case.counts_operations
        return [
            self.case.title,
            TITLES[self.kind],
            f"{self.speed:.0f} op/s" if operations else f"{self.speed / _MILLION:.0f} MB/s",
            f"{self.cpu:.2f} {'s/1000' if operations else 's/GiB'}",
            f"{self.outcome.median('memory_mib'):.0f} MiB",
            "" if self.ratio is None else f"{self.ratio:.2f}",
            "" if self.more_memory_mib is None else f"{self.more_memory_mib:+.0f} MiB",
            self._target_text(),
            {None: "", True: "ok", False: "MISSED"}[self.reaches_target],
        ]

    def _target_text(self) -> str:
        target = self.case.target
        if self.kind not in OURS:
            return ""
        wanted = target.ratios[self.kind]
        ratio = "" if wanted is None else f">= {wanted:.2f}"
        memory = "" if target.memory_mib is None else f"<= {target.memory_mib} MiB"
        return ", ".join(filter(None, (ratio, memory)))


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def rows_of(case: Case, outcomes: Mapping[str, Outcome]) -> list[Row]:
    """Return the rows of one case."""
    return [Row(case, kind, outcome, outcomes["plain"]) for kind, outcome in outcomes.items()]


def table(rows: list[Row]) -> str:
    """Return the table, with a line for each case and client; below it, what could not be measured."""
    lines = [list(_HEADINGS), *(row.as_cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    failures = [f"{row.case.name}, {TITLES[row.kind]}: {row.outcome.failure}" for row in rows if not row.is_measured]
    return "\n".join([*_aligned(_blanked(lines), widths), *failures])


def _blanked(lines: list[list[str]]) -> Iterator[list[str]]:
    """Yield lines, a title only where it is new."""
    previous = ""
    for line in lines:
        yield line if line[0] != previous else ["", *line[1:]]
        previous = line[0]


def _aligned(lines: Iterator[list[str]], widths: list[int]) -> Iterator[str]:
    for line in lines:
        left = [cell.ljust(width) for cell, width in zip(line[:_ALIGNED_LEFT], widths[:_ALIGNED_LEFT], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(line[_ALIGNED_LEFT:], widths[_ALIGNED_LEFT:], strict=True)]
        yield "  ".join([*left, *right]).rstrip()


def as_json(rows: list[Row], plan: Plan, load: list[float]) -> dict[str, Any]:
    """Return all results, and what is needed to judge them. ``load`` is the system's, before and after."""
    cases: dict[str, Any] = {}
    for row in rows:
        entry = cases.setdefault(row.case.name, _described(row.case))
        entry["clients"][row.kind] = row.as_dict()
    return {
        "plan": asdict(plan),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES} | {AWS_PACKAGE: AWS_VERSION},
        "processors": os.cpu_count(),
        "load_before_and_after": [round(value, 2) for value in load],
        "cases": cases,
    }


def _described(case: Case) -> dict[str, Any]:
    return {
        "title": case.title,
        "target": asdict(case.target),
        "network": asdict(case.network),
        "options": asdict(case.options),
        "clients": {},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
