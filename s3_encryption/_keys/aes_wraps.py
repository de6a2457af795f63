"""How a data key is wrapped under an AES key: the functions that the table of wrapping algorithms refers to.

Each takes the key, the data key (or what it was wrapped to), and the name of the content algorithm.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial, reduce
from operator import getitem, xor

from Crypto.Cipher import AES
from Crypto.Util.Padding import pad, unpad

from .._crypto.contexts import AES_BLOCK_BYTES, GCM_TAG_BYTES, NotCopyable
from .._crypto.ghash import FIELD, length_block
from ..exceptions import ConfigurationError, ConfigurationTypeError, DecryptionError

_AES_KEY_BYTES = (16, 24, 32)
MAX_BLOCKS = 2
IV_BYTES = 12
# Of the mask of the tag, and of the blocks of keystream (NIST SP 800-38D, section 7.1).
_COUNTERS = tuple(counter.to_bytes(4, "big") for counter in range(1, MAX_BLOCKS + 2))


@dataclass(frozen=True, slots=True)
class AesKey:
    """An AES wrapping key of 16, 24 or 32 bytes, and what AES-GCM makes of it once."""

    secret: bytes = field(repr=False)
    gcm: ShortGcm = field(repr=False)


def wrap_aes_gcm(key: AesKey, data_key: bytes, content_algorithm: str) -> bytes:
    iv = os.urandom(IV_BYTES)
    return iv + key.gcm.encrypt(iv, data_key, content_algorithm.encode("ascii"))


def unwrap_aes_gcm(key: AesKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    iv, rest = encrypted_data_key[:IV_BYTES], encrypted_data_key[IV_BYTES:]
    if len(rest) - GCM_TAG_BYTES not in _AES_KEY_BYTES:
        raise DecryptionError
    return key.gcm.decrypt(iv, rest[:-GCM_TAG_BYTES], rest[-GCM_TAG_BYTES:], content_algorithm.encode("ascii"))


def wrap_aes_kw(key: AesKey, data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(AES.new(key.secret, AES.MODE_KW).seal(data_key))


def unwrap_aes_kw(key: AesKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(AES.new(key.secret, AES.MODE_KW).unseal(encrypted_data_key))


def wrap_aes_ecb(key: AesKey, data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(AES.new(key.secret, AES.MODE_ECB).encrypt(pad(data_key, AES_BLOCK_BYTES)))


def unwrap_aes_ecb(key: AesKey, encrypted_data_key: bytes, content_algorithm: str) -> bytes:
    return bytes(unpad(AES.new(key.secret, AES.MODE_ECB).decrypt(encrypted_data_key), AES_BLOCK_BYTES))


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


# --- AES-GCM of short messages under one long-lived key ---------------------------------------------------------------

# pycryptodome's GCM objects serve one message each, and making one costs many times what the 32 bytes of a data key do.
# Here what depends on the key alone is made once. AES is pycryptodome's; GHASH is looked up in tables of products. What
# chooses a place in a table is the ciphertext, which S3 sees too: no address depends on a secret.


class ShortGcm(NotCopyable):
    """AES-GCM (NIST SP 800-38D) with IVs of 12 bytes and tags of 16, for messages of at most MAX_BLOCKS.

    No message leaves anything behind, so threads may share it.

    Args:
        key: The AES key.
    """

    def __init__(self, key: bytes) -> None:
        self._aes = AES.new(key, AES.MODE_ECB)
        self._h = _number(self._aes.encrypt(bytes(AES_BLOCK_BYTES)))
        # Data keys have few lengths, and are bound to few names.
        self._ghash_around = lru_cache(maxsize=16)(partial(_ghash_around, self._h))

    @cached_property
    def _products(self) -> list[list[int]]:
        """What the bytes of the ciphertext are multiplied to: a table for each; 0.4 MiB, so for a key in use only.

        The last block is multiplied by H^2, the one before it by H^3.
        """
        exponents = range(MAX_BLOCKS + 1, 1, -1)
        return [table for exponent in exponents for table in _tables(FIELD.power(self._h, exponent))]

    def encrypt(self, iv: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Return the ciphertext, and the tag behind it."""
        mask, keystream = self._gctr(iv, len(plaintext))
        ciphertext = _xor(plaintext, keystream)
        return ciphertext + self._tag(ciphertext, aad, mask)

    def decrypt(self, iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes) -> bytes:
        """Return the plaintext.

        Raises:
            DecryptionError: The tag is not that of this ciphertext.
        """
        mask, keystream = self._gctr(iv, len(ciphertext))
        if not hmac.compare_digest(self._tag(ciphertext, aad, mask), tag):
            # Reports of errors may show variables, and these two with the ciphertext give the plaintext away.
            del mask, keystream
            raise DecryptionError
        return _xor(ciphertext, keystream)

    def _gctr(self, iv: bytes, size: int) -> tuple[bytes, bytes]:
        """Return the block that masks the tag, and ``size`` bytes of keystream (section 6.5)."""
        if size > MAX_BLOCKS * AES_BLOCK_BYTES:
            raise ValueError("the message is too long")
        if len(iv) != IV_BYTES:
            raise ValueError(f"the IV must have {IV_BYTES} bytes")
        encrypted: bytes = self._aes.encrypt(iv + iv.join(_COUNTERS[: 1 + -(-size // AES_BLOCK_BYTES)]))
        return encrypted[:AES_BLOCK_BYTES], encrypted[AES_BLOCK_BYTES : AES_BLOCK_BYTES + size]

    def _tag(self, ciphertext: bytes, aad: bytes, mask: bytes) -> bytes:
        padded = _padded(ciphertext)
        products = map(getitem, self._products[len(self._products) - len(padded) :], padded)
        ghash = reduce(xor, products, self._ghash_around(aad, len(ciphertext)))
        return _xor(ghash.to_bytes(AES_BLOCK_BYTES, "big"), mask)


def _ghash_around(h: int, aad: bytes, ciphertext_bytes: int) -> int:
    """Return GHASH (section 6.4) but for what the ciphertext adds to it."""
    lengths = length_block(len(aad), ciphertext_bytes).to_bytes(AES_BLOCK_BYTES, "big")
    text = _padded(aad) + _padded(bytes(ciphertext_bytes)) + lengths
    ghash = 0
    for start in range(0, len(text), AES_BLOCK_BYTES):
        ghash = FIELD.multiply(ghash ^ _number(text[start : start + AES_BLOCK_BYTES]), h)
    return ghash


def _tables(factor: int) -> Iterator[list[int]]:
    """Yield for each byte of a block what its 256 values are, multiplied by a factor."""
    multiples = list(FIELD.multiples(factor))
    for start in range(0, len(multiples), 8):
        products = [0]
        # From the lowest bit of the byte, which is that of the highest power of x.
        for multiple in reversed(multiples[start : start + 8]):
            products += [multiple ^ product for product in products]
        yield products


def _padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // AES_BLOCK_BYTES) * AES_BLOCK_BYTES, b"\0")


def _xor(a: bytes, b: bytes) -> bytes:
    return (_number(a) ^ _number(b)).to_bytes(len(a), "big")


def _number(block: bytes) -> int:
    return int.from_bytes(block, "big")
