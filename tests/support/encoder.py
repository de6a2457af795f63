"""Writes encrypted objects in every format as other clients do, without the code under test."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from Crypto.Cipher import AES

from s3_encryption._keys.keyring import Keyring
from s3_encryption._keys.kms import KmsKeyring
from s3_encryption._keys.raw import AesKeyring, RsaKeyring

from . import reference, vectors
from .fake_kms import KMS_KEY_ARN, FakeKms

GCM = "AES/GCM/NoPadding"
CBC = "AES/CBC/PKCS5Padding"
CTR = "AES/CTR/NoPadding"
COMMITTING = "115"

AES_KEY = vectors.AES_KEYS["aes256"]
RSA_KEY = vectors.RSA_KEY

_KEY_TYPES = {"kms": "kms", "kms+context": "kms", "AES/GCM": "aes", "AESWrap": "aes", "AES/ECB": "aes"}
_V3_CODES = {"kms+context": "12", "AES/GCM": "02", "RSA-OAEP-SHA1": "22"}
_UNNAMED = frozenset({"AES/ECB", "RSA/ECB/PKCS1Padding"})
_LEGACY = frozenset({"kms", "AESWrap", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"}) | _UNNAMED


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to write an object: format, wrapping algorithm (by this library's name), content algorithm."""

    format: str
    wrap: str
    content: str

    @property
    def key_type(self) -> str:
        """The kind of master key: kms, aes or rsa."""
        return _KEY_TYPES.get(self.wrap, "rsa")

    @property
    def switches(self) -> dict[str, Any]:
        """The switches that reading needs, and no others."""
        needed = {
            "enable_legacy_wrapping_algorithms": self.wrap in _LEGACY,
            "enable_legacy_unauthenticated_modes": self.content in (CBC, CTR),
        }
        return {name: True for name, is_needed in needed.items() if is_needed}

    @property
    def description_field(self) -> str:
        """The field that holds the encryption context or the material description."""
        if self.format != "V3":
            return "x-amz-matdesc"
        return "x-amz-t" if self.key_type == "kms" else "x-amz-m"

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the encrypted data key and of the IV or message id, by their common names."""
        return {
            "V1": {"edk": "x-amz-key", "iv": "x-amz-iv"},
            "V2": {"edk": "x-amz-key-v2", "iv": "x-amz-iv"},
            "V3": {"edk": "x-amz-3", "iv": "x-amz-i"},
        }[self.format]

    def __str__(self) -> str:
        return f"{self.format} {self.wrap} {self.content}"


V1_KINDS = (Kind("V1", "AES/ECB", CBC), Kind("V1", "RSA/ECB/PKCS1Padding", CBC))
V2_GCM_KINDS = tuple(
    Kind("V2", wrap, GCM)
    for wrap in (
        "kms+context",
        "kms",
        "AES/GCM",
        "AESWrap",
        "RSA-OAEP-SHA1",
        "RSA/ECB/OAEPWithSHA-256AndMGF1Padding",
    )
)
V2_CBC_KINDS = tuple(Kind("V2", wrap, CBC) for wrap in ("kms", "AESWrap", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"))
V3_KINDS = tuple(Kind("V3", wrap, COMMITTING) for wrap in _V3_CODES)

GCM_KINDS = V2_GCM_KINDS + V3_KINDS
CBC_KINDS = V1_KINDS + V2_CBC_KINDS
ALL_KINDS = GCM_KINDS + CBC_KINDS
# One of each format and content, for tests where the wrapping does not matter.
V1_AES = V1_KINDS[0]
V2_KMS = V2_GCM_KINDS[0]
V2_AES = V2_GCM_KINDS[2]
V2_AES_CBC = V2_CBC_KINDS[1]
V3_KMS = V3_KINDS[0]
V3_AES = V3_KINDS[1]


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as a bucket holds it."""

    metadata: Mapping[str, str]
    body: bytes

    def changed(self, field: str, text: str | None) -> Stored:
        """Return the object with another value of one metadata field, or without the field."""
        metadata = {name: value for name, value in self.metadata.items() if name != field}
        return Stored(metadata if text is None else {**metadata, field: text}, self.body)

    def decoded(self, field: str) -> bytes:
        """Return the bytes in a base64 field."""
        return base64.b64decode(self.metadata[field])


class Encoder:
    """A writer of all formats with one AES key, one RSA key and one KMS key."""

    def __init__(self) -> None:
        self.kms = FakeKms()
        self._random = random.Random("encoder")

    def keyring(self, kind: Kind) -> Keyring:
        """Return the keyring that reads what this writes."""
        if kind.key_type == "kms":
            return KmsKeyring(self.kms, KMS_KEY_ARN)
        return AesKeyring(AES_KEY) if kind.key_type == "aes" else RsaKeyring(RSA_KEY)

    def random_bytes(self, length: int) -> bytes:
        """Return random bytes, the same in every run."""
        return self._random.randbytes(length)

    def write(
        self,
        kind: Kind,
        plaintext: bytes,
        *,
        description: Mapping[str, str] | None = None,
        data_key: bytes | None = None,
        iv: bytes | None = None,
        edk: bytes | None = None,
    ) -> Stored:
        """Return a stored object.

        Args:
            kind: How to write it.
            plaintext: What it holds.
            description: The caller's encryption context, or the material description.
            data_key: 32 random bytes if not given.
            iv: The IV or message id; random if not given.
            edk: The encrypted data key; the data key wrapped by the kind's algorithm if not given.
        """
        data_key = data_key if data_key is not None else self.random_bytes(32)
        full = {**(description or {}), **self._reserved(kind)}
        edk = edk if edk is not None else self.wrap(kind, data_key, full)
        text = json.dumps(full, separators=(",", ":"))
        if kind.format == "V3":
            return self._write_v3(kind, plaintext, data_key, iv or self.random_bytes(28), edk, text)
        iv = iv or self.random_bytes(12 if kind.content == GCM else 16)
        encrypt = {GCM: reference.gcm_encrypt, CBC: reference.cbc_encrypt, CTR: reference.ctr_encrypt}[kind.content]
        metadata = {kind.fields["edk"]: to_base64(edk), "x-amz-iv": to_base64(iv), "x-amz-matdesc": text}
        if kind.format == "V2":
            metadata |= {"x-amz-cek-alg": kind.content}
            metadata |= {} if kind.wrap in _UNNAMED else {"x-amz-wrap-alg": kind.wrap}
            metadata |= {"x-amz-tag-len": "128"} if kind.content == GCM else {}
        return Stored(metadata, encrypt(data_key, iv, plaintext))

    def _write_v3(
        self, kind: Kind, plaintext: bytes, data_key: bytes, message_id: bytes, edk: bytes, text: str
    ) -> Stored:
        key, commitment = reference.committing_keys(data_key, message_id)
        metadata = {
            "x-amz-c": COMMITTING,
            "x-amz-d": to_base64(commitment),
            "x-amz-i": to_base64(message_id),
            "x-amz-3": to_base64(edk),
            "x-amz-w": _V3_CODES[kind.wrap],
            kind.description_field: text,
        }
        body = reference.gcm_encrypt(key, reference.COMMITTING_IV, plaintext, reference.COMMITTING_AAD)
        return Stored(metadata, body)

    def wrap(self, kind: Kind, data_key: bytes, description: Mapping[str, str]) -> bytes:
        """Return the encrypted data key."""
        bound = kind.content.encode()
        size = RSA_KEY.size_in_bytes()
        if kind.key_type == "kms":
            return self.kms.wrap(data_key, description)
        if kind.wrap == "AES/GCM":
            iv = self.random_bytes(12)
            return iv + reference.gcm_encrypt(AES_KEY, iv, data_key, bound)
        if kind.wrap == "AESWrap":
            return reference.aes_key_wrap(AES_KEY, data_key)
        if kind.wrap == "AES/ECB":
            return _ecb(reference.pkcs7_pad(data_key))
        if kind.wrap == "RSA/ECB/PKCS1Padding":
            block = reference.pkcs1_block(data_key, size, lambda: self._random.randrange(1, 256))
        elif kind.wrap == "RSA-OAEP-SHA1":
            payload = bytes([len(data_key)]) + data_key + bound
            block = reference.oaep_block(payload, size, "sha1", self.random_bytes(20))
        else:
            block = reference.oaep_block(data_key, size, "sha256", self.random_bytes(32))
        return reference.rsa_encrypt_block(RSA_KEY, block)

    @staticmethod
    def _reserved(kind: Kind) -> dict[str, str]:
        if kind.wrap == "kms+context":
            return {"aws:x-amz-cek-alg": kind.content}
        return {"kms_cmk_id": KMS_KEY_ARN} if kind.wrap == "kms" else {}


def instruction_file(stored: Stored) -> tuple[dict[str, str], bytes]:
    """Return the metadata that stays with an object, and the body of its instruction file."""
    on_object = {"x-amz-c", "x-amz-d", "x-amz-i"} & stored.metadata.keys()
    in_file = {name: text for name, text in stored.metadata.items() if name not in on_object}
    return {name: stored.metadata[name] for name in on_object}, json.dumps(in_file).encode()


def _ecb(blocks: bytes) -> bytes:
    return bytes(AES.new(AES_KEY, AES.MODE_ECB).encrypt(blocks))


def to_base64(data: bytes) -> str:
    """Return what a base64 field holds."""
    return base64.b64encode(data).decode()
