"""Segments: each pass makes the ciphertext of one-shot AES-GCM, and no other plaintext meets the same keystream."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import reference
from support.content_keys import content_key
from support.properties import reproducible

from s3_encryption._crypto.content import AES_GCM, AES_GCM_COMMITTING, Suite
from s3_encryption._crypto.ghash import Ghash
from s3_encryption._crypto.keystream import KeystreamSegment
from s3_encryption.exceptions import BodyChangedError

AES_BLOCK_BYTES = 64 * 1024
DATA = random.Random("segments").randbytes(4 * AES_BLOCK_BYTES + 77)
suites = pytest.mark.parametrize("suite", [AES_GCM, AES_GCM_COMMITTING], ids=lambda suite: suite.name)


def whole(suite: Suite = AES_GCM, length: int | None = None) -> KeystreamSegment:
    """Return the segment that is a whole object."""
    return KeystreamSegment(Ghash(content_key(suite)), length=length, is_whole=True)


def passed(segment: KeystreamSegment, plaintext: bytes) -> Iterator[bytes]:
    """Yield what one pass of a segment makes of a plaintext, given in blocks."""
    context = segment.new_context()
    for start in range(0, len(plaintext), AES_BLOCK_BYTES):
        yield context.update(plaintext[start : start + AES_BLOCK_BYTES])
    yield context.finalize()


def encrypted(segment: KeystreamSegment, plaintext: bytes) -> bytes:
    """Return all that one pass of a segment makes of a plaintext."""
    return b"".join(passed(segment, plaintext))


def changed_at(position: int) -> bytes:
    """Return the data with one flipped bit."""
    changed = bytearray(DATA)
    changed[position] ^= 1 << position % 8
    return bytes(changed)


@suites
@pytest.mark.parametrize(
    "length", [0, 1, 15, 16, 17, AES_BLOCK_BYTES - 1, AES_BLOCK_BYTES, AES_BLOCK_BYTES + 1, len(DATA)]
)
def test_whole_object_is_what_one_encryption_makes(suite: Suite, length: int) -> None:
    """Each pass gives ciphertext and tag of AES-GCM, and as many bytes as it announced."""
    key, segment = content_key(suite), whole(suite)
    expected = reference.gcm_encrypt(key.key, key.iv, DATA[:length], suite.aad)
    for _ in range(3):
        assert encrypted(segment, DATA[:length]) == expected
    assert segment.ciphertext_length(length) == len(expected)


@suites
@settings(reproducible, max_examples=60)
@given(cuts=st.lists(st.integers(0, len(DATA)), max_size=4), seed=st.integers(0, 2**32))
def test_segments_in_any_order_make_one_object(suite: Suite, cuts: list[int], seed: int) -> None:
    """Segments at any offsets, encrypted in any order, give ciphertext and tag of one encryption."""
    key = content_key(suite)
    ghash = Ghash(key)
    bounds = [0, *sorted(cuts), len(DATA)]
    segments = [(KeystreamSegment(ghash, start), start, stop) for start, stop in itertools.pairwise(bounds)]
    random.Random(seed).shuffle(segments)
    pieces = {(start, stop): encrypted(segment, DATA[start:stop]) for segment, start, stop in segments}
    hashed = [segment.hashed for segment, _, _ in segments if segment.hashed is not None]
    body = b"".join(pieces[span] for span in sorted(pieces)) + ghash.tag(hashed, len(DATA))
    assert body == reference.gcm_encrypt(key.key, key.iv, DATA, suite.aad)


@pytest.mark.parametrize("position", [0, 1, 15, 16, 1000, AES_BLOCK_BYTES - 1, AES_BLOCK_BYTES, len(DATA) - 1])
def test_every_flipped_bit_is_refused_before_its_block_is_let_out(position: int) -> None:
    """The context raises at the changed block, and not later; what it lets out before is what went out before."""
    segment = whole()
    sent = encrypted(segment, DATA)
    blocks = passed(segment, changed_at(position))
    before = b"".join(itertools.islice(blocks, position // AES_BLOCK_BYTES))
    with pytest.raises(BodyChangedError, match="start the upload again"):
        list(blocks)
    assert before == sent[: position // AES_BLOCK_BYTES * AES_BLOCK_BYTES]


@pytest.mark.parametrize("other", [b"", DATA[:1], DATA[:AES_BLOCK_BYTES], DATA[:-1], DATA + b"\0", DATA + DATA])
def test_other_lengths_are_refused(other: bytes) -> None:
    """A plaintext that begins like the first one and is shorter or longer is another one."""
    segment = whole()
    encrypted(segment, DATA)
    with pytest.raises(BodyChangedError):
        encrypted(segment, other)
    assert encrypted(segment, DATA) == encrypted(whole(), DATA)


@pytest.mark.parametrize("other", [b"", DATA[:AES_BLOCK_BYTES], DATA[:-1], DATA + b"\0"])
def test_announced_length_is_kept(other: bytes) -> None:
    """A segment that was given a length takes no other plaintext, and the right one afterwards."""
    segment = whole(length=len(DATA))
    with pytest.raises(BodyChangedError):
        encrypted(segment, other)
    if not other or len(other) % AES_BLOCK_BYTES == 0:
        assert encrypted(segment, DATA) == encrypted(whole(), DATA)


def test_what_was_never_encrypted_may_still_be_anything() -> None:
    """After a pass that was cut off, the rest may change: it goes out once only."""
    segment = whole()
    segment.new_context().update(DATA[:AES_BLOCK_BYTES])
    other = changed_at(AES_BLOCK_BYTES)
    assert encrypted(segment, other) == encrypted(whole(), other)
    with pytest.raises(BodyChangedError):
        encrypted(segment, DATA)


@pytest.mark.parametrize("position", [0, AES_BLOCK_BYTES - 1, AES_BLOCK_BYTES, 2 * AES_BLOCK_BYTES - 1])
def test_kv_07_what_was_encrypted_in_a_pass_that_was_cut_off_is_settled(position: int) -> None:
    """KV-07: a block that may have gone out is not let out again with other content, though the pass never ended."""
    segment = whole()
    context = segment.new_context()
    for start in (0, AES_BLOCK_BYTES):
        context.update(DATA[start : start + AES_BLOCK_BYTES])
    with pytest.raises(BodyChangedError):
        encrypted(segment, changed_at(position))
    assert encrypted(segment, DATA) == encrypted(whole(), DATA)


def test_part_of_an_object_has_no_tag_and_its_own_length() -> None:
    """A segment inside an object makes as many bytes as it is given, and knows how many after its first pass."""
    segment = KeystreamSegment(Ghash(content_key()), AES_BLOCK_BYTES)
    assert segment.ciphertext_length(1000) == len(encrypted(segment, DATA[:1000])) == 1000
    assert segment.length == 1000
    with pytest.raises(BodyChangedError):
        encrypted(segment, DATA[:1001])


def test_blocks_are_told_apart_by_their_place() -> None:
    """Two blocks that change places are another plaintext."""
    segment = whole()
    first, second, rest = (
        DATA[:AES_BLOCK_BYTES],
        DATA[AES_BLOCK_BYTES : 2 * AES_BLOCK_BYTES],
        DATA[2 * AES_BLOCK_BYTES :],
    )
    encrypted(segment, first + second + rest)
    with pytest.raises(BodyChangedError):
        encrypted(segment, second + first + rest)
