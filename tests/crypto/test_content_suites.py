"""Content algorithm suites: lengths of plaintext and body, and which suites the policies take."""

from __future__ import annotations

import random

import pytest
from Crypto.Cipher import AES
from support.reading import in_pieces

from s3_encryption._crypto.content import (
    AES_CBC,
    AES_CBC_PKCS7,
    AES_CTR,
    AES_GCM,
    AES_GCM_COMMITTING,
    CBC,
    CONTENT_ALGORITHMS,
    GCM,
    CommitmentPolicy,
    ContentKey,
    Suite,
)
from s3_encryption._crypto.ghash import Ghash
from s3_encryption._crypto.keystream import KeystreamSegment
from s3_encryption._crypto.out_of_order import OutOfOrderDecryptor
from s3_encryption.exceptions import DecryptionError, PolicyError

ALL = (*CONTENT_ALGORITHMS.values(), AES_GCM_COMMITTING)


@pytest.mark.parametrize(
    ("suite", "lengths"),
    [
        (AES_GCM, {0: 16, 1: 17, 16: 32, 61: 77, 2**36 - 32: 2**36 - 16}),
        (AES_GCM_COMMITTING, {0: 16, 1: 17, 16: 32, 61: 77}),
        (AES_CBC, {0: 16, 1: 16, 15: 16, 16: 32, 17: 32, 61: 64}),
        (AES_CBC_PKCS7, {0: 16, 1: 16, 15: 16, 16: 32, 17: 32, 61: 64}),
        (AES_CTR, {0: 0, 1: 1, 16: 16, 61: 61}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_body_has_the_length_of_its_format(suite: Suite, lengths: dict[int, int]) -> None:
    """GCM adds a tag, CBC one to sixteen bytes of padding, CTR nothing; the padding hides the plaintext's length."""
    for plaintext_length, body_length in lengths.items():
        assert suite.ciphertext_length(plaintext_length) == body_length
        assert suite.plaintext_length(body_length) == (None if suite.mode is CBC else plaintext_length)


@pytest.mark.parametrize(
    ("suite", "length"),
    [
        *((suite, length) for suite in (AES_GCM, AES_GCM_COMMITTING) for length in (-1, 0, 1, 15, 2**36 - 15, 2**63)),
        *((suite, length) for suite in (AES_CBC, AES_CBC_PKCS7) for length in (-16, 0, 1, 15, 17, 31, 2**63 - 1)),
        (AES_CTR, -1),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_body_of_a_length_that_no_object_has_is_refused(suite: Suite, length: int) -> None:
    """CT-05: one shorter than its tag, longer than GCM encrypts, or not of whole blocks."""
    with pytest.raises(DecryptionError):
        suite.plaintext_length(length)


@pytest.mark.parametrize("suite", ALL, ids=lambda suite: suite.name)
def test_only_gcm_is_authenticated(suite: Suite) -> None:
    """What the legacy switch is about: CBC and CTR notice no change."""
    assert suite.authenticated == (suite.mode is GCM)


@pytest.mark.parametrize("suite", ALL, ids=lambda suite: suite.name)
def test_policy_takes_suites(suite: Suite) -> None:
    """KC-11: only the strictest policy looks at the suite of what is read, and takes one."""
    CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT.check_decrypt(suite)
    CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT.check_decrypt(suite)
    if suite is AES_GCM_COMMITTING:
        CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT.check_decrypt(suite)
        return
    with pytest.raises(PolicyError, match=suite.name):
        CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT.check_decrypt(suite)


def test_policies_have_the_names_of_the_other_clients() -> None:
    """What is a policy in AWS's clients has the same name here, as a member and as its value."""
    names = ["FORBID_ENCRYPT_ALLOW_DECRYPT", "REQUIRE_ENCRYPT_ALLOW_DECRYPT", "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"]
    assert [(policy.name, policy.value) for policy in CommitmentPolicy] == [(name, name) for name in names]
    assert [policy.commits_on_encrypt for policy in CommitmentPolicy] == [False, True, True]


# --- one record -------------------------------------------------------------------------------------------------------

NARROW = Suite("AES-128/GCM", GCM, key_bytes=16, iv_bytes=12, tag_bytes=16, aad=b"narrow")
DATA = random.Random("narrow").randbytes(200_000)


def key_of(suite: Suite) -> ContentKey:
    """Return a content key with the lengths of a suite."""
    chance = random.Random(suite.name)
    return ContentKey(suite, chance.randbytes(suite.key_bytes), chance.randbytes(suite.iv_bytes))


def body_by_mode_gcm(key: ContentKey) -> bytes:
    """Return the stored body of DATA, by pycryptodome's MODE_GCM."""
    cipher = AES.new(key.key, AES.MODE_GCM, nonce=key.iv, mac_len=key.suite.tag_bytes)
    cipher.update(key.suite.aad)
    return b"".join(cipher.encrypt_and_digest(DATA))


def test_new_suite_is_one_record() -> None:
    """Encryption at once, by pieces, and as a keystream that can be sent again make the body of MODE_GCM."""
    key = key_of(NARROW)
    body = body_by_mode_gcm(key)
    assert len(body) == NARROW.ciphertext_length(len(DATA))
    assert key.encrypt(DATA) == in_pieces(key.encryptor(), DATA, 70_001) == body
    segment = KeystreamSegment(Ghash(key), is_whole=True)
    assert [in_pieces(segment.new_context(), DATA, 65_536) for _ in range(2)] == [body, body]
    assert segment.ciphertext_length(len(DATA)) == len(body)


def test_new_suite_is_read_by_its_record() -> None:
    """Decryption whole, early released, from an offset and by parts out of order gives the plaintext back."""
    key = key_of(NARROW)
    body = body_by_mode_gcm(key)
    for release_unverified in (False, True):
        assert in_pieces(key.decryptor(release_unverified=release_unverified), body, 70_001) == DATA
    assert in_pieces(key.ctr_context(12_345), body[12_345 : len(DATA)], 70_001) == DATA[12_345:]
    plaintext = bytearray(len(DATA))

    def write(position: int, data: bytes | bytearray | memoryview) -> None:
        plaintext[position : position + len(data)] = data

    decryptor = OutOfOrderDecryptor(key, len(body), 65_536, write)
    for start in reversed(range(0, len(body), 65_536)):
        decryptor.update(start, body[start : start + 65_536])
    decryptor.verify()
    assert plaintext == DATA


@pytest.mark.parametrize("position", [0, 100_000, -1])
def test_new_suite_notices_a_change(position: int) -> None:
    """The tag of whatever length is compared whole, at the end of a read and of parts out of order."""
    key = key_of(NARROW)
    changed = bytearray(body_by_mode_gcm(key))
    changed[position] ^= 1
    with pytest.raises(DecryptionError):
        in_pieces(key.decryptor(), bytes(changed), 70_001)
    decryptor = OutOfOrderDecryptor(key, len(changed), len(changed))
    decryptor.update(0, changed)
    with pytest.raises(DecryptionError):
        decryptor.verify()
