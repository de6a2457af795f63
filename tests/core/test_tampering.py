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
    ALL_KINDS,
    CBC_KINDS,
    GCM_KINDS,
    V1_AES,
    V2_AES_CBC,
    V2_KMS,
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
