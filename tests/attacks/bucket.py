"""A bucket that somebody else can write to: objects of every kind are put there, changed, and must be refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.encoder import ALL_KINDS, V1_AES, V2_AES, V2_AES_CBC, V3_AES, V3_KMS, Encoder, Kind, Stored, to_base64
from support.strict_s3 import StoredObject
from support.worlds import KEY, StrictWorld

from s3_encryption._crypto.content import CommitmentPolicy
from s3_encryption.exceptions import DecryptionError, S3EncryptionClientSecurityError

from . import counts
from .witness import MARKER

WRITING_POLICIES = {
    "V2": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
    "V3": CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
}
Refusal = type[Exception] | tuple[type[Exception], ...]


def fingerprint(error: BaseException) -> tuple[object, ...]:
    """Return all that tells one error from another."""
    return type(error), error.args, str(error), error.__cause__, error.__context__


def flipped(data: bytes, bit: int) -> bytes:
    """Return the data with one bit flipped."""
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def flips(data: bytes, step: int = 1) -> Iterator[bytes]:
    """Yield the data with every ``step``-th bit flipped, one at a time, and count them."""
    for bit in range(0, len(data) * 8, step):
        counts.tried(counts.BIT_FLIPS)
        yield flipped(data, bit)


def cuts(data: bytes, start: int = 0) -> Iterator[bytes]:
    """Yield the data cut to every length that it does not have, and count them."""
    for length in range(start, len(data)):
        counts.tried(counts.TRUNCATIONS)
        yield data[:length]


def extensions(data: bytes, *lengths: int) -> Iterator[bytes]:
    """Yield the data with zeros before it and behind it, and with itself, and count them."""
    for longer in (data + data, *(new for n in lengths for new in (data + bytes(n), bytes(n) + data))):
        counts.tried(counts.EXTENSIONS)
        yield longer


# --- what verification must notice ------------------------------------------------------------------------------------


def _ending_spoilt(stored: Stored, kind: Kind) -> Stored:
    return Stored(stored.metadata, flipped(stored.body, len(stored.body) * 8 - 1))


def _data_key_spoilt(stored: Stored, kind: Kind) -> Stored:
    field = kind.fields["edk"]
    return stored.changed(field, to_base64(flipped(stored.decoded(field), 100)))


def _commitment_spoilt(stored: Stored, kind: Kind) -> Stored:
    return stored.changed("x-amz-d", to_base64(flipped(stored.decoded("x-amz-d"), 100)))


# What is spoilt, and of which kind of object.
SPOILT: dict[str, tuple[Kind, Callable[[Stored, Kind], Stored]]] = {
    "tag of V2": (V2_AES, _ending_spoilt),
    "tag of V3": (V3_AES, _ending_spoilt),
    "padding of V1": (V1_AES, _ending_spoilt),
    "padding of V2": (V2_AES_CBC, _ending_spoilt),
    "commitment": (V3_AES, _commitment_spoilt),
    "commitment with KMS": (V3_KMS, _commitment_spoilt),
    # KMS itself refuses those of its own.
    **{f"data key of {kind}": (kind, _data_key_spoilt) for kind in ALL_KINDS if kind.key_type != "kms"},
}
spoilt_objects = pytest.mark.parametrize("spoilt", SPOILT)


# Ways to read the object of a name, with a path for what must have one.
Read = Callable[[Any, Mapping[str, str], Path], Any]
READS: dict[str, Read] = {
    "get": lambda s3, named, path: s3.get_object(**named)["Body"].read(),
    "range": lambda s3, named, path: s3.get_object(**named, Range="bytes=1-2")["Body"].read(),
    "open": lambda s3, named, path: s3.open(**named).read(),
    "download_file": lambda s3, named, path: s3.download_file(named["Bucket"], named["Key"], str(path)),
    "download_fileobj": lambda s3, named, path: s3.download_fileobj(named["Bucket"], named["Key"], io.BytesIO()),
}
reads = pytest.mark.parametrize("read", READS.values(), ids=READS)


class Bucket:
    """A bucket in memory, a writer of objects of every kind (``encoder``), and readers for them."""

    def __init__(self, world: StrictWorld) -> None:
        self.world = world
        self.encoder = Encoder()
        self.kms = self.encoder.kms

    # --- writing ------------------------------------------------------------------------------------------------------

    def put(self, stored: Stored, key: str = KEY) -> None:
        """Store an object as it is, whatever S3 would say."""
        headers = {f"x-amz-meta-{name}": text for name, text in stored.metadata.items()}
        self.put_raw(key, stored.body, headers)

    def put_changed(self, stored: Stored, field: str, text: str | None) -> None:
        """Store an object with another value of one field, or without the field, and count it."""
        counts.tried(counts.METADATA_MUTATIONS)
        self.put(stored.changed(field, text))

    def put_raw(self, key: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Store a body with headers."""
        self.world.server.objects[self._path(key)] = StoredObject(body, '"etag"', headers or {})

    def put_with_file(self, on_object: Stored, file: bytes | Mapping[str, Any], suffix: str = ".instruction") -> None:
        """Store an object and its instruction file."""
        self.put(on_object)
        self.put_raw(KEY + suffix, file if isinstance(file, bytes) else json.dumps(file).encode())

    def get(self, key: str = KEY) -> Stored:
        """Return an object as it is stored."""
        stored = self.world.server.objects[self._path(key)]
        return Stored(stored.metadata, stored.body)

    def write(self, kind: Kind, plaintext: bytes = MARKER, **how: Any) -> Stored:
        """Store an object as another client writes it, and return it."""
        stored = self.encoder.write(kind, plaintext, **how)
        self.put(stored)
        return stored

    def write_spoilt(self, spoilt: str, **how: Any) -> Kind:
        """Store one of the ``SPOILT`` objects, and return its kind."""
        kind, spoil = SPOILT[spoilt]
        self.put(spoil(self.encoder.write(kind, MARKER, **how), kind))
        return kind

    def write_ours(self, kind: Kind, plaintext: bytes = MARKER, **params: Any) -> Stored:
        """Store an object as the library itself writes it, and return it."""
        self.writer(kind).put_object(**self.world.object_at(), Body=plaintext, **params)
        return self.get()

    def writer(self, kind: Kind, **options: Any) -> Any:
        """Return a client that writes and reads the format of a kind."""
        return self.client(kind, commitment_policy=WRITING_POLICIES[kind.format], **options)

    def _path(self, key: str) -> str:
        return f"/{self.world.bucket}/{key}"

    # --- reading ------------------------------------------------------------------------------------------------------

    def client(self, kind: Kind, **options: Any) -> Any:
        """Return a client with the keyring and the switches that reading a kind needs."""
        if not options.keys() & {"keyring", "kms_key_id", "aes_key", "rsa_key"}:
            options["keyring"] = self.encoder.keyring(kind)
        return self.world.client(**{**kind.switches, **options})

    def read(self, client: Any, key: str = KEY, **params: Any) -> bytes:
        """Return the plaintext of an object."""
        with client.get_object(**self.world.object_at(key), **params)["Body"] as body:
            content: bytes = body.read()
        return content

    def refused(
        self, client: Any, expected: Refusal = S3EncryptionClientSecurityError, kms_calls: int = 0, **params: Any
    ) -> Exception:
        """Return the error with which a read ends. KMS may be asked ``kms_calls`` times: not at all, for an object that
        format or policy refuses.
        """
        return self.refused_call(lambda: self.read(client, **params), expected, kms_calls)

    def refused_call(self, call: Callable[[], object], expected: Refusal, kms_calls: int = 0) -> Exception:
        """Return the error with which any call ends, as ``refused`` does."""
        before = len(self.kms.calls)
        with pytest.raises(expected) as caught:
            call()
        asked = len(self.kms.calls) - before
        counts.tried(counts.REFUSALS)
        if not kms_calls:
            counts.tried(counts.KMS_CALLS_FOR_REFUSED, asked)
        assert asked <= kms_calls
        return caught.value

    def all_refused(self, client: Any, kind: Kind, objects: Iterator[Stored]) -> None:
        """Have every object refused as undecryptable, in errors that nothing tells apart."""
        fingerprints = set()
        for stored in objects:
            self.put(stored)
            error = self.refused(client, DecryptionError, kms_calls=kind.key_type == "kms")
            fingerprints.add(fingerprint(error))
        assert len(fingerprints) == 1
        (kind_of_error, _, _, cause, context) = fingerprints.pop()
        assert (kind_of_error, cause, context) == (DecryptionError, None, None)
