"""Checks of values that callers give, each used in several rooms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

from .exceptions import ConfigurationError, ConfigurationTypeError, quoted


def check_switch(name: str, value: object) -> None:
    """Check that an on/off option is a bool: a truthy "False" must not turn a safeguard off.

    Raises:
        ConfigurationTypeError: It is anything else.
    """
    if not isinstance(value, bool):
        raise ConfigurationTypeError(f"{name} must be True or False, not {quoted(value)}.")


def checked_read(piece: object, size: int | None = None) -> bytes:
    """Return what a Body's ``read`` gave, as bytes.

    Args:
        piece: What it gave.
        size: How many bytes it was asked for at most; None for all.

    Raises:
        ConfigurationTypeError: It is no bytes.
        ConfigurationError: It is more than was asked for.
    """
    if not isinstance(piece, (bytes, bytearray, memoryview)):
        # None is what a non-blocking source says that has nothing yet: what came so far is not the whole.
        hint = "a non-blocking source can't be a Body" if piece is None else "open files in binary mode ('rb')"
        raise ConfigurationTypeError(f"Body.read() must return bytes, not {type(piece).__name__}: {hint}.")
    data = bytes(piece)
    if size is not None and len(data) > size:
        raise ConfigurationError(f"Body.read({size}) returned more than it was asked for: {len(data)} bytes.")
    return data


def check_suffix(suffix: object) -> None:
    """Check that an instruction file suffix makes another key in the same bucket.

    Raises:
        ConfigurationError: It does not.
    """
    if not isinstance(suffix, str):
        raise ConfigurationTypeError(f"An instruction file suffix must be a str, not {type(suffix).__name__}.")
    if not suffix or len(suffix) > 256 or not (suffix.isascii() and suffix.isprintable()):
        raise ConfigurationError("An instruction file suffix must be 1 to 256 printable ASCII characters.")


def is_text(value: object) -> TypeGuard[str]:
    """Return whether a value is text that every reader gets back from JSON."""
    # Lone surrogates are no text, and readers that are written in C end it at a NUL.
    return isinstance(value, str) and not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)


def check_text_map(value: object, what: str) -> None:
    """Check that a value is a mapping of text to text.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationTypeError(f"{what} must be a dict of str to str, not {type(value).__name__}.")
    for text in (*value.keys(), *value.values()):
        if not isinstance(text, str):
            raise ConfigurationTypeError(f"{what} must be a dict of str to str; it holds {type(text).__name__}.")
        if not is_text(text):
            raise ConfigurationError(f"{what} may hold any text without NUL and lone surrogates, not {quoted(text)}.")
