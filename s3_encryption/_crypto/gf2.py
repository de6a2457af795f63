"""BinaryField over GF(2), reckoned modulo one of them: the arithmetic of GHASH (128 bits) and of CRC-32 (32 bits).

Both write a polynomial with its coefficients in reverse: the highest bit is that of x^0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BinaryField:
    """All polynomials of less than a degree, and their products modulo one of that degree.

    Args:
        degree: How many bits each has.
        modulus: The coefficients of the modulus below its highest one, in the same order.
    """

    degree: int
    modulus: int

    @property
    def one(self) -> int:
        """The polynomial x^0."""
        return 1 << self.degree - 1

    def multiply(self, x: int, y: int) -> int:
        """Return the product of two (NIST SP 800-38D, algorithm 1, for any degree)."""
        product = 0
        for bit, multiple in zip(range(self.degree - 1, -1, -1), self.multiples(y), strict=True):
            if x >> bit & 1:
                product ^= multiple
        return product

    def multiples(self, y: int) -> Iterator[int]:
        """Yield the products of one and x^0, x^1, x^2 ..., as many as a polynomial has coefficients."""
        for _ in range(self.degree):
            yield y
            y = y >> 1 ^ self.modulus if y & 1 else y >> 1

    def power(self, x: int, exponent: int) -> int:
        """Return the product of so many times the same, by repeated squaring."""
        result = self.one
        while exponent:
            if exponent & 1:
                result = self.multiply(result, x)
            x = self.multiply(x, x)
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
