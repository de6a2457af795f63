"""AES-GCM of short messages under one long-lived key: how an AES key wraps data keys.

pycryptodome's GCM objects serve one message each, and making one costs many times what the 32 bytes of a data key do.
Here what depends on the key alone is made once. AES is pycryptodome's; GHASH is looked up in tables of products. What
chooses a place in a table is the ciphertext and the associated data, which S3 sees too: no address depends on a secret.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from functools import reduce
from operator import getitem, xor
from typing import Any, NoReturn

from Crypto.Cipher import AES

from .algorithms import BLOCK_BYTES
from .exceptions import DecryptionError
from .ghash import FIELD, as_number, block_count, length_block

# Two for the bound name, two for the data key, and one for the lengths of both.
_MAX_BLOCKS = 5
_DIGITS = "0123456789abcdef"


class ShortGcm:
    """AES-GCM (NIST SP 800-38D) with IVs of 12 bytes and tags of 16, for messages of a few blocks.

    It keeps no state between messages, so threads may share it.

    Args:
        key: The AES key.
    """

    def __init__(self, key: bytes) -> None:
        self._aes = AES.new(key, AES.MODE_ECB)
        self._products = _products(as_number(self._aes.encrypt(bytes(BLOCK_BYTES))))

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
            raise DecryptionError
        return _xor(ciphertext, keystream)

    def _gctr(self, iv: bytes, size: int) -> tuple[bytes, bytes]:
        """Return the block that masks the tag, and ``size`` bytes of keystream (sections 6.5 and 7.1)."""
        counters = range(1, 2 + block_count(size))
        encrypted: bytes = self._aes.encrypt(b"".join(iv + counter.to_bytes(4, "big") for counter in counters))
        return encrypted[:BLOCK_BYTES], encrypted[BLOCK_BYTES : BLOCK_BYTES + size]

    def _tag(self, ciphertext: bytes, aad: bytes, mask: bytes) -> bytes:
        lengths = length_block(len(aad), len(ciphertext)).to_bytes(BLOCK_BYTES, "big")
        digits = (_padded(aad) + _padded(ciphertext) + lengths).hex()
        if len(digits) > len(self._products):
            raise ValueError("the message is too long")
        ghash = reduce(xor, map(getitem, self._products[-len(digits) :], digits))
        return _xor(ghash.to_bytes(BLOCK_BYTES, "big"), mask)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A cipher can't be pickled or copied: its key would leave the process.")


def _products(h: int) -> list[dict[str, int]]:
    """Return what each hexadecimal digit of a hashed text adds to GHASH: tables by place, the last place last.

    GHASH (section 6.4) multiplies the last block by H, the one before it by H^2, and so on, and adds them up.
    """
    powers = [FIELD.power(h, exponent) for exponent in range(_MAX_BLOCKS, 0, -1)]
    return [table for power in powers for table in _tables(power)]


def _tables(power: int) -> Iterator[dict[str, int]]:
    multiples = list(FIELD.multiples(power))
    for place in range(0, len(multiples), 4):
        # The highest bit of a digit is that of the lowest power of x.
        a, b, c, d = multiples[place : place + 4]
        sums = [0, d, c, c ^ d, b]
        sums += [b ^ low for low in sums[1:4]]
        sums += [a ^ low for low in sums]
        yield dict(zip(_DIGITS, sums, strict=True))


def _padded(data: bytes) -> bytes:
    return data.ljust(block_count(len(data)) * BLOCK_BYTES, b"\0")


def _xor(a: bytes, b: bytes) -> bytes:
    return (as_number(a) ^ as_number(b)).to_bytes(len(a), "big")
