"""Fixtures of the attacks, the search for leaks after each of them, and the count of what was tried."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client.conftest import (
    _no_waiting,
    kms,
    kms_key_id,
    moto,
    moto_kms_key,
    moto_url,
    s3,
    s3_over_tls,
    strict_world,
)
from client.worlds import StrictWorld
from support import in_memory
from support.strict_s3 import StrictS3

from . import counts
from .bucket import Bucket
from .rows import rows_in_name
from .witness import Witness

__all__ = [
    "_no_waiting",
    "kms",
    "kms_key_id",
    "moto",
    "moto_kms_key",
    "moto_url",
    "s3",
    "s3_over_tls",
    "strict_world",
]

_DIRECTORY = Path(__file__).parent
_rows_run: set[str] = set()
_tests_run: set[str] = set()


@pytest.fixture(autouse=True)
def witness(tmp_path: Path) -> Iterator[Witness]:
    """Search all that a test logs, raises, shows and leaves in ``tmp_path`` for keys and plaintext."""
    with Witness(tmp_path) as seen:
        yield seen
    seen.check()


@pytest.fixture(scope="session")
def memory_world() -> Iterator[StrictWorld]:
    """Run a strict S3 without a network: ``bucket`` empties it for each test."""
    with StrictS3() as server:
        world = StrictWorld(server)
        in_memory.connect(world.plain, server)
        yield world
        world.close()


@pytest.fixture
def bucket(memory_world: StrictWorld) -> Iterator[Bucket]:
    """Return an empty bucket in memory, and whoever attacks what is in it."""
    memory_world.server.reset()
    yield Bucket(memory_world)
    memory_world.close_clients()
    memory_world.server.reset()


# --- the count --------------------------------------------------------------------------------------------------------


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note which rows had a test that passed."""
    path, _, name = report.nodeid.partition("::")
    if report.when == "call" and report.passed and Path(path).parent.name == _DIRECTORY.name:
        _tests_run.add(report.nodeid)
        _rows_run.update(rows_in_name(name))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how much was tried."""
    if counts.is_anything_tried():
        terminalreporter.section("attacks")
        for line in counts.lines(tests=len(_tests_run), rows=len(_rows_run)):
            terminalreporter.write_line(line)
