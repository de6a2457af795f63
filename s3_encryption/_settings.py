"""The options of a client's constructor: checked strictly, so that no mistake weakens anything without a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._keys.keyrings import AesKeyring, Keyring, RsaKeyring
from ._operations.envelope_store import EnvelopeStore, check_suffix
from ._sealer import check_switch
from .exceptions import ConfigurationError, ConfigurationTypeError, quoted

_ENVELOPE_LOCATIONS = ("metadata", "instruction_file")
KEY_OPTIONS = ("keyring", "kms_key_id", "aes_key", "rsa_key")


def check_one_key(keys: Mapping[str, object]) -> None:
    """Check that exactly one of the options for a key is given.

    Raises:
        ConfigurationError: None is given, or several are.
    """
    given = [name for name, value in keys.items() if value is not None]
    if len(given) != 1:
        raise ConfigurationError(
            f"Exactly one of {', '.join(keys)} is needed; "
            + (f"{' and '.join(given)} are given." if given else "none is given.")
        )


def local_keyring(keyring: Keyring | None, aes_key: bytes | None, rsa_key: Any) -> Keyring | None:
    """Return the keyring that the options name; None where it is yet to be made, for a KMS key."""
    if aes_key is not None:
        return AesKeyring(aes_key)
    if rsa_key is not None:
        return RsaKeyring(rsa_key)
    return keyring


def envelope_store(location: object, suffix: str, ignored: bool) -> EnvelopeStore:
    """Return where envelopes are put and looked for.

    Raises:
        ConfigurationError: An option is wrong, or two contradict each other.
    """
    if location not in _ENVELOPE_LOCATIONS or not isinstance(location, str):
        raise ConfigurationError(f"envelope_location must be one of {_ENVELOPE_LOCATIONS}, not {quoted(location)}.")
    check_suffix(suffix)
    check_switch("ignore_instruction_files", ignored)
    if ignored and location == "instruction_file":
        raise ConfigurationError('ignore_instruction_files contradicts envelope_location="instruction_file".')
    return EnvelopeStore(location, suffix, ignored)


def read_options(**options: Any) -> None:
    """Return what may be released, and when.

    Raises:
        ConfigurationError: A switch is no bool, or ``buffer_size`` no number of bytes.
    """
    for name, value in options.items():
        if name != "buffer_size":
            check_switch(name, value)
    size = options["buffer_size"]
    if isinstance(size, bool) or not isinstance(size, int):
        raise ConfigurationTypeError(f"buffer_size must be a number of bytes (int), not {quoted(size)}.")
    if size < 1:
        raise ConfigurationError(f"buffer_size must be at least 1 byte, not {size}.")
