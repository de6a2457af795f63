"""Objects as they lie in the bucket: captured, tampered with, kept as test vectors."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .environment import BUCKET, Environment, MasterKeys
from .formats import CBC, GCM, Cell

INSTRUCTION_SUFFIX = ".instruction"
RECIPE = "first N bytes of SHA256(b's3-wire-vector' + be32(i)) for i = 0,1,2,..."
RESERVED_CONTEXT = {"kms_cmk_id", "aws:x-amz-cek-alg"}
V3_SUITE = "115"
V3_WRAPS = {"kms+context": "12", "AES/GCM": "02", "RSA-OAEP-SHA1": "22"}
KEY_FIELDS = {1: "x-amz-key", 2: "x-amz-key-v2", 3: "x-amz-3"}
# In V1 nothing but the kind of master key tells the wrap.
V1_WRAPS = {"aes": "AES/ECB", "rsa": "RSA"}
V1_KEY_BYTES = {"aes": (32, 48), "rsa": (256,)}
MASTER_KEY_NAMES = {"aes": "aes256", "rsa": "rsa2048_pkcs8_der_base64"}


def plaintext(length: int) -> bytes:
    """Return the body that every vector of this length holds."""
    blocks = range((length + 31) // 32)
    text = b"".join(hashlib.sha256(b"s3-wire-vector" + index.to_bytes(4, "big")).digest() for index in blocks)
    return text[:length]


@dataclass(frozen=True)
class StoredObject:
    """An object and its instruction file, byte for byte."""

    metadata: dict[str, str]
    ciphertext: bytes
    instruction: dict[str, Any] | None

    @property
    def envelope(self) -> dict[str, str]:
        """The envelope's fields, wherever they lie."""
        fields = json.loads(self.instruction["body"]) if self.instruction else {}
        return {**self.metadata, **fields}

    @property
    def wrap(self) -> str | None:
        """The wrap algorithm as stated; V1 objects state none."""
        return self.envelope.get("x-amz-w") or self.envelope.get("x-amz-wrap-alg")

    @property
    def content(self) -> str | None:
        """The content algorithm as stated; V1 objects state none."""
        return self.envelope.get("x-amz-c") or self.envelope.get("x-amz-cek-alg")

    def mismatch(self, cell: Cell) -> str | None:
        """Return what makes this an object of another cell, if anything."""
        format = cell.format
        expected = {
            1: (None, None),
            2: (format.wrapping_algorithm, CBC if format.cbc else GCM),
            3: (V3_WRAPS.get(format.wrapping_algorithm), V3_SUITE),
        }[format.version]
        if (self.wrap, self.content) != expected:
            return f"states wrap and content {(self.wrap, self.content)}, not {expected}"
        place = json.loads(self.instruction["body"]) if self.instruction else self.metadata
        fields = [field for field in KEY_FIELDS.values() if field in self.envelope]
        if fields != [KEY_FIELDS[format.version]] or fields[0] not in place:
            return f"has its data key in {fields}, or not at {cell.location}"
        key_bytes = len(base64.b64decode(place[fields[0]]))
        if format.version == 1 and key_bytes not in V1_KEY_BYTES[format.master_key]:
            return f"has an encrypted data key of {key_bytes} bytes"
        return None

    @property
    def full_context(self) -> dict[str, str]:
        """The context that KMS was given."""
        envelope = self.envelope
        stated = envelope.get("x-amz-t") or envelope.get("x-amz-matdesc") or "{}"
        context: dict[str, str] = json.loads(stated)
        return context

    @property
    def caller_context(self) -> dict[str, str]:
        """The part of the context that isn't the clients' own."""
        context = self.full_context
        return {name: context[name] for name in context.keys() - RESERVED_CONTEXT}


def load_object(s3: Any, key: str, location: str) -> StoredObject:
    """Return an object as it is stored."""
    response = s3.get_object(Bucket=BUCKET, Key=key)
    instruction = None
    if location == "instruction_file":
        file = s3.get_object(Bucket=BUCKET, Key=key + INSTRUCTION_SUFFIX)
        instruction = {
            "suffix": INSTRUCTION_SUFFIX,
            "body": file["Body"].read().decode("utf-8"),
            "metadata": file["Metadata"],
        }
    return StoredObject(response["Metadata"], response["Body"].read(), instruction)


def flip_bit(s3: Any, key: str, stored: StoredObject) -> None:
    """Store the object again with one bit changed that every content algorithm must notice.

    It is in the last byte before the last block: with GCM that is ciphertext, with CBC it turns
    the padding's length into one over 128.
    """
    ciphertext = bytearray(stored.ciphertext)
    ciphertext[-17] ^= 0x80
    s3.put_object(Bucket=BUCKET, Key=key, Body=bytes(ciphertext), Metadata=dict(stored.metadata))


@dataclass
class VectorWriter:
    """Collects what one peer wrote, in the schema of the project's vectors file."""

    environment: Environment
    writer: str
    writer_version: str

    def __post_init__(self) -> None:
        """Start with no vectors."""
        self.vectors: list[dict[str, Any]] = []

    def add(self, cell: Cell, length: int, stored: StoredObject) -> None:
        """Keep one object."""
        format = cell.format
        place = "-instr" if stored.instruction else ""
        vector: dict[str, Any] = {
            "name": f"{self.writer}-{format.name}{place}/{length}",
            "writer": self.writer,
            "writer_version": self.writer_version,
            "format": f"V{format.version}",
            "wrap": stored.wrap or V1_WRAPS[format.master_key],
            "content": stored.content or CBC,
            "metadata": stored.metadata,
            "ciphertext": base64.b64encode(stored.ciphertext).decode("ascii"),
            "plaintext_length": length,
            "plaintext_sha256": hashlib.sha256(plaintext(length)).hexdigest(),
        }
        if stored.instruction:
            vector["instruction"] = stored.instruction
        if format.is_kms:
            vector["kms"] = self._kms_record(stored)
        else:
            vector["master_key"] = MASTER_KEY_NAMES[format.master_key]
        self.vectors.append(vector)

    def save(self, directory: Path) -> None:
        """Write the file of this peer, if it wrote anything."""
        if self.vectors:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / f"{self.writer}.json").write_text(self.as_json(), encoding="utf-8")

    def as_json(self) -> str:
        """Return the text of the file."""
        keys: MasterKeys = self.environment.master_keys
        document = {
            "master_keys": {
                "aes256": keys.aes.hex(),
                "rsa2048_pkcs8_der_base64": base64.b64encode(keys.rsa_der).decode("ascii"),
            },
            "plaintext_recipe": RECIPE,
            "vectors": self.vectors,
        }
        return json.dumps(document, indent=1, sort_keys=True) + "\n"

    def _kms_record(self, stored: StoredObject) -> dict[str, Any]:
        """Return what a stand-in for KMS must know: the real answer of this run's KMS."""
        envelope = stored.envelope
        blob = envelope.get("x-amz-3") or envelope["x-amz-key-v2"]
        answer = self.environment.kms.decrypt(
            CiphertextBlob=base64.b64decode(blob), EncryptionContext=stored.full_context
        )
        return {
            "key_id": self.environment.kms_key_id,
            "ciphertext_blob": blob,
            "encryption_context": stored.full_context,
            "request_context": stored.caller_context,
            "plaintext_data_key": base64.b64encode(answer["Plaintext"]).decode("ascii"),
        }
