"""What every test runs in: AWS settings of its own, and no way out of the loopback interface."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.loaders import Loader
from support.features import skip_what_is_missing

REGION = "us-east-1"
AWS_SETTINGS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_USERS_SETTINGS = ("AWS_", "BOTO", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what the installed boto3 can't do."""
    skip_what_is_missing(items)


@pytest.fixture(scope="session", autouse=True)
def aws_settings() -> Iterator[None]:
    """Replace whatever the environment says about AWS and proxies by settings for tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith(_USERS_SETTINGS):
                patch.delenv(name)
        for name, value in AWS_SETTINGS.items():
            patch.setenv(name, value)
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        yield


@pytest.fixture(scope="session", autouse=True)
def models_loaded_once() -> Iterator[None]:
    """Let sessions share what they load: the model of S3 is a megabyte of JSON, and tests make thousands of sessions.

    Clients of one session share it anyway. Loaders of other classes, which may load something else, are left alone.
    """
    make, loaded = Loader.__init__, {}  # type: ignore[var-annotated]

    def make_with_models(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        if type(self) is Loader:
            self._cache = loaded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loader, "__init__", make_with_models)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Refuse every connection, and every name look-up, that would leave the machine."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connect_locally(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in _LOOPBACK:
            raise AssertionError(f"a test tried to connect to {address}")
        connect(self, address)

    def look_up_locally(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in (*_LOOPBACK, None, ""):
            raise AssertionError(f"a test tried to look up {host}")
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_locally)
        patch.setattr(socket, "getaddrinfo", look_up_locally)
        yield
