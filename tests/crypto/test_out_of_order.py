"""OutOfOrderDecryptor: parts in any order are one AES-GCM object, and what is not that object is refused."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.content_keys import body_of, content_key
from support.properties import reproducible

from s3_encryption._crypto.content import AES_GCM, AES_GCM_COMMITTING, Suite
from s3_encryption._crypto.out_of_order import OutOfOrderDecryptor
from s3_encryption._crypto.primitives import Buffer
from s3_encryption.exceptions import DecryptionError

SUITES = (AES_GCM, AES_GCM_COMMITTING)
suites = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
KIB = 1024
DATA = random.Random("parts").randbytes(700 * KIB + 5)
PART_BYTES = 256 * KIB


def pieces(body: bytes, start: int, stop: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield a part of a body in pieces, with their offsets."""
    for offset in range(start, stop, size):
        yield offset, body[offset : min(stop, offset + size)]


class Collected:
    """Plaintext, put together from what was written."""

    def __init__(self, length: int) -> None:
        self.data = bytearray(length)
        self.written = 0

    def __call__(self, position: int, plaintext: Buffer) -> None:
        """Take one write."""
        self.data[position : position + len(plaintext)] = plaintext
        self.written += len(plaintext)


def decryptor(body: bytes, write: Callable[[int, Buffer], object] | None = None) -> OutOfOrderDecryptor:
    """Return a decryptor of a body in parts of the usual size."""
    return OutOfOrderDecryptor(content_key(), len(body), PART_BYTES, write)


def fed(parts: OutOfOrderDecryptor, body: bytes) -> OutOfOrderDecryptor:
    """Return a decryptor that has got all of a body."""
    for start in range(0, len(body), PART_BYTES):
        parts.update(start, body[start : start + PART_BYTES])
    return parts


@settings(reproducible, max_examples=150)
@given(st.data())
def test_parts_in_any_order_are_one_decryption(data: st.DataObject) -> None:
    """Whatever the sizes of object, parts and pieces, and in whatever order they come, some of them again."""
    suite = data.draw(st.sampled_from(SUITES))
    length = data.draw(st.one_of(st.integers(0, 100), st.integers(100, 300 * KIB)))
    part_bytes = data.draw(st.one_of(st.integers(1, 200), st.integers(64 * KIB, 320 * KIB))) + length // 50
    piece_bytes = data.draw(st.integers(part_bytes // 5 + 1, 2 * part_bytes))
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    plaintext = DATA[:length]
    body, collected = body_of(plaintext, suite), Collected(length)
    parts = OutOfOrderDecryptor(content_key(suite), len(body), part_bytes, collected)
    waiting = {start: pieces_of_part(body, start, part_bytes, piece_bytes) for start in range(0, len(body), part_bytes)}
    while waiting:
        start = chance.choice(list(waiting))
        for offset, piece in waiting[start]:
            parts.update(offset, piece)
            break
        else:
            del waiting[start]
        if start in waiting and chance.random() < 0.05:
            waiting[start] = pieces_of_part(body, start, part_bytes, piece_bytes)
    parts.verify()
    assert bytes(collected.data) == plaintext


def pieces_of_part(body: bytes, start: int, part_bytes: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the pieces of the part that starts somewhere."""
    return pieces(body, start, min(start + part_bytes, len(body)), size)


@suites
def test_every_byte_is_written_once_if_nothing_comes_again(suite: Suite) -> None:
    """Nothing is decrypted twice, and the tag is not taken for content."""
    body, collected = body_of(DATA, suite), Collected(len(DATA))
    parts = OutOfOrderDecryptor(content_key(suite), len(body), PART_BYTES, collected)
    fed(parts, body).verify()
    assert (bytes(collected.data), collected.written) == (DATA, len(DATA))


def test_object_can_be_verified_without_being_decrypted() -> None:
    """Without somewhere to write to only the tag is looked at."""
    body = body_of(DATA)
    fed(decryptor(body), body).verify()
    with pytest.raises(DecryptionError):
        fed(decryptor(body), body[:-1] + bytes([body[-1] ^ 1])).verify()


@pytest.mark.parametrize("position", [0, PART_BYTES - 1, PART_BYTES, len(DATA) - 1, len(DATA), len(DATA) + 15])
def test_changed_bit_is_refused(position: int) -> None:
    """A bit flipped anywhere, in content or tag, is found at the end."""
    changed = bytearray(body_of(DATA))
    changed[position] ^= 1 << position % 8
    with pytest.raises(DecryptionError):
        fed(decryptor(bytes(changed), Collected(len(DATA))), bytes(changed)).verify()


def test_what_a_part_was_before_it_came_again_does_not_count() -> None:
    """A part that breaks off half-way, changed even, and comes again from its start, is what it was at last."""
    body, collected = body_of(DATA), Collected(len(DATA))
    parts = decryptor(body, collected)
    parts.update(PART_BYTES, bytes(100 * KIB))
    fed(parts, body).verify()
    assert bytes(collected.data) == DATA


def test_part_that_came_again_changed_is_refused() -> None:
    """The last coming counts, also when an earlier one was genuine."""
    body = body_of(DATA)
    parts = fed(decryptor(body, Collected(len(DATA))), body)
    parts.update(0, bytes(PART_BYTES))
    with pytest.raises(DecryptionError):
        parts.verify()


@pytest.mark.parametrize("missing", range(3))
def test_missing_part_is_refused(missing: int) -> None:
    """All parts must have come, whole."""
    body = body_of(DATA)
    for kept in (0, 1000):
        parts = decryptor(body, Collected(len(DATA)))
        for number, start in enumerate(range(0, len(body), PART_BYTES)):
            piece = body[start : start + PART_BYTES]
            if number != missing or kept:
                parts.update(start, piece[:kept] if number == missing else piece)
        with pytest.raises(DecryptionError):
            parts.verify()


@pytest.mark.parametrize(
    ("first", "offset", "size"),
    [
        (1000, 1001, 10),
        (1000, 999, 10),
        (0, 5, 10),
        (1000, 1000, PART_BYTES),
        (1000, 3 * PART_BYTES, 10),
        (1000, 2 * PART_BYTES, PART_BYTES),
    ],
    ids=["gap", "overlap", "no start", "beyond the part", "beyond the object", "beyond the last part"],
)
def test_piece_that_does_not_follow_is_refused(first: int, offset: int, size: int) -> None:
    """What s3transfer never sends, and a server may: pieces that leave something out, or are too long."""
    parts = decryptor(body_of(DATA), Collected(len(DATA)))
    parts.update(0, bytes(first))
    with pytest.raises(DecryptionError):
        parts.update(offset, bytes(size))


@pytest.mark.parametrize("length", [0, 15])
def test_body_too_short_for_a_tag_is_refused(length: int) -> None:
    """It can't be an object of this format."""
    with pytest.raises(DecryptionError):
        OutOfOrderDecryptor(content_key(), length, PART_BYTES)
