"""The key derivation of V3 against the published HKDF-SHA-512 vectors of Wycheproof and an independent HKDF."""

from __future__ import annotations

import hashlib
import hmac
import random

import pytest
from support import reference
from support.known_answers import wycheproof
from support.vectors import salamander

from s3_encryption._crypto.content import _hkdf_expand, derive_committing_key


def test_kv_04_hkdf_agrees_with_wycheproof() -> None:
    """KV-04: every valid vector whose output fits one SHA-512 digest, which is all that V3 needs, comes out."""
    seen = 0
    for _, test in wycheproof("Protocol/wycheproof/hkdf_sha512_test.json"):
        if test["result"] == "valid" and test["size"] <= 64:
            ikm, salt, info = (bytes.fromhex(test[name]) for name in ("ikm", "salt", "info"))
            pseudorandom_key = hmac.digest(salt, ikm, hashlib.sha512)
            assert _hkdf_expand(pseudorandom_key, info, test["size"]).hex() == test["okm"]
            seen += 1
    assert seen > 50


def test_committing_keys_agree_with_an_independent_hkdf() -> None:
    """For random data keys and message ids, encryption key and commitment are what pycryptodome's HKDF gives."""
    chance = random.Random("derivation")
    for _ in range(50):
        data_key, message_id = chance.randbytes(32), chance.randbytes(28)
        assert derive_committing_key(data_key, message_id) == reference.committing_keys(data_key, message_id)


@pytest.mark.parametrize("number", ["1", "2"])
def test_commitment_agrees_with_stored_objects(number: str) -> None:
    """The commitments of the two-key ciphertext are those of its data keys."""
    case = salamander("v3")
    _, commitment = derive_committing_key(case[f"data_key{number}"], case["message_id"])
    assert commitment == case[f"commit{number}"]


def test_commitment_does_not_reveal_the_encryption_key() -> None:
    """Key and commitment come from different labels: neither is a part of the other or of the data key."""
    data_key, message_id = bytes(range(32)), bytes(range(28))
    key, commitment = derive_committing_key(data_key, message_id)
    assert (len(key), len(commitment)) == (32, 28)
    assert not {key[:28], data_key[:28]} & {commitment}
    assert key != data_key
