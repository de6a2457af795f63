"""How a data key is wrapped under an RSA key: the functions that the table of wrapping algorithms refers to.

Each takes the key, the data key (or what it was wrapped to), and the name of the content algorithm.
"""

from __future__ import annotations

import hmac

from .._crypto import engine
from .._crypto.content import data_key_bytes
from .._crypto.primitives import RsaKey
from ..exceptions import ConfigurationError, ConfigurationTypeError, DecryptionError

_MIN_RSA_BITS = 2048
_MIN_RSA_EXPONENT = 65537


def wrap_oaep_sha1(key: RsaKey, data_key: bytes, content_algorithm: str) -> bytes:
    return key.oaep_encrypt("SHA-1", bytes([len(data_key)]) + data_key + content_algorithm.encode("ascii"))


def unwrap_oaep_sha1(key: RsaKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    payload = key.oaep_decrypt("SHA-1", encrypted_data_key)
    data_key_bytes = payload[0] if payload else 0
    data_key, bound_name = payload[1 : 1 + data_key_bytes], payload[1 + data_key_bytes :]
    if not hmac.compare_digest(bound_name, content_algorithm.encode("ascii")):
        raise DecryptionError
    return data_key


def wrap_oaep_sha256(key: RsaKey, data_key: bytes, content_algorithm: str) -> bytes:
    return key.oaep_encrypt("SHA-256", data_key)


def unwrap_oaep_sha256(key: RsaKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    return key.oaep_decrypt("SHA-256", encrypted_data_key)


def wrap_pkcs1_v1_5(key: RsaKey, data_key: bytes, content_algorithm: str) -> bytes:
    return key.pkcs1_v1_5_encrypt(data_key)


def unwrap_pkcs1_v1_5(key: RsaKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    return key.pkcs1_v1_5_decrypt(encrypted_data_key, data_key_bytes(content_algorithm))


def load_rsa_key(key: object, passphrase: str | bytes | None = None) -> RsaKey:
    """Return an RSA key, public or private, from PEM, DER or a pycryptodome key object, after checking its strength.

    Raises:
        ConfigurationError: It can't be read, is shorter than 2048 bits, or has an unsafe exponent or modulus.
    """
    try:
        loaded = engine.active.rsa_key(key, passphrase.decode() if isinstance(passphrase, bytes) else passphrase)
    except TypeError:
        raise ConfigurationTypeError(
            f"An RSA wrapping key must be PEM or DER text or a Crypto.PublicKey.RSA key, not {type(key).__name__}."
        ) from None
    except ValueError:
        # The cause is dropped: a parser's message may quote the key.
        raise ConfigurationError(
            "The RSA wrapping key can't be read: PEM or DER of a public or private key is needed, and the passphrase "
            "if it is encrypted."
        ) from None
    if loaded.bits < _MIN_RSA_BITS:
        raise ConfigurationError(f"An RSA wrapping key must have at least {_MIN_RSA_BITS} bits, not {loaded.bits}.")
    if loaded.exponent < _MIN_RSA_EXPONENT or loaded.exponent % 2 == 0 or loaded.modulus % 2 == 0:
        raise ConfigurationError(
            f"An RSA wrapping key must have an odd modulus and an odd public exponent of at least {_MIN_RSA_EXPONENT}."
        )
    return loaded
