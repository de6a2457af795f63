"""Key commitment: what an object commits to, and what becomes of those that don't commit."""

from __future__ import annotations

import hmac
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.encoder import (
    AES_KEY,
    V1_AES,
    V2_AES,
    V2_AES_CBC,
    V3_AES,
    V3_KINDS,
    Encoder,
    Kind,
    Stored,
    instruction_file,
    to_base64,
)
from support.vectors import salamander

from s3_encryption import AesKeyring, CommitmentPolicy
from s3_encryption.exceptions import (
    ConfigurationError,
    DecryptionError,
    InvalidEnvelopeError,
    KeyCommitmentError,
    PolicyError,
)

from .bucket import Bucket, fingerprint, flips
from .witness import MARKER

FORBID, ALLOW, REQUIRE = (
    CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
    CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
    CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
)
v3_kinds = pytest.mark.parametrize("kind", V3_KINDS, ids=str)


def refused_commitments(bucket: Bucket, kind: Kind, objects: list[Stored]) -> None:
    """Have objects refused for their commitment, by get_object itself, in errors that nothing tells apart."""
    client = bucket.client(kind)
    refusals = set()
    for stored in objects:
        bucket.put(stored)
        error = bucket.refused_call(
            lambda: client.get_object(**bucket.world.object_at()),
            KeyCommitmentError,
            kms_calls=kind.key_type == "kms",
        )
        refusals.add(fingerprint(error))
    assert len(refusals) == 1
    # Its own class, and the text of every failed decryption.
    assert refusals.pop()[1] == (DecryptionError.MESSAGE,)


@v3_kinds
def test_kc_01_every_flipped_bit_of_the_commitment_is_refused(kind: Kind, bucket: Bucket) -> None:
    """So are zeros, before a byte of the body is decrypted (of RSA every 28th bit, for its slowness)."""
    stored = bucket.write(kind)
    changed = [*flips(stored.decoded("x-amz-d"), step=28 if kind.key_type == "rsa" else 1), bytes(28)]
    refused_commitments(bucket, kind, [stored.changed("x-amz-d", to_base64(value)) for value in changed])


@v3_kinds
def test_kc_01_commitment_of_another_length_is_refused_without_kms(kind: Kind, bucket: Bucket) -> None:
    """28 bytes, and no prefix of them or anything longer."""
    stored = bucket.write(kind)
    client = bucket.client(kind)
    whole = stored.decoded("x-amz-d")
    for value in (b"", whole[:20], whole[:27], whole + b"\0", whole + bytes(12), whole + whole):
        bucket.put_changed(stored, "x-amz-d", to_base64(value))
        bucket.refused(client, InvalidEnvelopeError)


@v3_kinds
def test_kc_02_message_id_or_data_key_of_another_object_breaks_the_commitment(kind: Kind, bucket: Bucket) -> None:
    """The commitment is to data key and message id together."""
    ours, other = bucket.write(kind), bucket.write(kind)
    refused_commitments(bucket, kind, [ours.changed(field, other.metadata[field]) for field in ("x-amz-i", "x-amz-3")])


@v3_kinds
def test_kc_04_data_key_in_the_instruction_file_is_held_to_the_commitment(kind: Kind, bucket: Bucket) -> None:
    """The object commits, so a file with another data key is refused."""
    ours, other = (bucket.encoder.write(kind, MARKER) for _ in range(2))
    on_object, file = instruction_file(ours)
    bucket.put_with_file(Stored(on_object, ours.body), file)
    assert bucket.read(bucket.client(kind)) == MARKER
    bucket.put_with_file(Stored(on_object, ours.body), instruction_file(other)[1])
    bucket.refused(bucket.client(kind), KeyCommitmentError, kms_calls=kind.key_type == "kms")


def two_key_object(format: str, data_key: bytes, commits_to: bytes = b"") -> Stored:
    """Return the object whose ciphertext and tag are right under two keys, under one of them."""
    case, encoder = salamander(format), Encoder()
    if format == "v2":
        return Stored(encoder.write(V2_AES, b"", data_key=data_key, iv=case["iv"]).metadata, case["ct_and_tag"])
    stored, committed = (
        encoder.write(V3_AES, b"", data_key=key, iv=case["message_id"]) for key in (data_key, commits_to)
    )
    return Stored({**stored.metadata, "x-amz-d": committed.metadata["x-amz-d"]}, case["ct_and_tag"])


@pytest.mark.parametrize("in_file", [False, True], ids=["metadata", "instruction-file"])
@pytest.mark.parametrize(("key", "commits_to"), [("1", "1"), ("2", "2"), ("1", "2"), ("2", "1")])
def test_kc_04_ciphertext_of_two_keys_has_one_meaning(key: str, commits_to: str, in_file: bool, bucket: Bucket) -> None:
    """The tag holds under both keys, and the commitment under one: the other one never gives a byte."""
    case = salamander("v3")
    stored = two_key_object("v3", case[f"data_key{key}"], case[f"data_key{commits_to}"])
    on_object, file = instruction_file(stored)
    bucket.put_with_file(Stored(on_object, stored.body), file) if in_file else bucket.put(stored)
    client = bucket.client(V3_AES)
    if key == commits_to:
        assert bucket.read(client) == case[f"pt{key}"]
    else:
        bucket.refused(client, KeyCommitmentError)


@pytest.mark.parametrize("in_file", [False, True], ids=["metadata", "instruction-file"])
def test_kc_05_ciphertext_of_two_keys_has_two_meanings_in_v2(in_file: bool, bucket: Bucket) -> None:
    """A documented limit of V2, which commits to no key: with another data key the plaintext is another. The default
    policy reads V2 for the sake of all that is stored, without a warning; the strictest one refuses it.
    """
    case = salamander("v2")
    for number in ("1", "2"):
        stored = two_key_object("v2", case[f"key{number}"])
        on_object, file = instruction_file(stored)
        bucket.put_with_file(Stored(on_object, stored.body), file) if in_file else bucket.put(stored)
        assert bucket.read(bucket.client(V2_AES)) == case[f"pt{number}"]
        bucket.refused(bucket.client(V2_AES, commitment_policy=REQUIRE), PolicyError)
    limits = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert "**V2 has no key commitment.**" in limits


PATHS: dict[str, tuple[dict[str, Any], Callable[[Any, dict[str, str], Path], object]]] = {
    "get": ({}, lambda s3, named, path: s3.get_object(**named)),
    "spool": ({"buffer_size": 1}, lambda s3, named, path: s3.get_object(**named)),
    "delayed": ({"enable_delayed_authentication": True}, lambda s3, named, path: s3.get_object(**named)),
    "range": (
        {"enable_unauthenticated_ranges": True},
        lambda s3, named, path: s3.get_object(**named, Range="bytes=1-2"),
    ),
    "whole-range": ({}, lambda s3, named, path: s3.get_object(**named, Range="bytes=0-")),
    "download_file": ({}, lambda s3, named, path: s3.download_file(*named.values(), str(path))),
    "download_fileobj": ({}, lambda s3, named, path: s3.download_fileobj(*named.values(), io.BytesIO())),
    "open": ({}, lambda s3, named, path: s3.open(**named).read()),
    "open-ranges": ({"enable_unauthenticated_ranges": True}, lambda s3, named, path: s3.open(**named).read(1)),
}


def _head_then_range(s3: Any, named: dict[str, str], path: Path) -> object:
    length = s3.head_object(**named)["ContentLength"]
    return s3.get_object(**named, Range=f"bytes={length - 5}-{length - 2}")


PATHS["head-then-range"] = ({"enable_unauthenticated_ranges": True}, _head_then_range)


@pytest.mark.parametrize("field", ["x-amz-d", "x-amz-i", "x-amz-3"])
@pytest.mark.parametrize("path", PATHS)
def test_kc_07_commitment_is_checked_on_every_path(path: str, field: str, bucket: Bucket, tmp_path: Path) -> None:
    """Whole, in ranges, in files or streamed: each way of reading fails before its first byte; no file is made."""
    ours, other = bucket.write(V3_AES, MARKER * 100), bucket.write(V3_AES, MARKER * 100)
    bucket.put_changed(ours, field, other.metadata[field])
    options, read = PATHS[path]
    client = bucket.client(V3_AES, **options)
    bucket.refused_call(lambda: read(client, bucket.world.object_at(), tmp_path / "target"), KeyCommitmentError)
    assert not (tmp_path / "target").exists()


@v3_kinds
def test_kc_08_right_commitment_does_not_replace_the_tag(kind: Kind, bucket: Bucket) -> None:
    """Another body under the committed key and message id, and one that was sealed without the suite's name, fail."""
    data_key, message_id = bucket.encoder.random_bytes(32), bucket.encoder.random_bytes(28)
    stored = bucket.write(kind, data_key=data_key, iv=message_id)
    other = bucket.write(kind, MARKER[::-1], data_key=data_key, iv=message_id)
    spliced = other.body[:32] + stored.body[32:]
    bodies = [bytes(len(stored.body)), spliced, other.body[:-16] + stored.body[-16:]]
    bucket.all_refused(bucket.client(kind), kind, (Stored(stored.metadata, body) for body in bodies))


def test_kc_10_commitment_is_compared_in_constant_time(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not measured but looked at: the comparison of the standard library made for it decides, on the whole value."""
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def noted(one: bytes, other: bytes) -> bool:
        compared.append((bytes(one), bytes(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    stored = bucket.write(V3_AES)
    whole = stored.decoded("x-amz-d")
    client = bucket.client(V3_AES)
    for equal_bytes in (0, 1, 27):
        wrong = whole[:equal_bytes] + bytes(value ^ 0xFF for value in whole[equal_bytes:])
        bucket.put_changed(stored, "x-amz-d", to_base64(wrong))
        bucket.refused(client, KeyCommitmentError)
        assert (whole, wrong) in compared
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: True)
    assert bucket.read(client) == MARKER


READABLE = {
    FORBID: {"V1", "V2-CBC", "V2-GCM", "V3"},
    ALLOW: {"V1", "V2-CBC", "V2-GCM", "V3"},
    REQUIRE: {"V3"},
}
STORED_KINDS = {"V1": V1_AES, "V2-CBC": V2_AES_CBC, "V2-GCM": V2_AES, "V3": V3_AES}
policies = pytest.mark.parametrize("policy", CommitmentPolicy, ids=lambda policy: policy.name)


@pytest.mark.parametrize("format", STORED_KINDS)
@policies
def test_kc_11_policy_decides_what_is_read(policy: CommitmentPolicy, format: str, bucket: Bucket) -> None:
    """With all switches on, the policy alone decides: only the strictest one refuses what does not commit."""
    kind = STORED_KINDS[format]
    bucket.write(kind)
    client = bucket.client(
        kind,
        commitment_policy=policy,
        enable_legacy_wrapping_algorithms=True,
        enable_legacy_unauthenticated_modes=True,
    )
    if format in READABLE[policy]:
        assert bucket.read(client) == MARKER
    else:
        bucket.refused(client, PolicyError)


WRITERS: dict[str, dict[str, Any]] = {
    "V1": {"keyring": lambda: AesKeyring(AES_KEY, wrapping_algorithm="AES/ECB"), "enable_legacy_writes": True},
    "V2-CBC": {
        "keyring": lambda: AesKeyring(AES_KEY, wrapping_algorithm="AESWrap"),
        "enable_legacy_writes": True,
        "content_algorithm": "AES/CBC/PKCS5Padding",
    },
    "V2-GCM": {"keyring": lambda: AesKeyring(AES_KEY, wrapping_algorithm="AESWrap")},
    "newest": {"keyring": lambda: AesKeyring(AES_KEY)},
}


@pytest.mark.filterwarnings("ignore::s3_encryption.exceptions.LegacyWriteWarning")
@pytest.mark.parametrize("wanted", WRITERS)
@policies
def test_kc_11_policy_decides_what_is_written(policy: CommitmentPolicy, wanted: str, bucket: Bucket) -> None:
    """Without commitment V2, or what older readers need; with it V3, and a contradiction is refused at construction."""
    options = {**WRITERS[wanted], "keyring": WRITERS[wanted]["keyring"](), "commitment_policy": policy}
    if policy is not FORBID and wanted != "newest":
        bucket.refused_call(lambda: bucket.world.client(**options), ConfigurationError)
        return
    bucket.world.client(**options).put_object(**bucket.world.object_at(), Body=MARKER)
    fields = bucket.get().metadata
    marker = {"V1": "x-amz-key"}.get(wanted, "x-amz-key-v2") if policy is FORBID else "x-amz-3"
    assert marker in fields
    assert ("x-amz-d" in fields) == (policy is not FORBID)


def test_kc_04_commitment_in_the_file_is_not_looked_at(bucket: Bucket) -> None:
    """Who can only write the file can't bring a commitment to it."""
    ours, other = bucket.encoder.write(V3_AES, MARKER), bucket.encoder.write(V3_AES, MARKER)
    on_object, _ = instruction_file(ours)
    file = {**json.loads(instruction_file(other)[1]), "x-amz-d": other.metadata["x-amz-d"]}
    bucket.put_with_file(Stored(on_object, ours.body), file)
    bucket.refused(bucket.client(V3_AES), InvalidEnvelopeError)
