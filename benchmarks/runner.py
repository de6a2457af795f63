"""Runs the cases: each measurement in a process of its own, the clients taking turns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from . import environments
from .cases import LOCAL, Case
from .clients import OURS, TITLES
from .meter import Measurement
from .server import Server, SetupError
from .worker import Order, Step

_PROCESS_SECONDS = 300


class WorkError(Exception):
    """A client can't do the work of a case; the message is the last line that it wrote."""


@dataclass
class Outcome:
    """What came out for one client in one case: a measurement for each round, or why there is none."""

    measurements: list[Measurement] = field(default_factory=list)
    failure: str = ""

    def median(self, name: str) -> float:
        """Return the median of one of the measured values."""
        values: list[float] = [getattr(measurement, name) for measurement in self.measurements]
        return median(values)

    def ratio_to(self, other: Outcome) -> float | None:
        """Return how many times as fast as another this is: the median over rounds, each of which has its own load."""
        if not self.measurements or len(self.measurements) != len(other.measurements):
            return None
        rounds = zip(self.measurements, other.measurements, strict=True)
        return median(theirs.seconds / ours.seconds for ours, theirs in rounds)

    def memory_over(self, other: Outcome) -> float | None:
        """Return how many MiB more than another this needs."""
        if not self.measurements or not other.measurements:
            return None
        return self.median("memory_mib") - other.median("memory_mib")


@dataclass(frozen=True)
class Plan:
    """How much is measured: rounds for each case, over which scheme, and whether once is enough for each process."""

    runs: int
    scheme: str
    quick: bool

    def repeats(self, case: Case) -> int:
        """Return how often a process does the work of a case."""
        return 1 if self.quick else case.repeats


@dataclass(frozen=True)
class Runner:
    """Starts the processes. ``pythons`` has the interpreter of each kind of client."""

    server: Server
    folder: Path
    import_folder: Path
    pythons: Mapping[str, Path]
    plan: Plan
    log: Callable[[str], None]

    def run(self, case: Case) -> dict[str, Outcome]:
        """Return the outcome of a case, by kind of client."""
        self.log(case.name)
        outcomes = {kind: Outcome() for kind in self.pythons}
        self.server.forget_objects()
        for kind, outcome in outcomes.items():
            self._attempt(outcome, partial(self._store_and_check, case, kind))
        self.server.apply(case.network)
        for _ in range(self.plan.runs):
            for kind, outcome in outcomes.items():
                self._attempt(outcome, partial(self._measure, case, kind, outcome))
        self.server.apply(LOCAL)
        return outcomes

    def _attempt(self, outcome: Outcome, step: Callable[[], None]) -> None:
        """Do a step for a client, unless one has failed before."""
        if outcome.failure:
            return
        try:
            step()
        except WorkError as error:
            outcome.failure = str(error)
            outcome.measurements.clear()

    def _store_and_check(self, case: Case, kind: str) -> None:
        self._start(case, kind, "store")
        self._start(case, kind, "check")

    def _measure(self, case: Case, kind: str, outcome: Outcome) -> None:
        outcome.measurements.append(Measurement(**json.loads(self._start(case, kind, "measure"))))

    def _start(self, case: Case, kind: str, step: Step) -> str:
        endpoint = getattr(self.server, self.plan.scheme)
        order = Order(case.name, kind, step, endpoint, self.server.http, str(self.folder), self.plan.repeats(case))
        command = [str(self.pythons[kind]), "-m", "benchmarks.worker", order.as_json()]
        try:
            result = subprocess.run(  # noqa: S603
                command,
                cwd=self.import_folder,
                env=dict(environments.variables(self.server, kind)),
                capture_output=True,
                text=True,
                timeout=_PROCESS_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise WorkError(f"{step}: no end within {_PROCESS_SECONDS} seconds") from None
        if result.returncode:
            raise WorkError(f"{step}: {(result.stderr.strip().splitlines() or ['no message'])[-1]}")
        return result.stdout


def pythons(log: Callable[[str], None]) -> dict[str, Path]:
    """Return the interpreter of each kind of client that can be measured here; say which can't."""
    found = {kind: Path(sys.executable) for kind in ("plain", *OURS)}
    try:
        found["aws"] = environments.aws_python()
    except SetupError as error:
        log(f"{TITLES['aws']} ({environments.AWS_PACKAGE} {environments.AWS_VERSION}) is left out: {error}")
    return found
