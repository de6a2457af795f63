"""The stored objects of other clients, described in tests/vectors/README.md."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from Crypto.PublicKey import RSA

from s3_encryption._keys.keyring import Keyring
from s3_encryption._keys.kms import KmsKeyring
from s3_encryption._keys.raw import AesKeyring, RsaKeyring

VECTORS_DIRECTORY = Path(__file__).resolve().parent.parent / "vectors"

# What the tables of the formats call legacy; None is V2 without a named wrapping algorithm.
LEGACY_WRAPS = frozenset({"kms", "AESWrap", "AES/ECB", "RSA", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding", None})
UNAUTHENTICATED_CONTENT = frozenset({"AES/CBC/PKCS5Padding", "AES/CBC/PKCS7Padding", "AES/CTR/NoPadding"})


@dataclass(frozen=True, slots=True)
class KmsRecord:
    """What KMS knows about one data key."""

    key_id: str
    encrypted_data_key: bytes
    encryption_context: Mapping[str, str]
    data_key: bytes


@dataclass(frozen=True, slots=True)
class Vector:
    """One stored object and what it must decrypt to."""

    name: str
    format: str
    wrap: str | None
    content: str
    master_key: str | None
    kms: KmsRecord | None
    encryption_context: Mapping[str, str]
    metadata: Mapping[str, str]
    instruction_file: bytes | None
    instruction_suffix: str | None
    body: bytes
    # Unknown (None) where a peer told nobody.
    data_key: bytes | None
    plaintext: bytes

    @property
    def legacy_wrap(self) -> bool:
        """Whether the data key needs ``enable_legacy_wrapping_algorithms``."""
        return self.wrap in LEGACY_WRAPS

    @property
    def short_data_key(self) -> bool:
        """Whether the data key is shorter than today's, which only the unwrapped key shows."""
        return self.data_key is not None and len(self.data_key) < 32

    @property
    def unauthenticated(self) -> bool:
        """Whether the content needs ``enable_legacy_unauthenticated_modes``."""
        return self.content in UNAUTHENTICATED_CONTENT

    @property
    def switches(self) -> dict[str, Any]:
        """The switches that reading needs, and no others."""
        needed = {
            "enable_legacy_wrapping_algorithms": self.legacy_wrap or self.short_data_key,
            "enable_legacy_unauthenticated_modes": self.unauthenticated,
        }
        return {name: True for name, is_needed in needed.items() if is_needed}

    def keyring(self, kms_client: object) -> Keyring:
        """Return the keyring that holds the object's master key."""
        if self.kms is not None:
            return KmsKeyring(kms_client, self.kms.key_id)
        if self.master_key == "rsa2048_pkcs8_der_base64":
            return RsaKeyring(RSA_KEY)
        return AesKeyring(AES_KEYS[str(self.master_key)])


def plaintext(length: int) -> bytes:
    """Return the plaintext of that many bytes, by the recipe of the vectors."""
    blocks = (hashlib.sha256(b"s3-wire-vector" + i.to_bytes(4, "big")).digest() for i in range(-(-length // 32)))
    return b"".join(blocks)[:length]


def _load(name: str) -> Any:
    return json.loads((VECTORS_DIRECTORY / name).read_text("utf-8"))


def _kms_record(entry: Mapping[str, Any]) -> KmsRecord:
    return KmsRecord(
        entry["key_id"],
        base64.b64decode(entry["ciphertext_blob"]),
        entry["encryption_context"],
        base64.b64decode(entry["plaintext_data_key"]),
    )


def _vector(entry: Mapping[str, Any]) -> Vector:
    instruction = entry.get("instruction")
    return Vector(
        name=entry["name"],
        format=entry["format"],
        wrap=entry["wrap"],
        content=entry["content"],
        master_key=entry.get("master_key"),
        kms=_kms_record(entry["kms"]) if "kms" in entry else None,
        encryption_context=entry.get("kms", {}).get("request_context", {}),
        metadata=entry["metadata"],
        instruction_file=instruction["body"].encode() if instruction else None,
        instruction_suffix=instruction["suffix"] if instruction else None,
        body=base64.b64decode(entry["ciphertext"]),
        data_key=bytes.fromhex(entry["data_key_hex"]) if "data_key_hex" in entry else None,
        plaintext=_checked(plaintext(entry["plaintext_length"]), entry["plaintext_sha256"]),
    )


def _checked(data: bytes, sha256: str) -> bytes:
    assert hashlib.sha256(data).hexdigest() == sha256
    return data


_DOCUMENT = _load("vectors.json")

AES_KEYS = {name: bytes.fromhex(_DOCUMENT["master_keys"][name]) for name in ("aes128", "aes256")}
RSA_KEY_DER = base64.b64decode(_DOCUMENT["master_keys"]["rsa2048_pkcs8_der_base64"])
# Read once: the checks of an RSA key take longer than any other step of a test.
RSA_KEY = RSA.import_key(RSA_KEY_DER)
VECTORS = tuple(_vector(entry) for entry in _DOCUMENT["vectors"])
PEER_VECTORS = tuple(
    _vector(entry)
    for path in sorted((VECTORS_DIRECTORY / "peers").glob("*.json"))
    for entry in _load(f"peers/{path.name}")["vectors"]
)
KMS_RECORDS = tuple(vector.kms for vector in (*VECTORS, *PEER_VECTORS) if vector.kms is not None)


def salamander(format: str) -> dict[str, bytes]:
    """Return the two-key ciphertext with the parameters of a format, "v2" or "v3"."""
    return {name: bytes.fromhex(text) for name, text in _load("salamander.json")[format].items()}
