"""RSA wraps against Wycheproof, the vectors of pyca and of the IETF draft on implicit rejection, and the reference.

RSA-OAEP-SHA1 puts a payload of its own under the padding, so its unwrapping can't return the published messages: there
the reference is checked against the vectors, and the library against the reference.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import pytest
from Crypto.PublicKey import RSA
from Crypto.PublicKey.RSA import RsaKey
from support import reference
from support.encoder import COMMITTING, GCM, RSA_KEY
from support.known_answers import cavp, pyca_text, pycryptodome_text, wycheproof
from support.wraps import wrap_data_key

from s3_encryption._crypto import engine
from s3_encryption._keys import wrap_algorithms
from s3_encryption.exceptions import DecryptionError

OAEP_SHA1 = "RSA-OAEP-SHA1"
OAEP_SHA256 = "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"
PKCS1 = "RSA/ECB/PKCS1Padding"
DATA_KEY = bytes(range(100, 132))
SEED = bytes(range(32))
WRAPPING_KEY = engine.active.rsa_key(RSA_KEY, None)


def unwrap_data_key(name: str, key: RsaKey, encrypted: bytes, bound: str) -> bytes:
    """Return what the named algorithm unwraps under a key that need not be as strong as a keyring demands."""
    return wrap_algorithms.unwrap_data_key(name, engine.active.rsa_key(key, None), encrypted, bound)


@cache
def private_key(pem: str) -> RsaKey:
    """Return the private key of a Wycheproof group, which many tests share."""
    return RSA.import_key(pem)


def oaep_tests(file: str) -> Iterator[tuple[RsaKey, dict[str, str]]]:
    """Return key and test for each test of a Wycheproof file."""
    for group, test in wycheproof(f"Cipher/wycheproof/{file}_test.json"):
        yield private_key(group["privateKeyPem"]), test


# --- OAEP -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [2048, 3072])
def test_oaep_sha256_agrees_with_wycheproof(bits: int) -> None:
    """SHA-256 with MGF1 over SHA-1: valid messages come out, invalid ones and any label but the empty one do not."""
    outcomes = set()
    for key, test in oaep_tests(f"rsa_oaep_{bits}_sha256_mgf1sha1"):
        outcome = test["result"] if not test["label"] else "labelled"
        outcomes.add(outcome)
        if outcome == "valid":
            assert unwrap_data_key(OAEP_SHA256, key, bytes.fromhex(test["ct"]), GCM).hex() == test["msg"]
            continue
        with pytest.raises(DecryptionError):
            unwrap_data_key(OAEP_SHA256, key, bytes.fromhex(test["ct"]), GCM)
    assert outcomes == {"valid", "invalid", "labelled"}


def pyca_oaep_tests() -> Iterator[tuple[RsaKey, str, str]]:
    """Return key, message and ciphertext for each example of pyca's file: hex values, each after a line of its name."""
    values: dict[str, int] = {}
    name = message = ""
    for line in pyca_text("asymmetric/RSA/oaep-custom/oaep-sha1-sha256.txt").splitlines():
        if line.startswith("#"):
            name = line.strip("# :")
        elif name == "Message":
            message = line
        elif name == "Encryption":
            # "Exponent" is the public one at first, and then, in the part on the private key, the private one.
            names = ("Modulus", "Public exponent", "Exponent", "Prime 1", "Prime 2")
            n, e, d, p, q = (values[name] for name in names)
            yield RSA.construct((n, e, d, p, q), consistency_check=False), message, line
        elif line:
            values[name] = int(line, 16)


def test_oaep_sha256_agrees_with_pyca() -> None:
    """SHA-256 with MGF1 over SHA-1: every message of pyca's own vectors comes out."""
    tests = list(pyca_oaep_tests())
    assert len(tests) == 60
    for key, message, ciphertext in tests[::2]:
        assert unwrap_data_key(OAEP_SHA256, key, bytes.fromhex(ciphertext), GCM).hex() == message


def test_oaep_sha1_refuses_what_wycheproof_calls_invalid() -> None:
    """SHA-1: wrong padding is refused, as are valid messages that don't hold the payload of the format."""
    refused = 0
    for key, test in oaep_tests("rsa_oaep_2048_sha1_mgf1sha1"):
        with pytest.raises(DecryptionError):
            unwrap_data_key(OAEP_SHA1, key, bytes.fromhex(test["ct"]), GCM)
        refused += 1
    assert refused == 36


@pytest.mark.parametrize(
    ("file", "hash_name"), [("rsa_oaep_2048_sha1_mgf1sha1", "sha1"), ("rsa_oaep_2048_sha256_mgf1sha1", "sha256")]
)
def test_reference_oaep_agrees_with_wycheproof(file: str, hash_name: str) -> None:
    """The reference reads every valid message without a label, so it is fit to judge the library."""
    valid = [(key, test) for key, test in oaep_tests(file) if test["result"] == "valid" and not test["label"]]
    assert len(valid) > 8
    for key, test in valid:
        block = reference.rsa_decrypt_block(key, bytes.fromhex(test["ct"]))
        assert reference.oaep_message(block, hash_name).hex() == test["msg"]


@pytest.mark.parametrize("bound", [GCM, COMMITTING])
@pytest.mark.parametrize("key_bytes", [16, 24, 32])
def test_oaep_sha1_reads_the_reference(key_bytes: int, bound: str) -> None:
    """The payload is the length of the data key in one byte, the data key, and the bound name."""
    payload = bytes([key_bytes]) + DATA_KEY[:key_bytes] + bound.encode()
    block = reference.oaep_block(payload, RSA_KEY.size_in_bytes(), "sha1", SEED)
    wrapped = reference.rsa_encrypt_block(RSA_KEY, block)
    assert unwrap_data_key(OAEP_SHA1, RSA_KEY, wrapped, bound) == DATA_KEY[:key_bytes]


@pytest.mark.parametrize("bound", [GCM, COMMITTING])
def test_oaep_sha1_writes_what_the_reference_reads(bound: str) -> None:
    """A new wrap holds just that payload, under SHA-1 with MGF1 over SHA-1."""
    block = reference.rsa_decrypt_block(RSA_KEY, wrap_data_key(OAEP_SHA1, WRAPPING_KEY, DATA_KEY, bound))
    assert reference.oaep_message(block, "sha1") == b"\x20" + DATA_KEY + bound.encode()


def test_oaep_sha256_writes_what_the_reference_reads() -> None:
    """A new wrap holds the bare data key, under SHA-256 with MGF1 over SHA-1."""
    block = reference.rsa_decrypt_block(RSA_KEY, wrap_data_key(OAEP_SHA256, WRAPPING_KEY, DATA_KEY, GCM))
    assert reference.oaep_message(block, "sha256") == DATA_KEY


# --- PKCS#1 v1.5 ------------------------------------------------------------------------------------------------------


def test_pkcs1_agrees_with_wycheproof() -> None:
    """A message of 32 bytes comes out; all else gives 32 other bytes, or the uniform error if it is no ciphertext."""
    messages, others = 0, 0
    for group, test in wycheproof("Cipher/wycheproof/rsa_pkcs1_2048_test.json"):
        key, ciphertext, message = (
            private_key(group["privateKeyPem"]),
            bytes.fromhex(test["ct"]),
            bytes.fromhex(test["msg"]),
        )
        if any("InvalidCiphertextFormat" in flag for flag in test["flags"]):
            with pytest.raises(DecryptionError):
                unwrap_data_key(PKCS1, key, ciphertext, "")
        elif test["result"] == "valid" and len(message) == 32:
            messages += 1
            assert unwrap_data_key(PKCS1, key, ciphertext, "") == message
        else:
            others += 1
            assert unwrap_data_key(PKCS1, key, ciphertext, "") == rejection(key, ciphertext)
    assert messages == 1
    assert others > 50


def rejection(key: RsaKey, ciphertext: bytes) -> bytes:
    """Return the data key that wrong padding must give: 32 bytes that only the holder of the private key can know."""
    return reference.implicit_rejection(key, ciphertext)[0][-32:]


def rejection_tests() -> Iterator[tuple[RsaKey, str, bytes, bytes]]:
    """Return key, comment, ciphertext and message for each test of the IETF draft."""
    key = None
    for record in cavp(pycryptodome_text("Cipher/PKCS1_v1_5/implicit_rejection.txt")):
        if "key" in record:
            key = RSA.import_key(bytes.fromhex(record["key"]))
        else:
            assert key is not None
            yield key, record["comment"], bytes.fromhex(record["ct"]), bytes.fromhex(record["msg"])


def test_reference_rejection_agrees_with_the_draft() -> None:
    """The reference gives the draft's synthetic message for every wrong padding, so it is fit to judge the library."""
    invalid = [test for test in rejection_tests() if test[1].startswith("Invalid")]
    assert len(invalid) > 20
    for key, comment, ciphertext, message in invalid:
        synthetic, length = reference.implicit_rejection(key, ciphertext)
        assert synthetic[len(synthetic) - length :] == message, comment


def test_pkcs1_rejects_implicitly() -> None:
    """RS-02: no test of the draft has a message of 32 bytes, and each gives 32 secret bytes instead of an error."""
    tests = list(rejection_tests())
    assert len(tests) > 30
    for key, comment, ciphertext, message in tests:
        data_key = unwrap_data_key(PKCS1, key, ciphertext, "")
        assert data_key == rejection(key, ciphertext) != message, comment


def test_pkcs1_writes_what_the_reference_reads() -> None:
    """A new wrap is block type 2, at least eight nonzero bytes, a zero byte and the data key."""
    block = reference.rsa_decrypt_block(RSA_KEY, wrap_data_key(PKCS1, WRAPPING_KEY, DATA_KEY, ""))
    assert block[:2] == b"\x00\x02"
    padding, _, message = block[2:].partition(b"\x00")
    assert len(padding) == 256 - 3 - 32
    assert message == DATA_KEY


def test_pkcs1_reads_the_reference() -> None:
    """A data key of 32 bytes in a well-formed block comes out."""
    chance = random.Random("padding")
    block = reference.pkcs1_block(DATA_KEY, RSA_KEY.size_in_bytes(), lambda: chance.randrange(1, 256))
    assert unwrap_data_key(PKCS1, RSA_KEY, reference.rsa_encrypt_block(RSA_KEY, block), "") == DATA_KEY
