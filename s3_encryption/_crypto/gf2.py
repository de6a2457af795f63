"""Fields of 2^n elements: the arithmetic of GHASH (n = 128) and of CRC-32 (n = 32)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BinaryField:
    """GF(2^n), or the ring that a reducible modulus makes. An element is a number of n bits, and a sum is their XOR.

    The bits are the coefficients of a polynomial in x, in the order that GCM and CRC-32 share: the highest bit is that
    of x^0. Products are taken modulo a polynomial of degree n.

    Args:
        degree: n, the number of bits of each element.
        modulus: The coefficients of the modulus, in the same order, without that of x^n.
    """

    degree: int
    modulus: int

    @property
    def one(self) -> int:
        """The element 1, which is x^0."""
        return 1 << self.degree - 1

    def multiply(self, a: int, b: int) -> int:
        """Return the product of two elements (NIST SP 800-38D, algorithm 1, for any n)."""
        product, modulus = 0, self.modulus
        # As text the bits come one by one, which in Python is quicker than shifting a number of 128 bits for each.
        for bit in f"{a:0{self.degree}b}":
            if bit == "1":
                product ^= b
            b = b >> 1 ^ modulus if b & 1 else b >> 1
        return product

    def multiples(self, a: int) -> Iterator[int]:
        """Yield the products of an element and x^0, x^1, x^2 ..., n in all."""
        for _ in range(self.degree):
            yield a
            a = a >> 1 ^ self.modulus if a & 1 else a >> 1

    def power(self, a: int, exponent: int) -> int:
        """Return an element to the power of a number that is not negative, by repeated squaring."""
        result = self.one
        while exponent:
            if exponent & 1:
                result = self.multiply(result, a)
            a = self.multiply(a, a)
            exponent >>= 1
        return result


# The CRC-32 of S3, zlib and Ethernet (RFC 1952, section 8), its bits reflected.
_CRC32 = BinaryField(32, 0xEDB88320)
_X_TO_THE_8 = 1 << 23


def combined_crc32(parts: Iterable[tuple[int, int]]) -> int:
    """Return the CRC-32 of parts one behind the other, from the CRC-32 and the length of each.

    To append n bytes is to multiply by x^8n, modulo the polynomial.
    """
    total = 0
    for crc32, length in parts:
        total = _CRC32.multiply(_CRC32.power(_X_TO_THE_8, length), total) ^ crc32
    return total
