"""The table of wrapping algorithms: what each is called in the formats, its rules, and its functions.

A new one is one more record. The two KMS algorithms are listed for their names and rules; the wrapping itself is done
by KMS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..exceptions import ConfigurationError, ConfigurationTypeError, as_decryption_error, quoted
from . import aes_wraps as aes
from . import rsa_wraps as rsa

# (wrapping key, data key or encrypted data key, name of the content algorithm) -> the other one
Wrap = Callable[[Any, bytes, str], bytes]


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


_OAEP_SHA256 = "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"
_PKCS1 = "RSA/ECB/PKCS1Padding"

# fmt: off
KMS_CONTEXT     = WrapAlgorithm("kms+context",   "kms", binds_content=True,  legacy=False, v3_code="12")
KMS             = WrapAlgorithm("kms",           "kms", binds_content=False, legacy=True)
AES_GCM_WRAP    = WrapAlgorithm("AES/GCM",       "aes", binds_content=True,  legacy=False, v3_code="02",
                                wrap=aes.wrap_aes_gcm,     unwrap=aes.unwrap_aes_gcm)
AES_KEY_WRAP    = WrapAlgorithm("AESWrap",       "aes", binds_content=False, legacy=True,
                                wrap=aes.wrap_aes_kw,      unwrap=aes.unwrap_aes_kw)
AES_ECB         = WrapAlgorithm("AES/ECB",       "aes", binds_content=False, legacy=True,  v1=True,
                                wrap=aes.wrap_aes_ecb,     unwrap=aes.unwrap_aes_ecb)
RSA_OAEP_SHA1   = WrapAlgorithm("RSA-OAEP-SHA1", "rsa", binds_content=True,  legacy=False, v3_code="22",
                                wrap=rsa.wrap_oaep_sha1,   unwrap=rsa.unwrap_oaep_sha1)
RSA_OAEP_SHA256 = WrapAlgorithm(_OAEP_SHA256,    "rsa", binds_content=False, legacy=True,
                                wrap=rsa.wrap_oaep_sha256, unwrap=rsa.unwrap_oaep_sha256)
RSA_PKCS1       = WrapAlgorithm(_PKCS1,          "rsa", binds_content=False, legacy=True,  v1=True,
                                wrap=rsa.wrap_pkcs1_v1_5,  unwrap=rsa.unwrap_pkcs1_v1_5)
# fmt: on

_ALL = (KMS_CONTEXT, KMS, AES_GCM_WRAP, AES_KEY_WRAP, AES_ECB, RSA_OAEP_SHA1, RSA_OAEP_SHA256, RSA_PKCS1)
WRAP_ALGORITHMS = {algorithm.name: algorithm for algorithm in _ALL}


def names_for(key_type: str) -> frozenset[str]:
    """Return the names of the wrapping algorithms that a key of this type ("kms", "aes", "rsa") serves."""
    return frozenset(a.name for a in WRAP_ALGORITHMS.values() if a.key_type == key_type)


def checked_name(name: object, key_type: str) -> str:
    """Return the name of a wrapping algorithm that a key of this type serves.

    Raises:
        ConfigurationError: It is anything else.
    """
    names = names_for(key_type)
    if not isinstance(name, str):
        raise ConfigurationTypeError(f"wrapping_algorithm must be a str, not {type(name).__name__}.")
    if name not in names:
        raise ConfigurationError(f"wrapping_algorithm must be one of {sorted(names)}, not {quoted(name)}.")
    return name


def unwrap_data_key(name: str, key: Any, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    """Return the data key that was encrypted under an AES or RSA key by the named algorithm.

    Raises:
        DecryptionError: It can't be unwrapped; the error is the same for every cause.
    """
    unwrap = WRAP_ALGORITHMS[name].unwrap
    assert unwrap is not None  # as above
    return as_decryption_error(lambda: unwrap(key, encrypted_data_key, content_algorithm))
