"""Parsers of single fields: base64, JSON, and what S3 makes of text that is not ASCII.

They are strict: anybody who can write to the bucket may have written the fields.
"""

from __future__ import annotations

import base64
import email.errors
import email.header
import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from .._checks import is_text
from ..exceptions import InvalidEnvelopeError

# S3 itself says UTF-8; of the many codecs that a name in hostile metadata could call up, no other is run.
_HEADER_CHARSETS = frozenset({"utf-8", "us-ascii", "iso-8859-1"})


def refuse(problem: str) -> NoReturn:
    """Refuse an envelope.

    Raises:
        InvalidEnvelopeError: Always.
    """
    raise InvalidEnvelopeError(f"The object's encryption metadata can't be used: {problem}.")


def decode_base64(fields: Mapping[str, str], name: str, sizes: tuple[int, ...] = ()) -> bytes:
    """Return the bytes of a field in canonical base64, of one of the given lengths if any are given."""
    text = fields[name]
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not data or base64.b64encode(data).decode() != text:
        refuse(f"{name} is not canonical base64")
    if sizes and len(data) not in sizes:
        refuse(f"{name} has a wrong length")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _not_a_number(text: str) -> NoReturn:
    raise ValueError("number")


def json_decoder(parse_int: Callable[[str], Any] = _not_a_number) -> json.JSONDecoder:
    """Return a decoder of JSON in which no name may come twice, and numbers only where a parser for them is given."""
    return json.JSONDecoder(
        object_pairs_hook=_unique, parse_int=parse_int, parse_float=_not_a_number, parse_constant=_not_a_number
    )


_WITHOUT_NUMBERS = json_decoder()


def load_json_object(text: str, what: str, decoder: json.JSONDecoder = _WITHOUT_NUMBERS) -> dict[str, Any]:
    """Return a JSON object."""
    problem = "is not a JSON object"
    try:
        value = decoder.decode(text)
    except (ValueError, RecursionError):
        value, problem = None, "is not valid JSON"
    if not isinstance(value, dict):
        # Outside of the handler: the error shall carry neither the parser's text and position, nor what it parsed.
        refuse(f"{what} {problem}")
    return value


def parse_description(text: str | None, what: str) -> Mapping[str, str]:
    """Return the map in a JSON field; an absent field is an empty map."""
    if text is None:
        return MappingProxyType({})
    value = load_json_object(text, what)
    if not all(is_text(part) for pair in value.items() for part in pair):
        refuse(f"{what} is not a map of text to text")
    return MappingProxyType(value)


def decode_header_text(text: str) -> str:
    """Return a metadata value as its writer meant it.

    S3 returns non-ASCII values as RFC 2047 encoded words, of text whose UTF-8 bytes were taken for Latin-1 characters.
    Other servers return the bytes as they came, and then HTTP takes them for Latin-1.
    """
    return re.sub("[\x80-\xff]+", _utf8_from_latin1, _without_encoded_words(text))


def _without_encoded_words(text: str) -> str:
    if "=?" not in text:
        return text
    try:
        words = email.header.decode_header(text)
        return "".join(_decoded_word(word, charset) for word, charset in words)
    except (ValueError, email.errors.HeaderParseError):
        return text


def _decoded_word(word: str | bytes, charset: str | None) -> str:
    if isinstance(word, str):
        return word
    if charset is not None and charset.lower() not in _HEADER_CHARSETS:
        raise ValueError("charset")
    return word.decode(charset or "ascii")


def _utf8_from_latin1(run: re.Match[str]) -> str:
    try:
        return run[0].encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return run[0]
