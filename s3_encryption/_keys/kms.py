"""Data keys from AWS KMS. Knows no boto: the KMS client is handed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._crypto.content import data_key_bytes
from ..exceptions import ConfigurationError, ConfigurationTypeError, DecryptionError, KeyringAnswerError
from .keyring import KMS_KEY_ID_CONTEXT_KEY, RESERVED_CONTEXT_KEY, DataKey, WrappedDataKey, check_fits
from .wrap_algorithms import WRAP_ALGORITHMS, checked_name, names_for


class KmsKeyring:
    """Data keys from AWS KMS: one GenerateDataKey for each write, one Decrypt for each read.

    Args:
        kms_client: A ``boto3.client("kms")``, or anything with its ``generate_data_key`` and ``decrypt``.
        kms_key_id: Key id, key ARN, alias name or alias ARN. It is named on every call, also on Decrypt, so that KMS
            refuses data keys made under any other key.
        wrapping_algorithm: "kms+context", or "kms" for readers that know only the older one.
        grant_tokens: Sent with every KMS call.

    KMS's plaintext answers appear in botocore's debug log (logger ``botocore.parsers``) when your own client is used;
    the client that S3EncryptionClient makes for ``kms_key_id=`` keeps them out.
    """

    wrapping_algorithms = names_for("kms")

    def __init__(
        self,
        kms_client: Any,
        kms_key_id: str,
        *,
        wrapping_algorithm: str = "kms+context",
        grant_tokens: Iterable[str] | None = None,
    ) -> None:
        for method in ("generate_data_key", "decrypt"):
            if not callable(getattr(kms_client, method, None)):
                raise ConfigurationTypeError(
                    f"kms_client must be a KMS client, such as boto3.client('kms'), not {type(kms_client).__name__}."
                )
        if not isinstance(kms_key_id, str):
            raise ConfigurationTypeError(f"kms_key_id must be a str, not {type(kms_key_id).__name__}.")
        if not kms_key_id.strip():
            raise ConfigurationError("kms_key_id must name a KMS key: an id, an ARN or an alias.")
        self._client = kms_client
        self._key_id = kms_key_id
        self._grants = {"GrantTokens": list(grant_tokens)} if grant_tokens else {}
        self.wrapping_algorithm = checked_name(wrapping_algorithm, "kms")

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        reserved = (
            {RESERVED_CONTEXT_KEY: content_algorithm}
            if WRAP_ALGORITHMS[self.wrapping_algorithm].binds_content
            else {KMS_KEY_ID_CONTEXT_KEY: self._key_id}
        )
        context = {**encryption_context, **reserved}
        answer = self._client.generate_data_key(
            KeyId=self._key_id,
            NumberOfBytes=data_key_bytes(content_algorithm),
            EncryptionContext=context,
            **self._grants,
        )
        problem = _what_is_wrong(answer, "CiphertextBlob", "Plaintext")
        if problem:
            # Error trackers record the variables of a frame that raises.
            del answer
            raise KeyringAnswerError(f"The answer of the KMS client to GenerateDataKey {problem}.")
        wrapped = WrappedDataKey(answer["CiphertextBlob"], self.wrapping_algorithm, content_algorithm, context)
        return DataKey(answer["Plaintext"], wrapped)

    def is_same_as(self, other: KmsKeyring) -> bool:
        """Return whether another keyring asks the same service for the same key, by the same options."""
        return self._identity == other._identity

    @property
    def _identity(self) -> tuple[object, ...]:
        # A client that tells no endpoint is a stand-in: then only the very same will do.
        service = getattr(getattr(self._client, "meta", None), "endpoint_url", self._client)
        return service, self._key_id, self.wrapping_algorithm, self._grants

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        check_fits(self, self.wrapping_algorithms, wrapped)
        answer = self._client.decrypt(
            KeyId=self._key_id,
            CiphertextBlob=wrapped.encrypted_data_key,
            EncryptionContext=dict(wrapped.description),
            **self._grants,
        )
        problem = _what_is_wrong(answer, "Plaintext")
        if problem:
            # As above.
            del answer
            raise KeyringAnswerError(f"The answer of the KMS client to Decrypt {problem}.")
        # Not every KMS-compatible server enforces KeyId. A full key ARN can be compared with the one that answered; an
        # alias or a bare id can't.
        if ":key/" in self._key_id and answer.get("KeyId", self._key_id) != self._key_id:
            # As above.
            del answer
            raise DecryptionError
        data_key: bytes = answer["Plaintext"]
        return data_key

    def __repr__(self) -> str:
        return f"KmsKeyring({self._key_id!r}, wrapping_algorithm={self.wrapping_algorithm!r})"


def _what_is_wrong(answer: object, *names: str) -> str:
    """Return what is wrong with an answer that must have bytes by these names; an empty text if nothing is."""
    if not isinstance(answer, Mapping):
        return f"must be a dict, not {type(answer).__name__}"
    for name in names:
        value = answer.get(name)
        if not isinstance(value, bytes):
            return f"lacks {name}" if value is None else f"must have bytes as {name}, not {type(value).__name__}"
    return ""
