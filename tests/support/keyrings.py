"""Keyrings for each wrapping algorithm, with our keys and with other ones."""

from __future__ import annotations

from typing import Any

import pytest
from Crypto.PublicKey import RSA

from s3_encryption._keys.raw import AesKeyring, RsaKeyring
from s3_encryption._keys.wrap_algorithms import WRAP_ALGORITHMS

from .encoder import AES_KEY, RSA_KEY
from .known_answers import wycheproof

RAW_WRAPS = [name for name, algorithm in WRAP_ALGORITHMS.items() if algorithm.key_type != "kms"]

raw_wraps = pytest.mark.parametrize("name", RAW_WRAPS)


def other_rsa_key(bits: int = 2048) -> RSA.RsaKey:
    """Return somebody else's RSA key."""
    group = next(group for group, _ in wycheproof(f"Cipher/wycheproof/rsa_oaep_{bits}_sha256_mgf1sha1_test.json"))
    return RSA.import_key(group["privateKeyPem"])


def raw_keyring(name: str, *, other: bool = False, **options: Any) -> AesKeyring | RsaKeyring:
    """Return a keyring for a wrapping algorithm, with our keys or other ones."""
    if WRAP_ALGORITHMS[name].key_type == "aes":
        return AesKeyring(AES_KEY[::-1] if other else AES_KEY, wrapping_algorithm=name, **options)
    return RsaKeyring(other_rsa_key() if other else RSA_KEY, wrapping_algorithm=name, **options)
