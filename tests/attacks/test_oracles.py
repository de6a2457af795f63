"""Oracles: what an attacker learns by changing CBC content, or a data key under RSA, again and again. It is nothing.

Wrong padding, a wrong length, a wrong key: all end in one error, of one text, without cause or context. Time is not
measured here: that the same operations run for all of them is what these tests see (CB-10, RS-04).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from Crypto.Cipher import AES
from Crypto.PublicKey.RSA import RsaKey
from support import reference
from support.encoder import (
    CBC,
    RSA_KEY,
    V1_AES,
    V1_KINDS,
    V2_AES_CBC,
    V2_GCM_KINDS,
    V3_KINDS,
    Encoder,
    Kind,
    Stored,
    instruction_file,
    to_base64,
)
from support.known_answers import wycheproof
from support.reading import finish_at_once, read, read_body
from support.sealers import sealer_with
from support.ways_to_read import MODES, VERIFIED_MODES

from s3_encryption._crypto import contexts as ciphers
from s3_encryption._crypto.content import CommitmentPolicy, ContentKey
from s3_encryption._envelope.formats import parse
from s3_encryption._envelope.instruction_file import merge
from s3_encryption._keys.raw import RsaKeyring
from s3_encryption._sealer import ObjectSealer
from s3_encryption.exceptions import DecryptionError, PolicyError

from .bucket import Bucket, fingerprint, flipped
from .witness import MARKER

PLAINTEXT = MARKER
UNIFORM = fingerprint(DecryptionError())

cbc_kinds = pytest.mark.parametrize("kind", [V1_AES, V2_AES_CBC], ids=str)


@pytest.fixture
def encoder(bucket: Bucket) -> Encoder:
    """Return a writer of objects."""
    return bucket.encoder


def engine_for(encoder: Encoder, kind: Kind, **options: Any) -> ObjectSealer:
    """Return an sealer with the keyring and the switches of a kind."""
    return sealer_with(keyring=encoder.keyring(kind), **{**kind.switches, **options})


def content_key(encoder: Encoder, kind: Kind, stored: Stored) -> ContentKey:
    """Return the content key of an object."""
    return engine_for(encoder, kind).open(parse(stored.metadata))


def refused_data_key(encoder: Encoder, kind: Kind, stored: Stored, edk: bytes) -> tuple[object, ...]:
    """Return the fingerprint of the error that another encrypted data key leads to."""
    with pytest.raises(DecryptionError) as caught:
        read(engine_for(encoder, kind), stored.changed(kind.fields["edk"], to_base64(edk)))
    return fingerprint(caught.value)


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


@cbc_kinds
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


@cbc_kinds
def test_cb_04_cbc_body_of_a_wrong_length_has_the_same_error(kind: Kind, encoder: Encoder) -> None:
    """CB-04: no body, parts of blocks: the same error as wrong padding."""
    stored = encoder.write(kind, PLAINTEXT)
    for length in (0, 1, 15, 17, 31, 33, 47, 63):
        assert cbc_answer(content_key(encoder, kind, stored), stored.body[:length]) == UNIFORM


@cbc_kinds
@pytest.mark.parametrize(
    "ending",
    [b"\0" * 16, b"\x11" * 16, b"\xff" * 16, b"x" * 15 + b"\0", b"x" * 13 + b"\x02\x03\x03", b"\x01" + b"\x10" * 15],
    ids=bytes.hex,
)
def test_cb_05_padding_is_checked_to_the_last_byte(kind: Kind, ending: bytes, encoder: Encoder) -> None:
    """CB-05: zero, more than a block, or bytes that disagree are no padding."""
    data_key, iv = bytes(range(32)), bytes(range(16))
    stored = encoder.write(kind, b"", data_key=data_key, iv=iv)
    body = reference.cbc_encrypt_blocks(data_key, iv, bytes(32) + ending)
    assert cbc_answer(content_key(encoder, kind, stored), body) == UNIFORM


@cbc_kinds
def test_cb_05_whole_block_of_padding_is_right(kind: Kind, encoder: Encoder) -> None:
    """CB-05: a plaintext of whole blocks ends in a block of padding, and nothing of it comes out."""
    assert read(engine_for(encoder, kind), encoder.write(kind, bytes(32))) == bytes(32)


@cbc_kinds
def test_cb_07_cbc_body_cut_where_padding_fits_is_told_by_its_length(kind: Kind, encoder: Encoder) -> None:
    """CB-07: a documented limit of CBC: such a cut goes unnoticed, unless the writer noted the length."""
    stored = encoder.write(kind, bytes(15) + b"\x01" + bytes(16))
    cut = Stored(stored.metadata, stored.body[:16])
    assert read(engine_for(encoder, kind), cut) == bytes(15)
    with pytest.raises(DecryptionError):
        read(engine_for(encoder, kind), cut.changed("x-amz-unencrypted-content-length", "32"))


# --- RSA --------------------------------------------------------------------------------------------------------------

V1_RSA = V1_KINDS[1]
RSA_MODULUS = RSA_KEY.n.to_bytes(256, "big")
OAEP_KINDS = (V2_GCM_KINDS[4], V2_GCM_KINDS[5], V3_KINDS[2])


def count_private_operations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list to which each use of an RSA private key is added from now on."""
    operations: list[int] = []
    decrypt: Any = getattr(RsaKey, "_decrypt_to_bytes")  # noqa: B009

    def counted(key: RsaKey, number: int) -> Any:
        operations.append(number)
        return decrypt(key, number)

    monkeypatch.setattr(RsaKey, "_decrypt_to_bytes", counted)
    return operations


@pytest.mark.parametrize("policy", tuple(CommitmentPolicy), ids=lambda policy: policy.name)
@pytest.mark.parametrize("in_file", [False, True], ids=["metadata", "instruction file"])
def test_rs_01_pkcs1_object_is_refused_before_the_private_key_is_used(
    policy: CommitmentPolicy, in_file: bool, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RS-01: with the switches off, well-formed and malformed data keys give one error, and no RSA operation."""
    operations = count_private_operations(monkeypatch)
    sealer = sealer_with(keyring=RsaKeyring(RSA_KEY), commitment_policy=policy)
    refusals = set()
    data_key = bytes(range(32))
    for edk in (bytes(256), encoder.wrap(V1_RSA, data_key, {})):
        stored = encoder.write(V1_RSA, PLAINTEXT, edk=edk, data_key=data_key, iv=bytes(16))
        envelope = merge(*instruction_file(stored)) if in_file else parse(stored.metadata)
        with pytest.raises(PolicyError) as caught:
            read_body(sealer, envelope, stored.body)
        refusals.add(fingerprint(caught.value))
    assert len(refusals) == 1
    assert operations == []
    engine_for(encoder, V1_RSA).open(envelope)
    assert len(operations) == 1


def pkcs1_blocks() -> dict[str, bytes]:
    """Return RSA blocks of 256 bytes that PKCS#1 v1.5 does not allow, or that hold no data key of 32 bytes."""
    filler = b"\x5a" * 400
    blocks = {
        "block type 1": b"\0\x01" + filler[:221] + b"\0" + bytes(32),
        "block type 0": b"\0\0" + filler[:221] + b"\0" + bytes(32),
        "first byte": b"\x01\x02" + filler[:221] + b"\0" + bytes(32),
        "no separator": b"\0\x02" + filler[:254],
    }
    for position in range(9):
        blocks[f"separator at {position}"] = b"\0\x02" + filler[:position] + b"\0" + filler[: 253 - position]
    for length in (0, 15, 16, 24, 31, 33, 64):
        blocks[f"payload of {length}"] = b"\0\x02" + filler[: 253 - length] + b"\0" + b"\x5b" * length
    return blocks


@pytest.mark.parametrize("kind", [V1_RSA], ids=str)
def test_rs_02_wrong_pkcs1_padding_looks_like_a_wrong_content_key(kind: Kind, encoder: Encoder) -> None:
    """RS-02: every malformed block gets as far as a data key of the right length, and fails with the content only."""
    stored = encoder.write(kind, PLAINTEXT)
    sealer = engine_for(encoder, kind)
    blocks = {name: reference.rsa_encrypt_block(RSA_KEY, block) for name, block in pkcs1_blocks().items()}
    blocks |= {f"random {i}": bytes([i]) + encoder.random_bytes(255) for i in range(5)}
    for name, edk in blocks.items():
        changed = stored.changed(kind.fields["edk"], to_base64(edk))
        key = sealer.open(parse(changed.metadata))
        assert len(key.key) == 32, name
        with pytest.raises(DecryptionError) as caught:
            finish_at_once(key.decryptor(), stored.body)
        assert fingerprint(caught.value) == UNIFORM, name


def oaep_edks(kind: Kind, data_key: bytes) -> dict[str, bytes]:
    """Return encrypted data keys whose OAEP block or payload is wrong in one respect each."""
    sha256 = kind.wrap != "RSA-OAEP-SHA1"
    name, digest_bytes = ("sha256", 32) if sha256 else ("sha1", 20)
    bound = kind.content.encode()
    payload = data_key if sha256 else b"\x20" + data_key + bound
    seed = bytes(range(digest_bytes))
    label_hash = hashlib.new(name, b"").digest()
    zeros = bytes(256 - len(payload) - 2 * digest_bytes - 2)
    blocks = {
        "Manger": reference.oaep_block(payload, 256, name, seed, first_byte=1),
        "label": reference.oaep_mask(bytes(digest_bytes) + zeros + b"\x01" + payload, seed),
        "no separator": reference.oaep_mask(label_hash + bytes(len(zeros) + 1 + len(payload)), seed),
        "separator 2": reference.oaep_mask(label_hash + zeros + b"\x02" + payload, seed),
        "padding": reference.oaep_mask(label_hash + b"\x02" + zeros[1:] + b"\x01" + payload, seed),
        "empty": reference.oaep_block(b"", 256, name, seed),
        "short": reference.oaep_block(payload[:-1], 256, name, seed),
        "long": reference.oaep_block(payload + b"\0", 256, name, seed),
    }
    if not sha256:
        blocks |= {
            "bare": reference.oaep_block(data_key, 256, name, seed),
            "length 0": reference.oaep_block(b"\0" + bound, 256, name, seed),
            "length 16": reference.oaep_block(b"\x10" + data_key + bound, 256, name, seed),
            "length 255": reference.oaep_block(b"\xff" + data_key + bound, 256, name, seed),
            "CBC": reference.oaep_block(b"\x20" + data_key + CBC.encode(), 256, name, seed),
        }
    return {what: reference.rsa_encrypt_block(RSA_KEY, block) for what, block in blocks.items()}


@pytest.mark.parametrize("kind", OAEP_KINDS, ids=str)
def test_rs_05_wrong_oaep_block_has_one_error(kind: Kind, encoder: Encoder) -> None:
    """RS-05: whatever is wrong with the block or what it holds, the error is the same."""
    stored = encoder.write(kind, PLAINTEXT)
    edks = oaep_edks(kind, bytes(range(32)))
    for what, edk in edks.items():
        assert refused_data_key(encoder, kind, stored, edk) == UNIFORM, what


@pytest.mark.parametrize("kind", OAEP_KINDS, ids=str)
def test_rs_05_changed_bytes_of_an_rsa_wrap_have_one_error(kind: Kind, encoder: Encoder) -> None:
    """RS-05: a change of any byte ends in the same error (every seventh byte here, the rest by the same code)."""
    stored = encoder.write(kind, PLAINTEXT)
    edk = stored.decoded(kind.fields["edk"])
    for position in range(0, len(edk), 7):
        assert refused_data_key(encoder, kind, stored, flipped(edk, position * 8)) == UNIFORM


@pytest.mark.parametrize("kind", [*OAEP_KINDS, V1_RSA], ids=str)
def test_rs_07_rsa_wrap_of_another_modulus_has_the_same_error(kind: Kind, encoder: Encoder) -> None:
    """RS-07: an encrypted data key of another length, zeros, or one not below the modulus, ends in the same error."""
    stored = encoder.write(kind, PLAINTEXT)
    edk = stored.decoded(kind.fields["edk"])
    wrong = [bytes(384), b"\xff" * 256, RSA_MODULUS, b"\0" + edk, edk[:-1], edk + edk, bytes(range(1, 129))]
    for changed in wrong:
        assert refused_data_key(encoder, kind, stored, changed) == UNIFORM


@pytest.mark.parametrize("kind", OAEP_KINDS, ids=str)
def test_rs_05_rsa_wrap_under_another_key_has_the_same_error(kind: Kind, encoder: Encoder) -> None:
    """RS-05: the private key of somebody else of the same size gives the same error."""
    group = next(group for group, _ in wycheproof("Cipher/wycheproof/rsa_oaep_2048_sha1_mgf1sha1_test.json"))
    keyring = RsaKeyring(group["privateKeyPem"])
    with pytest.raises(DecryptionError) as caught:
        read(sealer_with(keyring=keyring, **kind.switches), encoder.write(kind, PLAINTEXT))
    assert fingerprint(caught.value) == UNIFORM


# --- what runs, in place of how long it takes -------------------------------------------------------------------------


@pytest.fixture
def unpadded_lengths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list to which the length of each padded plaintext is added."""
    lengths: list[int] = []
    unpad: Any = getattr(ciphers, "unpad")  # noqa: B009

    def noted(data: bytes) -> bytes:
        lengths.append(len(data))
        unpadded: bytes = unpad(data)
        return unpadded

    monkeypatch.setattr(ciphers, "unpad", noted)
    return lengths


@cbc_kinds
def test_cb_10_right_and_wrong_padding_take_the_same_steps(
    kind: Kind, encoder: Encoder, unpadded_lengths: list[int]
) -> None:
    """All blocks are decrypted before the padding is looked at, once and in one place, whatever it is."""
    stored = encoder.write(kind, PLAINTEXT)
    key = content_key(encoder, kind, stored)
    for value in range(256):
        cbc_answer(key, stored.body[:-17] + bytes([value]) + stored.body[-16:])
    assert unpadded_lengths == unpadded_lengths[:1] * 256


@cbc_kinds
def test_cb_11_range_tells_no_more_of_the_padding_than_a_read(kind: Kind, bucket: Bucket) -> None:
    """A range of CBC content needs the last block for the length: wrong padding there has the one error as well."""
    stored = bucket.encoder.write(kind, PLAINTEXT)
    client = bucket.client(kind, enable_unauthenticated_ranges=True)
    endings: set[object] = set()
    for value in range(256):
        bucket.put(Stored(stored.metadata, stored.body[:-17] + bytes([value]) + stored.body[-16:]))
        try:
            endings.add(bucket.read(client, Range="bytes=3-20"))
        except DecryptionError as error:
            endings.add(fingerprint(error)[:2])
    assert endings == {PLAINTEXT[3:21], UNIFORM[:2]}


def rsa_blocks(encoder: Encoder) -> Iterator[bytes]:
    """Return encrypted data keys under PKCS#1 v1.5: a right one, and all the wrong ones."""
    yield encoder.wrap(V1_RSA, bytes(range(32)), {})
    yield from (reference.rsa_encrypt_block(RSA_KEY, block) for block in pkcs1_blocks().values())


def test_rs_04_right_and_wrong_padding_take_the_same_steps(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch, unpadded_lengths: list[int]
) -> None:
    """One private key operation, then the content, with whatever key came of it."""
    operations = count_private_operations(monkeypatch)
    stored = encoder.write(V1_RSA, PLAINTEXT)
    sealer = engine_for(encoder, V1_RSA)
    edks = list(rsa_blocks(encoder))
    for edk in edks:
        key = sealer.open(parse(stored.changed(V1_RSA.fields["edk"], to_base64(edk)).metadata))
        cbc_answer(key, stored.body)
    assert len(operations) == len(edks)
    assert unpadded_lengths == unpadded_lengths[:1] * len(edks)


@pytest.mark.parametrize("in_file", [False, True], ids=["metadata", "instruction file"])
@pytest.mark.parametrize("mode", VERIFIED_MODES)
def test_rs_02_client_shows_nothing_of_wrong_pkcs1_padding(mode: str, in_file: bool, bucket: Bucket) -> None:
    """get_object itself succeeds for every block of the right length, and the read ends in the one error."""
    stored = bucket.encoder.write(V1_RSA, PLAINTEXT)
    client = bucket.client(V1_RSA, **MODES[mode])
    fingerprints = set()
    for edk in [*rsa_blocks(bucket.encoder)][1:]:
        changed = stored.changed(V1_RSA.fields["edk"], to_base64(edk))
        if in_file:
            on_object, file = instruction_file(changed)
            bucket.put_with_file(Stored(on_object, stored.body), file)
        else:
            bucket.put(changed)
        body = client.get_object(**bucket.world.object_at())["Body"]
        with pytest.raises(DecryptionError) as caught:
            body.read()
        fingerprints.add(fingerprint(caught.value))
    assert len(fingerprints) == 1
    assert fingerprints.pop()[3:] == (None, None)
