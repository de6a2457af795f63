"""Objects that pretend to be of an older format, or of an algorithm that protects less."""

from __future__ import annotations

from typing import Any

import pytest
from support.encoder import (
    CBC,
    CBC_KINDS,
    GCM,
    V1_KINDS,
    V2_AES,
    V2_GCM_KINDS,
    V2_KMS,
    V3_KINDS,
    Kind,
    Stored,
    to_base64,
)

from s3_encryption._crypto.content import CommitmentPolicy
from s3_encryption.exceptions import (
    DecryptionError,
    InvalidEnvelopeError,
    PolicyError,
    S3EncryptionClientSecurityError,
)

from . import counts
from .bucket import Bucket, fingerprint
from .witness import MARKER

LEGACY: dict[str, Any] = {
    "enable_legacy_wrapping_algorithms": True,
    "enable_legacy_unauthenticated_modes": True,
}
STRICTEST = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
BINDING_KINDS = (V2_KMS, V2_AES, V2_GCM_KINDS[4])

switches = pytest.mark.parametrize("options", [{}, LEGACY], ids=["default", "legacy"])
policies = pytest.mark.parametrize("policy", CommitmentPolicy, ids=lambda policy: policy.name)
binding_kinds = pytest.mark.parametrize("kind", BINDING_KINDS, ids=str)
v3_kinds = pytest.mark.parametrize("kind", V3_KINDS, ids=str)


def relabelled_as_v2(stored: Stored, kind: Kind, content: str, iv: bytes) -> Stored:
    """Return a V3 object that pretends to be V2."""
    counts.tried(counts.METADATA_MUTATIONS)
    metadata = {
        "x-amz-key-v2": stored.metadata["x-amz-3"],
        "x-amz-iv": to_base64(iv),
        "x-amz-matdesc": stored.metadata[kind.description_field],
        "x-amz-wrap-alg": kind.wrap,
        "x-amz-cek-alg": content,
    }
    return Stored(metadata, stored.body)


@switches
@v3_kinds
def test_dg_01_v3_object_does_not_pass_for_v2_gcm(kind: Kind, options: dict[str, Any], bucket: Bucket) -> None:
    """The data key is bound to V3, in the context or in the wrap itself; the strictest policy does not look at it."""
    bucket.put(relabelled_as_v2(bucket.encoder.write(kind, MARKER), kind, GCM, b"\x01" * 12))
    expected = InvalidEnvelopeError if kind.key_type == "kms" else DecryptionError
    bucket.refused(bucket.client(kind, **options), expected)
    bucket.refused(bucket.client(kind, commitment_policy=STRICTEST, **options), PolicyError)


@switches
@v3_kinds
def test_dg_02_v3_object_does_not_pass_for_cbc(kind: Kind, options: dict[str, Any], bucket: Bucket) -> None:
    """Nor does CBC come of it, whatever the switches, with a body of whole blocks and a chosen IV."""
    stored = bucket.encoder.write(kind, MARKER)
    whole_blocks = Stored(stored.metadata, stored.body[:64])
    bucket.put(relabelled_as_v2(whole_blocks, kind, CBC, bytes(16)))
    bound = InvalidEnvelopeError if kind.key_type == "kms" else DecryptionError
    bucket.refused(bucket.client(kind, **options), bound if options else PolicyError)
    bucket.refused(bucket.client(kind, commitment_policy=STRICTEST, **options), PolicyError)


@pytest.mark.parametrize("kind", V2_GCM_KINDS, ids=str)
def test_dg_04_v2_object_is_refused_by_the_strictest_policy_unread(kind: Kind, bucket: Bucket) -> None:
    """The default policy reads V2, because all deployed writers write it; the strictest one refuses before KMS, and the
    body is not read.
    """
    bucket.write(kind)
    assert bucket.read(bucket.client(kind)) == MARKER
    strict = bucket.client(kind, commitment_policy=STRICTEST, **LEGACY)
    error = bucket.refused_call(lambda: strict.get_object(**bucket.world.object_at()), PolicyError)
    assert "REQUIRE_ENCRYPT_ALLOW_DECRYPT" in str(error)


def forged_as_cbc(stored: Stored, guess: bytes, padding: int = 0x10) -> Stored:
    """Return the object by which CVE-2020-8912 asks whether its first block of plaintext is the guess.

    CBC decryption of a keystream block under the counter block as IV, both computable by whoever knows the plaintext,
    gives chosen padding.
    """
    counts.tried(counts.METADATA_MUTATIONS)
    counter = stored.decoded("x-amz-iv") + b"\0\0\0\2"
    body = bytes(a ^ b for a, b in zip(stored.body[:16], guess, strict=True))
    iv = bytes(a ^ padding for a in counter)
    metadata = {**stored.metadata, "x-amz-cek-alg": CBC, "x-amz-iv": to_base64(iv)}
    del metadata["x-amz-tag-len"]
    return Stored(metadata, body)


@switches
@binding_kinds
def test_dg_05_dg_07_guess_at_plaintext_is_answered_by_one_error(
    kind: Kind, options: dict[str, Any], bucket: Bucket
) -> None:
    """Right and wrong guesses, with right and wrong padding, look alike: the wrap is bound to GCM, KMS is not asked."""
    stored = bucket.encoder.write(kind, MARKER)
    expected = (InvalidEnvelopeError if kind.key_type == "kms" else DecryptionError) if options else PolicyError
    client = bucket.client(kind, **options)
    refusals = set()
    for guess in (MARKER[:16], bytes(16), MARKER[16:32]):
        for padding in (0x10, 0x11):
            bucket.put(forged_as_cbc(stored, guess, padding))
            refusals.add(fingerprint(bucket.refused(client, expected)))
    assert len(refusals) == 1


def test_dg_05_forgery_works_where_the_data_key_is_not_bound(bucket: Bucket) -> None:
    """A documented limit: kms does not bind, so with both switches on a right guess is told from others. This is why
    the switches are two, and off; it shows that the forgeries of the tests above are real ones.
    """
    kind = Kind("V2", "kms", GCM)
    stored = bucket.encoder.write(kind, MARKER)
    legacy, switched = bucket.client(kind, **LEGACY), bucket.client(kind)
    bucket.put(forged_as_cbc(stored, MARKER[:16]))
    assert bucket.read(legacy) == b""
    bucket.refused(switched, PolicyError)
    bucket.put(forged_as_cbc(stored, MARKER[16:32]))
    bucket.refused(legacy, DecryptionError, kms_calls=1)


OTHER_NAMES = (
    CBC,
    "AES/CBC/PKCS7Padding",
    "AES/CTR/NoPadding",
    "AES/CTR",
    "AES/ECB/PKCS5Padding",
    "ChaCha20",
    "aes/gcm/nopadding",
    "115",
    "",
    "null",
)


@pytest.mark.parametrize("name", OTHER_NAMES)
@binding_kinds
def test_dg_08_dg_10_other_content_algorithm_is_refused_without_kms(kind: Kind, name: str, bucket: Bucket) -> None:
    """No other name passes, whatever the switches and the IV; "115" does not make a committing object of it either."""
    stored = bucket.encoder.write(kind, MARKER).changed("x-amz-cek-alg", name).changed("x-amz-tag-len", None)
    for iv in (stored.metadata["x-amz-iv"], to_base64(bytes(range(16)))):
        bucket.put_changed(stored, "x-amz-iv", iv)
        bucket.refused(bucket.client(kind, **LEGACY), S3EncryptionClientSecurityError)
        bucket.refused(bucket.client(kind), (InvalidEnvelopeError, PolicyError))
        bucket.refused(bucket.client(kind, commitment_policy=STRICTEST), (InvalidEnvelopeError, PolicyError))


SPOOFED = {
    "x-amz-c": "115",
    "x-amz-w": "12",
    "x-amz-d": to_base64(bytes(28)),
    "x-amz-i": to_base64(bytes([1] * 28)),
    "x-amz-m": "{}",
    "x-amz-t": "{}",
    "x-amz-3": to_base64(bytes(60)),
}


@policies
@binding_kinds
def test_dg_11_v3_fields_do_not_turn_v2_into_v3(kind: Kind, policy: CommitmentPolicy, bucket: Bucket) -> None:
    """Any field of V3 on a V2 object gets it refused, by every policy, before KMS: each alone, some, all."""
    stored = bucket.encoder.write(kind, MARKER)
    client = bucket.client(kind, commitment_policy=policy)
    for names in (
        {"x-amz-c", "x-amz-w"},
        {"x-amz-c", "x-amz-d", "x-amz-i"},
        set(SPOOFED),
        *({name} for name in SPOOFED),
    ):
        counts.tried(counts.METADATA_MUTATIONS)
        bucket.put(Stored({**stored.metadata, **{name: SPOOFED[name] for name in names}}, stored.body))
        bucket.refused(client, InvalidEnvelopeError)


@pytest.mark.parametrize("text", ["garbage", GCM, "{}", "128", to_base64(bytes(range(12)))])
@v3_kinds
def test_dg_13_v2_fields_do_not_turn_v3_into_v2(kind: Kind, text: str, bucket: Bucket) -> None:
    """Fields of other formats get a V3 object refused, whatever is in them; the marker of files means nothing."""
    stored = bucket.encoder.write(kind, MARKER)
    client = bucket.client(kind)
    for name in ("x-amz-cek-alg", "x-amz-iv", "x-amz-matdesc", "x-amz-tag-len", "x-amz-wrap-alg", "x-amz-key"):
        bucket.put_changed(stored, name, text)
        bucket.refused(client, InvalidEnvelopeError)
    bucket.put_changed(stored, "x-amz-crypto-instr-file", text)
    assert bucket.read(client) == MARKER


@pytest.mark.parametrize("name", [GCM, CBC, "115"])
@pytest.mark.parametrize("kind", V1_KINDS, ids=str)
def test_dg_14_v1_object_states_no_content_algorithm(kind: Kind, name: str, bucket: Bucket) -> None:
    """V1 has no such field: an object that has it contradicts itself."""
    bucket.put_changed(bucket.encoder.write(kind, MARKER), "x-amz-cek-alg", name)
    bucket.refused(bucket.client(kind), InvalidEnvelopeError)


@pytest.mark.parametrize("missing", [["wrapping"], ["unauthenticated"], ["wrapping", "unauthenticated"]], ids=str)
@pytest.mark.parametrize("kind", CBC_KINDS, ids=str)
def test_dg_16_cbc_object_needs_both_switches(kind: Kind, missing: list[str], bucket: Bucket) -> None:
    """With one of them off the object is refused before any key is used; the message names those that are off."""
    bucket.write(kind)
    on = {name: not any(word in name for word in missing) for name in LEGACY}
    error = bucket.refused(bucket.client(kind, **on), PolicyError)
    assert {name: f"{name}=True" in str(error) for name in LEGACY} == {name: not is_on for name, is_on in on.items()}
    assert bucket.read(bucket.client(kind, **LEGACY)) == MARKER


@pytest.mark.parametrize("kind", [kind for kind in V2_GCM_KINDS if kind.switches], ids=str)
def test_dg_17_old_wrap_of_gcm_needs_one_switch(kind: Kind, bucket: Bucket) -> None:
    """What other writers left behind, Amazon SES among them, is refused before KMS, and read behind its one switch."""
    bucket.write(kind)
    off = {"enable_legacy_wrapping_algorithms": False, "enable_legacy_unauthenticated_modes": True}
    error = bucket.refused(bucket.client(kind, **off), PolicyError)
    assert "enable_legacy_wrapping_algorithms=True" in str(error)
    assert bucket.read(bucket.client(kind)) == MARKER


def test_dg_17_object_of_amazon_ses_is_read(bucket: Bucket) -> None:
    """Its context has entries that no caller can know, and no content algorithm: KMS compares them."""
    kind = Kind("V2", "kms", GCM)
    ses = {"aws:ses:message-id": "0102", "aws:ses:rule-name": "rule", "aws:ses:source-account": "111122223333"}
    bucket.write(kind, description=ses)
    assert bucket.read(bucket.client(kind)) == MARKER
    bucket.refused(bucket.client(kind, enable_legacy_wrapping_algorithms=False), PolicyError)
