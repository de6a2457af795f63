"""A pytest plugin for other projects' tests: S3 in this process, and what they need that their sdists lack.

With THIRD_PARTY_CLIENT=encrypting, every client, resource and session that they make by boto3 encrypts.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from typing import Any

import boto3
import boto3.session
import moto
import pytest

from s3_encryption import S3EncryptionClient, S3EncryptionSession

AES_KEY = bytes(range(32))
encrypting_clients: list[bool] = []


class EncryptingSession(S3EncryptionSession):
    """A session whose S3 clients encrypt, and read ranges."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, aes_key=AES_KEY, enable_unauthenticated_ranges=True, **options)

    def client(self, service_name: str, *args: Any, **options: Any) -> Any:
        """Return a client, and count those that encrypt."""
        made = super().client(service_name, *args, **options)
        encrypting_clients.append(isinstance(made, S3EncryptionClient))
        return made


if os.environ.get("THIRD_PARTY_CLIENT") == "encrypting":
    boto3.Session = boto3.session.Session = EncryptingSession
# Names that older tests import: moto's, and a module of boto3's predecessor.
vars(moto).update(mock_s3=moto.mock_aws, mock_sts=moto.mock_aws)
sys.modules |= {name: types.ModuleType(name) for name in ("boto", "boto.s3", "boto.s3.key")}
sys.modules["boto.s3"].key = sys.modules["boto.s3.key"]  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _clean_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test have the default session of the one before."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.fixture(scope="session", autouse=True)
def _count(record_testsuite_property: Any) -> Iterator[None]:
    """Report how many clients encrypted."""
    yield
    record_testsuite_property("encrypting_clients", sum(encrypting_clients))


@pytest.fixture
def reset_configuration_cache() -> None:
    """Stand in for the fixture of s3path that makes it forget its resources and settings."""
    import s3path

    # Up to Python 3.11 it is an attribute of a class.
    accessor = getattr(s3path.S3Path, "_accessor", None) or s3path.accessor
    accessor.configuration_map.is_setup = False
    accessor.configuration_map.get_configuration.cache_clear()


@pytest.fixture
def s3_mock(reset_configuration_cache: None) -> Iterator[None]:
    """Stand in for the fixture of s3path that gives a test an empty S3."""
    with moto.mock_aws():
        yield
