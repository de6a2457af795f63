"""How a data key is wrapped under an AES key: the functions that the table of wrapping algorithms refers to.

Each takes the key, the data key (or what it was wrapped to), and the name of the content algorithm.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from .._crypto import engine
from .._crypto.primitives import GCM_TAG_BYTES, pad, unpad
from ..exceptions import ConfigurationError, ConfigurationTypeError, DecryptionError

_AES_KEY_BYTES = (16, 24, 32)
IV_BYTES = 12


@dataclass(frozen=True, slots=True)
class AesKey:
    """An AES wrapping key of 16, 24 or 32 bytes."""

    secret: bytes = field(repr=False)

    @property
    def identity(self) -> object:
        """What is the same for the same key only; the key itself, so nothing to show."""
        return self.secret


def wrap_aes_gcm(key: AesKey, data_key: bytes, content_algorithm: str) -> bytes:
    iv = os.urandom(IV_BYTES)
    return iv + engine.active.gcm_seal(key.secret, iv, data_key, content_algorithm.encode("ascii"))


def unwrap_aes_gcm(key: AesKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    iv, sealed = encrypted_data_key[:IV_BYTES], encrypted_data_key[IV_BYTES:]
    if len(sealed) - GCM_TAG_BYTES not in _AES_KEY_BYTES:
        raise DecryptionError
    return engine.active.gcm_open(key.secret, iv, sealed, content_algorithm.encode("ascii"))


def wrap_aes_kw(key: AesKey, data_key: bytes, content_algorithm: str) -> bytes:
    return engine.active.wrap_key(key.secret, data_key)


def unwrap_aes_kw(key: AesKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    return engine.active.unwrap_key(key.secret, encrypted_data_key)


def wrap_aes_ecb(key: AesKey, data_key: bytes, content_algorithm: str) -> bytes:
    return engine.active.ecb_encrypt(key.secret, pad(data_key))


def unwrap_aes_ecb(key: AesKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    return unpad(engine.active.ecb_decrypt(key.secret, encrypted_data_key))


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
    return AesKey(bytes(key))
