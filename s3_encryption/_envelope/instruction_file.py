"""Instruction files: an envelope in an object of its own, beside the one that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping

from .._checks import is_text
from ..exceptions import ConfigurationError, quoted
from .encoding import json_decoder, load_json_object, refuse
from .formats import (
    DESCRIPTIONS,
    FORMATS,
    LENGTH_FIELD,
    MARKERS,
    MAX_ENVELOPE_BYTES,
    RESERVED_FIELDS,
    Envelope,
    emit,
    envelope_fields,
    escape_json,
    has_envelope,
    parse,
    parse_fields,
    print_json,
    size_of,
)

MAX_INSTRUCTION_FILE_BYTES = 64 * 1024


def split(envelope: Envelope) -> tuple[dict[str, str], bytes]:
    """Return the metadata that stays with the object, and the body of the instruction file.

    Raises:
        ConfigurationError: The envelope is longer than those that are read.
    """
    format = FORMATS[envelope.format]
    fields = emit(envelope)
    if size_of(fields) > MAX_ENVELOPE_BYTES:
        raise ConfigurationError(
            "The EncryptionContext or the keyring's material_description is too long: the object's envelope would have "
            f"{size_of(fields)} bytes, and none of more than {MAX_ENVELOPE_BYTES} is read."
        )
    with_object = {name: text for name, text in fields.items() if name in format.with_object}
    in_file = {name: text for name, text in fields.items() if name not in format.with_object}
    # The C++ client reads up to the first white space.
    return with_object, print_json(in_file).replace(" ", "\\u0020").encode("ascii")


def merge(metadata: Mapping[str, str], instruction_file: bytes) -> Envelope:
    """Return the envelope that an object's metadata and its instruction file make together.

    Raises:
        InvalidEnvelopeError: They don't make exactly one well-formed envelope, each with its own fields.
    """
    with_object = envelope_fields(metadata)
    # Two old writers note the length on the object also when the envelope is in a file.
    noted_length = with_object.pop(LENGTH_FIELD, None)
    in_file = _parse_instruction_file(instruction_file)
    format = next((f for marker, f in MARKERS.items() if marker in in_file), None)
    if format is None:
        refuse("the instruction file has no encrypted data key")
    own = parse(metadata) if has_envelope(with_object) else None
    if own is not None:
        # The file holds the same data key wrapped once more, for another reader; the object keeps its own envelope.
        with_object = {name: text for name, text in with_object.items() if name in format.with_object}
    if with_object.keys() != format.with_object or in_file.keys() & format.with_object:
        refuse("the object and its instruction file don't fit each other")
    fields = {**with_object, **in_file}
    if noted_length is not None:
        fields.setdefault(LENGTH_FIELD, noted_length)
    merged = parse_fields(fields)
    if own is not None and (own.suite, own.iv, own.commitment) != (merged.suite, merged.iv, merged.commitment):
        refuse("the object and its instruction file don't fit each other")
    return merged


def _parse_instruction_file(body: bytes) -> dict[str, str]:
    if len(body) > MAX_INSTRUCTION_FILE_BYTES:
        refuse("the instruction file is too long")
    # What is not UTF-8 becomes lone surrogates, which no field may have.
    text = body.decode("utf-8", errors="surrogateescape")
    value = load_json_object(text, "the instruction file", _WITH_NUMBERS)
    return {name: field_text for name, raw in value.items() if (field_text := _field_text(name, raw)) is not None}


class _NumberText(str):
    """The digits of a JSON number."""


def _number_text(digits: str) -> str:
    if len(digits) > 15:
        raise ValueError("number too long")
    return _NumberText(digits)


_WITH_NUMBERS = json_decoder(parse_int=_number_text)


def _field_text(name: str, value: object) -> str | None:
    """Return the text of one field of an instruction file; None for a field that counts as absent."""
    if name not in RESERVED_FIELDS:
        refuse(f"the instruction file has the unknown field {quoted(name)}")
    # The PHP client writes these two as numbers, the .NET one an empty description as null.
    if isinstance(value, _NumberText) and name not in ("x-amz-tag-len", LENGTH_FIELD):
        refuse(f"{name} is not text")
    if value is None and name == "x-amz-m":
        return None
    # No field has control characters: what is within a description is escaped there.
    if not is_text(value) or any(ord(c) < 32 for c in value):
        refuse(f"{name} is not text")
    return escape_json(value) if name in DESCRIPTIONS else str(value)
