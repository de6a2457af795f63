"""Both engines give the same bytes and the same errors; which one is taken, and what is said where one can't be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.encoder import RSA_KEY
from support.properties import reproducible
from support.reference import cbc_encrypt_blocks, ctr_encrypt, gcm_encrypt

from s3_encryption._crypto import engine
from s3_encryption._crypto.content import (
    AES_CBC,
    AES_CTR,
    AES_GCM,
    AES_GCM_COMMITTING,
    ContentKey,
    Suite,
)
from s3_encryption._crypto.contexts import MAX_CALL_BYTES, MIN_CALL_BYTES
from s3_encryption._crypto.ghash import Ghash
from s3_encryption._crypto.keystream import KeystreamSegment
from s3_encryption._crypto.primitives import Engine, RsaKey, Transform, pad, unpad
from s3_encryption.exceptions import DecryptionError

openssl = pytest.importorskip("cryptography") and engine.load("openssl")
pycryptodome = engine.load("pycryptodome")
ENGINES = {"openssl": openssl, "pycryptodome": pycryptodome}
each_engine = pytest.mark.parametrize("made_by", ENGINES.values(), ids=ENGINES)

KEY = bytes(range(100, 132))
IV = bytes(range(12))
BOUND = b"AES/GCM/NoPadding"
SUITES = (AES_GCM, AES_GCM_COMMITTING, AES_CBC, AES_CTR)
BOUNDARIES = sorted(
    size + near for size in (0, 16, 32, 4096, MIN_CALL_BYTES, MAX_CALL_BYTES) for near in (-1, 0, 1) if size + near >= 0
)

keys = st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size))
ivs = st.binary(min_size=12, max_size=12)
blocks = st.binary(min_size=16, max_size=16)
texts = st.binary(max_size=300)


def in_two(transform: Transform, data: bytes, cut: int) -> bytes:
    """Return what a transform makes of data that comes in two pieces."""
    output = memoryview(bytearray(len(data)))
    transform.update_into(data[:cut], output[:cut])
    transform.update_into(memoryview(data)[cut:], output[cut:])
    return bytes(output)


@each_engine
@settings(reproducible, max_examples=150)
@given(keys, ivs, texts, st.binary(max_size=100), st.integers(0, 300))
def test_gcm_is_that_of_the_standard(made_by: Engine, key: bytes, iv: bytes, text: bytes, aad: bytes, cut: int) -> None:
    """Law: in one call and piece by piece, the same ciphertext and tag, and decryption undoes it."""
    sealed = gcm_encrypt(key, iv, text, aad)
    assert made_by.gcm_seal(key, iv, text, aad) == sealed
    assert made_by.gcm_open(key, iv, sealed, aad) == text
    message = made_by.gcm_encryption(key, iv, aad)
    assert in_two(message, text, min(cut, len(text))) + message.tag() == sealed
    opened = made_by.gcm_decryption(key, iv, aad)
    assert in_two(opened, sealed[:-16], min(cut, len(text))) == text
    opened.verify(sealed[-16:])


@each_engine
@settings(reproducible, max_examples=100)
@given(keys, ivs, texts, st.integers(0, 300))
def test_gmac_is_the_tag_without_text(made_by: Engine, key: bytes, iv: bytes, aad: bytes, cut: int) -> None:
    """Law: associated data may come in pieces, and the digest is GCM's tag over them alone."""
    gmac = made_by.gmac(key, iv)
    gmac.update(aad[:cut])
    gmac.update(memoryview(bytearray(aad[cut:])))
    assert gmac.digest() == gcm_encrypt(key, iv, b"", aad)


@each_engine
@settings(reproducible, max_examples=100)
@given(keys, st.one_of(blocks, st.just(b"\xff" * 16), st.just(b"\0" * 12 + b"\xff" * 4)), texts, st.integers(0, 300))
def test_ctr_counts_with_all_its_bits(made_by: Engine, key: bytes, first: bytes, text: bytes, cut: int) -> None:
    """Law: the counter block is one number of 128 bits, which carries, and starts anew behind its last value."""
    assert in_two(made_by.ctr(key, first), text, min(cut, len(text))) == ctr_encrypt(key, first, text)


@each_engine
@settings(reproducible, max_examples=100)
@given(keys, blocks, st.lists(blocks, max_size=12), st.integers(0, 12))
def test_cbc_and_ecb_are_those_of_the_standard(
    made_by: Engine, key: bytes, iv: bytes, text: list[bytes], cut: int
) -> None:
    """Law: whole blocks, in whatever pieces, both ways, without padding."""
    whole, ciphertext = b"".join(text), cbc_encrypt_blocks(key, iv, b"".join(text))
    assert in_two(made_by.cbc_encryption(key, iv), whole, 16 * min(cut, len(text))) == ciphertext
    assert in_two(made_by.cbc_decryption(key, iv), ciphertext, 16 * min(cut, len(text))) == whole
    each = [cbc_encrypt_blocks(key, bytes(16), block) for block in text]
    assert made_by.ecb_encrypt(key, whole) == b"".join(each)
    assert made_by.ecb_decrypt(key, b"".join(each)) == whole


@each_engine
@pytest.mark.parametrize("bits", [128, 192, 256])
def test_key_wrap_gives_the_published_answer(made_by: Engine, bits: int) -> None:
    """RFC 3394, sections 4.1 to 4.3: 128 bits of key data under a key of each size."""
    key, data_key = bytes(range(bits // 8)), bytes.fromhex("00112233445566778899AABBCCDDEEFF")
    wrapped = {
        128: "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5",
        192: "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D",
        256: "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7",
    }[bits]
    assert made_by.wrap_key(key, data_key).hex().upper() == wrapped
    assert made_by.unwrap_key(key, bytes.fromhex(wrapped)) == data_key


@each_engine
@pytest.mark.parametrize("part", range(4), ids=["iv", "ciphertext", "tag", "aad"])
def test_every_changed_bit_is_refused(made_by: Engine, part: int) -> None:
    """No bit of the IV, the ciphertext, the tag and the associated data can be changed unnoticed, in either form."""
    sealed = made_by.gcm_seal(KEY, IV, KEY, BOUND)
    parts = [IV, sealed[:-16], sealed[-16:], BOUND]
    for bit in range(len(parts[part]) * 8):
        changed = bytearray(parts[part])
        changed[bit // 8] ^= 1 << bit % 8
        iv, text, tag, aad = (bytes(changed) if index == part else kept for index, kept in enumerate(parts))
        with pytest.raises(DecryptionError):
            made_by.gcm_open(KEY, iv, text + tag, aad)
        message = made_by.gcm_decryption(KEY, iv, aad)
        message.update_into(text, memoryview(bytearray(len(text))))
        with pytest.raises(DecryptionError):
            message.verify(tag)


REFUSED: dict[str, Callable[[Engine], object]] = {
    "no tag": lambda e: e.gcm_open(KEY, IV, b"", b""),
    "half a tag": lambda e: e.gcm_open(KEY, IV, bytes(15), b""),
    "short tag": lambda e: e.gcm_decryption(KEY, IV, b"").verify(e.gcm_seal(KEY, IV, b"", b"")[:15]),
    "long tag": lambda e: e.gcm_decryption(KEY, IV, b"").verify(e.gcm_seal(KEY, IV, b"", b"") + b"\0"),
    "empty tag": lambda e: e.gcm_decryption(KEY, IV, b"").verify(b""),
    "part of a block": lambda e: e.ecb_decrypt(KEY, bytes(17)),
    "nothing wrapped": lambda e: e.unwrap_key(KEY, b""),
    "wrapped too short": lambda e: e.unwrap_key(KEY, bytes(16)),
    "wrapped in no whole words": lambda e: e.unwrap_key(KEY, bytes(41)),
    "wrapped under another key": lambda e: e.unwrap_key(KEY, e.wrap_key(bytes(32), KEY)),
}


@each_engine
@pytest.mark.parametrize("case", REFUSED)
def test_refusal_has_our_name_and_no_other_trace(made_by: Engine, case: str) -> None:
    """The error is of one class, says nothing of the reason, and carries neither cause nor context of the library's."""
    with pytest.raises(DecryptionError) as caught:
        REFUSED[case](made_by)
    assert type(caught.value) is DecryptionError
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def bodies_of(key: ContentKey, plaintext: bytes) -> dict[str, bytes]:
    """Return what the active engine makes of a plaintext: streaming, in one call, and as a segment."""
    context = key.encryptor()
    made = {"streamed": context.update(plaintext) + context.finalize(), "one call": key.encrypt(plaintext)}
    if key.suite.tag_bytes:
        segment = KeystreamSegment(Ghash(key), is_whole=True).new_context()
        made["segment"] = segment.update(plaintext) + segment.finalize()
    return made


@pytest.mark.parametrize("size", BOUNDARIES)
@pytest.mark.parametrize("suite", SUITES[:3], ids=lambda suite: suite.name)
def test_each_engine_reads_what_the_other_wrote(suite: Suite, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every size where a piece or a block ends, all ways of writing make the same body, and each engine opens it."""
    key, plaintext = ContentKey(suite, KEY, suite.fixed_iv or bytes(range(suite.iv_bytes))), os.urandom(size)
    bodies = set()
    for made_by in ENGINES.values():
        monkeypatch.setattr(engine, "active", made_by)
        bodies |= set(bodies_of(key, plaintext).values())
    (body,) = bodies
    for made_by in ENGINES.values():
        monkeypatch.setattr(engine, "active", made_by)
        context = key.decryptor()
        assert context.update(body) + context.finalize() == plaintext


@settings(reproducible, max_examples=150)
@given(st.sampled_from(SUITES), texts, st.integers(0, 10_000), st.booleans())
def test_engines_agree_about_every_changed_body(suite: Suite, body: bytes, place: int, release: bool) -> None:
    """Law: whatever the bytes are, both engines give the same plaintext or the same class of error."""
    key = ContentKey(suite, KEY, suite.fixed_iv or bytes(suite.iv_bytes))
    outcomes: list[object] = []
    if suite.mode.encryptor and place % 2:
        whole = bytearray(key.encrypt(body))
        if whole and place % 4 == 1:
            whole[place % len(whole)] ^= 1 << place % 8
        body = bytes(whole)
    before = engine.active
    try:
        for made_by in ENGINES.values():
            engine.active = made_by
            context = key.decryptor(release_unverified=release)
            try:
                outcomes.append(context.update(body) + context.finalize())
            except DecryptionError as error:
                outcomes.append(type(error))
    finally:
        engine.active = before
    assert outcomes[0] == outcomes[1]


@given(st.binary(max_size=70))
def test_padding_comes_off_again(data: bytes) -> None:
    """Law: what is filled up has whole blocks, at least one, and is what it was without its padding."""
    filled = pad(data)
    assert len(filled) % 16 == 0
    assert len(data) < len(filled) <= len(data) + 16
    assert unpad(filled) == data


@pytest.mark.parametrize(
    "end", [b"", b"\1", b"\0" * 16, b"\x11" * 32, b"\x10" * 15, b"a" * 14 + b"\1\2", bytes(31) + b"!"]
)
def test_wrong_padding_is_refused(end: bytes) -> None:
    """A padding of no bytes, of more than a block, or with another byte among its own is none."""
    with pytest.raises(DecryptionError):
        unpad(end)


# --- Which engine -----------------------------------------------------------------------------------------------------


def imported(before: str, forced: str | None) -> subprocess.CompletedProcess[str]:
    """Return how a fresh interpreter ends that runs a line, imports the package, and prints its engine."""
    environment = {name: value for name, value in os.environ.items() if name != engine.VARIABLE}
    if forced is not None:
        environment[engine.VARIABLE] = forced
    code = f"import sys\n{before}\nimport s3_encryption\nprint(s3_encryption.crypto_engine())"
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


ABSENT = "sys.modules['cryptography'] = None"
BETA = "import cryptography; cryptography.__version__ = '50.1rc1'"
OLD = "import cryptography; cryptography.__version__ = '44.0.3'"
PANIC = """
import builtins
real = builtins.__import__
class PanicException(BaseException): pass
def broken(name, *rest, **options):
    if name.startswith('cryptography'): raise PanicException('Python API call failed')
    return real(name, *rest, **options)
builtins.__import__ = broken
"""
FIPS = """
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import aead
def refuse(*_): raise UnsupportedAlgorithm('not in this provider')
aead.AESGCM = refuse
"""


@pytest.mark.parametrize(
    ("before", "forced", "taken"),
    [
        ("", None, "openssl"),
        ("", "", "openssl"),
        ("", "openssl", "openssl"),
        ("", "pycryptodome", "pycryptodome"),
        (ABSENT, None, "pycryptodome"),
        (OLD, None, "pycryptodome"),
        (FIPS, None, "pycryptodome"),
        (PANIC, None, "pycryptodome"),
        (BETA, None, "openssl"),
    ],
)
def test_best_engine_is_taken_or_the_one_that_is_named(before: str, forced: str | None, taken: str) -> None:
    """OpenSSL where it is there, new enough and able; pycryptodome otherwise; a name decides."""
    ended = imported(before, forced)
    assert (ended.stdout.strip(), ended.returncode) == (taken, 0), ended.stderr


@pytest.mark.parametrize(
    ("before", "forced", "sentence"),
    [
        (ABSENT, "openssl", "can't load the cryptography package"),
        (OLD, "openssl", "needs cryptography 45.0 or newer, not 44.0.3"),
        (PANIC, "openssl", "can't load the cryptography package (PanicException)"),
        (FIPS, "openssl", "This OpenSSL can't do AES in GCM, CTR, CBC and ECB mode, and RSA-OAEP (Unsupported"),
        ("", "OpenSSL", "must be one of ['openssl', 'pycryptodome'], not 'OpenSSL'"),
    ],
)
def test_named_engine_that_cannot_be_used_stops_the_import(before: str, forced: str, sentence: str) -> None:
    """Nobody who asked for an engine gets another: the import fails with a sentence that says what to do."""
    ended = imported(before, forced)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("ImportError: ")
    assert sentence in ended.stderr.splitlines()[-1]


# --- RSA --------------------------------------------------------------------------------------------------------------


def every_pair_of_engines() -> list[tuple[RsaKey, RsaKey]]:
    """Return the test key as (one engine's, another's), in each combination."""
    loaded = [made_by.rsa_key(RSA_KEY, None) for made_by in ENGINES.values()]
    return [(one, other) for one in loaded for other in loaded]


@settings(reproducible, max_examples=20)
@given(st.binary(max_size=190), st.sampled_from(["SHA-1", "SHA-256"]), st.integers(0, 2047))
def test_either_engine_decrypts_the_others_oaep_and_refuses_changes(text: bytes, digest: str, bit: int) -> None:
    """Law: what one encrypts the other decrypts, and no bit of it can be changed, nor the digest exchanged."""
    for one, other in every_pair_of_engines():
        encrypted = one.oaep_encrypt(digest, text)
        assert other.oaep_decrypt(digest, encrypted) == text
        changed = (int.from_bytes(encrypted, "big") ^ 1 << bit).to_bytes(256, "big")
        for wrong in (changed, encrypted[:-1], encrypted + b"\0", b""):
            with pytest.raises(DecryptionError):
                other.oaep_decrypt(digest, wrong)
        with pytest.raises(DecryptionError):
            other.oaep_decrypt({"SHA-1": "SHA-256", "SHA-256": "SHA-1"}[digest], encrypted)


@settings(reproducible, max_examples=20)
@given(st.binary(min_size=32, max_size=32), st.integers(0, 2000))
def test_both_engines_answer_wrong_pkcs1_padding_with_the_same_bytes(data_key: bytes, bit: int) -> None:
    """Law: PKCS #1 v1.5 gives the data key, or 32 bytes that depend on key and ciphertext only: never an error."""
    for one, other in every_pair_of_engines():
        encrypted = one.pkcs1_v1_5_encrypt(data_key)
        assert other.pkcs1_v1_5_decrypt(encrypted, 32) == data_key
        changed = (int.from_bytes(encrypted, "big") ^ 1 << bit).to_bytes(256, "big")
        assert one.pkcs1_v1_5_decrypt(changed, 32) == other.pkcs1_v1_5_decrypt(changed, 32) != data_key


@each_engine
def test_rsa_key_tells_its_public_numbers_and_no_private_one(made_by: Engine) -> None:
    """Public and private keys of every form have the same numbers, and repr shows no private one."""
    for form in (RSA_KEY, RSA_KEY.export_key(), RSA_KEY.export_key("DER"), RSA_KEY.export_key().decode()):
        key = made_by.rsa_key(form, None)
        assert (key.bits, key.modulus, key.exponent, key.is_private) == (2048, RSA_KEY.n, RSA_KEY.e, True)
        assert str(RSA_KEY.d) not in repr(key)
    assert not made_by.rsa_key(RSA_KEY.public_key(), None).is_private
