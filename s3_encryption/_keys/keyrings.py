"""Keyrings: who makes data keys, and who can get them back.

``Keyring`` is a protocol of two methods; any object that has them will do. ``KmsKeyring`` leaves wrapping to AWS KMS,
``AesKeyring`` and ``RsaKeyring`` do it here, ``MultiKeyring`` writes with one and reads with whichever fits.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol, runtime_checkable

from .._checks import check_text_map
from .._crypto.content import DATA_KEY_BYTES
from ..exceptions import (
    ConfigurationError,
    ConfigurationTypeError,
    DecryptionError,
    KeyringMismatchError,
    quoted,
)
from .wrap_algorithms import (
    WRAP_ALGORITHMS,
    load_aes_key,
    load_rsa_key,
    names_for,
    unwrap_data_key,
    wrap_data_key,
)

# The context key by which kms+context binds the content algorithm, and the one that the older kms wrap always has.
RESERVED_CONTEXT_KEY = "aws:x-amz-cek-alg"
KMS_KEY_ID_CONTEXT_KEY = "kms_cmk_id"

# What KMS answers when the blob was encrypted under another key than the one that was named.
_WRONG_KMS_KEY = frozenset({"IncorrectKeyException", "InvalidCiphertextException"})


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


class KmsKeyring:
    """Data keys from AWS KMS: one GenerateDataKey for each write, one Decrypt for each read.

    Args:
        kms_client: A ``boto3.client("kms")``, or anything with its ``generate_data_key`` and ``decrypt``.
        kms_key_id: Key id, key ARN, alias name or alias ARN. It is named on every call, also on Decrypt, so that KMS
            refuses data keys made under any other key.
        wrapping_algorithm: "kms+context", or "kms" for readers that know only the older one.
        grant_tokens: Sent with every KMS call.

    KMS's plaintext answers appear in botocore's debug log (logger ``botocore.parsers``) when your own client is used;
    the client that S3EncryptionClient makes for ``kms_key_id=`` keeps them out.
    """

    wrapping_algorithms = names_for("kms")

    def __init__(
        self,
        kms_client: Any,
        kms_key_id: str,
        *,
        wrapping_algorithm: str = "kms+context",
        grant_tokens: Iterable[str] | None = None,
    ) -> None:
        for method in ("generate_data_key", "decrypt"):
            if not callable(getattr(kms_client, method, None)):
                raise ConfigurationTypeError(
                    f"kms_client must be a KMS client, such as boto3.client('kms'), not {type(kms_client).__name__}."
                )
        if not isinstance(kms_key_id, str):
            raise ConfigurationTypeError(f"kms_key_id must be a str, not {type(kms_key_id).__name__}.")
        if not kms_key_id.strip():
            raise ConfigurationError("kms_key_id must name a KMS key: an id, an ARN or an alias.")
        self._client = kms_client
        self._key_id = kms_key_id
        self._grants = {"GrantTokens": list(grant_tokens)} if grant_tokens else {}
        self.wrapping_algorithm = _checked_name(wrapping_algorithm, "kms")

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        reserved = (
            {RESERVED_CONTEXT_KEY: content_algorithm}
            if WRAP_ALGORITHMS[self.wrapping_algorithm].binds_content
            else {KMS_KEY_ID_CONTEXT_KEY: self._key_id}
        )
        context = {**encryption_context, **reserved}
        answer = self._client.generate_data_key(
            KeyId=self._key_id,
            NumberOfBytes=DATA_KEY_BYTES,
            EncryptionContext=context,
            **self._grants,
        )
        wrapped = WrappedDataKey(answer["CiphertextBlob"], self.wrapping_algorithm, content_algorithm, context)
        return DataKey(answer["Plaintext"], wrapped)

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        _check_fits(self, wrapped)
        answer = self._client.decrypt(
            KeyId=self._key_id,
            CiphertextBlob=wrapped.encrypted_data_key,
            EncryptionContext=dict(wrapped.description),
            **self._grants,
        )
        # Not every KMS-compatible server enforces KeyId. A full key ARN can be compared with the one that answered; an
        # alias or a bare id can't.
        if ":key/" in self._key_id and answer.get("KeyId", self._key_id) != self._key_id:
            # Error trackers record the variables of a frame that raises.
            del answer
            raise DecryptionError
        return bytes(answer["Plaintext"])

    def __repr__(self) -> str:
        return f"KmsKeyring({self._key_id!r}, wrapping_algorithm={self.wrapping_algorithm!r})"


class _RawKeyring:
    """What AES and RSA keyrings share: the data key is made and wrapped here, by one of the tabled algorithms."""

    wrapping_algorithm: str
    wrapping_algorithms: frozenset[str]

    def __init__(self, key: Any, wrapping_algorithm: str, material_description: Mapping[str, str] | None) -> None:
        self._key = key
        self.wrapping_algorithm = wrapping_algorithm
        self.material_description = _checked_description(material_description)

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        if encryption_context:
            raise ConfigurationError(
                "EncryptionContext needs a KMS key. With an AES or RSA key, describe the key by the keyring's "
                "material_description, or leave EncryptionContext out."
            )
        data_key = os.urandom(DATA_KEY_BYTES)
        encrypted = wrap_data_key(self.wrapping_algorithm, self._key, data_key, content_algorithm)
        wrapped = WrappedDataKey(encrypted, self.wrapping_algorithm, content_algorithm, self.material_description)
        return DataKey(data_key, wrapped)

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        _check_fits(self, wrapped)
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
        super().__init__(load_aes_key(key), _checked_name(wrapping_algorithm, "aes"), material_description)

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
        name = _checked_name(wrapping_algorithm, "rsa")
        super().__init__(load_rsa_key(key, passphrase), name, material_description)

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        _check_fits(self, wrapped)
        if not self._key.has_private():
            raise KeyringMismatchError(
                "This RsaKeyring holds a public key only: it can write objects, and not read them. "
                "Give it the private key."
            )
        return super().decrypt_data_key(wrapped)

    def __repr__(self) -> str:
        kind = "private" if self._key.has_private() else "public"
        return f"RsaKeyring({self._key.size_in_bits()}-bit {kind} key, wrapping_algorithm={self.wrapping_algorithm!r})"


class MultiKeyring:
    """Writes with one keyring, reads with whichever fits: for key rotation, or to read what several parties wrote.

    Args:
        writer: Makes the data keys of new objects, and is the first to be tried on reading.
        readers: Are tried after it, in order; those whose material description equals the object's go first.

    Old V1 objects don't always tell that a key is the wrong one: for AES/ECB it is found out only nearly always, for
    RSA PKCS#1 v1.5 never (anything else would be an oracle). Of several such keys, material descriptions must name the
    right one.
    """

    def __init__(self, writer: Keyring, *readers: Keyring) -> None:
        self._keyrings = (writer, *readers)
        for keyring in self._keyrings:
            check_keyring(keyring)

    @property
    def wrapping_algorithm(self) -> str | None:
        """The name that new data keys are wrapped with, where the writer tells it."""
        return getattr(self._keyrings[0], "wrapping_algorithm", None)

    @property
    def wrapping_algorithms(self) -> frozenset[str]:
        """The names that one of the keyrings can unwrap; all known ones if a keyring doesn't tell."""
        names: set[str] = set()
        for keyring in self._keyrings:
            names |= getattr(keyring, "wrapping_algorithms", WRAP_ALGORITHMS.keys())
        return frozenset(names)

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        return self._keyrings[0].generate_data_key(content_algorithm, encryption_context)

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        mismatches: list[Exception] = []
        failures: list[Exception] = []
        for keyring in self._ordered(wrapped):
            try:
                return keyring.decrypt_data_key(wrapped)
            except KeyringMismatchError as error:
                mismatches.append(error)
            except Exception as error:
                if not _means_other_key(error):
                    raise
                failures.append(error)
        raise (failures or mismatches)[-1]

    def _ordered(self, wrapped: WrappedDataKey) -> list[Keyring]:
        def is_other(keyring: Keyring) -> bool:
            return getattr(keyring, "material_description", None) != wrapped.description

        return sorted(self._keyrings, key=is_other)

    def __repr__(self) -> str:
        return f"MultiKeyring({', '.join(map(repr, self._keyrings))})"


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


def _check_fits(keyring: KmsKeyring | _RawKeyring, wrapped: WrappedDataKey) -> None:
    if wrapped.wrapping_algorithm not in keyring.wrapping_algorithms:
        raise keyring_mismatch(keyring, wrapped.wrapping_algorithm)


def keyring_mismatch(keyring: object, wrapping_algorithm: str) -> KeyringMismatchError:
    """Return the error that says that a keyring can't unwrap an algorithm."""
    return KeyringMismatchError(
        f"The object's data key is wrapped by {quoted(wrapping_algorithm)}, and {type(keyring).__name__} can't unwrap "
        "that. Use a keyring of that kind; MultiKeyring holds several."
    )


def _means_other_key(error: Exception) -> bool:
    # Told from botocore's ClientError by its shape: this module knows no boto.
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return isinstance(error, DecryptionError) or code in _WRONG_KMS_KEY


def _checked_name(name: object, key_type: str) -> str:
    names = names_for(key_type)
    if not isinstance(name, str):
        raise ConfigurationTypeError(f"wrapping_algorithm must be a str, not {type(name).__name__}.")
    if name not in names:
        raise ConfigurationError(f"wrapping_algorithm must be one of {sorted(names)}, not {quoted(name)}.")
    return name


def _checked_description(description: Mapping[str, str] | None) -> dict[str, str]:
    if description is None:
        return {}
    check_text_map(description, "material_description")
    return dict(description)
