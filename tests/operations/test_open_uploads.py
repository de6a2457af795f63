"""Which uploads a process has under way, and which clients may go on with them."""

from __future__ import annotations

from typing import Any

import pytest
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.parts import new_upload
from support.vectors import AES_KEYS, RSA_KEY_DER

from s3_encryption import AesKeyring, KmsKeyring, MultiKeyring, RsaKeyring, UnsupportedOperationError
from s3_encryption._keys.keyring import Keyring
from s3_encryption._operations.open_uploads import OpenUploads


def test_what_is_open_is_found_by_its_id_until_it_is_forgotten() -> None:
    """What was added is found until it is forgotten; at another endpoint never."""
    uploads, upload, keyring = OpenUploads(), new_upload(), AesKeyring(AES_KEYS["aes256"])
    uploads.add(("here", "id"), upload, keyring)
    assert uploads.find(("here", "id"), keyring) is upload
    assert uploads.find(("there", "id"), keyring) is None
    uploads.forget(("here", "id"))
    uploads.forget(("here", "id"))
    assert uploads.find(("here", "id"), keyring) is None


class Mine:
    """A keyring of a user's own."""

    def generate_data_key(self, *_: Any) -> Any:
        raise NotImplementedError

    def decrypt_data_key(self, *_: Any) -> Any:
        raise NotImplementedError


KMS = FakeKms()
# Makers of keyrings, by name; another call makes an equal one.
KEYRINGS: dict[str, Any] = {
    "aes": lambda: AesKeyring(AES_KEYS["aes256"]),
    "aes of another key": lambda: AesKeyring(bytes(range(1, 33))),
    "aes by another wrap": lambda: AesKeyring(AES_KEYS["aes256"], wrapping_algorithm="AESWrap"),
    "aes described": lambda: AesKeyring(AES_KEYS["aes256"], material_description={"key": "1"}),
    "rsa": lambda: RsaKeyring(RSA_KEY_DER),
    "kms": lambda: KmsKeyring(KMS, KMS_KEY_ARN),
    "kms of another key": lambda: KmsKeyring(KMS, KMS_KEY_ARN[:-1] + "0"),
    "kms elsewhere": lambda: KmsKeyring(FakeKms(), KMS_KEY_ARN),
    "several": lambda: MultiKeyring(AesKeyring(AES_KEYS["aes256"]), RsaKeyring(RSA_KEY_DER)),
    "fewer": lambda: MultiKeyring(AesKeyring(AES_KEYS["aes256"])),
}


@pytest.mark.parametrize("other", KEYRINGS)
@pytest.mark.parametrize("starter", KEYRINGS)
def test_upload_goes_on_with_a_keyring_of_the_same_key_only(starter: str, other: str) -> None:
    """A keyring that was made in the same way goes on; one of another key, kind or service is refused by name."""
    uploads, upload = OpenUploads(), new_upload()
    uploads.add(("here", "id"), upload, KEYRINGS[starter]())
    keyring: Keyring = KEYRINGS[other]()
    if starter == other and starter != "kms elsewhere":
        assert uploads.find(("here", "id"), keyring) is upload
    else:
        with pytest.raises(UnsupportedOperationError, match="another key or keyring"):
            uploads.find(("here", "id"), keyring)


def test_keyring_of_a_users_own_goes_on_as_the_very_same_only() -> None:
    """Nobody can tell whether two of them have one key."""
    uploads, upload, keyring = OpenUploads(), new_upload(), Mine()
    uploads.add(("here", "id"), upload, keyring)
    assert uploads.find(("here", "id"), keyring) is upload
    with pytest.raises(UnsupportedOperationError, match="another key or keyring"):
        uploads.find(("here", "id"), Mine())
