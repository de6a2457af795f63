"""Checks of values that callers give, each used in several rooms."""

from __future__ import annotations

from collections.abc import Mapping

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


def check_text_map(value: object, what: str, *, ascii_only: bool = True) -> None:
    """Check that a value is a mapping of text to text: of printable ASCII, which S3 metadata keeps as it is.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationTypeError(f"{what} must be a dict of str to str, not {type(value).__name__}.")
    for text in (*value.keys(), *value.values()):
        if not isinstance(text, str):
            raise ConfigurationTypeError(f"{what} must be a dict of str to str; it holds {type(text).__name__}.")
        if ascii_only and not (text.isascii() and text.isprintable()):
            raise ConfigurationError(f"{what} may hold printable ASCII characters only, not {quoted(text)}.")
