"""Wrapping algorithms: how a data key is encrypted under an AES or RSA key, and what each is called in the formats.

WRAP_ALGORITHMS has one record for each. A new one is one more record. The two KMS algorithms are listed for their names
and rules; the wrapping itself is done by KMS.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import Crypto
from Crypto.Cipher import AES, PKCS1_OAEP, PKCS1_v1_5
from Crypto.Hash import SHA1, SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pss
from Crypto.Util.Padding import pad, unpad

from .._crypto.content import DATA_KEY_BYTES
from .._crypto.contexts import AES_BLOCK_BYTES
from .._crypto.wrap_gcm import IV_BYTES, ShortGcm
from ..exceptions import ConfigurationError, ConfigurationTypeError, DecryptionError, as_decryption_error

# Older versions tell wrong RSA PKCS#1 v1.5 padding from right one, which is an oracle; PyCrypto, which has the same
# import name, has neither GCM key wrapping nor maintenance.
if Crypto.version_info[:2] < (4, 3):
    raise ImportError("s3-encryption-client needs pycryptodome 4.3 or newer: pip install --upgrade pycryptodome")

RsaKey = RSA.RsaKey

_AES_KEY_BYTES = (16, 24, 32)
_GCM_TAG_BYTES = 16
_MIN_RSA_BITS = 2048
_MIN_RSA_EXPONENT = 65537

# (wrapping key, data key or encrypted data key, name of the content algorithm) -> the other one
Wrap = Callable[[Any, bytes, str], bytes]


@dataclass(frozen=True, slots=True)
class AesKey:
    """An AES wrapping key of 16, 24 or 32 bytes, and what AES-GCM makes of it once."""

    secret: bytes = field(repr=False)
    gcm: ShortGcm = field(repr=False)


@dataclass(frozen=True, slots=True)
class WrapAlgorithm:
    """One way to wrap a data key.

    ``name`` is the value of ``x-amz-wrap-alg`` in V2, or this library's name for the two of V1, which the format leaves
    out; ``v3_code`` is the value of ``x-amz-w``. ``binds_content`` says whether a changed content algorithm makes the
    unwrapping fail. ``legacy`` ones are read only behind ``enable_legacy_wrapping_algorithms``.
    """

    name: str
    key_type: str
    binds_content: bool
    legacy: bool
    v3_code: str | None = None
    v1: bool = False
    wrap: Wrap | None = None
    unwrap: Wrap | None = None


def _wrap_aes_gcm(key: AesKey, data_key: bytes, content_algorithm: str) -> bytes:
    iv = os.urandom(IV_BYTES)
    return iv + key.gcm.encrypt(iv, data_key, content_algorithm.encode("ascii"))


def _unwrap_aes_gcm(key: AesKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    iv, rest = encrypted_data_key[:IV_BYTES], encrypted_data_key[IV_BYTES:]
    if len(rest) - _GCM_TAG_BYTES not in _AES_KEY_BYTES:
        raise DecryptionError
    return key.gcm.decrypt(iv, rest[:-_GCM_TAG_BYTES], rest[-_GCM_TAG_BYTES:], content_algorithm.encode("ascii"))


def _wrap_aes_kw(key: AesKey, data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(AES.new(key.secret, AES.MODE_KW).seal(data_key))


def _unwrap_aes_kw(key: AesKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(AES.new(key.secret, AES.MODE_KW).unseal(encrypted_data_key))


def _wrap_aes_ecb(key: AesKey, data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(AES.new(key.secret, AES.MODE_ECB).encrypt(pad(data_key, AES_BLOCK_BYTES)))


def _unwrap_aes_ecb(key: AesKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(unpad(AES.new(key.secret, AES.MODE_ECB).decrypt(encrypted_data_key), AES_BLOCK_BYTES))


def _wrap_oaep_sha1(key: RsaKey, data_key: bytes, content_algorithm: str) -> bytes:
    payload = bytes([len(data_key)]) + data_key + content_algorithm.encode("ascii")
    return bytes(PKCS1_OAEP.new(key, hashAlgo=SHA1).encrypt(payload))


def _unwrap_oaep_sha1(key: RsaKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    payload = PKCS1_OAEP.new(key, hashAlgo=SHA1).decrypt(encrypted_data_key)
    data_key_bytes = payload[0] if payload else 0
    data_key, bound_name = payload[1 : 1 + data_key_bytes], payload[1 + data_key_bytes :]
    if not hmac.compare_digest(bound_name, content_algorithm.encode("ascii")):
        raise DecryptionError
    return bytes(data_key)


def _oaep_sha256(key: RsaKey) -> Any:
    # The digest is SHA-256 but the mask generation stays SHA-1: what Java's transformation of this name means.
    return PKCS1_OAEP.new(key, hashAlgo=SHA256, mgfunc=lambda seed, length: pss.MGF1(seed, length, SHA1))


def _wrap_oaep_sha256(key: RsaKey, data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(_oaep_sha256(key).encrypt(data_key))


def _unwrap_oaep_sha256(key: RsaKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(_oaep_sha256(key).decrypt(encrypted_data_key))


def _wrap_pkcs1_v1_5(key: RsaKey, data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(PKCS1_v1_5.new(key).encrypt(data_key))


def _unwrap_pkcs1_v1_5(key: RsaKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    # Without a sentinel the library answers wrong padding with a pseudo-random key (implicit rejection), which then
    # fails on the content like any other wrong key: no padding oracle.
    return bytes(PKCS1_v1_5.new(key).decrypt(encrypted_data_key, expected_pt_len=DATA_KEY_BYTES))


KMS_CONTEXT = WrapAlgorithm("kms+context", "kms", binds_content=True, legacy=False, v3_code="12")
KMS = WrapAlgorithm("kms", "kms", binds_content=False, legacy=True)
AES_GCM_WRAP = WrapAlgorithm(
    "AES/GCM",
    "aes",
    binds_content=True,
    legacy=False,
    v3_code="02",
    wrap=_wrap_aes_gcm,
    unwrap=_unwrap_aes_gcm,
)
AES_KEY_WRAP = WrapAlgorithm(
    "AESWrap", "aes", binds_content=False, legacy=True, wrap=_wrap_aes_kw, unwrap=_unwrap_aes_kw
)
AES_ECB = WrapAlgorithm(
    "AES/ECB",
    "aes",
    binds_content=False,
    legacy=True,
    v1=True,
    wrap=_wrap_aes_ecb,
    unwrap=_unwrap_aes_ecb,
)
RSA_OAEP_SHA1 = WrapAlgorithm(
    "RSA-OAEP-SHA1",
    "rsa",
    binds_content=True,
    legacy=False,
    v3_code="22",
    wrap=_wrap_oaep_sha1,
    unwrap=_unwrap_oaep_sha1,
)
RSA_OAEP_SHA256 = WrapAlgorithm(
    "RSA/ECB/OAEPWithSHA-256AndMGF1Padding",
    "rsa",
    binds_content=False,
    legacy=True,
    wrap=_wrap_oaep_sha256,
    unwrap=_unwrap_oaep_sha256,
)
RSA_PKCS1 = WrapAlgorithm(
    "RSA/ECB/PKCS1Padding",
    "rsa",
    binds_content=False,
    legacy=True,
    v1=True,
    wrap=_wrap_pkcs1_v1_5,
    unwrap=_unwrap_pkcs1_v1_5,
)

WRAP_ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        KMS_CONTEXT,
        KMS,
        AES_GCM_WRAP,
        AES_KEY_WRAP,
        AES_ECB,
        RSA_OAEP_SHA1,
        RSA_OAEP_SHA256,
        RSA_PKCS1,
    )
}


def names_for(key_type: str) -> frozenset[str]:
    """Return the names of the wrapping algorithms that a key of this type ("kms", "aes", "rsa") serves."""
    return frozenset(a.name for a in WRAP_ALGORITHMS.values() if a.key_type == key_type)


def wrap_data_key(name: str, key: Any, data_key: bytes, content_algorithm: str) -> bytes:
    """Return the data key encrypted under an AES or RSA key by the named algorithm."""
    wrap = WRAP_ALGORITHMS[name].wrap
    assert wrap is not None  # only the KMS algorithms have none, and they don't come here
    return wrap(key, data_key, content_algorithm)


def unwrap_data_key(name: str, key: Any, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    """Return the data key that was encrypted under an AES or RSA key by the named algorithm.

    Raises:
        DecryptionError: It can't be unwrapped; the error is the same for every cause.
    """
    unwrap = WRAP_ALGORITHMS[name].unwrap
    assert unwrap is not None  # as above
    return as_decryption_error(lambda: unwrap(key, encrypted_data_key, content_algorithm))


def load_aes_key(key: object) -> AesKey:
    """Return an AES wrapping key from its bytes, after checking type and size (16, 24 or 32 bytes).

    Raises:
        ConfigurationError: It can't be such a key.
    """
    if not isinstance(key, (bytes, bytearray, memoryview)):
        raise ConfigurationTypeError(
            f"An AES wrapping key must be bytes, not {type(key).__name__}. Decode hex or base64 text first."
        )
    if len(key) not in _AES_KEY_BYTES:
        raise ConfigurationError(f"An AES wrapping key must have 16, 24 or 32 bytes, not {len(key)}.")
    if not any(key):
        raise ConfigurationError("An AES wrapping key of zero bytes only is no secret.")
    return AesKey(bytes(key), ShortGcm(bytes(key)))


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
