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
