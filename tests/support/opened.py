"""What a stored object decrypts to, by pycryptodome alone: the code under test has no part in it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping

from Crypto.Cipher import AES

from . import reference
from .worlds import AES_KEY, KEY, World


def _gcm_opened(key: bytes, iv: bytes, body: bytes, aad: bytes) -> bytes:
    cipher = AES.new(key, AES.MODE_GCM, nonce=iv)
    cipher.update(aad)
    return bytes(cipher.decrypt_and_verify(body[:-16], body[-16:]))


def opened(body: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return the plaintext of a V2 or V3 object under AES_KEY; ValueError if its tag does not hold."""
    committing = "x-amz-c" in metadata
    wrapped = b64decode(metadata["x-amz-3" if committing else "x-amz-key-v2"])
    bound_to = b"115" if committing else b"AES/GCM/NoPadding"
    data_key = _gcm_opened(AES_KEY, wrapped[:12], wrapped[12:], bound_to)
    if not committing:
        return _gcm_opened(data_key, b64decode(metadata["x-amz-iv"]), body, b"")
    key, commitment = reference.committing_keys(data_key, b64decode(metadata["x-amz-i"]))
    assert commitment == b64decode(metadata["x-amz-d"])
    return _gcm_opened(key, reference.COMMITTING_IV, body, reference.COMMITTING_AAD)


def stored_plaintext(world: World, key: str = KEY) -> bytes:
    """Return what the object that is stored under a key decrypts to."""
    return opened(world.body_stored(key), world.metadata_stored(key))
