"""AES-GCM of short messages equals pycryptodome's for whatever message; published vectors are in another file."""

from __future__ import annotations

import pickle
import random
import traceback
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.properties import reproducible
from support.reference import gcm_encrypt

from s3_encryption._keys.aes_wraps import ShortGcm
from s3_encryption.exceptions import DecryptionError

KEY = bytes(range(100, 132))
IV = bytes(range(12))
BOUND = b"AES/GCM/NoPadding"

keys = st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size))
ivs = st.binary(min_size=12, max_size=12)
short_texts = st.binary(max_size=32)


@settings(reproducible, max_examples=300)
@given(keys, ivs, short_texts, st.binary(max_size=100))
def test_short_message_encrypts_as_by_pycryptodome(key: bytes, iv: bytes, plaintext: bytes, aad: bytes) -> None:
    """Law: the same ciphertext and tag as MODE_GCM, and decryption undoes it."""
    gcm = ShortGcm(key)
    sealed = gcm.encrypt(iv, plaintext, aad)
    assert sealed == gcm_encrypt(key, iv, plaintext, aad)
    assert gcm.decrypt(iv, sealed[:-16], sealed[-16:], aad) == plaintext


@pytest.mark.parametrize("part", range(4), ids=["iv", "ciphertext", "tag", "aad"])
def test_every_changed_bit_is_refused(part: int) -> None:
    """No bit of the IV, the ciphertext, the tag and the associated data can be changed unnoticed."""
    gcm = ShortGcm(KEY)
    sealed = gcm.encrypt(IV, KEY, BOUND)
    parts = [IV, sealed[:-16], sealed[-16:], BOUND]
    for bit in range(len(parts[part]) * 8):
        changed = bytearray(parts[part])
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptionError):
            gcm.decrypt(*(bytes(changed) if index == part else kept for index, kept in enumerate(parts)))


@pytest.mark.parametrize("tag_bytes", [0, 4, 12, 15, 17])
def test_tag_of_another_length_is_refused(tag_bytes: int) -> None:
    """A shortened tag is not a tag, although its bytes are right."""
    gcm = ShortGcm(KEY)
    sealed = gcm.encrypt(IV, KEY, BOUND)
    tag = (sealed[-16:] + b"\0")[:tag_bytes]
    with pytest.raises(DecryptionError):
        gcm.decrypt(IV, sealed[:-16], tag, BOUND)


@pytest.mark.parametrize("size", [33, 48, 1000])
def test_message_beyond_the_tables_is_refused(size: int) -> None:
    """A message of more than two blocks raises: a tag over a part of it would be a wrong one."""
    gcm = ShortGcm(KEY)
    with pytest.raises(ValueError, match="too long"):
        gcm.encrypt(IV, bytes(size), BOUND)
    with pytest.raises(ValueError, match="too long"):
        gcm.decrypt(IV, bytes(size), bytes(16), BOUND)


@pytest.mark.parametrize("size", [0, 8, 11, 13, 16, 28])
def test_iv_of_another_length_is_refused(size: int) -> None:
    """The counter stands behind 12 bytes; what others would mean is not made here."""
    gcm = ShortGcm(KEY)
    with pytest.raises(ValueError, match="12 bytes"):
        gcm.encrypt(bytes(size), KEY, BOUND)
    with pytest.raises(ValueError, match="12 bytes"):
        gcm.decrypt(bytes(size), KEY, bytes(16), BOUND)


def test_refused_message_leaves_no_keystream_in_the_error() -> None:
    """Reports of errors show each frame's variables: none of them, with the ciphertext, makes the plaintext."""
    gcm = ShortGcm(KEY)
    sealed = gcm.encrypt(IV, KEY, BOUND)
    with pytest.raises(DecryptionError) as caught:
        gcm.decrypt(IV, sealed[:-16], bytes(16), BOUND)
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb)][1:]
    shown = {name for frame in frames for name, value in frame.f_locals.items() if isinstance(value, bytes)}
    assert shown == {"iv", "ciphertext", "tag", "aad"}


def test_key_costs_little_until_it_is_used() -> None:
    """A thousand keys of a program that mostly reads with one of them are no burden: tables come with the first use."""
    tracemalloc.start()
    try:
        gcm = ShortGcm(KEY)
        unused, _ = tracemalloc.get_traced_memory()
        gcm.encrypt(IV, KEY, BOUND)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert unused < 8 * 1024
    assert 256 * 1024 < used < 512 * 1024


def test_many_threads_share_one_key() -> None:
    """Nothing of one thread's message gets into another's."""
    gcm = ShortGcm(KEY)

    def seal_many(seed: int) -> list[tuple[bytes, bytes, bytes]]:
        chance = random.Random(seed)
        messages = [(chance.randbytes(12), chance.randbytes(32)) for _ in range(300)]
        return [(iv, plaintext, gcm.encrypt(iv, plaintext, BOUND)) for iv, plaintext in messages]

    with ThreadPoolExecutor(16) as pool:
        for sealed in pool.map(seal_many, range(16)):
            assert all(result == gcm_encrypt(KEY, iv, plaintext, BOUND) for iv, plaintext, result in sealed)


def test_key_does_not_leave_the_process() -> None:
    """It can't be pickled, and what it shows of itself is neither the key nor a product."""
    gcm = ShortGcm(KEY)
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(gcm)
    assert repr(gcm).startswith("<s3_encryption._keys.aes_wraps.ShortGcm object at ")
