"""GHASH in pieces: the tag of AES-GCM for a ciphertext whose parts are hashed apart, in any order, by many threads.

GHASH (NIST SP 800-38D, section 6.4) is a polynomial in H whose coefficients are the blocks, so it is linear: what a
part adds to it depends only on the part and on how many blocks follow. The heavy work, the hash of a part, is done by
pycryptodome's own GCM, to which the part is given as associated data; here are only a few multiplications for each
part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from Crypto.Cipher import AES

from .algorithms import BLOCK_BYTES
from .ciphers import Buffer, ContentKey

# x^128 + x^7 + x^2 + x + 1, in GCM's bit order (NIST SP 800-38D, section 6.3).
_REDUCTION = 0xE1 << 120
_ONE = 1 << 127


@dataclass(frozen=True, slots=True)
class HashedSegment:
    """What one segment of the ciphertext adds to GHASH.

    ``end_block`` counts the blocks up to the segment's end; ``value`` is the segment's own GHASH times H.
    """

    end_block: int
    value: int


class SegmentHash:
    """The hash of one segment of a ciphertext, fed in order.

    Args:
        key: The object's content key.
        offset: Where the segment starts in the ciphertext, in bytes; it need not be the start of a block.
    """

    def __init__(self, key: ContentKey, offset: int) -> None:
        self._key = key
        self._end = offset
        # The bytes before the segment in its first block belong to another one: here they count as zero.
        lead = offset % BLOCK_BYTES
        self._hashed_bytes = lead
        self._gcm = AES.new(key.key, AES.MODE_GCM, nonce=key.iv)
        self._gcm.update(bytes(lead))

    def update(self, ciphertext: Buffer) -> None:
        """Take in the next bytes of the segment."""
        self._gcm.update(ciphertext)
        self._end += len(ciphertext)
        self._hashed_bytes += len(ciphertext)

    def finish(self) -> HashedSegment:
        """Return what the segment adds. The digest is GHASH over the segment and its length, masked by E(J0)."""
        h, mask = _subkeys(self._key)
        product = _number(self._gcm.digest()) ^ mask
        length_block = _length_block(self._hashed_bytes, 0)
        return HashedSegment(_blocks(self._end), product ^ _multiply(length_block, h))


def combine(key: ContentKey, segments: Iterable[HashedSegment], ciphertext_length: int) -> bytes:
    """Return the GCM tag of a ciphertext from its segments, which together cover it, each byte once.

    The suite's associated data is taken in here.
    """
    h, mask = _subkeys(key)
    total_blocks = _blocks(ciphertext_length)
    tag = mask ^ _multiply(_length_block(len(key.suite.aad), ciphertext_length), h)
    powers: dict[int, int] = {0: _ONE}
    total, at_block = 0, 0
    for segment in sorted((*_aad_segment(key), *segments), key=lambda segment: segment.end_block):
        step = segment.end_block - at_block
        if step not in powers:
            powers[step] = _power(h, step)
        total = _multiply(total, powers[step]) ^ segment.value
        at_block = segment.end_block
    return (tag ^ _multiply(total, _power(h, total_blocks - at_block))).to_bytes(BLOCK_BYTES, "big")


def _aad_segment(key: ContentKey) -> list[HashedSegment]:
    if not key.suite.aad:
        return []
    assert len(key.suite.aad) <= BLOCK_BYTES  # the only suite that has any has two bytes
    h, _ = _subkeys(key)
    padded = _number(key.suite.aad.ljust(BLOCK_BYTES, b"\0"))
    return [HashedSegment(0, _multiply(_multiply(padded, h), h))]


def _subkeys(key: ContentKey) -> tuple[int, int]:
    """Return H, and E(J0), which is the tag of nothing."""
    h = AES.new(key.key, AES.MODE_ECB).encrypt(bytes(BLOCK_BYTES))
    empty: Any = AES.new(key.key, AES.MODE_GCM, nonce=key.iv)
    return _number(h), _number(empty.digest())


def _number(block: bytes) -> int:
    return int.from_bytes(block, "big")


def _blocks(length: int) -> int:
    return -(-length // BLOCK_BYTES)


def _length_block(aad_bytes: int, ciphertext_bytes: int) -> int:
    return (aad_bytes * 8) << 64 | ciphertext_bytes * 8


def _multiply(x: int, y: int) -> int:
    """Return the product of two blocks (NIST SP 800-38D, algorithm 1)."""
    product = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= y
        y = y >> 1 ^ _REDUCTION if y & 1 else y >> 1
    return product


def _power(x: int, exponent: int) -> int:
    if exponent < 0:
        raise ValueError("a segment ends behind the ciphertext")
    result = _ONE
    while exponent:
        if exponent & 1:
            result = _multiply(result, x)
        x = _multiply(x, x)
        exponent >>= 1
    return result
