"""Several keyrings as one: rotation, and objects of several parties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from support.encoder import AES_KEY, GCM, RSA_KEY
from support.fake_kms import KMS_KEY_ARN, OTHER_KMS_KEY_ARN, FakeKms, FakeKmsError
from support.keyrings import RAW_WRAPS, other_rsa_key, raw_keyring, raw_wraps

from s3_encryption._keys.keyring import DataKey, Keyring, WrappedDataKey
from s3_encryption._keys.kms import KmsKeyring
from s3_encryption._keys.multi import MultiKeyring
from s3_encryption._keys.raw import AesKeyring, RsaKeyring
from s3_encryption._keys.wrap_algorithms import WRAP_ALGORITHMS
from s3_encryption.exceptions import (
    ConfigurationTypeError,
    DecryptionError,
    KeyringMismatchError,
)


class RecordingKeyring:
    """A keyring that notes what it is asked, and passes it on."""

    def __init__(self, keyring: Keyring, log: list[str], name: str) -> None:
        self._keyring, self._log, self._name = keyring, log, name
        self.wrapping_algorithms = getattr(keyring, "wrapping_algorithms", None)
        self.material_description = getattr(keyring, "material_description", None)

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        self._log.append(f"{self._name} generates")
        return self._keyring.generate_data_key(content_algorithm, encryption_context)

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        self._log.append(f"{self._name} decrypts")
        return self._keyring.decrypt_data_key(wrapped)


@raw_wraps
def test_multi_keyring_reads_what_the_old_key_wrote(name: str) -> None:
    """After a rotation new data keys are the new key's, and the old key's are still unwrapped."""
    old, new = (raw_keyring(name, other=other, material_description={"key": str(other)}) for other in (True, False))
    both = MultiKeyring(new, old)
    for keyring in (old, new):
        made = keyring.generate_data_key(GCM, {})
        assert both.decrypt_data_key(made.wrapped) == made.plaintext
    made = both.generate_data_key(GCM, {})
    assert new.decrypt_data_key(made.wrapped) == made.plaintext


@pytest.mark.parametrize("name", ["AES/GCM", "AESWrap", "RSA-OAEP-SHA1", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"])
def test_multi_keyring_rotates_without_descriptions(name: str) -> None:
    """Where the wrap tells a wrong key, keyrings are tried in turn and no description is needed."""
    old, new = raw_keyring(name, other=True), raw_keyring(name)
    made = old.generate_data_key(GCM, {})
    assert MultiKeyring(new, old).decrypt_data_key(made.wrapped) == made.plaintext


def test_multi_keyring_tries_the_described_one_first() -> None:
    """A material description that equals the object's saves the failing attempts before it."""
    log: list[str] = []
    rings = [AesKeyring(bytes([i]) * 32, material_description={"key": str(i)}) for i in (1, 2, 3)]
    multi = MultiKeyring(*(RecordingKeyring(ring, log, str(i)) for i, ring in enumerate(rings, 1)))
    made = rings[2].generate_data_key(GCM, {})
    assert multi.decrypt_data_key(made.wrapped) == made.plaintext
    assert log == ["3 decrypts"]
    log.clear()
    undescribed = replace(made.wrapped, description={})
    assert multi.decrypt_data_key(undescribed) == made.plaintext
    assert log == ["1 decrypts", "2 decrypts", "3 decrypts"]


def test_multi_keyring_holds_keyrings_of_several_kinds() -> None:
    """What several parties wrote is read by the keyring of the kind; the others are not disturbed."""
    kms = FakeKms()
    multi = MultiKeyring(KmsKeyring(kms, KMS_KEY_ARN), AesKeyring(AES_KEY), RsaKeyring(RSA_KEY))
    for name in RAW_WRAPS:
        made = raw_keyring(name).generate_data_key(GCM, {})
        assert multi.decrypt_data_key(made.wrapped) == made.plaintext
    assert kms.calls == []
    assert multi.wrapping_algorithms == WRAP_ALGORITHMS.keys()
    assert multi.wrapping_algorithm == "kms+context"


@pytest.mark.parametrize("code", ["IncorrectKeyException", "InvalidCiphertextException"])
def test_multi_keyring_goes_on_when_kms_names_another_key(code: str) -> None:
    """KMS's words for a data key of another key lead to the next keyring."""
    kms, failing = FakeKms(), FakeKms()
    made = KmsKeyring(kms, KMS_KEY_ARN).generate_data_key(GCM, {})
    failing.failure = FakeKmsError(code)
    multi = MultiKeyring(KmsKeyring(failing, OTHER_KMS_KEY_ARN), KmsKeyring(kms, KMS_KEY_ARN))
    assert multi.decrypt_data_key(made.wrapped) == made.plaintext
    assert failing.count("decrypt") == 1


def test_multi_keyring_stops_at_other_failures_of_kms() -> None:
    """A refusal, a throttling or a time-out is no sign of a wrong key, and is raised as it is."""
    kms, failing = FakeKms(), FakeKms()
    made = KmsKeyring(kms, KMS_KEY_ARN).generate_data_key(GCM, {})
    for failure in (FakeKmsError("AccessDeniedException"), TimeoutError("KMS")):
        failing.failure = failure
        multi = MultiKeyring(KmsKeyring(failing, OTHER_KMS_KEY_ARN), KmsKeyring(kms, KMS_KEY_ARN))
        with pytest.raises(type(failure)) as caught:
            multi.decrypt_data_key(made.wrapped)
        assert caught.value is failure
    assert kms.count("decrypt") == 0


def test_multi_keyring_fails_as_its_keyrings_do() -> None:
    """With no key that fits the failure is the last one; with no keyring of the kind it is the mismatch."""
    made = AesKeyring(AES_KEY).generate_data_key(GCM, {})
    others = [AesKeyring(bytes([i]) * 32) for i in (1, 2)]
    with pytest.raises(DecryptionError):
        MultiKeyring(*others, RsaKeyring(RSA_KEY)).decrypt_data_key(made.wrapped)
    with pytest.raises(KeyringMismatchError, match="AES/GCM"):
        MultiKeyring(RsaKeyring(RSA_KEY), KmsKeyring(FakeKms(), KMS_KEY_ARN)).decrypt_data_key(made.wrapped)


def test_multi_keyring_passes_over_a_public_key() -> None:
    """A writer with a public key only does not keep the readers behind it from reading."""
    old = RsaKeyring(other_rsa_key())
    made = old.generate_data_key(GCM, {})
    multi = MultiKeyring(RsaKeyring(RSA_KEY.public_key()), old)
    assert multi.decrypt_data_key(made.wrapped) == made.plaintext


def test_multi_keyrings_can_be_nested() -> None:
    """A MultiKeyring is a keyring like any other."""
    made = AesKeyring(AES_KEY).generate_data_key(GCM, {})
    inner = MultiKeyring(RsaKeyring(RSA_KEY), AesKeyring(bytes([1]) * 32))
    assert MultiKeyring(inner, AesKeyring(AES_KEY)).decrypt_data_key(made.wrapped) == made.plaintext


def test_multi_keyring_takes_keyrings_only() -> None:
    """AL-19: a key, a class or nothing is refused at once."""
    wrong: Any
    for wrong in (AES_KEY, None, AesKeyring, "kms"):
        with pytest.raises(ConfigurationTypeError, match="keyring"):
            MultiKeyring(AesKeyring(AES_KEY), wrong)
