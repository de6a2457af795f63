"""AES-GCM, AES-CBC and AES-CTR content against the published vectors of Wycheproof and NIST."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from support.encoder import V2_AES, Encoder, to_base64
from support.known_answers import cavp, pyca_text, wycheproof

from s3_encryption._crypto import engine
from s3_encryption._crypto.content import AES_CBC, AES_CTR, AES_GCM, ContentKey
from s3_encryption._crypto.contexts import CipherContext
from s3_encryption._envelope.formats import parse
from s3_encryption.exceptions import DecryptionError, InvalidEnvelopeError

IV_BYTES = 12
TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class Case:
    """One answer: what a plaintext encrypts to, or (None) a body that must be refused."""

    content_key: ContentKey
    body: bytes
    plaintext: bytes | None


def gcm_case(key: str, iv: str, aad: str, ciphertext: str, tag: str, plaintext: str | None) -> Case:
    """Return a case from hex texts."""
    suite = replace(AES_GCM, aad=bytes.fromhex(aad))
    expected = None if plaintext is None else bytes.fromhex(plaintext)
    return Case(ContentKey(suite, bytes.fromhex(key), bytes.fromhex(iv)), bytes.fromhex(ciphertext + tag), expected)


def wycheproof_cases() -> Iterator[Case]:
    """Return the Wycheproof tests with the sizes that S3 objects have."""
    for group, test in wycheproof("Cipher/wycheproof/aes_gcm_test.json"):
        if (group["ivSize"], group["tagSize"]) == (IV_BYTES * 8, TAG_BYTES * 8):
            plaintext = test["msg"] if test["result"] == "valid" else None
            yield gcm_case(test["key"], test["iv"], test["aad"], test["ct"], test["tag"], plaintext)


def nist_cases(name: str) -> Iterator[Case]:
    """Return the NIST tests of a file with the sizes that S3 objects have."""
    for record in cavp(pyca_text(f"ciphers/AES/GCM/{name}.rsp")):
        if (record["ivlen"], record["taglen"]) == (str(IV_BYTES * 8), str(TAG_BYTES * 8)):
            plaintext = None if "fail" in record else record["pt"]
            yield gcm_case(record["key"], record["iv"], record["aad"], record["ct"], record["tag"], plaintext)


GCM_FILES = {
    "wycheproof": list(wycheproof_cases()),
    **{
        f"{name}{bits}": list(nist_cases(f"{name}{bits}"))
        for name in ("gcmDecrypt", "gcmEncryptExtIV")
        for bits in (128, 192, 256)
    },
}
gcm_files = pytest.mark.parametrize("cases", GCM_FILES.values(), ids=GCM_FILES)


def test_gcm_files_hold_the_expected_numbers() -> None:
    """Wycheproof has 197 tests of the sizes used here, each NIST file 375, and a good part of them must be refused."""
    assert [len(cases) for cases in GCM_FILES.values()] == [197] + [375] * 6
    refused = {name: sum(case.plaintext is None for case in cases) for name, cases in GCM_FILES.items()}
    assert all(refused[name] > 80 for name in ("wycheproof", "gcmDecrypt128", "gcmDecrypt192", "gcmDecrypt256"))


def in_random_pieces(context: CipherContext, data: bytes, chance: random.Random) -> bytes:
    """Return what a context makes of data in pieces of random lengths."""
    output = []
    while data:
        length = chance.randint(1, 40)
        output.append(context.update(data[:length]))
        data = data[length:]
    return b"".join([*output, context.finalize()])


@gcm_files
def test_gcm_encrypts_to_the_published_answers(cases: list[Case]) -> None:
    """KV-01, KV-02: every valid vector's plaintext becomes its ciphertext and tag, however it is cut into pieces."""
    chance = random.Random("encrypt")
    for case in cases:
        if case.plaintext is not None:
            assert in_random_pieces(case.content_key.encryptor(), case.plaintext, chance) == case.body


@gcm_files
@pytest.mark.parametrize("release_unverified", [False, True])
def test_kv_01_kv_02_gcm_decrypts_the_published_answers(cases: list[Case], release_unverified: bool) -> None:
    """KV-01, KV-02: every valid vector's body becomes its plaintext, every invalid one is refused."""
    chance = random.Random("decrypt")
    for case in cases:
        decryptor = case.content_key.decryptor(release_unverified=release_unverified)
        if case.plaintext is not None:
            assert in_random_pieces(decryptor, case.body, chance) == case.plaintext
            continue
        with pytest.raises(DecryptionError):
            in_random_pieces(decryptor, case.body, chance)


@pytest.mark.parametrize("bits", [0, 8, 16, 32, 48, 64, 80, 120, 128, 160, 256, 512, 1024, 2056])
def test_kv_01_gcm_iv_of_another_size_never_reaches_the_cipher(bits: int) -> None:
    """KV-01: the IV sizes of the other Wycheproof groups are refused with the envelope."""
    iv = next(t["iv"] for g, t in wycheproof("Cipher/wycheproof/aes_gcm_test.json") if g["ivSize"] == bits)
    stored = Encoder().write(V2_AES, b"x").changed("x-amz-iv", to_base64(bytes.fromhex(iv)))
    with pytest.raises(InvalidEnvelopeError):
        parse(stored.metadata)


# --- short messages, as data keys are ---------------------------------------------------------------------------------


@gcm_files
def test_kv_01_kv_02_one_call_encrypts_to_the_published_answers(cases: list[Case]) -> None:
    """KV-01, KV-02: every valid vector's plaintext becomes its ciphertext and tag."""
    for case in cases:
        key = case.content_key
        if case.plaintext is not None:
            assert engine.active.gcm_seal(key.key, key.iv, case.plaintext, key.suite.aad) == case.body


@gcm_files
def test_kv_01_kv_02_one_call_decrypts_the_published_answers(cases: list[Case]) -> None:
    """KV-01, KV-02: every valid vector's ciphertext becomes its plaintext, every invalid one is refused."""
    for case in cases:
        key = case.content_key
        if case.plaintext is not None:
            assert engine.active.gcm_open(key.key, key.iv, case.body, key.suite.aad) == case.plaintext
            continue
        with pytest.raises(DecryptionError):
            engine.active.gcm_open(key.key, key.iv, case.body, key.suite.aad)


# --- CBC and CTR ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [128, 192, 256])
@pytest.mark.parametrize("kind", ["GFSbox", "KeySbox", "VarKey", "VarTxt", "MMT"])
def test_cbc_gives_the_published_answers(kind: str, bits: int) -> None:
    """NIST CAVP: every plaintext becomes its ciphertext before the padding block, and comes back from both readers."""
    records = list(cavp(pyca_text(f"ciphers/AES/CBC/CBC{kind}{bits}.rsp")))
    assert records
    for record in records:
        key, iv, ciphertext, plaintext = (bytes.fromhex(record[n]) for n in ("key", "iv", "ciphertext", "plaintext"))
        content_key = ContentKey(AES_CBC, key, iv)
        body = content_key.encrypt(plaintext)
        assert body[:-16] == ciphertext
        decryptor = content_key.decryptor()
        assert decryptor.update(body) + decryptor.finalize() == plaintext
        middle = content_key.cbc_range_decryptor(iv, last=False)
        assert middle.update(ciphertext) + middle.finalize() == plaintext


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_ctr_gives_the_published_answers(bits: int) -> None:
    """RFC 3686: every ciphertext becomes its plaintext, whole and from every offset."""
    records = list(cavp(pyca_text(f"ciphers/AES/CTR/aes-{bits}-ctr.txt")))
    assert len(records) == 3
    for record in records:
        key, iv, ciphertext, plaintext = (bytes.fromhex(record[n]) for n in ("key", "iv", "ciphertext", "plaintext"))
        content_key = ContentKey(AES_CTR, key, iv)
        for offset in range(len(plaintext)):
            decryptor = content_key.ctr_context(offset)
            assert decryptor.update(ciphertext[offset:]) + decryptor.finalize() == plaintext[offset:]
        whole = content_key.decryptor()
        assert whole.update(ciphertext) + whole.finalize() == plaintext
