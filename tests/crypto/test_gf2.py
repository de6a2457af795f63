"""Arithmetic in fields of 2^n elements: that of GCM by its own vectors and by laws, that of CRC-32 by zlib."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.polynomials import polynomial_product
from support.properties import reproducible

from s3_encryption._crypto.gf2 import BinaryField, combined_crc32

FIELD = BinaryField(128, 0xE1 << 120)
CRC32 = BinaryField(32, 0xEDB88320)

blocks = st.integers(0, 2**128 - 1)


def test_product_is_the_specified_one() -> None:
    """Test case 2 of the GCM specification gives the first step of its GHASH."""
    ciphertext, h = 0x0388DACE60B6A392F328C2B971B2FE78, 0x66E94BD4EF8A2C3B884CFA59CA342B2E
    assert FIELD.multiply(ciphertext, h) == 0x5E2EC746917062882C85B0685353DEB7


@settings(reproducible, max_examples=200)
@given(blocks, blocks)
def test_product_is_that_of_polynomials(x: int, y: int) -> None:
    """Multiplication agrees with the schoolbook's, in either order."""
    assert FIELD.multiply(x, y) == FIELD.multiply(y, x) == polynomial_product(x, y)


@settings(reproducible, max_examples=100)
@given(blocks, blocks, blocks)
def test_products_obey_the_laws_of_a_field(x: int, y: int, z: int) -> None:
    """Products are associative and distributive over XOR; one is neutral, and zero swallows."""
    assert FIELD.multiply(FIELD.multiply(x, y), z) == FIELD.multiply(x, FIELD.multiply(y, z))
    assert FIELD.multiply(x ^ y, z) == FIELD.multiply(x, z) ^ FIELD.multiply(y, z)
    assert (FIELD.multiply(x, FIELD.one), FIELD.multiply(x, 0)) == (x, 0)


@settings(reproducible, max_examples=50)
@given(blocks, st.integers(0, 20), st.integers(0, 2**40))
def test_power_is_a_repeated_product(x: int, small: int, large: int) -> None:
    """Powers are what multiplying that often gives, and exponents add up."""
    product = FIELD.one
    for _ in range(small):
        product = FIELD.multiply(product, x)
    assert FIELD.power(x, small) == product
    assert FIELD.power(x, small + large) == FIELD.multiply(product, FIELD.power(x, large))


@settings(reproducible, max_examples=20)
@given(blocks)
def test_power_comes_round_after_the_order_of_the_field(x: int) -> None:
    """Fermat: x^(2^128) is x, for every element of the field."""
    assert FIELD.power(x, 2**128) == x


@settings(reproducible, max_examples=50)
@given(blocks)
def test_multiples_are_products_with_powers_of_x(a: int) -> None:
    """As many as an element has bits, from the element itself on."""
    multiples = list(FIELD.multiples(a))
    assert multiples == [FIELD.multiply(a, FIELD.one >> exponent) for exponent in range(128)]


@pytest.mark.parametrize("length", [1, 4, 1000])
def test_smaller_field_is_that_of_crc32(length: int) -> None:
    """A zero byte behind a text multiplies its CRC by x^8, which is the property that joins the CRCs of parts."""
    text = bytes(range(1, 100))
    # zlib's CRC starts and ends with all bits inverted: without that it is linear.
    register = zlib.crc32(text) ^ 0xFFFFFFFF
    shifted = CRC32.multiply(register, CRC32.power(CRC32.one >> 8, length))
    assert zlib.crc32(bytes(length), zlib.crc32(text)) == shifted ^ 0xFFFFFFFF


@pytest.mark.parametrize("field", [FIELD, CRC32], ids=["GCM", "CRC-32"])
def test_one_is_neutral(field: BinaryField) -> None:
    """One times anything is itself, and so is anything to the power of one; to the power of none it is one."""
    for element in (field.one, field.one >> 1, 1, 12345):
        assert field.multiply(field.one, element) == field.multiply(element, field.one) == element
        assert (field.power(element, 0), field.power(element, 1)) == (field.one, element)


@settings(reproducible, max_examples=100)
@given(parts=st.lists(st.binary(max_size=300), max_size=6), zeros=st.integers(0, 10**6))
def test_crc32_of_parts_is_that_of_the_whole(parts: list[bytes], zeros: int) -> None:
    """Put together from the checksums and lengths of the parts, it is zlib's of all of them."""
    parts = [*parts, bytes(zeros)]
    assert combined_crc32((zlib.crc32(part), len(part)) for part in parts) == zlib.crc32(b"".join(parts))
