"""AESWrap against the published vectors of Wycheproof and NIST, and the other AES wraps against the reference."""

from __future__ import annotations

import pytest
from Crypto.Cipher import AES
from support import reference
from support.encoder import AES_KEY, COMMITTING, GCM
from support.known_answers import cavp, pyca_text, wycheproof
from support.wraps import wrap_data_key

from s3_encryption._keys.aes_wraps import load_aes_key
from s3_encryption._keys.wrap_algorithms import unwrap_data_key
from s3_encryption.exceptions import DecryptionError

DATA_KEY = bytes(range(100, 132))


def wrap(key: bytes, data: bytes) -> bytes:
    """Return data wrapped by AESWrap."""
    return wrap_data_key("AESWrap", load_aes_key(key), data, GCM)


def unwrap(key: bytes, wrapped: bytes) -> bytes:
    """Return data unwrapped by AESWrap."""
    return unwrap_data_key("AESWrap", load_aes_key(key), wrapped, GCM)


def test_key_wrap_agrees_with_wycheproof() -> None:
    """Valid vectors wrap and unwrap; invalid ones are refused on unwrapping; merely acceptable ones may be either."""
    seen = dict.fromkeys(("valid", "invalid", "acceptable"), 0)
    for _, test in wycheproof("Cipher/wycheproof/aes_wrap_test.json"):
        key, message, wrapped = (bytes.fromhex(test[name]) for name in ("key", "msg", "ct"))
        seen[test["result"]] += 1
        if test["result"] == "valid":
            assert wrap(key, message) == wrapped
            assert unwrap(key, wrapped) == message
        elif test["result"] == "invalid":
            with pytest.raises(DecryptionError):
                unwrap(key, wrapped)
    assert seen == {"valid": 36, "invalid": 126, "acceptable": 3}


@pytest.mark.parametrize("bits", [128, 192, 256])
@pytest.mark.parametrize("direction", ["AE", "AD"])
def test_key_wrap_agrees_with_nist(direction: str, bits: int) -> None:
    """NIST SP 800-38F: data of 128, 192 and 256 bits, the sizes of data keys, wraps and unwraps or is refused."""
    records = list(cavp(pyca_text(f"keywrap/kwtestvectors/KW_{direction}_{bits}.txt")))
    records = [record for record in records if record["plaintext length"] in ("128", "192", "256")]
    assert len(records) >= 200
    for record in records:
        key, wrapped = bytes.fromhex(record["k"]), bytes.fromhex(record["c"])
        if "fail" in record:
            with pytest.raises(DecryptionError):
                unwrap(key, wrapped)
            continue
        assert unwrap(key, wrapped) == bytes.fromhex(record["p"])
        assert wrap(key, bytes.fromhex(record["p"])) == wrapped


def test_reference_key_wrap_agrees_with_the_rfc() -> None:
    """RFC 3394, section 4.6: what the test encoder writes with is right itself."""
    data = bytes.fromhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f")
    wrapped = "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
    assert reference.aes_key_wrap(bytes(range(32)), data).hex() == wrapped


@pytest.mark.parametrize("key_bytes", [16, 24, 32])
@pytest.mark.parametrize("bound", [GCM, COMMITTING])
def test_aes_gcm_wrap_has_the_layout_of_the_format(bound: str, key_bytes: int) -> None:
    """A data key is stored as a nonce of 12 bytes, the ciphertext and a tag of 16; the bound name is the AAD."""
    key = AES_KEY[:key_bytes]
    wrapped = wrap_data_key("AES/GCM", load_aes_key(key), DATA_KEY, bound)
    assert wrapped == wrapped[:12] + reference.gcm_encrypt(key, wrapped[:12], DATA_KEY, bound.encode())
    assert len(wrapped) == 60


def test_aes_gcm_wrap_takes_a_fresh_nonce_each_time() -> None:
    """Two wraps of one data key share no nonce, although nothing but the nonce could differ."""
    key = load_aes_key(AES_KEY)
    assert len({wrap_data_key("AES/GCM", key, DATA_KEY, GCM)[:12] for _ in range(200)}) == 200


@pytest.mark.parametrize("key_bytes", [16, 24, 32])
def test_aes_ecb_wrap_has_the_layout_of_the_format(key_bytes: int) -> None:
    """A data key of V1 is padded to 48 bytes and encrypted block by block."""
    key = AES_KEY[:key_bytes]
    blocks = AES.new(key, AES.MODE_ECB).decrypt(wrap_data_key("AES/ECB", load_aes_key(key), DATA_KEY, ""))
    assert blocks == DATA_KEY + b"\x10" * 16
