"""What a keyring is: users' own are taken, and none shows a key."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Callable, Mapping

import pytest
from support.encoder import AES_KEY, GCM, RSA_KEY, V1_KINDS, V2_AES, V3_AES, Encoder, Kind, Stored
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.reading import read
from support.sealers import sealer_with

from s3_encryption._keys.keyring import DataKey, Keyring, WrappedDataKey, check_keyring
from s3_encryption._keys.kms import KmsKeyring
from s3_encryption._keys.multi import MultiKeyring
from s3_encryption._keys.raw import AesKeyring, RsaKeyring
from s3_encryption.exceptions import (
    ConfigurationTypeError,
    DecryptionError,
)

# --- keyrings of the user's own ---------------------------------------------------------------------------------------


class TwoMethods:
    """The least that is a keyring: it keeps data keys in a dict, and tells nothing about itself."""

    def __init__(self) -> None:
        self.data_keys: dict[bytes, bytes] = {}

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        data_key, name = bytes([len(self.data_keys) + 1]) * 32, f"key {len(self.data_keys)}".encode()
        self.data_keys[name] = data_key
        return DataKey(data_key, WrappedDataKey(name, "AES/GCM", content_algorithm, {}))

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        try:
            return self.data_keys[wrapped.encrypted_data_key]
        except KeyError:
            raise DecryptionError from None


def test_keyring_of_two_methods_is_a_keyring() -> None:
    """No base class and no registration is needed."""
    check_keyring(TwoMethods())
    assert isinstance(TwoMethods(), Keyring)


def test_keyring_of_two_methods_writes_and_reads() -> None:
    """An sealer with it seals objects and opens them again, alone and in a MultiKeyring."""
    keyring = TwoMethods()
    sealed = sealer_with(keyring=keyring).seal()
    for reader in (keyring, MultiKeyring(AesKeyring(AES_KEY), keyring)):
        opened = sealer_with(keyring=reader).open(sealed.envelope)
        assert (opened.suite, opened.key, opened.iv) == (
            sealed.content_key.suite,
            sealed.content_key.key,
            sealed.content_key.iv,
        )


@pytest.mark.parametrize("thing", [None, object(), AES_KEY, AesKeyring, TwoMethods, "aes"])
def test_thing_without_the_two_methods_is_no_keyring(thing: object) -> None:
    """AL-19: what lacks a method, or is a class, is refused with a list of what would do."""
    with pytest.raises(ConfigurationTypeError, match="generate_data_key and decrypt_data_key"):
        check_keyring(thing)


# --- no leaks ---------------------------------------------------------------------------------------------------------


SECRETS = {
    "AES key": AES_KEY,
    "RSA private exponent": RSA_KEY.d.to_bytes(256, "big"),
    "RSA prime": RSA_KEY.p.to_bytes(128, "big"),
}


def shows(text: str, secret: bytes) -> bool:
    """Tell whether a text shows a secret in any usual spelling."""
    number = str(int.from_bytes(secret, "big"))
    return any(form in text for form in (repr(secret)[2:-1], secret.hex(), secret.hex().upper(), number))


def all_keyrings() -> list[Keyring]:
    """Return a keyring of each kind."""
    rings: list[Keyring] = [AesKeyring(AES_KEY), RsaKeyring(RSA_KEY), KmsKeyring(FakeKms(), KMS_KEY_ARN)]
    return [*rings, MultiKeyring(*rings)]


@pytest.mark.parametrize("keyring", all_keyrings(), ids=lambda keyring: type(keyring).__name__)
def test_lk_04_keyring_shows_no_key(keyring: Keyring) -> None:
    """LK-04: repr, str and format tell what kind of key it is, and nothing of the key."""
    for text in (repr(keyring), str(keyring), f"{keyring}", f"{[keyring]!r}"):
        assert type(keyring).__name__ in text
        assert not [name for name, secret in SECRETS.items() if shows(text, secret)]


@pytest.mark.parametrize("keyring", all_keyrings(), ids=lambda keyring: type(keyring).__name__)
def test_data_key_is_not_shown(keyring: Keyring) -> None:
    """LK-04: a new data key hides itself, and the wrapped one hides its bytes."""
    made = keyring.generate_data_key(GCM, {})
    assert not shows(f"{made!r} {made.wrapped!r}", made.plaintext)
    assert not shows(f"{made!r} {made.wrapped!r}", made.wrapped.encrypted_data_key)


RAW_KEYRINGS = [AesKeyring(AES_KEY), RsaKeyring(RSA_KEY), MultiKeyring(AesKeyring(AES_KEY))]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("keyring", RAW_KEYRINGS, ids=lambda keyring: type(keyring).__name__)
def test_lk_07_keyring_with_a_key_is_not_pickled(keyring: Keyring, duplicate: Callable[[object], object]) -> None:
    """LK-07: neither a keyring nor one that holds it leaves the process."""
    with pytest.raises(TypeError, match="can't be pickled or copied"):
        duplicate(keyring)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_lk_07_data_key_is_not_pickled(duplicate: Callable[[object], object]) -> None:
    """LK-07: a data key in plaintext stays where it is."""
    with pytest.raises(TypeError, match="can't be pickled or copied"):
        duplicate(AesKeyring(AES_KEY).generate_data_key(GCM, {}))


@pytest.mark.parametrize("kind", [V2_AES, V3_AES, V1_KINDS[0], V1_KINDS[1]], ids=str)
def test_nothing_secret_is_logged_or_raised(
    kind: Kind, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """LK-01, LK-05: at DEBUG level, with a good read and a failing one, no log line and no error shows a key."""
    encoder = Encoder()
    plaintext, data_key = encoder.random_bytes(20), encoder.random_bytes(32)
    stored = encoder.write(kind, plaintext, data_key=data_key)
    sealer = sealer_with(keyring=encoder.keyring(kind), **kind.switches)
    with caplog.at_level(logging.DEBUG):
        assert read(sealer, stored) == plaintext
        with pytest.raises(DecryptionError) as caught:
            read(sealer, Stored(stored.metadata, stored.body[:-1]))
    printed = "".join(traceback.format_exception(caught.value))
    text = caplog.text + printed + repr(caught.value) + "".join(capsys.readouterr())
    for secret in (data_key, plaintext, *SECRETS.values()):
        assert not shows(text, secret)
