"""A KMS client in memory: strict about key ids and encryption contexts, and it remembers what it was asked."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from .vectors import KmsRecord

KMS_KEY_ARN = "arn:aws:kms:us-east-1:111122223333:key/0d990263-018e-4065-a703-eff731de951e"
OTHER_KMS_KEY_ARN = "arn:aws:kms:us-east-1:111122223333:key/7d01ad91-0e4b-4bd0-9c3b-1ad3a3c04a4c"


class FakeKmsError(Exception):
    """An error of the shape that botocore's ClientError has."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code, "Message": code}}


class FakeKms:
    """Answers ``generate_data_key`` and ``decrypt`` as KMS does.

    Args:
        aliases: Alias name to key ARN.
        ignores_key_id: Decrypt whatever key id is named, as some servers do.
    """

    def __init__(self, *, aliases: Mapping[str, str] | None = None, ignores_key_id: bool = False) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failure: Exception | None = None
        self._aliases = dict(aliases or {})
        self._ignores_key_id = ignores_key_id
        self._records: dict[bytes, KmsRecord] = {}
        self._random = random.Random("fake KMS")
        self._lock = threading.Lock()

    def load(self, records: Iterable[KmsRecord]) -> None:
        """Know data keys that were made elsewhere."""
        self._records.update((record.encrypted_data_key, record) for record in records)

    def wrap(self, data_key: bytes, context: Mapping[str, str], key_id: str = KMS_KEY_ARN) -> bytes:
        """Return a data key of the test's choice as KMS would store it."""
        with self._lock:
            blob = b"fake KMS blob:" + self._random.randbytes(60)
            self._records[blob] = KmsRecord(self._arn(key_id), blob, dict(context), data_key)
        return blob

    def count(self, operation: str) -> int:
        """Return how often an operation was called."""
        return sum(name == operation for name, _ in self.calls)

    def generate_data_key(self, **request: Any) -> dict[str, Any]:
        """Answer GenerateDataKey."""
        self._note("generate_data_key", request)
        with self._lock:
            data_key = self._random.randbytes(request["NumberOfBytes"])
        blob = self.wrap(data_key, request["EncryptionContext"], request["KeyId"])
        return {"Plaintext": data_key, "CiphertextBlob": blob, "KeyId": self._arn(request["KeyId"])}

    def decrypt(self, **request: Any) -> dict[str, Any]:
        """Answer Decrypt."""
        self._note("decrypt", request)
        record = self._records.get(request["CiphertextBlob"])
        if record is None or record.encryption_context != request["EncryptionContext"]:
            raise FakeKmsError("InvalidCiphertextException")
        if record.key_id != self._arn(request["KeyId"]) and not self._ignores_key_id:
            raise FakeKmsError("IncorrectKeyException")
        return {"Plaintext": record.data_key, "KeyId": record.key_id}

    def _note(self, operation: str, request: dict[str, Any]) -> None:
        self.calls.append((operation, request))
        if self.failure is not None:
            raise self.failure

    def _arn(self, key_id: str) -> str:
        return self._aliases.get(key_id, key_id)
