"""Instruction files that are missing, planted, divided, mixed or spoilt; and other objects in their place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from support.encoder import V1_AES, V2_AES, V2_KMS, V3_AES, V3_KMS, Kind, Stored, instruction_file
from support.servers import ENDLESS, refusal
from support.worlds import KEY, World

from s3_encryption import CommitmentPolicy
from s3_encryption.exceptions import (
    ConfigurationError,
    ConfigurationTypeError,
    InvalidEnvelopeError,
    NotEncryptedError,
    UnsupportedOperationError,
)

from .bucket import Bucket, fingerprint
from .witness import MARKER

FILE = KEY + ".instruction"

formats = pytest.mark.parametrize("kind", [V2_KMS, V3_KMS, V2_AES, V3_AES], ids=str)
kms_formats = pytest.mark.parametrize("kind", [V2_KMS, V3_KMS], ids=["V2", "V3"])
policies = pytest.mark.parametrize("policy", CommitmentPolicy, ids=lambda policy: policy.name)


def divided(bucket: Bucket, kind: Kind, plaintext: bytes = MARKER) -> tuple[Stored, dict[str, str]]:
    """Return an object without what goes to its instruction file, and the fields of that file."""
    stored = bucket.encoder.write(kind, plaintext)
    on_object, file = instruction_file(stored)
    return Stored(on_object, stored.body), json.loads(file)


@pytest.mark.parametrize("kind", [V1_AES, V2_KMS, V3_KMS, V2_AES, V3_AES], ids=str)
def test_if_01_if_10_object_and_its_file_are_read(kind: Kind, bucket: Bucket) -> None:
    """A good pair is intact, whether the file is marked as one (as some writers do) or not."""
    stored, fields = divided(bucket, kind)
    bucket.put_with_file(stored, fields)
    client = bucket.client(kind)
    assert bucket.read(client) == MARKER
    for marker in ("", "default instruction file header"):
        headers = {"x-amz-meta-x-amz-crypto-instr-file": marker}
        bucket.put_raw(FILE, json.dumps(fields).encode(), headers)
        assert bucket.read(client) == MARKER


@formats
def test_if_02_missing_file_is_an_error(kind: Kind, bucket: Bucket) -> None:
    """Without its file an object is not readable, never handed out as it is, and no other file is looked for."""
    stored, _ = divided(bucket, kind)
    bucket.put(stored)
    error = bucket.refused(bucket.client(kind), NotEncryptedError if kind.format == "V2" else InvalidEnvelopeError)
    assert fingerprint(error)[3:] == (None, None)
    assert [request.path.rpartition("/")[2] for request in bucket.world.requests] == [
        "name.txt",
        "name.txt.instruction",
    ]


@pytest.mark.parametrize("how", ["duplicated", "moved"])
@pytest.mark.parametrize("names", [["x-amz-c"], ["x-amz-d"], ["x-amz-i"], ["x-amz-c", "x-amz-d", "x-amz-i"]], ids=str)
@policies
def test_if_04_commitment_in_the_file_is_refused_without_kms(
    policy: CommitmentPolicy, names: list[str], how: str, bucket: Bucket
) -> None:
    """Who can replace the file must not choose the key that the object commits to."""
    stored, fields = divided(bucket, V3_KMS)
    on_object = {n: text for n, text in stored.metadata.items() if how == "duplicated" or n not in names}
    bucket.put_with_file(Stored(on_object, stored.body), {**fields, **{name: stored.metadata[name] for name in names}})
    bucket.refused(bucket.client(V3_KMS, commitment_policy=policy), InvalidEnvelopeError)


@policies
def test_if_05_file_of_another_format_is_refused_without_kms(policy: CommitmentPolicy, bucket: Bucket) -> None:
    """Neither V2's whole envelope beside a V3 object, alone or with V3's, nor V3's beside a V2 object."""
    v3, v3_fields = divided(bucket, V3_KMS)
    v2, v2_fields = divided(bucket, V2_KMS)
    client = bucket.client(V3_KMS, commitment_policy=policy)
    for on_object, fields in ((v3, v2_fields), (v3, {**v3_fields, **v2_fields}), (v2, v3_fields)):
        bucket.put_with_file(on_object, fields)
        bucket.refused(client, InvalidEnvelopeError)


@kms_formats
def test_if_07_divided_envelope_is_refused_without_kms(kind: Kind, bucket: Bucket) -> None:
    """An envelope is divided as its format says and in no other way: any other field on the object is one too many."""
    stored, fields = divided(bucket, kind)
    client = bucket.client(kind)
    for name, text in fields.items():
        rest = {other: value for other, value in fields.items() if other != name}
        for file in (rest, fields):
            bucket.put_with_file(Stored({**stored.metadata, name: text}, stored.body), file)
            bucket.refused(client, InvalidEnvelopeError)


@formats
def test_if_08_planted_file_is_not_even_fetched(kind: Kind, bucket: Bucket) -> None:
    """Where the metadata has the envelope, a file beside the object says nothing."""
    stored = bucket.encoder.write(kind, MARKER)
    _, evil = divided(bucket, kind, MARKER[::-1])
    client = bucket.client(kind)
    for file in (json.dumps(evil).encode(), b"garbage"):
        bucket.put_with_file(stored, file)
        bucket.world.forget()
        assert bucket.read(client) == MARKER
        assert [request.path.rpartition("/")[2] for request in bucket.world.requests] == ["name.txt"]


SPOILT: dict[str, Callable[[Mapping[str, str]], bytes]] = {
    "unknown-name": lambda fields: json.dumps({**fields, "x-amz-key-v4": "AAAA"}).encode(),
    "users-own-name": lambda fields: json.dumps({**fields, "owner": "me"}).encode(),
    "number": lambda fields: json.dumps({**fields, "x-amz-iv": 5}).encode(),
    "null": lambda fields: json.dumps({**fields, "x-amz-iv": None}).encode(),
    "list": lambda fields: json.dumps({name: [text] for name, text in fields.items()}).encode(),
    "object": lambda fields: json.dumps({**fields, "x-amz-matdesc": {}}).encode(),
    "duplicate": lambda fields: json.dumps(fields).encode().replace(b"{", b'{"x-amz-key-v2":"AAAA",', 1),
    "letter-case": lambda fields: json.dumps({**fields, "X-Amz-Key-V2": "AAAA"}).encode(),
    "byte-order-mark": lambda fields: b"\xef\xbb\xbf" + json.dumps(fields).encode(),
    "utf-16": lambda fields: json.dumps(fields).encode("utf-16"),
    "not-utf-8": lambda fields: json.dumps(fields).encode()[:-2] + b'\xff"}',
    "too-long": lambda fields: json.dumps(fields).encode() + b" " * 65536,
    "50-megabytes": lambda fields: json.dumps(fields).encode() + b" " * 50_000_000,
    "empty": lambda fields: b"",
    "empty-object": lambda fields: b"{}",
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_if_11_spoilt_file_is_refused_without_kms(spoil: Callable[[Mapping[str, str]], bytes], bucket: Bucket) -> None:
    """Whatever a file holds, it is an envelope or an error of this library about the object."""
    stored, fields = divided(bucket, V2_KMS)
    bucket.put_with_file(stored, spoil(fields))
    error = bucket.refused(bucket.client(V2_KMS), InvalidEnvelopeError)
    assert fingerprint(error)[3:] == (None, None)
    assert getattr(error, "key", None) == KEY


def test_if_11_endless_file_is_given_up(bucket: Bucket, s3: Any) -> None:
    """A file without an end costs 64 KiB, and no more."""
    stored, fields = divided(bucket, V2_KMS)
    s3.store(stored.body, stored.metadata)
    s3.store(json.dumps(fields).encode() + b" " * 1000, {}, FILE)
    s3.server.script(ENDLESS, method="GET", path_end=".instruction")
    client = s3.client(keyring=bucket.encoder.keyring(V2_KMS))
    error = bucket.refused_call(lambda: client.get_object(**s3.object_at()), InvalidEnvelopeError)
    assert "too long" in str(error)


@pytest.mark.parametrize("location", ["metadata", "instruction_file"])
@pytest.mark.parametrize("write", ["put_object", "create_multipart_upload"])
def test_if_14_key_of_a_file_is_refused_unsent(write: str, location: str, bucket: Bucket) -> None:
    """An object with such a key would become the instruction file of another object."""
    client = bucket.client(V2_KMS, envelope_location=location)
    call = getattr(client, write)
    bucket.refused_call(lambda: call(**bucket.world.object_at(FILE)), UnsupportedOperationError)
    assert bucket.world.requests == []


@pytest.mark.parametrize("key", [KEY, "unrelated"])
def test_if_16_file_of_that_name_that_is_somebody_elses_stays(key: str, bucket: Bucket) -> None:
    """A client that keeps envelopes in the metadata deletes what it is told to, and no "name.instruction"."""
    client = bucket.client(V2_KMS)
    client.put_object(**bucket.world.object_at(key), Body=MARKER)
    bucket.put_raw(f"{key}.instruction", b"a file of mine")
    client.delete_object(**bucket.world.object_at(key))
    assert bucket.world.stored_keys() == [f"{key}.instruction"]


def test_if_17_deleting_an_old_version_keeps_the_file(moto: World) -> None:
    """Where versions are kept, the current version of an object still finds its instruction file."""
    moto.plain.put_bucket_versioning(Bucket=moto.bucket, VersioningConfiguration={"Status": "Enabled"})
    client = moto.client(envelope_location="instruction_file")
    old = client.put_object(**moto.object_at(), Body=MARKER[::-1])
    client.put_object(**moto.object_at(), Body=MARKER)
    client.delete_object(**moto.object_at(), VersionId=old["VersionId"])
    assert client.get_object(**moto.object_at())["Body"].read() == MARKER


@pytest.mark.parametrize("failing", ["name.txt", ".instruction"])
@formats
def test_if_19_failure_of_either_put_raises(kind: Kind, failing: str, bucket: Bucket) -> None:
    """Never a success with an object that can't be read. The file goes second: an object that S3 refuses must not cost
    the one that is there its envelope.
    """
    client = bucket.writer(kind, envelope_location="instruction_file")
    client.put_object(**bucket.world.object_at(), Body=MARKER)
    bucket.world.forget()
    bucket.world.server.script(refusal(403, "AccessDenied"), method="PUT", path_end=failing)
    put = {**bucket.world.object_at(), "Body": MARKER[::-1]}
    with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
        client.put_object(**put)
    sent = [request.path.rpartition("/")[2] for request in bucket.world.requests]
    assert sent == ["name.txt", "name.txt.instruction"][: 1 if failing == "name.txt" else 2]
    if failing == "name.txt":
        assert bucket.read(client) == MARKER
    client.put_object(**put)
    assert bucket.read(client) == MARKER[::-1]


@formats
def test_if_20_stale_file_of_an_overwritten_object_is_ignored(kind: Kind, bucket: Bucket) -> None:
    """An object with its envelope in the metadata takes the place of one with a file."""
    bucket.writer(kind, envelope_location="instruction_file").put_object(**bucket.world.object_at(), Body=MARKER[::-1])
    client = bucket.writer(kind)
    client.put_object(**bucket.world.object_at(), Body=MARKER)
    assert FILE in bucket.world.stored_keys()
    assert bucket.read(client) == MARKER


SUFFIXES: dict[str, tuple[Any, type[Exception]]] = {
    "empty": ("", ConfigurationError),
    "not-ascii": (".anl\u00e4ge", ConfigurationError),
    "control": (".in\nstruction", ConfigurationError),
    "1000-characters": ("." + "x" * 999, ConfigurationError),
    "number": (5, ConfigurationTypeError),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_if_22_unusable_suffix_is_refused_unsent(suffix: str, bucket: Bucket) -> None:
    """A suffix makes another key of at most 1024 bytes, given at construction or with a call."""
    value, expected = SUFFIXES[suffix]
    bucket.refused_call(lambda: bucket.client(V2_KMS, instruction_file_suffix=value), expected)
    client = bucket.client(V2_KMS)
    for call in (client.put_object, client.get_object):
        bucket.refused_call(lambda: call(**bucket.world.object_at(), InstructionFileSuffix=value), expected)  # noqa: B023
    long_key = bucket.world.object_at("k" * 1020)
    put = bucket.client(V2_KMS, envelope_location="instruction_file").put_object
    bucket.refused_call(lambda: put(**long_key, Body=MARKER), ConfigurationError)
    assert bucket.world.requests == []


@pytest.mark.parametrize("suffix", ["/x", "/../other", "..", "/"])
def test_if_22_suffix_stays_in_the_bucket(suffix: str, bucket: Bucket) -> None:
    """Keys are no paths: dots and slashes name another object of the same bucket, and nothing else."""
    client = bucket.client(V2_KMS, envelope_location="instruction_file", instruction_file_suffix=suffix)
    client.put_object(**bucket.world.object_at(), Body=MARKER)
    assert bucket.read(client) == MARKER
    assert bucket.world.stored_keys() == sorted([KEY, KEY + suffix])
