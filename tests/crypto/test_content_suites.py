"""Content algorithm suites: lengths of plaintext and body, and which suites the policies take."""

from __future__ import annotations

import pytest

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
    Suite,
)
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


@pytest.mark.parametrize("length", [0, 1, 15])
@pytest.mark.parametrize("suite", [AES_GCM, AES_GCM_COMMITTING], ids=lambda suite: suite.name)
def test_body_shorter_than_a_tag_is_refused(suite: Suite, length: int) -> None:
    """CT-05: no plaintext has a negative length."""
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
