"""Several keyrings as one: for key rotation, or to read what several parties wrote."""

from __future__ import annotations

from collections.abc import Mapping

from ..exceptions import DecryptionError, KeyringMismatchError
from .keyring import DataKey, Keyring, WrappedDataKey, are_same, check_keyring
from .wrap_algorithms import WRAP_ALGORITHMS

# What KMS answers when the blob was encrypted under another key than the one that was named.
_WRONG_KMS_KEY = frozenset({"IncorrectKeyException", "InvalidCiphertextException"})


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

    def is_same_as(self, other: MultiKeyring) -> bool:
        """Return whether another one has the same keyrings in the same order."""
        pairs = zip(self._keyrings, other._keyrings, strict=False)
        return len(self._keyrings) == len(other._keyrings) and all(are_same(one, two) for one, two in pairs)

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


def _means_other_key(error: Exception) -> bool:
    # Told from botocore's ClientError by its shape: this module knows no boto.
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return isinstance(error, DecryptionError) or code in _WRONG_KMS_KEY
