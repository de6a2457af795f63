"""Data keys wrapped under an AES or RSA key that the caller keeps: made, wrapped and unwrapped here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NoReturn

from .._checks import check_text_map
from .._crypto.content import data_key_bytes
from ..exceptions import ConfigurationError, DecryptionError, KeyringMismatchError
from .aes_wraps import load_aes_key
from .keyring import DataKey, WrappedDataKey, check_fits
from .rsa_wraps import load_rsa_key
from .wrap_algorithms import WRAP_ALGORITHMS, checked_name, names_for, unwrap_data_key


class _RawKeyring:
    """What AES and RSA keyrings share: the data key is made and wrapped here, by one of the tabled algorithms."""

    wrapping_algorithm: str
    wrapping_algorithms: frozenset[str]

    def __init__(self, key: Any, wrapping_algorithm: str, material_description: Mapping[str, str] | None) -> None:
        self._key = key
        self._wrap = WRAP_ALGORITHMS[wrapping_algorithm].wrap
        self.wrapping_algorithm = wrapping_algorithm
        self.material_description = _checked_description(material_description)

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        if encryption_context:
            raise ConfigurationError(
                "EncryptionContext needs a KMS key. With an AES or RSA key, describe the key by the keyring's "
                "material_description, or leave EncryptionContext out."
            )
        assert self._wrap is not None  # only the KMS algorithms have none
        data_key = os.urandom(data_key_bytes(content_algorithm))
        encrypted = self._wrap(self._key, data_key, content_algorithm)
        wrapped = WrappedDataKey(encrypted, self.wrapping_algorithm, content_algorithm, self.material_description)
        return DataKey(data_key, wrapped)

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        check_fits(self, self.wrapping_algorithms, wrapped)
        try:
            return unwrap_data_key(
                wrapped.wrapping_algorithm,
                self._key,
                wrapped.encrypted_data_key,
                wrapped.content_algorithm,
            )
        except DecryptionError:
            pass
        # Anew: the frames of the failure hold the key, and error trackers record the variables of each.
        raise DecryptionError

    def is_same_as(self, other: _RawKeyring) -> bool:
        """Return whether another keyring of the class has the same key and options."""
        ours = (self.wrapping_algorithm, self.material_description, self._key.identity)
        return ours == (other.wrapping_algorithm, other.material_description, other._key.identity)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A keyring can't be pickled or copied: its key would leave the process.")


class AesKeyring(_RawKeyring):
    """Data keys wrapped under an AES key that you keep.

    Args:
        key: 16, 24 or 32 bytes. 32 are recommended.
        wrapping_algorithm: "AES/GCM"; or for older readers "AESWrap", or "AES/ECB" (V1 objects, behind
            ``enable_legacy_writes``).
        material_description: Names the key, for key rotation: it is stored in the clear with every object.
    """

    wrapping_algorithms = names_for("aes")

    def __init__(
        self,
        key: bytes,
        *,
        wrapping_algorithm: str = "AES/GCM",
        material_description: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(load_aes_key(key), checked_name(wrapping_algorithm, "aes"), material_description)

    def __repr__(self) -> str:
        return f"AesKeyring({len(self._key.secret) * 8}-bit key, wrapping_algorithm={self.wrapping_algorithm!r})"


class RsaKeyring(_RawKeyring):
    """Data keys wrapped under an RSA key pair that you keep. The public key alone can write; reading needs the private
    one.

    Args:
        key: PEM or DER (str or bytes), or a ``Crypto.PublicKey.RSA`` key; at least 2048 bits.
        passphrase: Opens an encrypted private key.
        wrapping_algorithm: "RSA-OAEP-SHA1"; or for older readers "RSA/ECB/OAEPWithSHA-256AndMGF1Padding", or
            "RSA/ECB/PKCS1Padding" (V1 objects, behind ``enable_legacy_writes``).
        material_description: Names the key, for key rotation: it is stored in the clear with every object.
    """

    wrapping_algorithms = names_for("rsa")

    def __init__(
        self,
        key: Any,
        *,
        passphrase: str | bytes | None = None,
        wrapping_algorithm: str = "RSA-OAEP-SHA1",
        material_description: Mapping[str, str] | None = None,
    ) -> None:
        name = checked_name(wrapping_algorithm, "rsa")
        super().__init__(load_rsa_key(key, passphrase), name, material_description)

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        check_fits(self, self.wrapping_algorithms, wrapped)
        if not self._key.is_private:
            raise KeyringMismatchError(
                "This RsaKeyring holds a public key only: it can write objects, and not read them. "
                "Give it the private key."
            )
        return super().decrypt_data_key(wrapped)

    def __repr__(self) -> str:
        kind = "private" if self._key.is_private else "public"
        return f"RsaKeyring({self._key.bits}-bit {kind} key, wrapping_algorithm={self.wrapping_algorithm!r})"


def _checked_description(description: Mapping[str, str] | None) -> dict[str, str]:
    if description is None:
        return {}
    check_text_map(description, "material_description")
    return dict(description)
