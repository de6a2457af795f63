"""Byte ranges: HTTP's Range and Content-Range headers, and spans of plaintext and ciphertext. Integers only.

Inside, a span is half-open: ``(start, stop)``. Only the parser and the printers here speak HTTP's inclusive form
(RFC 9110, section 14).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .._crypto.primitives import AES_BLOCK_BYTES

# As many digits as the limits of other systems have, by which "to the end" is said: 2^63 - 1, 2^64 - 1.
_NUMBER = "[0-9]{1,20}"
# Longer than any object. A range that goes beyond it goes to the end: servers may not know larger numbers.
_BEYOND_EVERY_OBJECT = 2**62
_RANGE = re.compile(rf"bytes=(?:({_NUMBER})-({_NUMBER})?|-({_NUMBER}))")
_CONTENT_RANGE = re.compile(rf"bytes ({_NUMBER})-({_NUMBER})/({_NUMBER})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """One requested range: from ``start`` up to ``stop`` (None: the end), or the last ``suffix`` bytes."""

    start: int | None = None
    stop: int | None = None
    suffix: int | None = None

    def span(self, length: int) -> tuple[int, int] | None:
        """Return the span that the range selects from ``length`` bytes; None when it selects none (HTTP 416)."""
        if self.suffix is not None:
            start, stop = max(0, length - self.suffix), length
        else:
            start, stop = self.start or 0, length if self.stop is None else min(self.stop, length)
        return (start, stop) if start < stop else None

    @property
    def may_cover_all(self) -> bool:
        """Whether there can be an object, long or short, of which the range selects every byte."""
        return self.suffix is not None or self.start == 0

    def widened(self, trailing_bytes: int) -> ByteRange:
        """Return the range that, of a body with that many more bytes at its end, selects those bytes too."""
        if self.suffix is not None:
            return ByteRange(suffix=self.suffix + trailing_bytes)
        return ByteRange(self.start, None if self.stop is None else self.stop + trailing_bytes)

    def __str__(self) -> str:
        if self.suffix is not None:
            return f"bytes=-{self.suffix}"
        return f"bytes={self.start}-{'' if self.stop is None else self.stop - 1}"


def parse_range(header: object) -> ByteRange | None:
    """Return the single range that a Range header asks for.

    None for several ranges, for a malformed header and for other units: S3 ignores those and sends the whole object.
    """
    match = _RANGE.fullmatch(header.strip()) if isinstance(header, str) else None
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        return ByteRange(suffix=min(int(suffix), _BEYOND_EVERY_OBJECT))
    start = int(first)
    stop = None if last is None or int(last) >= _BEYOND_EVERY_OBJECT else int(last) + 1
    return None if stop is not None and stop <= start else ByteRange(start, stop)


def parse_content_range(header: object) -> tuple[int, int, int] | None:
    """Return start, stop and total length from a Content-Range header; None when it is not one with all three."""
    match = _CONTENT_RANGE.fullmatch(header.strip()) if isinstance(header, str) else None
    if match is None:
        return None
    first, last, total = map(int, match.groups())
    return (first, last + 1, total) if first <= last < total else None


def content_range(start: int, stop: int, total: int) -> str:
    """Return the Content-Range header of a non-empty span."""
    return f"bytes {start}-{stop - 1}/{total}"


def cbc_ciphertext_span(start: int, stop: int, ciphertext_length: int) -> tuple[int, int]:
    """Return the span of a CBC body that is needed to decrypt a span of its plaintext.

    It starts one block early, for the block that CBC chains from, unless it starts with the object.
    """
    first = start // AES_BLOCK_BYTES * AES_BLOCK_BYTES
    last = -(-stop // AES_BLOCK_BYTES) * AES_BLOCK_BYTES
    return max(0, first - AES_BLOCK_BYTES), min(last, ciphertext_length)
