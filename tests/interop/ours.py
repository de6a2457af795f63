"""OUR client as a participant: the options with which it writes and reads each format."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import boto3

import s3_encryption
from s3_encryption import (
    AesKeyring,
    CommitmentPolicy,
    Keyring,
    KmsKeyring,
    RsaKeyring,
    S3EncryptionClient,
)

from .environment import BUCKET, Environment
from .formats import ALL_CELLS, CBC, Cell, Format

POLICIES = {
    1: CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
    2: CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
    3: CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
}


class OurClient:
    """Our client, with the fewest switches that each format needs."""

    name = "ours"
    version = s3_encryption.__version__
    writes = reads = frozenset(ALL_CELLS)

    def __init__(self, environment: Environment) -> None:
        """Make a participant; clients are built per cell, when first needed."""
        self._environment = environment
        self._writer = cache(self._build_writer)
        self._reader = cache(self._build_reader)

    def put(self, cell: Cell, key: str, body: bytes, context: dict[str, str]) -> None:
        """Write the body as an object of the cell's format."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", s3_encryption.LegacyWriteWarning)
            self._writer(cell).put_object(Bucket=BUCKET, Key=key, Body=body, **context_argument(cell, context))

    def get(self, cell: Cell, key: str, context: dict[str, str]) -> bytes:
        """Read such an object."""
        response = self._reader(cell).get_object(Bucket=BUCKET, Key=key, **context_argument(cell, context))
        return bytes(response["Body"].read())

    def _build_writer(self, cell: Cell) -> Any:
        legacy: dict[str, Any] = {"enable_legacy_writes": True} if cell.format.cbc else {}
        if cell.format.cbc and cell.format.version == 2:
            legacy["content_algorithm"] = CBC
        return self._client(
            self._keyring(cell.format, wrapping_algorithm=cell.format.wrapping_algorithm),
            commitment_policy=POLICIES[cell.format.version],
            envelope_location=cell.location,
            **legacy,
        )

    def _build_reader(self, cell: Cell) -> Any:
        # No location, policy or wrap: a reader finds out by itself.
        return self._client(
            self._keyring(cell.format),
            enable_legacy_wrapping_algorithms=cell.format.legacy_wrap,
            enable_legacy_unauthenticated_modes=cell.format.cbc,
        )

    def _client(self, keyring: Keyring, **options: Any) -> Any:
        return S3EncryptionClient(keyring=keyring, endpoint_url=self._environment.endpoint, **options)

    def _keyring(self, format: Format, **wrap: Any) -> Keyring:
        environment = self._environment
        keys = environment.master_keys
        make: dict[str, Callable[[], Keyring]] = {
            "kms": lambda: KmsKeyring(
                boto3.client("kms", endpoint_url=environment.endpoint),
                environment.kms_key_id,
                **wrap,
            ),
            "aes": lambda: AesKeyring(keys.aes, **wrap),
            "rsa": lambda: RsaKeyring(keys.rsa_der, **wrap),
        }
        return make[format.master_key]()


def context_argument(cell: Cell, context: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return the keyword for the encryption context, which raw keys don't take."""
    return {"EncryptionContext": context} if cell.format.is_kms else {}
