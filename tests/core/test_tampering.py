"""What a bucket writer may do to an object, and how it must end: with the right error, before any plaintext is out.

Objects are written by an encoder that shares no code with the library. Ids are those of the project's list of security
cases.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from Crypto.Cipher import AES
from support import reference
from support.encoder import (
    AES_KEY,
    ALL_KINDS,
    CBC,
    CBC_KINDS,
    GCM,
    GCM_KINDS,
    V1_AES,
    V1_KINDS,
    V2_AES,
    V2_AES_CBC,
    V2_GCM_KINDS,
    V2_KMS,
    V3_AES,
    V3_KINDS,
    V3_KMS,
    Encoder,
    Kind,
    Stored,
    instruction_file,
    to_base64,
)
from support.reading import finish_at_once, in_pieces, read, read_with_file

from s3_encryption.algorithms import CommitmentPolicy
from s3_encryption.ciphers import ContentKey
from s3_encryption.engine import Engine
from s3_encryption.envelope import parse
from s3_encryption.exceptions import (
    DecryptionError,
    InvalidEnvelopeError,
    KeyCommitmentError,
    KeyringMismatchError,
    PolicyError,
    S3EncryptionClientSecurityError,
)

PLAINTEXT = bytes(range(61))
LEGACY: dict[str, Any] = {
    "enable_legacy_wrapping_algorithms": True,
    "enable_legacy_unauthenticated_modes": True,
}
POLICIES = tuple(CommitmentPolicy)

gcm_kinds = pytest.mark.parametrize("kind", GCM_KINDS, ids=str)
cbc_kinds = pytest.mark.parametrize("kind", CBC_KINDS, ids=str)
all_kinds = pytest.mark.parametrize("kind", ALL_KINDS, ids=str)


@pytest.fixture
def encoder() -> Encoder:
    """Return a writer of objects."""
    return Encoder()


def engine_for(encoder: Encoder, kind: Kind, **options: Any) -> Engine:
    """Return an engine with the keyring and the switches of a kind."""
    return Engine(keyring=encoder.keyring(kind), **{**kind.switches, **options})


def content_key(encoder: Encoder, kind: Kind, stored: Stored) -> ContentKey:
    """Return the content key of an object."""
    return engine_for(encoder, kind).open(parse(stored.metadata))


def refused_body(content_key: ContentKey, body: bytes) -> DecryptionError:
    """Return the error with which a body is refused; nothing of it may be released, in either way of reading it."""
    with pytest.raises(DecryptionError) as streamed:
        in_pieces(content_key.decryptor(release_unverified=True), body, 7)
    with pytest.raises(DecryptionError) as caught:
        finish_at_once(content_key.decryptor(), body)
    assert streamed.value.args == caught.value.args
    return caught.value


def flipped(data: bytes, bit: int) -> bytes:
    """Return the data with one bit flipped."""
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def fingerprint(error: BaseException) -> tuple[object, ...]:
    """Return all that tells one error from another."""
    return type(error), error.args, str(error), error.__cause__, error.__context__


UNIFORM = fingerprint(DecryptionError())


# --- downgrades -------------------------------------------------------------------------------------------------------


def relabelled_as_v2(stored: Stored, kind: Kind, content: str, iv: bytes) -> Stored:
    """Return a V3 object that pretends to be V2."""
    metadata = {
        "x-amz-key-v2": stored.metadata["x-amz-3"],
        "x-amz-iv": to_base64(iv),
        "x-amz-matdesc": stored.metadata[kind.description_field],
        "x-amz-wrap-alg": kind.wrap,
        "x-amz-cek-alg": content,
    }
    return Stored(metadata, stored.body)


@pytest.mark.parametrize("kind", V3_KINDS, ids=str)
@pytest.mark.parametrize("options", [{}, LEGACY], ids=["default", "legacy"])
def test_v3_object_can_not_pass_for_v2(kind: Kind, options: dict[str, Any], encoder: Encoder) -> None:
    """DG-01, DG-02: the data key is bound to V3: neither GCM nor CBC of V2 can be made of it, and KMS is not asked."""
    stored = encoder.write(kind, PLAINTEXT)
    expected = InvalidEnvelopeError if kind.key_type == "kms" else DecryptionError
    with pytest.raises(expected):
        read(engine_for(encoder, kind, **options), relabelled_as_v2(stored, kind, GCM, b"\x01" * 12))
    with pytest.raises(expected if options else PolicyError):
        read(engine_for(encoder, kind, **options), relabelled_as_v2(stored, kind, CBC, bytes(16)))
    assert encoder.kms.calls == []


@pytest.mark.parametrize("kind", V2_GCM_KINDS, ids=str)
def test_v2_object_is_refused_by_the_strictest_policy(kind: Kind, encoder: Encoder) -> None:
    """DG-04: without key commitment the strictest policy refuses before KMS."""
    policy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    engine = Engine(keyring=encoder.keyring(kind), commitment_policy=policy, **LEGACY)
    with pytest.raises(PolicyError, match="REQUIRE_ENCRYPT_ALLOW_DECRYPT"):
        read(engine, encoder.write(kind, PLAINTEXT))
    assert encoder.kms.calls == []


def forged_as_cbc(stored: Stored, guess: bytes) -> Stored:
    """Return the object by which CVE-2020-8912 asks whether its first block of plaintext is the guess.

    CBC decryption of a keystream block under the counter block as IV, both computable by whoever knows the plaintext,
    gives chosen padding.
    """
    counter = stored.decoded("x-amz-iv") + b"\0\0\0\2"
    body = bytes(a ^ b for a, b in zip(stored.body[:16], guess, strict=True))
    iv = bytes(a ^ 0x10 for a in counter)
    metadata = {**stored.metadata, "x-amz-cek-alg": CBC, "x-amz-iv": to_base64(iv)}
    del metadata["x-amz-tag-len"]
    return Stored(metadata, body)


@pytest.mark.parametrize("kind", [V2_KMS, V2_AES, V2_GCM_KINDS[4]], ids=str)
@pytest.mark.parametrize("options", [{}, LEGACY], ids=["default", "legacy"])
def test_gcm_object_can_not_pass_for_cbc(kind: Kind, options: dict[str, Any], encoder: Encoder) -> None:
    """DG-05, DG-07: right and wrong guesses of the CVE-2020-8912 attack look alike, and KMS is not asked."""
    stored = encoder.write(kind, PLAINTEXT)
    expected = (InvalidEnvelopeError if kind.key_type == "kms" else DecryptionError) if options else PolicyError
    refusals = []
    for guess in (PLAINTEXT[:16], bytes(16), PLAINTEXT[16:32]):
        with pytest.raises(expected) as caught:
            read(engine_for(encoder, kind, **options), forged_as_cbc(stored, guess))
        refusals.append(fingerprint(caught.value))
    assert len(set(refusals)) == 1
    assert encoder.kms.calls == []


def test_forgery_for_cbc_works_where_the_data_key_is_not_bound(encoder: Encoder) -> None:
    """The attack above is real: kms does not bind, so with both legacy switches on a right guess is told from others.

    A documented limit, and the reason why the switches are two and off.
    """
    kind = Kind("V2", "kms", GCM)
    stored = encoder.write(kind, PLAINTEXT)
    assert read(engine_for(encoder, kind, **LEGACY), forged_as_cbc(stored, PLAINTEXT[:16])) == b""
    with pytest.raises(DecryptionError):
        read(engine_for(encoder, kind, **LEGACY), forged_as_cbc(stored, PLAINTEXT[16:32]))
    with pytest.raises(PolicyError):
        read(engine_for(encoder, kind), forged_as_cbc(stored, PLAINTEXT[:16]))


@pytest.mark.parametrize("name", [CBC, "AES/CBC/PKCS7Padding", "AES/CTR/NoPadding", "115", "", "null"])
@pytest.mark.parametrize("kind", [V2_KMS, V2_AES, V2_GCM_KINDS[4]], ids=str)
def test_gcm_object_with_another_content_algorithm_is_refused(kind: Kind, name: str, encoder: Encoder) -> None:
    """DG-08, DG-10: no other name of a content algorithm passes, whatever the switches, and KMS is not asked."""
    stored = encoder.write(kind, PLAINTEXT).changed("x-amz-cek-alg", name).changed("x-amz-tag-len", None)
    for iv in (stored.metadata["x-amz-iv"], to_base64(bytes(16))):
        with pytest.raises(S3EncryptionClientSecurityError):
            read(engine_for(encoder, kind, **LEGACY), stored.changed("x-amz-iv", iv))
        with pytest.raises((InvalidEnvelopeError, PolicyError)):
            read(engine_for(encoder, kind), stored.changed("x-amz-iv", iv))
    assert encoder.kms.calls == []


SPOOFED = {"x-amz-c": "115", "x-amz-w": "02", "x-amz-d": to_base64(bytes(28)), "x-amz-i": to_base64(bytes([1] * 28))}


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("names", [{"x-amz-c"}, {"x-amz-c", "x-amz-w"}, set(SPOOFED)], ids=sorted)
def test_v3_fields_do_not_turn_v2_into_v3(names: set[str], policy: CommitmentPolicy, encoder: Encoder) -> None:
    """DG-11: fields that make a V2 object look committed to its key get it refused by every policy, without KMS."""
    stored = encoder.write(V2_KMS, PLAINTEXT)
    spoofed = Stored({**stored.metadata, **{name: SPOOFED[name] for name in names}}, stored.body)
    with pytest.raises(InvalidEnvelopeError):
        read(engine_for(encoder, V2_KMS, commitment_policy=policy), spoofed)
    assert encoder.kms.calls == []


@pytest.mark.parametrize("kind", V3_KINDS, ids=str)
@pytest.mark.parametrize("text", ["garbage", "AES/GCM/NoPadding", "{}", "128"])
def test_v2_fields_do_not_turn_v3_into_v2(kind: Kind, text: str, encoder: Encoder) -> None:
    """DG-13: fields of other formats on a V3 object get it refused; the marker of instruction files means nothing."""
    stored = encoder.write(kind, PLAINTEXT)
    for name in ("x-amz-cek-alg", "x-amz-iv", "x-amz-matdesc", "x-amz-tag-len", "x-amz-wrap-alg", "x-amz-key"):
        with pytest.raises(InvalidEnvelopeError):
            read(engine_for(encoder, kind), stored.changed(name, text))
    assert read(engine_for(encoder, kind), stored.changed("x-amz-crypto-instr-file", text)) == PLAINTEXT


@pytest.mark.parametrize("kind", V1_KINDS, ids=str)
@pytest.mark.parametrize("name", [GCM, CBC])
def test_v1_object_states_no_content_algorithm(kind: Kind, name: str, encoder: Encoder) -> None:
    """DG-14: V1 has no such field, and an object that has it contradicts itself."""
    with pytest.raises(InvalidEnvelopeError):
        read(engine_for(encoder, kind), encoder.write(kind, PLAINTEXT).changed("x-amz-cek-alg", name))


@pytest.mark.parametrize("kind", CBC_KINDS, ids=str)
@pytest.mark.parametrize("missing", [["wrapping"], ["unauthenticated"], ["wrapping", "unauthenticated"]], ids=str)
def test_cbc_object_needs_both_switches(kind: Kind, missing: list[str], encoder: Encoder) -> None:
    """DG-16, CB-01, RS-01: with one of the switches off the object is refused; the message names those off."""
    on = {name: value for name, value in LEGACY.items() if not any(word in name for word in missing)}
    with pytest.raises(PolicyError) as caught:
        read(Engine(keyring=encoder.keyring(kind), **on), encoder.write(kind, PLAINTEXT))
    for name in LEGACY:
        assert (f"{name}=True" in str(caught.value)) == (name not in on)
    assert encoder.kms.calls == []


@pytest.mark.parametrize("kind", [kind for kind in V2_GCM_KINDS if kind.switches], ids=str)
def test_legacy_wrap_of_gcm_needs_its_switch(kind: Kind, encoder: Encoder) -> None:
    """DG-17: old wraps of authenticated content are refused by default, before KMS, and need one switch only."""
    stored = encoder.write(kind, PLAINTEXT)
    with pytest.raises(PolicyError, match="enable_legacy_wrapping_algorithms=True"):
        read(Engine(keyring=encoder.keyring(kind), enable_legacy_unauthenticated_modes=True), stored)
    assert encoder.kms.calls == []
    assert read(Engine(keyring=encoder.keyring(kind), enable_legacy_wrapping_algorithms=True), stored) == PLAINTEXT


# --- wrapping algorithms ----------------------------------------------------------------------------------------------

WRAPS = [kind.wrap for kind in V2_GCM_KINDS]
RELABELLED = [(kind, wrap) for kind in V2_GCM_KINDS for wrap in [*WRAPS, None] if wrap != kind.wrap]


@pytest.mark.parametrize("options", [{}, LEGACY], ids=["default", "legacy"])
@pytest.mark.parametrize(("kind", "wrap"), RELABELLED, ids=str)
def test_relabelled_wrapping_algorithm_is_refused(
    kind: Kind, wrap: str | None, options: dict[str, Any], encoder: Encoder
) -> None:
    """WR-01, WR-02, WR-04, WR-05, MD-08: no wrap passes for another one, with and without the legacy switches."""
    stored = encoder.write(kind, PLAINTEXT, description={"p": "alpha"} if kind.wrap == "kms+context" else None)
    relabelled = stored.changed("x-amz-wrap-alg", wrap)
    engine = Engine(keyring=encoder.keyring(kind), **options)
    refusals = (InvalidEnvelopeError, PolicyError, DecryptionError, KeyringMismatchError)
    for context in (None, {"p": "alpha"}) if kind.wrap == "kms+context" else (None,):
        with pytest.raises(refusals):
            read(engine, relabelled, context)
    assert encoder.kms.calls == []


@pytest.mark.parametrize("code", ["12", "02", "22"])
@pytest.mark.parametrize("kind", V3_KINDS, ids=str)
def test_relabelled_wrapping_algorithm_of_v3_is_refused(kind: Kind, code: str, encoder: Encoder) -> None:
    """MD-08, WR-07: another code of V3 is another kind of key, which the keyring is not."""
    stored = encoder.write(kind, PLAINTEXT)
    if stored.metadata["x-amz-w"] == code:
        assert read(engine_for(encoder, kind), stored) == PLAINTEXT
        return
    used = "x-amz-t" if code == "12" else "x-amz-m"
    description = stored.metadata[kind.description_field]
    moved = stored.changed(kind.description_field, None).changed(used, description).changed("x-amz-w", code)
    with pytest.raises(KeyringMismatchError):
        read(engine_for(encoder, kind), moved)
    assert encoder.kms.calls == []


@pytest.mark.parametrize("keyring_kind", [V2_KMS, V2_AES, V2_GCM_KINDS[4]], ids=lambda kind: kind.key_type)
@all_kinds
def test_keyring_of_another_kind_is_told(kind: Kind, keyring_kind: Kind, encoder: Encoder) -> None:
    """WR-07: an object for another kind of keyring is refused before any key is used; the message names both."""
    if kind.key_type == keyring_kind.key_type:
        assert read(engine_for(encoder, kind), encoder.write(kind, PLAINTEXT)) == PLAINTEXT
        return
    keyring = encoder.keyring(keyring_kind)
    with pytest.raises(KeyringMismatchError) as caught:
        read(Engine(keyring=keyring, **LEGACY), encoder.write(kind, PLAINTEXT))
    assert kind.wrap in str(caught.value)
    assert type(keyring).__name__ in str(caught.value)
    assert encoder.kms.calls == []


def refused_data_key(encoder: Encoder, kind: Kind, stored: Stored, edk: bytes) -> tuple[object, ...]:
    """Return the fingerprint of the error with which an encrypted data key ends."""
    with pytest.raises(DecryptionError) as caught:
        read(engine_for(encoder, kind), stored.changed(kind.fields["edk"], to_base64(edk)))
    return fingerprint(caught.value)


@pytest.mark.parametrize("kind", [V2_AES, V3_AES, V2_GCM_KINDS[3]], ids=str)
def test_every_flipped_bit_of_an_aes_wrap_is_noticed(kind: Kind, encoder: Encoder) -> None:
    """WR-08, WR-10: nonce, ciphertext, tag and integrity value: each bit counts, and each failure looks the same."""
    stored = encoder.write(kind, PLAINTEXT)
    edk = stored.decoded(kind.fields["edk"])
    for bit in range(len(edk) * 8):
        assert refused_data_key(encoder, kind, stored, flipped(edk, bit)) == UNIFORM


@pytest.mark.parametrize("kind", [V2_AES, V3_AES, V2_GCM_KINDS[3]], ids=str)
def test_aes_wrap_of_another_length_is_refused(kind: Kind, encoder: Encoder) -> None:
    """WR-08, WR-10: an encrypted data key cut to any length, or longer, ends in the same error."""
    stored = encoder.write(kind, PLAINTEXT)
    edk = stored.decoded(kind.fields["edk"])
    for length in range(1, len(edk)):
        assert refused_data_key(encoder, kind, stored, edk[:length]) == UNIFORM
    for more in (b"\0", bytes(8), bytes(16), edk):
        assert refused_data_key(encoder, kind, stored, edk + more) == UNIFORM


def test_aes_ecb_wrap_ends_in_the_uniform_error(encoder: Encoder) -> None:
    """WR-11: wrong padding, wrong lengths and the blocks of another object's data key end like a wrong content key."""
    ours, other = encoder.write(V1_AES, PLAINTEXT), encoder.write(V1_AES, PLAINTEXT)
    mine, theirs = (stored.decoded("x-amz-key") for stored in (ours, other))
    bad_padding = bytes(AES.new(AES_KEY, AES.MODE_ECB).encrypt(bytes(32) + bytes(15) + b"\x11"))
    no_padding = bytes(AES.new(AES_KEY, AES.MODE_ECB).encrypt(bytes(48)))
    for edk in (mine[:15], mine[:17], mine[:33], mine[:32], mine[:47], bad_padding, no_padding):
        assert refused_data_key(encoder, V1_AES, ours, edk) == UNIFORM
    for edk in (theirs, mine[:16] + theirs[16:], theirs[:16] + mine[16:], mine[16:32] + mine[:16] + mine[32:]):
        assert refused_data_key(encoder, V1_AES, ours, edk) == UNIFORM


# --- commitment -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", V3_KINDS, ids=str)
def test_every_flipped_bit_of_the_commitment_is_noticed(kind: Kind, encoder: Encoder) -> None:
    """KC-01: a wrong commitment is refused before the body is read, in an error of its own class and the usual text."""
    stored = encoder.write(kind, PLAINTEXT)
    bits = range(28 * 8) if kind.key_type != "rsa" else range(0, 28 * 8, 28)
    for bit in bits:
        changed = stored.changed("x-amz-d", to_base64(flipped(stored.decoded("x-amz-d"), bit)))
        with pytest.raises(KeyCommitmentError) as caught:
            engine_for(encoder, kind).open(parse(changed.metadata))
        assert fingerprint(caught.value)[1:] == UNIFORM[1:]


@pytest.mark.parametrize("kind", V3_KINDS, ids=str)
def test_message_id_of_another_object_breaks_the_commitment(kind: Kind, encoder: Encoder) -> None:
    """KC-02, SW-02: the commitment is to data key and message id together."""
    ours, other = encoder.write(kind, PLAINTEXT), encoder.write(kind, PLAINTEXT)
    with pytest.raises(KeyCommitmentError):
        read(engine_for(encoder, kind), ours.changed("x-amz-i", other.metadata["x-amz-i"]))
    with pytest.raises(KeyCommitmentError):
        read(engine_for(encoder, kind), ours.changed("x-amz-3", other.metadata["x-amz-3"]))


@pytest.mark.parametrize("kind", V3_KINDS, ids=str)
def test_data_key_in_the_instruction_file_is_held_to_the_commitment(kind: Kind, encoder: Encoder) -> None:
    """KC-04: the object commits, so a file with another data key is refused."""
    ours, other = encoder.write(kind, PLAINTEXT), encoder.write(kind, PLAINTEXT)
    with_object, file = instruction_file(ours)
    assert read_with_file(engine_for(encoder, kind), with_object, file, ours.body) == PLAINTEXT
    with pytest.raises(KeyCommitmentError):
        read_with_file(engine_for(encoder, kind), with_object, instruction_file(other)[1], ours.body)


@pytest.mark.parametrize("kind", V3_KINDS, ids=str)
def test_right_commitment_does_not_replace_the_tag(kind: Kind, encoder: Encoder) -> None:
    """KC-08: another body under the committed key still needs its tag."""
    stored = encoder.write(kind, PLAINTEXT)
    refused_body(content_key(encoder, kind, stored), bytes(len(stored.body)))


# --- instruction files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_instruction_file_can_not_weaken_a_v3_object(policy: CommitmentPolicy, encoder: Encoder) -> None:
    """IF-04, IF-05: no policy asks KMS about a file that brings its own commitment or a V2 envelope."""
    stored = encoder.write(V3_KMS, PLAINTEXT)
    with_object, _ = instruction_file(stored)
    engine = engine_for(encoder, V3_KMS, commitment_policy=policy)
    whole_envelope = json.dumps(dict(stored.metadata)).encode()
    for file in (instruction_file(encoder.write(V2_KMS, PLAINTEXT))[1], whole_envelope):
        with pytest.raises(InvalidEnvelopeError):
            read_with_file(engine, with_object, file, stored.body)
    with pytest.raises(InvalidEnvelopeError):
        read_with_file(engine, {}, whole_envelope, stored.body)
    assert encoder.kms.calls == []


# --- CBC --------------------------------------------------------------------------------------------------------------


def cbc_answer(key: ContentKey, body: bytes) -> object:
    """Return the plaintext that a CBC body gives, or the fingerprint of its error."""
    try:
        return finish_at_once(key.decryptor(), body)
    except DecryptionError as error:
        return fingerprint(error)


def right_cbc_answer(key: ContentKey, body: bytes) -> object:
    """Return what the answer must be: every byte of the padding is checked."""
    padded = AES.new(key.key, AES.MODE_CBC, iv=key.iv).decrypt(body)
    unpadded = padded[: -padded[-1]] if 1 <= padded[-1] <= 16 else b""
    return unpadded if reference.pkcs7_pad(unpadded) == padded else UNIFORM


@pytest.mark.parametrize("kind", [V1_AES, V2_AES_CBC], ids=str)
def test_cb_02_wrong_padding_has_one_error(kind: Kind, encoder: Encoder) -> None:
    """CB-02: all 256 values of each byte that decides on the padding: data where it happens to fit, else one error."""
    stored = encoder.write(kind, PLAINTEXT)
    key = content_key(encoder, kind, stored)
    refused = 0
    for position in range(len(stored.body) - 19, len(stored.body)):
        for value in range(256):
            body = stored.body[:position] + bytes([value]) + stored.body[position + 1 :]
            answer = cbc_answer(key, body)
            assert answer == right_cbc_answer(key, body)
            refused += answer == UNIFORM
    assert refused > 18 * 250


@pytest.mark.parametrize("kind", [V1_AES, V2_AES_CBC], ids=str)
def test_cb_04_cbc_body_of_a_wrong_length_has_the_same_error(kind: Kind, encoder: Encoder) -> None:
    """CB-04: no body, parts of blocks: the same error as wrong padding."""
    stored = encoder.write(kind, PLAINTEXT)
    for length in (0, 1, 15, 17, 31, 33, 47, 63):
        assert cbc_answer(content_key(encoder, kind, stored), stored.body[:length]) == UNIFORM
