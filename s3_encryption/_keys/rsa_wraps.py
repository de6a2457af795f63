"""How a data key is wrapped under an RSA key: the functions that the table of wrapping algorithms refers to.

Each takes the key, the data key (or what it was wrapped to), and the name of the content algorithm.
"""

from __future__ import annotations

import hmac
from typing import Any

import Crypto
from Crypto.Cipher import PKCS1_OAEP, PKCS1_v1_5
from Crypto.Hash import SHA1, SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pss

from .._crypto.content import data_key_bytes
from ..exceptions import ConfigurationError, ConfigurationTypeError, DecryptionError

# Older versions tell wrong RSA PKCS#1 v1.5 padding from right one, which is an oracle; PyCrypto, which has the same
# import name, has neither GCM key wrapping nor maintenance.
if Crypto.version_info[:2] < (4, 3):
    raise ImportError("s3-encryption-client needs pycryptodome 4.3 or newer: pip install --upgrade pycryptodome")

RsaKey = RSA.RsaKey

_MIN_RSA_BITS = 2048
_MIN_RSA_EXPONENT = 65537


def wrap_oaep_sha1(key: RsaKey, data_key: bytes, content_algorithm: str) -> bytes:
    payload = bytes([len(data_key)]) + data_key + content_algorithm.encode("ascii")
    return bytes(PKCS1_OAEP.new(key, hashAlgo=SHA1).encrypt(payload))


def unwrap_oaep_sha1(key: RsaKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    payload = PKCS1_OAEP.new(key, hashAlgo=SHA1).decrypt(encrypted_data_key)
    data_key_bytes = payload[0] if payload else 0
    data_key, bound_name = payload[1 : 1 + data_key_bytes], payload[1 + data_key_bytes :]
    if not hmac.compare_digest(bound_name, content_algorithm.encode("ascii")):
        raise DecryptionError
    return bytes(data_key)


def _oaep_sha256(key: RsaKey) -> Any:
    # The digest is SHA-256 but the mask generation stays SHA-1: what Java's transformation of this name means.
    return PKCS1_OAEP.new(key, hashAlgo=SHA256, mgfunc=lambda seed, length: pss.MGF1(seed, length, SHA1))


def wrap_oaep_sha256(key: RsaKey, data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(_oaep_sha256(key).encrypt(data_key))


def unwrap_oaep_sha256(key: RsaKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(_oaep_sha256(key).decrypt(encrypted_data_key))


def wrap_pkcs1_v1_5(key: RsaKey, data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(PKCS1_v1_5.new(key).encrypt(data_key))


def unwrap_pkcs1_v1_5(key: RsaKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    # Without a sentinel the library answers wrong padding with a pseudo-random key (implicit rejection), which then
    # fails on the content like any other wrong key: no padding oracle.
    return bytes(PKCS1_v1_5.new(key).decrypt(encrypted_data_key, expected_pt_len=data_key_bytes(content_algorithm)))


def load_rsa_key(key: object, passphrase: str | bytes | None = None) -> RsaKey:
    """Return an RSA key, public or private, from PEM, DER or a pycryptodome key object, after checking its strength.

    Raises:
        ConfigurationError: It can't be read, is shorter than 2048 bits, or has an unsafe exponent or modulus.
    """
    loaded = key if isinstance(key, RsaKey) else _import_rsa_key(key, passphrase)
    if loaded.size_in_bits() < _MIN_RSA_BITS:
        raise ConfigurationError(
            f"An RSA wrapping key must have at least {_MIN_RSA_BITS} bits, not {loaded.size_in_bits()}."
        )
    if loaded.e < _MIN_RSA_EXPONENT or loaded.e % 2 == 0 or loaded.n % 2 == 0:
        raise ConfigurationError(
            f"An RSA wrapping key must have an odd modulus and an odd public exponent of at least {_MIN_RSA_EXPONENT}."
        )
    return loaded


def _import_rsa_key(key: object, passphrase: str | bytes | None) -> RsaKey:
    if not isinstance(key, (bytes, bytearray, str)):
        raise ConfigurationTypeError(
            f"An RSA wrapping key must be PEM or DER text or a Crypto.PublicKey.RSA key, not {type(key).__name__}."
        )
    try:
        return RSA.import_key(
            key if isinstance(key, str) else bytes(key),
            passphrase=passphrase.decode() if isinstance(passphrase, bytes) else passphrase,
        )
    except (ValueError, IndexError, TypeError):
        # The cause is dropped: a parser's message may quote the key.
        raise ConfigurationError(
            "The RSA wrapping key can't be read: PEM or DER of a public or private key is needed, and the passphrase "
            "if it is encrypted."
        ) from None
