"""Fixtures of the client tests."""

from __future__ import annotations

import itertools
import time
import types
from collections.abc import Iterator
from pathlib import Path

import boto3
import botocore.endpoint
import pytest

from support.strict_s3 import StrictS3

from .fake_kms import FakeKms
from .servers import make_certificate, moto_server
from .worlds import StrictWorld, World, served_by

_bucket_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let botocore retry at once."""
    impatient = types.SimpleNamespace(sleep=lambda seconds: None, time=time.time)
    monkeypatch.setattr(botocore.endpoint, "time", impatient)


@pytest.fixture(scope="session")
def strict_world() -> Iterator[StrictWorld]:
    """Run a strict S3 for all tests: ``s3`` empties it for each."""
    with served_by(StrictS3()) as world:
        yield world


@pytest.fixture
def s3(strict_world: StrictWorld) -> Iterator[StrictWorld]:
    """Return a bucket on a strict S3, empty."""
    strict_world.server.reset()
    yield strict_world
    strict_world.close_clients()
    strict_world.server.reset()


@pytest.fixture
def s3_over_tls(tmp_path: Path) -> Iterator[StrictWorld]:
    """Return the same over HTTPS, where botocore sends bodies in one pass."""
    with served_by(StrictS3(make_certificate(tmp_path))) as world:
        yield world


@pytest.fixture(params=["http", "https"])
def wire(request: pytest.FixtureRequest) -> StrictWorld:
    """Return a strict S3 for each of the two ways in which botocore sends bodies: in three passes, or in one."""
    world: StrictWorld = request.getfixturevalue("s3" if request.param == "http" else "s3_over_tls")
    return world


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """Return the URL of a moto server: S3 and KMS."""
    with moto_server() as url:
        yield url


@pytest.fixture
def moto(moto_url: str) -> Iterator[World]:
    """Return a new bucket on moto."""
    world = World(moto_url, f"bucket-{next(_bucket_numbers)}")
    world.plain.create_bucket(Bucket=world.bucket)
    yield world
    world.close()


@pytest.fixture
def kms() -> FakeKms:
    """Return a KMS client in memory that counts its calls."""
    return FakeKms()


@pytest.fixture(scope="session")
def moto_kms_key(moto_url: str) -> str:
    """Return the ARN of a key in moto's KMS."""
    client = boto3.client("kms", endpoint_url=moto_url)
    arn: str = client.create_key()["KeyMetadata"]["Arn"]
    client.close()
    return arn


@pytest.fixture
def kms_key_id(moto_url: str, moto_kms_key: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the ARN of a KMS key, after having pointed new KMS clients to the KMS that knows it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", moto_url)
    return moto_kms_key
