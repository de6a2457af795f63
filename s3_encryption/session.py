"""S3EncryptionSession: a boto3 session whose S3 clients and resources encrypt."""

from __future__ import annotations

import inspect
from typing import Any, Literal, overload

import boto3

from ._settings import KEY_OPTIONS, OPTIONS, check_one_key
from .client import S3EncryptionClient

# Looked at once: a program may put this class into the place of boto3's own.
_BOTO3_CLIENT = inspect.signature(boto3.Session.client)


class S3EncryptionSession(boto3.Session):
    """A ``boto3.Session`` whose ``client("s3")`` is an S3EncryptionClient, and whose ``resource("s3")`` works through
    one.

    Args:
        args: Those of ``boto3.Session``.
        options: Those of S3EncryptionClient (``kms_key_id=``, ``aes_key=``, ``commitment_policy=`` ...), and those of
            ``boto3.Session``.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._encryption_options = {name: options.pop(name) for name in OPTIONS.keys() & options.keys()}
        check_one_key({name: self._encryption_options.get(name) for name in KEY_OPTIONS})
        super().__init__(*args, **options)

    @overload
    def client(self, service_name: Literal["s3"], *args: Any, **options: Any) -> S3EncryptionClient: ...

    @overload
    def client(self, service_name: str, *args: Any, **options: Any) -> Any: ...

    def client(self, service_name: str, *args: Any, **options: Any) -> Any:
        """Return a client as ``boto3.Session.client`` does; for "s3", an encrypting one."""
        if service_name != "s3":
            return super().client(service_name, *args, **options)
        own = {name: options.pop(name) for name in OPTIONS.keys() & options.keys()}
        bound = _BOTO3_CLIENT.bind(self, service_name, *args, **options).arguments
        del bound["self"], bound["service_name"]
        given = {name: value for name, value in bound.items() if value is not None}
        return S3EncryptionClient(session=self, **{**self._encryption_options, **own, **given})

    def _plain_client(self, service_name: str, **options: Any) -> Any:
        return super().client(service_name, **options)
