"""The product in GF(2^128) as it is done on paper, for blocks as GCM has them."""

from __future__ import annotations


def _reversed_bits(x: int) -> int:
    """Return a block with its bits in the other order: GCM has the coefficient of x^0 on the left."""
    return int(f"{x:0128b}"[::-1], 2)


def polynomial_product(x: int, y: int) -> int:
    """Return a product in GF(2^128) by long multiplication and long division of polynomials."""
    left, right, product = _reversed_bits(x), _reversed_bits(y), 0
    for power in range(128):
        if right >> power & 1:
            product ^= left << power
    modulus = 1 << 128 | 0b10000111
    for power in range(product.bit_length() - 129, -1, -1):
        if product >> (power + 128) & 1:
            product ^= modulus << power
    return _reversed_bits(product)
