"""The keyring protocol: who makes data keys, and who can get them back.

Any object that has the two methods of ``Keyring`` will do. ``KmsKeyring`` (``kms``) leaves wrapping to AWS KMS,
``AesKeyring`` and ``RsaKeyring`` (``raw``) do it here, ``MultiKeyring`` (``multi``) writes with one and reads with
whichever fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol, runtime_checkable

from ..exceptions import ConfigurationTypeError, KeyringMismatchError, quoted

# The context key by which kms+context binds the content algorithm, and the one that the older kms wrap always has.
RESERVED_CONTEXT_KEY = "aws:x-amz-cek-alg"
KMS_KEY_ID_CONTEXT_KEY = "kms_cmk_id"


@dataclass(frozen=True, slots=True)
class WrappedDataKey:
    """A data key as an envelope stores it.

    ``description`` is the encryption context of a KMS wrap, or the material description of an AES or RSA one;
    ``content_algorithm`` is the name that the wrapping is bound to, where the algorithm binds.
    """

    encrypted_data_key: bytes = field(repr=False)
    wrapping_algorithm: str
    content_algorithm: str
    description: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DataKey:
    """A new data key: in plaintext (32 bytes), and wrapped."""

    plaintext: bytes = field(repr=False)
    wrapped: WrappedDataKey

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A data key can't be pickled or copied: it would leave the process.")


@runtime_checkable
class Keyring(Protocol):
    """What the client asks for data keys.

    Two attributes are optional: ``wrapping_algorithm``, the name that new keys are wrapped with, lets the client check
    its configuration at construction; ``wrapping_algorithms``, the set of names that can be unwrapped, lets it refuse
    an object of another kind before it looks further.
    """

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        """Return a new data key of 32 bytes, bound to the named content algorithm where the wrapping can do that."""

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        """Return the data key in plaintext.

        Raises:
            KeyringMismatchError: The key was wrapped by an algorithm that is not this keyring's.
            DecryptionError: It can't be unwrapped with this keyring's key.
        """


def check_keyring(keyring: object) -> None:
    """Check that an object has a keyring's two methods.

    Raises:
        ConfigurationTypeError: It has not, or it is the class and not an instance.
    """
    if isinstance(keyring, type) or not isinstance(keyring, Keyring):
        raise ConfigurationTypeError(
            "A keyring must have the methods generate_data_key and decrypt_data_key, as KmsKeyring, AesKeyring, "
            f"RsaKeyring and MultiKeyring have; this is {type(keyring).__name__}."
        )


def are_same(one: Keyring, other: Keyring) -> bool:
    """Return whether two keyrings are the same, or are of this library and were made with the same key and options."""
    if one is other:
        return True
    is_same_as = getattr(one, "is_same_as", None)
    return type(one) is type(other) and is_same_as is not None and bool(is_same_as(other))


def check_fits(keyring: Keyring, names: frozenset[str], wrapped: WrappedDataKey) -> None:
    """Check that a data key was wrapped by one of the algorithms that a keyring can unwrap.

    Raises:
        KeyringMismatchError: It was not.
    """
    if wrapped.wrapping_algorithm not in names:
        raise keyring_mismatch(keyring, wrapped.wrapping_algorithm)


def keyring_mismatch(keyring: object, wrapping_algorithm: str) -> KeyringMismatchError:
    """Return the error that says that a keyring can't unwrap an algorithm."""
    return KeyringMismatchError(
        f"The object's data key is wrapped by {quoted(wrapping_algorithm)}, and {type(keyring).__name__} can't unwrap "
        "that. Use a keyring of that kind; MultiKeyring holds several."
    )
