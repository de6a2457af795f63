"""AES and RSA by pycryptodome: the engine that is always there."""

from __future__ import annotations

import ctypes
from typing import Any

import Crypto
from Crypto.Cipher import AES, PKCS1_OAEP, PKCS1_v1_5
from Crypto.Hash import SHA1, SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pss
from Crypto.Util import _raw_api
from Crypto.Util.strxor import strxor

from ..exceptions import as_decryption_error
from .primitives import AES_BLOCK_BYTES, GCM_TAG_BYTES, Buffer

# Older versions tell wrong RSA PKCS#1 v1.5 padding from right one, which is an oracle; PyCrypto, which has the same
# import name, has neither GCM key wrapping nor maintenance.
if Crypto.version_info[:2] < (4, 3):
    raise ImportError("s3-encryption-client needs pycryptodome 4.3 or newer: pip install --upgrade pycryptodome")

# The library's objects call into its native code when they are freed, which for what hooks, context variables and the
# like hold is after the modules. With these cffi would unload that code, and the process end by a segmentation fault.
# So what holds it gets a reference that nobody gives back. Without cffi there is ctypes, which unloads nothing.
if hasattr(_raw_api, "ffi"):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_raw_api.ffi))

_OAEP_DIGESTS = {"SHA-1": SHA1, "SHA-256": SHA256}


class _Encryption:
    def __init__(self, cipher: Any) -> None:
        self._cipher = cipher

    def update_into(self, data: Buffer, output: memoryview) -> None:
        self._cipher.encrypt(data, output=output[: len(data)])

    def tag(self) -> bytes:
        return bytes(self._cipher.digest())


class _Decryption:
    def __init__(self, cipher: Any) -> None:
        self._cipher = cipher

    def update_into(self, data: Buffer, output: memoryview) -> None:
        self._cipher.decrypt(data, output=output[: len(data)])

    def verify(self, tag: Buffer) -> None:
        as_decryption_error(lambda: self._cipher.verify(tag))


class _CbcDecryption:
    """CBC decryption as ECB decryption of all blocks, then XOR with the ciphertext one block earlier.

    The same bytes as MODE_CBC (NIST SP 800-38A, section 6.2), several times faster because no block waits for another.
    """

    def __init__(self, ecb: Any, iv: bytes) -> None:
        self._ecb = ecb
        self._previous_block = iv

    def update_into(self, data: Buffer, output: memoryview) -> None:
        if not data:
            return
        blocks, output = memoryview(data), output[: len(data)]
        self._ecb.decrypt(blocks, output=output)
        first, others = output[:AES_BLOCK_BYTES], output[AES_BLOCK_BYTES:]
        strxor(first, self._previous_block, output=first)
        if others:
            strxor(others, blocks[:-AES_BLOCK_BYTES], output=others)
        self._previous_block = bytes(blocks[-AES_BLOCK_BYTES:])


class PycryptodomeRsaKey:
    """An RSA key, as ``primitives.RsaKey`` describes it."""

    def __init__(self, key: RSA.RsaKey) -> None:
        self._key = key
        self.bits = key.size_in_bits()
        self.modulus = int(key.n)
        self.exponent = int(key.e)
        self.is_private = key.has_private()
        self.identity = (self.modulus, self.exponent)

    def oaep_encrypt(self, digest: str, data: bytes) -> bytes:
        return bytes(self._oaep(digest).encrypt(data))

    def oaep_decrypt(self, digest: str, encrypted: bytes) -> bytes:
        return as_decryption_error(lambda: bytes(self._oaep(digest).decrypt(encrypted)))

    def _oaep(self, digest: str) -> Any:
        def mask(seed: bytes, length: int) -> bytes:
            return pss.MGF1(seed, length, SHA1)

        return PKCS1_OAEP.new(self._key, hashAlgo=_OAEP_DIGESTS[digest], mgfunc=mask)

    def pkcs1_v1_5_encrypt(self, data: bytes) -> bytes:
        return bytes(PKCS1_v1_5.new(self._key).encrypt(data))

    def pkcs1_v1_5_decrypt(self, encrypted: bytes, size: int) -> bytes:
        # Without a sentinel the library answers wrong padding with a pseudo-random key.
        step = PKCS1_v1_5.new(self._key).decrypt
        return as_decryption_error(lambda: bytes(step(encrypted, expected_pt_len=size)))


def load_rsa_key(key: object, passphrase: str | None) -> RSA.RsaKey:
    """Return an RSA key of this library's, as ``Engine.rsa_key`` says."""
    if isinstance(key, RSA.RsaKey):
        return key
    if not isinstance(key, (bytes, bytearray, str)):
        raise TypeError
    try:
        return RSA.import_key(key if isinstance(key, str) else bytes(key), passphrase=passphrase)
    except (IndexError, TypeError) as error:  # what the parsers answer to some texts
        raise ValueError from error


class Pycryptodome:
    """The engine's calls, as ``primitives.Engine`` describes them."""

    name = "pycryptodome"

    def gcm_seal(self, key: bytes, iv: bytes, plaintext: Buffer, aad: bytes) -> bytes:
        return b"".join(_gcm(key, iv, aad).encrypt_and_digest(memoryview(plaintext).cast("B")))

    def gcm_open(self, key: bytes, iv: bytes, body: Buffer, aad: bytes) -> bytes:
        ciphertext, tag = memoryview(body)[:-GCM_TAG_BYTES], memoryview(body)[-GCM_TAG_BYTES:]
        return as_decryption_error(lambda: bytes(_gcm(key, iv, aad).decrypt_and_verify(ciphertext, tag)))

    def gcm_encryption(self, key: bytes, iv: bytes, aad: bytes) -> _Encryption:
        return _Encryption(_gcm(key, iv, aad))

    def gcm_decryption(self, key: bytes, iv: bytes, aad: bytes) -> _Decryption:
        return _Decryption(_gcm(key, iv, aad))

    def gmac(self, key: bytes, iv: bytes) -> Any:
        return AES.new(key, AES.MODE_GCM, nonce=iv)

    def ctr(self, key: bytes, counter_block: bytes) -> _Encryption:
        start = int.from_bytes(counter_block, "big")
        return _Encryption(AES.new(key, AES.MODE_CTR, nonce=b"", initial_value=start))

    def cbc_encryption(self, key: bytes, iv: bytes) -> _Encryption:
        return _Encryption(AES.new(key, AES.MODE_CBC, iv=iv))

    def cbc_decryption(self, key: bytes, iv: bytes) -> _CbcDecryption:
        return _CbcDecryption(AES.new(key, AES.MODE_ECB), iv)

    def ecb_encrypt(self, key: bytes, blocks: bytes) -> bytes:
        return bytes(AES.new(key, AES.MODE_ECB).encrypt(blocks))

    def ecb_decrypt(self, key: bytes, blocks: bytes) -> bytes:
        return as_decryption_error(lambda: bytes(AES.new(key, AES.MODE_ECB).decrypt(blocks)))

    def wrap_key(self, key: bytes, data_key: bytes) -> bytes:
        return bytes(AES.new(key, AES.MODE_KW).seal(data_key))

    def unwrap_key(self, key: bytes, wrapped: bytes) -> bytes:
        return as_decryption_error(lambda: bytes(AES.new(key, AES.MODE_KW).unseal(wrapped)))

    def rsa_key(self, key: object, passphrase: str | None) -> PycryptodomeRsaKey:
        return PycryptodomeRsaKey(load_rsa_key(key, passphrase))


def _gcm(key: bytes, iv: bytes, aad: bytes) -> Any:
    cipher = AES.new(key, AES.MODE_GCM, nonce=iv)
    if aad:
        cipher.update(aad)
    return cipher
