"""GHASH in pieces: whatever the segments and their order, the tag is the one that AES-GCM makes in one go."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from Crypto.Cipher import AES
from hypothesis import given, settings
from hypothesis import strategies as st
from support import reference
from support.known_answers import cavp, pyca_text, wycheproof
from support.polynomials import polynomial_product
from support.properties import reproducible

from s3_encryption._crypto.content import AES_GCM, AES_GCM_COMMITTING, ContentKey, Suite
from s3_encryption._crypto.ghash import Ghash, HashedSegment, SegmentHash

SUITES = (AES_GCM, AES_GCM_COMMITTING)
suites = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)

DATA = random.Random("ghash").randbytes(3 * 2**20)


def content_key(suite: Suite, seed: int = 0) -> ContentKey:
    """Return a content key with the IV that the suite demands, or any other."""
    chance = random.Random(seed)
    return ContentKey(suite, chance.randbytes(32), suite.fixed_iv or chance.randbytes(12))


def sealed(key: ContentKey, plaintext: bytes) -> tuple[bytes, bytes]:
    """Return ciphertext and tag as pycryptodome makes them in one go."""
    body = reference.gcm_encrypt(key.key, key.iv, plaintext, key.suite.aad)
    return body[:-16], body[-16:]


def hashed(key: ContentKey, ciphertext: bytes, start: int, stop: int, steps: int = 1) -> HashedSegment:
    """Return the hash of one segment, fed in so many pieces."""
    segment = SegmentHash(Ghash(key), start)
    for step in range(steps):
        segment.update(
            ciphertext[start + (stop - start) * step // steps : start + (stop - start) * (step + 1) // steps]
        )
    return segment.finish()


def tag_of(key: ContentKey, ciphertext: bytes, cuts: list[int], chance: random.Random) -> bytes:
    """Return the tag from the segments between the cuts, hashed and combined in random orders."""
    bounds = [0, *sorted(cuts), len(ciphertext)]
    spans = list(itertools.pairwise(bounds))
    chance.shuffle(spans)
    segments = [hashed(key, ciphertext, start, stop, chance.randint(1, 3)) for start, stop in spans]
    chance.shuffle(segments)
    return Ghash(key).tag(segments, len(ciphertext))


# --- published answers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """A ciphertext and its published tag."""

    key: ContentKey
    ciphertext: bytes
    tag: bytes


def case(key: str, iv: str, aad: str, ciphertext: str, tag: str) -> Case:
    """Return a case from hex texts."""
    suite = replace(AES_GCM, aad=bytes.fromhex(aad))
    return Case(ContentKey(suite, bytes.fromhex(key), bytes.fromhex(iv)), bytes.fromhex(ciphertext), bytes.fromhex(tag))


def nist_cases(bits: int) -> Iterator[Case]:
    """Return the NIST encryption tests with the sizes that S3 objects have."""
    for record in cavp(pyca_text(f"ciphers/AES/GCM/gcmEncryptExtIV{bits}.rsp")):
        if (record["ivlen"], record["taglen"]) == ("96", "128") and int(record["aadlen"]) <= 128:
            yield case(record["key"], record["iv"], record["aad"], record["ct"], record["tag"])


def wycheproof_cases() -> Iterator[Case]:
    """Return the valid Wycheproof tests with the sizes that S3 objects have."""
    for group, test in wycheproof("Cipher/wycheproof/aes_gcm_test.json"):
        sizes_fit = (group["ivSize"], group["tagSize"]) == (96, 128) and len(test["aad"]) <= 32
        if sizes_fit and test["result"] == "valid":
            yield case(test["key"], test["iv"], test["aad"], test["ct"], test["tag"])


# Test cases 13 to 15 of the GCM specification (McGrew and Viega), which are those of AES-256 without associated data.
SPECIFIED = [
    case("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    case("00" * 32, "00" * 12, "", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"),
    case(
        "feffe9928665731c6d6a8f9467308308" * 2,
        "cafebabefacedbaddecaf888",
        "",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
        "b094dac5d93471bdec1a502270e3cc6c",
    ),
]
PUBLISHED = {
    "specification": SPECIFIED,
    "wycheproof": list(wycheproof_cases()),
    **{f"nist{bits}": list(nist_cases(bits)) for bits in (128, 192, 256)},
}


def test_published_answers_are_there() -> None:
    """The files hold as many cases of the sizes used here as they are known to."""
    assert [len(cases) for cases in PUBLISHED.values()] == [3, 77, 150, 150, 150]


@pytest.mark.parametrize("cases", PUBLISHED.values(), ids=PUBLISHED)
@pytest.mark.parametrize("cuts", [0, 1, 2, 5])
def test_tag_is_the_published_one(cases: list[Case], cuts: int) -> None:
    """KV-01, KV-02: the published tag comes out of one segment and of several, cut anywhere."""
    chance = random.Random(cuts)
    for each in cases:
        where = [chance.randint(0, len(each.ciphertext)) for _ in range(cuts)]
        assert tag_of(each.key, each.ciphertext, where, chance) == each.tag


# --- against MODE_GCM -------------------------------------------------------------------------------------------------


@suites
@settings(reproducible, max_examples=150)
@given(
    length=st.integers(0, 5000),
    cuts=st.lists(st.floats(0, 1), max_size=12),
    seed=st.integers(0, 2**32),
)
def test_tag_of_any_partition_is_that_of_mode_gcm(suite: Suite, length: int, cuts: list[float], seed: int) -> None:
    """Segments at any offsets, empty ones too, hashed and combined in any order, give the tag of one-shot AES-GCM."""
    key = content_key(suite, seed)
    ciphertext, tag = sealed(key, DATA[:length])
    assert tag_of(key, ciphertext, [int(cut * length) for cut in cuts], random.Random(seed)) == tag


@suites
@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 31, 32, 33, 48])
def test_tag_of_single_bytes_is_that_of_mode_gcm(suite: Suite, length: int) -> None:
    """Every byte may be a segment of its own: many segments then share one block."""
    key = content_key(suite)
    ciphertext, tag = sealed(key, DATA[:length])
    assert tag_of(key, ciphertext, list(range(length)), random.Random(length)) == tag


@suites
def test_tag_of_nothing_needs_no_segment(suite: Suite) -> None:
    """An empty object has a tag, whether or not an empty segment is given for it."""
    key = content_key(suite)
    _, tag = sealed(key, b"")
    assert Ghash(key).tag([], 0) == tag
    assert Ghash(key).tag([SegmentHash(Ghash(key), 0).finish()] * 3, 0) == tag


@suites
def test_tag_of_large_segments_is_that_of_mode_gcm(suite: Suite) -> None:
    """Segments of several hundred KiB at odd offsets give the same tag as small ones."""
    key = content_key(suite)
    ciphertext, tag = sealed(key, DATA)
    assert tag_of(key, ciphertext, [2**20 - 1, 2 * 2**20 + 7], random.Random(1)) == tag


@suites
def test_segments_may_be_hashed_by_many_threads(suite: Suite) -> None:
    """Segments share nothing, so threads need no order among each other."""
    key = content_key(suite)
    ciphertext, tag = sealed(key, DATA)
    step = 100_003
    with ThreadPoolExecutor(8) as threads:
        tasks = [
            threads.submit(hashed, key, ciphertext, start, min(start + step, len(DATA)), 3)
            for start in range(0, len(DATA), step)
        ]
        assert Ghash(key).tag([task.result() for task in reversed(tasks)], len(DATA)) == tag


@suites
@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_segment_takes_any_buffer(suite: Suite, buffer: type) -> None:
    """Bytes, a bytearray and a memoryview hash alike."""
    key = content_key(suite)
    ciphertext, tag = sealed(key, DATA[:1000])
    segment = SegmentHash(Ghash(key), 0)
    segment.update(buffer(ciphertext))
    assert Ghash(key).tag([segment.finish()], 1000) == tag


@suites
def test_changed_segment_changes_the_tag(suite: Suite) -> None:
    """A flipped bit in any segment, a segment left out or at another offset gives another tag."""
    key = content_key(suite)
    ciphertext, tag = sealed(key, DATA[:100])
    spans = [(0, 33), (33, 64), (64, 100)]
    good = [hashed(key, ciphertext, *span) for span in spans]
    flipped = bytes(byte ^ 1 for byte in ciphertext)
    for number, span in enumerate(spans):
        others = good[:number] + good[number + 1 :]
        assert Ghash(key).tag([*others, hashed(key, flipped, *span)], 100) != tag
        assert Ghash(key).tag(others, 100) != tag
    shifted = SegmentHash(Ghash(key), 40)
    shifted.update(ciphertext[64:100])
    assert Ghash(key).tag([*good[:2], shifted.finish()], 100) != tag


@pytest.mark.parametrize("length", [2**32, 2**36 - 32], ids=["4-GiB", "longest"])
def test_lengths_of_real_objects_are_hashed_as_64_bit_numbers(length: int) -> None:
    """The bit length of the longest object does not fit in 32 bits: it still enters the tag whole."""
    key = content_key(AES_GCM)
    h = int.from_bytes(AES.new(key.key, AES.MODE_ECB).encrypt(bytes(16)), "big")
    nothing = int.from_bytes(sealed(key, b"")[1], "big")
    # The hash of zeros is zero, so that only the length and the mask are left of the tag.
    expected = polynomial_product(length * 8, h) ^ nothing
    end = HashedSegment(length // 16, 0)
    assert Ghash(key).tag([end], length) == expected.to_bytes(16, "big")
