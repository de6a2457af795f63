"""GHASH in pieces: the tag of AES-GCM for a ciphertext whose parts are hashed apart, in any order, by many threads.

GHASH (NIST SP 800-38D, section 6.4) is a polynomial in H whose coefficients are the blocks, so it is linear: what a
part adds to it depends only on the part and on how many blocks follow. The heavy work, the hash of a part, is done by
the engine's own GCM, to which the part is given as associated data; here are only a few multiplications for each
part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from . import engine
from .content import ContentKey
from .gf2 import BinaryField
from .primitives import AES_BLOCK_BYTES, Buffer

# x^128 + x^7 + x^2 + x + 1, in GCM's bit order (NIST SP 800-38D, section 6.3).
FIELD = BinaryField(128, 0xE1 << 120)


@dataclass(frozen=True, slots=True)
class HashedSegment:
    """What one segment of the ciphertext adds to GHASH.

    ``end_block`` counts the blocks up to the segment's end; ``value`` is the segment's own GHASH times H.
    """

    end_block: int
    value: int


class Ghash:
    """GHASH under one content key: what all segments of its object need, computed once."""

    def __init__(self, key: ContentKey) -> None:
        self.key = key
        self._h = as_number(engine.active.ecb_encrypt(key.key, bytes(AES_BLOCK_BYTES)))
        # E(J0), by which GCM masks its tags, is the tag of nothing.
        self._mask = as_number(engine.active.gmac(key.key, key.iv).digest())
        self._powers: dict[int, int] = {0: FIELD.one}
        self._length_products: dict[int, int] = {}

    def joined(self, first: HashedSegment, second: HashedSegment) -> HashedSegment:
        """Return two segments, of which the second ends behind the first, as one."""
        shifted = FIELD.multiply(first.value, self._power(second.end_block - first.end_block))
        return HashedSegment(second.end_block, shifted ^ second.value)

    def unmasked(self, digest: bytes, hashed_bytes: int) -> int:
        """Return GHASH times H of bytes that were given to GCM as associated data, from the digest that it made."""
        return as_number(digest) ^ self._mask ^ self._length_product(hashed_bytes)

    def tag(self, segments: Iterable[HashedSegment], ciphertext_length: int) -> bytes:
        """Return the GCM tag of a ciphertext from its segments, which together cover it, each byte once.

        The suite's associated data is taken in here.
        """
        aad = self.key.suite.aad
        lengths = FIELD.multiply(length_block(len(aad), ciphertext_length), self._h)
        whole = HashedSegment(0, self._aad_value(aad))
        for segment in sorted(segments, key=lambda segment: segment.end_block):
            whole = self.joined(whole, segment)
        whole = self.joined(whole, empty_segment(ciphertext_length))
        return (self._mask ^ lengths ^ whole.value).to_bytes(AES_BLOCK_BYTES, "big")

    def _aad_value(self, aad: bytes) -> int:
        if not aad:
            return 0
        assert len(aad) <= AES_BLOCK_BYTES  # the only suite that has any has two bytes
        padded = as_number(aad.ljust(AES_BLOCK_BYTES, b"\0"))
        return FIELD.multiply(FIELD.multiply(padded, self._h), self._h)

    def _power(self, exponent: int) -> int:
        if exponent not in self._powers:
            if exponent < 0:
                raise ValueError("a segment ends behind the ciphertext")
            self._powers[exponent] = FIELD.power(self._h, exponent)
        return self._powers[exponent]

    def _length_product(self, hashed_bytes: int) -> int:
        if hashed_bytes not in self._length_products:
            self._length_products[hashed_bytes] = FIELD.multiply(length_block(hashed_bytes, 0), self._h)
        return self._length_products[hashed_bytes]


class SegmentHash:
    """The hash of one segment of a ciphertext, fed in order.

    Args:
        ghash: GHASH under the object's content key.
        offset: Where the segment starts in the ciphertext, in bytes; it need not be the start of a block.
    """

    def __init__(self, ghash: Ghash, offset: int) -> None:
        self._ghash = ghash
        self._end = offset
        # The bytes before the segment in its first block belong to another one: here they count as zero.
        lead = offset % AES_BLOCK_BYTES
        self._hashed_bytes = lead
        self._gmac = engine.active.gmac(ghash.key.key, ghash.key.iv)
        self._digest: bytes | None = None
        if lead:
            self._gmac.update(bytes(lead))

    def update(self, ciphertext: Buffer) -> None:
        """Take in the next bytes of the segment."""
        self._gmac.update(ciphertext)
        self._end += len(ciphertext)
        self._hashed_bytes += len(ciphertext)

    def digest(self) -> bytes:
        """Return 16 bytes by which a segment can be told from any other at its place, and end the hash.

        They are GHASH over the segment and its length, masked by E(J0).
        """
        if self._digest is None:
            self._digest = self._gmac.digest()
        return self._digest

    def finish(self) -> HashedSegment:
        """Return what the segment adds to the tag, and end the hash."""
        return HashedSegment(block_count(self._end), self._ghash.unmasked(self.digest(), self._hashed_bytes))


def empty_segment(offset: int) -> HashedSegment:
    """Return the empty segment at an offset in the ciphertext, in bytes. It adds nothing."""
    return HashedSegment(block_count(offset), 0)


def as_number(block: bytes) -> int:
    """Return a block as an element of the field."""
    return int.from_bytes(block, "big")


def block_count(length: int) -> int:
    """Return how many blocks that many bytes take up."""
    return -(-length // AES_BLOCK_BYTES)


def length_block(aad_bytes: int, ciphertext_bytes: int) -> int:
    """Return the last block that GHASH takes in: the lengths of associated data and ciphertext, in bits."""
    return (aad_bytes * 8) << 64 | ciphertext_bytes * 8
