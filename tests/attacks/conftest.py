"""Fixtures of the attacks, and the search for leaks after each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import in_memory
from support.fixtures import (
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
from support.strict_s3 import StrictS3
from support.worlds import StrictWorld, served_by

from .bucket import Bucket
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


@pytest.fixture(autouse=True)
def witness(tmp_path: Path) -> Iterator[Witness]:
    """Search all that a test logs, raises, shows and leaves in ``tmp_path`` for keys and plaintext."""
    with Witness(tmp_path) as seen:
        yield seen
    seen.check()


@pytest.fixture(scope="session")
def memory_world() -> Iterator[StrictWorld]:
    """Run a strict S3 without a network: ``bucket`` empties it for each test."""
    with served_by(StrictS3()) as world:
        in_memory.connect(world.plain, world.server)
        yield world


@pytest.fixture
def bucket(memory_world: StrictWorld) -> Iterator[Bucket]:
    """Return an empty bucket in memory, and whoever attacks what is in it."""
    memory_world.server.reset()
    yield Bucket(memory_world)
    memory_world.close_clients()
    memory_world.server.reset()
