"""AES and RSA keyrings: one checklist for each wrapping algorithm, and which keys are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from Crypto.PublicKey import RSA
from support.encoder import AES_KEY, COMMITTING, GCM, RSA_KEY
from support.keyrings import RAW_WRAPS, other_rsa_key, raw_keyring, raw_wraps
from support.known_answers import wycheproof

from s3_encryption._keys.raw import AesKeyring, RsaKeyring
from s3_encryption._keys.wrap_algorithms import WRAP_ALGORITHMS
from s3_encryption.exceptions import (
    ConfigurationError,
    ConfigurationTypeError,
    DecryptionError,
    KeyringMismatchError,
)


@pytest.mark.parametrize("content", [GCM, COMMITTING])
@raw_wraps
def test_data_key_can_be_unwrapped(name: str, content: str) -> None:
    """What a keyring makes it can unwrap, and what it says about it is true."""
    keyring = raw_keyring(name, material_description={"key": "1"})
    made = keyring.generate_data_key(content, {})
    assert len(made.plaintext) == 32
    assert keyring.decrypt_data_key(made.wrapped) == made.plaintext
    parts = (made.wrapped.wrapping_algorithm, made.wrapped.content_algorithm, made.wrapped.description)
    assert parts == (name, content, {"key": "1"})


@raw_wraps
def test_data_keys_differ(name: str) -> None:
    """RT-17: each data key is new, and so is each wrap."""
    keyring = raw_keyring(name)
    made = [keyring.generate_data_key(GCM, {}) for _ in range(20)]
    assert len({data_key.plaintext for data_key in made}) == 20
    assert len({data_key.wrapped.encrypted_data_key for data_key in made}) == 20


@raw_wraps
def test_data_key_is_bound_where_the_table_says_so(name: str) -> None:
    """A changed content algorithm makes unwrapping fail exactly for the algorithms that bind it."""
    keyring = raw_keyring(name)
    made = keyring.generate_data_key(GCM, {})
    relabelled = replace(made.wrapped, content_algorithm=COMMITTING)
    if not WRAP_ALGORITHMS[name].binds_content:
        assert keyring.decrypt_data_key(relabelled) == made.plaintext
        return
    with pytest.raises(DecryptionError):
        keyring.decrypt_data_key(relabelled)


@raw_wraps
def test_data_key_of_another_master_key_is_never_returned(name: str) -> None:
    """Another key of the same kind gives the uniform error, or where the format knows no better, another data key."""
    made = raw_keyring(name).generate_data_key(GCM, {})
    keyring = raw_keyring(name, other=True)
    try:
        unwrapped = keyring.decrypt_data_key(made.wrapped)
    except DecryptionError:
        return
    # Nothing authenticates the wraps of V1: chance may make of the wrong key something that looks like a data key.
    assert WRAP_ALGORITHMS[name].v1
    assert unwrapped != made.plaintext


@pytest.mark.parametrize("other", list(WRAP_ALGORITHMS))
@raw_wraps
def test_data_key_of_another_algorithm_is_refused(name: str, other: str) -> None:
    """WR-04, WR-05, WR-07: a wrap by another algorithm ends in the error that fits, be the key the same or not."""
    keyring = raw_keyring(name)
    made = keyring.generate_data_key(GCM, {})
    relabelled = replace(made.wrapped, wrapping_algorithm=other)
    if other not in keyring.wrapping_algorithms:
        with pytest.raises(KeyringMismatchError, match="MultiKeyring"):
            keyring.decrypt_data_key(relabelled)
    elif other == "RSA/ECB/PKCS1Padding":
        assert (keyring.decrypt_data_key(relabelled) == made.plaintext) == (name == other)
    elif other != name:
        with pytest.raises(DecryptionError):
            keyring.decrypt_data_key(relabelled)


@raw_wraps
def test_raw_keyring_has_no_encryption_context(name: str) -> None:
    """A context would not be bound to anything, so it is refused instead of being dropped."""
    with pytest.raises(ConfigurationError, match="material_description"):
        raw_keyring(name).generate_data_key(GCM, {"tenant": "a"})


@raw_wraps
def test_material_description_is_copied_and_checked(name: str) -> None:
    """The caller's dict may change afterwards; any text may be in it, and what is no text is refused."""
    description = {"Schlüssel": "1\n"}
    keyring = raw_keyring(name, material_description=description)
    description["Schlüssel"] = "2"
    assert keyring.generate_data_key(GCM, {}).wrapped.description == {"Schlüssel": "1\n"}
    wrong: list[tuple[Any, type[ConfigurationError]]] = [
        ({"\ud800": "1"}, ConfigurationError),
        ({"key": "a\0b"}, ConfigurationError),
        ({"key": 1}, ConfigurationTypeError),
        ({1: "key"}, ConfigurationTypeError),
        ("key", ConfigurationTypeError),
        ([("key", "1")], ConfigurationTypeError),
    ]
    for value, error in wrong:
        with pytest.raises(error, match="material_description"):
            raw_keyring(name, material_description=value)


@pytest.mark.parametrize(
    "key", [b"", bytes(8) + b"x", b"k" * 15, b"k" * 17, b"k" * 31, b"k" * 33, b"k" * 64, bytes(16), bytes(32)], ids=len
)
def test_aes_key_of_no_use_is_refused(key: bytes) -> None:
    """WR-13: 16, 24 or 32 bytes, and not all zero."""
    with pytest.raises(ConfigurationError, match="AES wrapping key"):
        AesKeyring(key)


@pytest.mark.parametrize("key", ["k" * 32, AES_KEY.hex(), 987654321, [1] * 32])
def test_aes_key_of_another_type_is_refused(key: Any) -> None:
    """WR-13: text is no key: somebody forgot to decode it. The message does not repeat it."""
    with pytest.raises(ConfigurationTypeError, match="Decode hex or base64 text first") as caught:
        AesKeyring(key)
    assert str(key) not in str(caught.value)


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("key_bytes", [16, 24, 32])
def test_aes_key_may_be_any_bytes(make: Callable[[Any], Any], key_bytes: int) -> None:
    """bytes, bytearray and memoryview are keys; the caller may wipe his own copy."""
    key = bytearray(AES_KEY[:key_bytes])
    keyring = AesKeyring(make(key))
    made = keyring.generate_data_key(GCM, {})
    key[:] = bytes(key_bytes)
    assert AesKeyring(AES_KEY[:key_bytes]).decrypt_data_key(made.wrapped) == made.plaintext


RSA_FORMS = {
    "object": RSA_KEY,
    "PEM text": RSA_KEY.export_key("PEM").decode(),
    "PEM bytes": RSA_KEY.export_key("PEM"),
    "PKCS#8 DER": RSA_KEY.export_key("DER", pkcs=8),
    "PKCS#1 DER": bytearray(RSA_KEY.export_key("DER")),
}


@pytest.mark.parametrize("form", RSA_FORMS.values(), ids=RSA_FORMS)
def test_rsa_key_may_have_any_usual_form(form: Any) -> None:
    """PEM, DER and key objects are read."""
    made = RsaKeyring(RSA_KEY).generate_data_key(GCM, {})
    assert RsaKeyring(form).decrypt_data_key(made.wrapped) == made.plaintext


@pytest.mark.parametrize("passphrase", ["open sesame", b"open sesame"])
def test_rsa_key_may_be_encrypted(passphrase: str | bytes) -> None:
    """A passphrase opens the key; without it, or with another one, the error says just that the key can't be read."""
    pem = RSA_KEY.export_key(
        passphrase="open sesame",
        pkcs=8,
        protection="PBKDF2WithHMAC-SHA1AndAES128-CBC",
        prot_params={"iteration_count": 1000},
    )
    made = RsaKeyring(RSA_KEY).generate_data_key(GCM, {})
    assert RsaKeyring(pem, passphrase=passphrase).decrypt_data_key(made.wrapped) == made.plaintext
    for wrong in (None, "wrong", b"\xff"):
        with pytest.raises(ConfigurationError, match="can't be read") as caught:
            RsaKeyring(pem, passphrase=wrong)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "key", ["", "no key", b"\x30\x82", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
)
def test_rs_08_rsa_key_that_is_none_is_refused(key: Any) -> None:
    """RS-08: what can't be parsed is refused with one text."""
    with pytest.raises(ConfigurationError, match="PEM or DER"):
        RsaKeyring(key)


@pytest.mark.parametrize("key", [None, 5, ["PEM"], object()])
def test_rsa_key_of_another_type_is_refused(key: Any) -> None:
    """RS-08: neither text nor bytes nor a key object."""
    with pytest.raises(ConfigurationTypeError, match="PEM or DER"):
        RsaKeyring(key)


SMALL_RSA_KEY = next(group for group, _ in wycheproof("Cipher/wycheproof/rsa_oaep_misc_test.json"))["privateKeyPem"]

WEAK_RSA_KEYS = {
    "1024 bits": RSA.import_key(SMALL_RSA_KEY),
    "exponent 1": RSA.construct((RSA_KEY.n, 1), consistency_check=False),
    "exponent 3": RSA.construct((RSA_KEY.n, 3), consistency_check=False),
    "even exponent": RSA.construct((RSA_KEY.n, 65540), consistency_check=False),
    "even modulus": RSA.construct((RSA_KEY.n - 1, 65537), consistency_check=False),
}


@pytest.mark.parametrize("key", WEAK_RSA_KEYS.values(), ids=WEAK_RSA_KEYS)
def test_rs_08_weak_rsa_key_is_refused(key: RSA.RsaKey) -> None:
    """RS-08: fewer than 2048 bits, a small or even exponent, an even modulus; the numbers are not repeated."""
    with pytest.raises(ConfigurationError, match="RSA wrapping key must have") as caught:
        RsaKeyring(key)
    assert str(key.n) not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in RAW_WRAPS if WRAP_ALGORITHMS[name].key_type == "rsa"])
def test_public_rsa_key_writes_and_does_not_read(name: str) -> None:
    """WR-13: the public key makes data keys that the private one unwraps; reading with it alone is told clearly."""
    writer = RsaKeyring(RSA_KEY.public_key(), wrapping_algorithm=name)
    made = writer.generate_data_key(GCM, {})
    assert RsaKeyring(RSA_KEY).decrypt_data_key(made.wrapped) == made.plaintext
    with pytest.raises((ConfigurationError, KeyringMismatchError), match="public key only"):
        writer.decrypt_data_key(made.wrapped)


@pytest.mark.parametrize("bits", [3072])
@pytest.mark.parametrize("name", [name for name in RAW_WRAPS if WRAP_ALGORITHMS[name].key_type == "rsa"])
def test_longer_rsa_keys_work(name: str, bits: int) -> None:
    """RS-07: the modulus may be longer; a data key wrapped under one length is refused by a key of another one."""
    keyring = RsaKeyring(other_rsa_key(bits), wrapping_algorithm=name)
    made = keyring.generate_data_key(GCM, {})
    assert len(made.wrapped.encrypted_data_key) == bits // 8
    assert keyring.decrypt_data_key(made.wrapped) == made.plaintext
    with pytest.raises(DecryptionError):
        RsaKeyring(RSA_KEY).decrypt_data_key(made.wrapped)


@pytest.mark.parametrize("name", ["", "AES", "aes/gcm", "kms", "RSA-OAEP-SHA1", "x" * 10_000])
def test_unknown_wrapping_algorithm_is_refused(name: Any) -> None:
    """A keyring takes the names of its own kind of key only; the message lists them."""
    with pytest.raises(ConfigurationError, match="AESWrap") as caught:
        AesKeyring(AES_KEY, wrapping_algorithm=name)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", [None, 5, b"AES/GCM"])
def test_wrapping_algorithm_of_another_type_is_refused(name: Any) -> None:
    """CF-05: a name is a str."""
    with pytest.raises(ConfigurationTypeError, match="wrapping_algorithm"):
        AesKeyring(AES_KEY, wrapping_algorithm=name)
