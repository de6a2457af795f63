"""Known answers that the other modules of known answers don't have: many random ranges, against pycryptodome alone.

NIST's and Wycheproof's vectors, and objects of other clients, are tests of the core (KV-01 to KV-10); so are the state
machines. ``make fuzz`` is for hours.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from Crypto.Cipher import AES

from s3_encryption._crypto.content import AES_GCM, AES_GCM_COMMITTING, ContentKey

KEY = bytes(range(32))


@pytest.mark.parametrize("suite", [AES_GCM, AES_GCM_COMMITTING], ids=lambda suite: suite.name)
def test_kv_05_ten_thousand_ranges_are_slices_of_the_whole(suite: Any) -> None:
    """A random slice of the ciphertext, decrypted by itself, is that slice of what a whole decryption gives."""
    chance = random.Random("ranges")
    iv = suite.fixed_iv or bytes(range(12))
    key = ContentKey(suite, KEY, iv)
    for _ in range(100):
        plaintext = chance.randbytes(chance.choice([1, 15, 16, 17, 61, 4096, 70_000]))
        cipher = AES.new(KEY, AES.MODE_GCM, nonce=iv)
        cipher.update(suite.aad or b"")
        body = cipher.encrypt(plaintext)
        for _ in range(100):
            start = chance.randrange(len(plaintext) + 1)
            stop = chance.randrange(start, len(plaintext) + 1)
            filter = key.ctr_context(start)
            assert filter.update(body[start:stop]) + filter.finalize() == plaintext[start:stop]
