"""Byte ranges: HTTP's headers are read as S3 reads them, and spans agree with Python's slices."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import reference

from s3_encryption._body.ranges import (
    ByteRange,
    cbc_ciphertext_span,
    content_range,
    parse_content_range,
    parse_range,
)
from s3_encryption._crypto.content import AES_CBC, ContentKey

# All different, so that a wrong slice can't look like the right one.
DATA = bytes(range(200))
LAW = settings(deadline=None, derandomize=True, max_examples=200, database=None)

lengths = st.integers(0, 200)
positions = st.integers(0, 250)
ranges = st.one_of(
    st.builds(ByteRange, start=positions),
    st.builds(lambda start, count: ByteRange(start, start + count), positions, st.integers(1, 250)),
    st.builds(ByteRange, suffix=positions),
)


@pytest.mark.parametrize(
    ("header", "range"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=0-499", ByteRange(0, 500)),
        ("bytes=500-999", ByteRange(500, 1000)),
        ("bytes=0-", ByteRange(0)),
        ("bytes=9500-", ByteRange(9500)),
        ("bytes=-1", ByteRange(suffix=1)),
        ("bytes=-500", ByteRange(suffix=500)),
        ("bytes=-0", ByteRange(suffix=0)),
        ("bytes=007-0010", ByteRange(7, 11)),
        ("  bytes=0-9 ", ByteRange(0, 10)),
        ("bytes=0-999999999999999999", ByteRange(0, 10**18)),
        # 2^63 - 1 and 2^64 - 1: "to the end" in other systems' words.
        ("bytes=5-9223372036854775807", ByteRange(5)),
        ("bytes=5-18446744073709551615", ByteRange(5)),
        ("bytes=-18446744073709551615", ByteRange(suffix=2**62)),
    ],
)
def test_range_header_is_read(header: str, range: ByteRange) -> None:
    """RFC 9110: from-to with both ends included, from-on, and the last n bytes."""
    assert parse_range(header) == range


IGNORED = ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=5-3", "bytes=--1", "bytes=1--2", "0-9"]
IGNORED += ["bytes=0-9,20-29", "bytes=0-9, -5", "items=0-9", "bytes=0-9x", "bytes=0x0-9", "bytes=+0-9", "bytes=0 - 9"]
IGNORED += ["bytes 0-9", "bytes=1.0-2", "bytes=-" + "9" * 21, "bytes=" + "9" * 5000 + "-", "bytes=\u0660-\u0669"]


@pytest.mark.parametrize("header", IGNORED)
def test_range_header_that_s3_ignores_is_ignored(header: str) -> None:
    """Several ranges, other units, reversed and malformed ones ask for the whole object."""
    assert parse_range(header) is None


@pytest.mark.parametrize("header", [None, 5, b"bytes=0-9", ["bytes=0-9"]])
def test_range_that_is_no_text_is_ignored(header: Any) -> None:
    """Whatever the caller passes, parsing does not fail; botocore reports the type."""
    assert parse_range(header) is None
    assert parse_content_range(header) is None


@LAW
@given(ranges)
def test_range_survives_printing(range: ByteRange) -> None:
    """Law: what is printed is parsed to the same range."""
    assert parse_range(str(range)) == range


@LAW
@given(ranges, lengths)
def test_span_selects_what_a_slice_selects(range: ByteRange, length: int) -> None:
    """Law: the bytes of a span are those of Python's slice, and no span means none of them."""
    data = DATA[:length]
    expected = data[max(0, length - range.suffix) :] if range.suffix is not None else data[range.start : range.stop]
    span = range.span(length)
    assert (b"" if span is None else data[span[0] : span[1]]) == expected
    assert span is None or 0 <= span[0] < span[1] <= length


@LAW
@given(ranges, lengths)
def test_range_that_may_cover_all_is_told(range: ByteRange, length: int) -> None:
    """Law: a range selects a whole object only if it says that it may."""
    covers = length > 0 and range.span(length) == (0, length)
    assert range.may_cover_all or not covers
    if range.may_cover_all and range.suffix != 0:
        assert range.span(1) == (0, 1)


@LAW
@given(ranges, lengths, st.integers(0, 32))
def test_widened_range_selects_the_trailing_bytes_too(range: ByteRange, length: int, trailing: int) -> None:
    """Law: of a body with so many more bytes a widened range selects the same start, and so many more bytes."""
    span = range.span(length)
    if span is not None:
        assert range.widened(trailing).span(length + trailing) == (span[0], span[1] + trailing)


@pytest.mark.parametrize(
    ("header", "parsed"),
    [
        ("bytes 0-0/1", (0, 1, 1)),
        ("bytes 0-499/1234", (0, 500, 1234)),
        (" bytes 5-9/10 ", (5, 10, 10)),
        ("bytes 0-9/5", None),
        ("bytes 9-0/10", None),
        ("bytes 0-9/*", None),
        ("bytes */1234", None),
        ("bytes 10-10/10", None),
        ("bytes=0-9/10", None),
        ("bytes 0-9", None),
        ("", None),
        ("bytes -1-9/10", None),
        ("bytes 0-9/" + "9" * 30, None),
    ],
)
def test_content_range_header_is_read(header: str, parsed: tuple[int, int, int] | None) -> None:
    """RG-14: all three numbers, and in order, or nothing."""
    assert parse_content_range(header) == parsed


@LAW
@given(st.integers(0, 10**12), st.integers(1, 10**9), st.integers(0, 10**9))
def test_content_range_survives_printing(start: int, count: int, rest: int) -> None:
    """Law: what is printed is parsed to the same span and total."""
    span = (start, start + count, start + count + rest)
    assert parse_content_range(content_range(*span)) == span


KEY = ContentKey(AES_CBC, bytes(range(32)), bytes(range(16)))


@LAW
@given(st.integers(1, 200), st.data())
def test_cbc_span_decrypts_to_the_slice(length: int, data: st.DataObject) -> None:
    """Law: the span of a CBC body holds what is needed for a span of plaintext, one block more at its start at most."""
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length))
    plaintext = DATA[:length]
    body = reference.cbc_encrypt(KEY.key, KEY.iv, plaintext)
    first, last = cbc_ciphertext_span(start, stop, len(body))
    assert 0 <= first <= last <= len(body)
    assert last - first <= stop - start + 15 + 15 + 16
    previous, blocks = (KEY.iv, body[:last]) if start < 16 else (body[first : first + 16], body[first + 16 : last])
    decryptor = KEY.cbc_range_decryptor(previous, last=last == len(body))
    decrypted = decryptor.update(blocks) + decryptor.finalize()
    assert decrypted[start % 16 :][: stop - start] == plaintext[start:stop]
