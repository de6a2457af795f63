"""Block digests: what the guard of an upload's keystream compares."""

from __future__ import annotations

import os

import pytest
from Crypto.Cipher import AES

from s3_encryption.ciphers import BlockMac

KEY = bytes(range(32))
BLOCK = bytes(1000)


def test_kv_07_block_mac_tells_blocks_and_their_numbers_apart() -> None:
    """KV-07: the same block under the same number has one digest; another block or number has another."""
    mac = BlockMac()
    digests = [mac.digest(0, b"a"), mac.digest(1, b"a"), mac.digest(0, b"b"), mac.digest(0, b""), mac.digest(0, b"a\0")]
    assert len(set(digests)) == len(digests)
    assert mac.digest(0, b"a") == digests[0]
    assert {len(digest) for digest in digests} == {16}


def test_kv_07_block_macs_have_keys_of_their_own() -> None:
    """KV-07: who knows one key, or none, can't make two blocks with one digest under another."""
    assert BlockMac().digest(0, b"a") != BlockMac().digest(0, b"a")


def test_kv_07_block_mac_is_gmac_under_an_aes_256_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """KV-07: NIST SP 800-38D, section 3: the tag of nothing, with the block as associated data."""
    monkeypatch.setattr(os, "urandom", lambda size: KEY[:size])
    expected = AES.new(KEY, AES.MODE_GCM, nonce=bytes(11) + b"\x07")
    expected.update(BLOCK)
    assert BlockMac().digest(7, BLOCK) == expected.digest()
