"""Envelopes: the metadata that goes with an encrypted object, in the formats V1, V2 and V3.

Parsing is strict: one format only, exactly its fields, canonical base64, JSON objects of text. Whatever is doubtful is
refused, and ``emit(parse(metadata))`` gives back what was parsed. FORMATS has one record for each format.

Source: Amazon S3 Encryption Client specification, "data format": metadata keys, content and instruction files.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from .._crypto.content import (
    AES_CBC,
    AES_CTR,
    AES_GCM_COMMITTING,
    COMMITMENT_BYTES,
    CONTENT_ALGORITHMS,
    MESSAGE_ID_BYTES,
    Suite,
)
from .._keys.keyring import WrappedDataKey
from .._keys.wrap_algorithms import AES_ECB, AES_KEY_WRAP, KMS_CONTEXT, RSA_PKCS1, WRAP_ALGORITHMS
from ..exceptions import InvalidEnvelopeError, NotEncryptedError, quoted
from .encoding import (
    decode_base64,
    parse_description,
    refuse,
)

# S3 keeps at most 2 KB of user metadata with an object; the reader's bounds leave room for servers that keep more.
S3_METADATA_LIMIT_BYTES = 2048
MAX_ENVELOPE_BYTES = 8 * 1024

INSTRUCTION_FILE_MARKER = "x-amz-crypto-instr-file"

LENGTH_FIELD = "x-amz-unencrypted-content-length"
# An AES-wrapped data key of V1 has at most 48 bytes, an RSA-wrapped one at least 256.
_MAX_AES_ECB_BYTES = 48


# Compact, because one reader (the C++ SDK) stops at white space, and ASCII, because S3 mangles anything else.
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True)


def encode_base64(data: bytes) -> str:
    """Return bytes in base64."""
    return base64.b64encode(data).decode("ascii")


def print_json(value: Mapping[str, str]) -> str:
    """Return a map of text to text as every reader takes it."""
    # What looks like an encoded word of RFC 2047 would be decoded on the way back.
    return _ENCODER.encode(dict(value)).replace("=?", "=\\u003f")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Everything that is stored about how an object was encrypted.

    ``iv`` is the IV of V1 and V2, the message id of V3. ``texts`` are the optional fields as they were or are to be
    stored; the field names that a format demands are not among them.
    """

    format: str
    suite: Suite
    wrapped: WrappedDataKey
    iv: bytes
    commitment: bytes = b""
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def plaintext_length(self) -> int | None:
        """The length in bytes that the writer noted. Nothing authenticates it; None when absent or unreadable."""
        text = self.texts.get(LENGTH_FIELD, "")
        return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


@dataclass(frozen=True, slots=True)
class Format:
    """One format: the field that marks it, the fields that it demands and allows, and which stay with the object."""

    name: str
    marker: str
    required: frozenset[str]
    optional: frozenset[str]
    # With an instruction file, these fields stay in the object's metadata, and the others go to the file.
    with_object: frozenset[str]
    parse: Callable[[dict[str, str]], Envelope]
    emit: Callable[[Envelope], dict[str, str]]

    @property
    def fields(self) -> frozenset[str]:
        """All field names of the format."""
        return self.required | self.optional


def _optional_fields(fields: Mapping[str, str], optional: frozenset[str]) -> Mapping[str, str]:
    return MappingProxyType({name: text for name, text in fields.items() if name in optional})


# --- V1: AES-CBC, and a wrapping algorithm that only the reader's key tells -------------------------------------------


def _parse_v1(fields: dict[str, str]) -> Envelope:
    encrypted = decode_base64(fields, "x-amz-key")
    wrapped = WrappedDataKey(
        encrypted,
        _unnamed_wrap(encrypted),
        AES_CBC.name,
        parse_description(fields.get("x-amz-matdesc"), "x-amz-matdesc"),
    )
    iv = decode_base64(fields, "x-amz-iv", (AES_CBC.iv_bytes,))
    return Envelope("V1", AES_CBC, wrapped, iv, texts=_optional_fields(fields, V1.optional))


def _emit_v1(envelope: Envelope) -> dict[str, str]:
    return {
        "x-amz-key": encode_base64(envelope.wrapped.encrypted_data_key),
        "x-amz-iv": encode_base64(envelope.iv),
        **envelope.texts,
    }


def _unnamed_wrap(encrypted_data_key: bytes) -> str:
    return AES_ECB.name if len(encrypted_data_key) <= _MAX_AES_ECB_BYTES else RSA_PKCS1.name


V1 = Format(
    "V1",
    marker="x-amz-key",
    required=frozenset({"x-amz-key", "x-amz-iv"}),
    optional=frozenset({"x-amz-matdesc", LENGTH_FIELD}),
    with_object=frozenset(),
    parse=_parse_v1,
    emit=_emit_v1,
)


# --- V2: the algorithms have names ------------------------------------------------------------------------------------


def _parse_v2(fields: dict[str, str]) -> Envelope:
    encrypted = decode_base64(fields, "x-amz-key-v2")
    wrap = _v2_wrap(fields, encrypted)
    suite = _v2_suite(fields, wrap)
    if fields.get("x-amz-tag-len", _tag_bits(suite)) not in _tag_lengths(suite, wrap):
        refuse("x-amz-tag-len does not fit the content algorithm")
    description = parse_description(fields.get("x-amz-matdesc"), "x-amz-matdesc")
    return Envelope(
        "V2",
        suite,
        WrappedDataKey(encrypted, wrap, suite.name, description),
        decode_base64(fields, "x-amz-iv", (suite.iv_bytes,)),
        texts=_optional_fields(fields, V2.optional),
    )


def _v2_wrap(fields: Mapping[str, str], encrypted_data_key: bytes) -> str:
    # An old Java client left the name out where it wrapped as V1 does.
    name = fields.get("x-amz-wrap-alg")
    if name is None:
        return _unnamed_wrap(encrypted_data_key)
    if name not in WRAP_ALGORITHMS or WRAP_ALGORITHMS[name].v1:
        refuse(f"x-amz-wrap-alg {quoted(name)} is not known")
    return name


def _v2_suite(fields: Mapping[str, str], wrap: str) -> Suite:
    name = fields["x-amz-cek-alg"]
    suite = CONTENT_ALGORITHMS.get(name)
    if suite is None:
        refuse(f"x-amz-cek-alg {quoted(name)} is not known")
    if suite is AES_CTR and wrap != AES_KEY_WRAP.name:
        # Only the fork wrote it, and always so; anything else is an attempt to get rid of the tag.
        refuse("x-amz-cek-alg does not fit x-amz-wrap-alg")
    return suite


def _tag_bits(suite: Suite) -> str:
    return str(suite.tag_bytes * 8)


def _tag_lengths(suite: Suite, wrap: str) -> set[str]:
    """Return what x-amz-tag-len may say."""
    if not suite.authenticated:
        # Some writers say 0, and the Go SDK's instruction files nothing.
        return {"0", ""}
    # The 2020 fork of a Python client wrote bytes instead of bits, always with AESWrap.
    return {_tag_bits(suite), str(suite.tag_bytes)} if wrap == AES_KEY_WRAP.name else {_tag_bits(suite)}


def _emit_v2(envelope: Envelope) -> dict[str, str]:
    return {
        "x-amz-key-v2": encode_base64(envelope.wrapped.encrypted_data_key),
        "x-amz-iv": encode_base64(envelope.iv),
        "x-amz-cek-alg": envelope.suite.name,
        **envelope.texts,
    }


V2 = Format(
    "V2",
    marker="x-amz-key-v2",
    required=frozenset({"x-amz-key-v2", "x-amz-iv", "x-amz-cek-alg"}),
    optional=frozenset({"x-amz-wrap-alg", "x-amz-matdesc", "x-amz-tag-len", LENGTH_FIELD}),
    with_object=frozenset(),
    parse=_parse_v2,
    emit=_emit_v2,
)


# --- V3: key commitment -----------------------------------------------------------------------------------------------

_V3_WRAPS = {wrap.v3_code: wrap for wrap in WRAP_ALGORITHMS.values() if wrap.v3_code is not None}


def _parse_v3(fields: dict[str, str]) -> Envelope:
    if fields["x-amz-c"] != AES_GCM_COMMITTING.name:
        refuse(f"x-amz-c {quoted(fields['x-amz-c'])} is not known")
    wrap = _V3_WRAPS.get(fields["x-amz-w"])
    if wrap is None:
        refuse(f"x-amz-w {quoted(fields['x-amz-w'])} is not known")
    used, unused = ("x-amz-t", "x-amz-m") if wrap is KMS_CONTEXT else ("x-amz-m", "x-amz-t")
    # The Go client always sends both, and leaves the unused one empty.
    if fields.get(unused, "") not in ("", "{}"):
        refuse(f"{unused} does not fit x-amz-w")
    description = parse_description(fields.get(used) or None, used)
    encrypted = decode_base64(fields, "x-amz-3")
    message_id = decode_base64(fields, "x-amz-i", (MESSAGE_ID_BYTES,))
    if not any(message_id):
        refuse("x-amz-i is not a message id")
    return Envelope(
        "V3",
        AES_GCM_COMMITTING,
        WrappedDataKey(encrypted, wrap.name, AES_GCM_COMMITTING.name, description),
        message_id,
        decode_base64(fields, "x-amz-d", (COMMITMENT_BYTES,)),
        texts=_optional_fields(fields, V3.optional),
    )


def _emit_v3(envelope: Envelope) -> dict[str, str]:
    wrap_code = WRAP_ALGORITHMS[envelope.wrapped.wrapping_algorithm].v3_code
    assert wrap_code is not None  # the sealer writes V3 only with algorithms that have one
    return {
        "x-amz-c": envelope.suite.name,
        "x-amz-d": encode_base64(envelope.commitment),
        "x-amz-i": encode_base64(envelope.iv),
        "x-amz-3": encode_base64(envelope.wrapped.encrypted_data_key),
        "x-amz-w": wrap_code,
        **envelope.texts,
    }


V3 = Format(
    "V3",
    marker="x-amz-3",
    required=frozenset({"x-amz-c", "x-amz-d", "x-amz-i", "x-amz-3", "x-amz-w"}),
    optional=frozenset({"x-amz-t", "x-amz-m", LENGTH_FIELD}),
    with_object=frozenset({"x-amz-c", "x-amz-d", "x-amz-i"}),
    parse=_parse_v3,
    emit=_emit_v3,
)

FORMATS = {format.name: format for format in (V1, V2, V3)}

RESERVED_FIELDS = frozenset(name for format in FORMATS.values() for name in format.fields)
MARKERS = {format.marker: format for format in FORMATS.values()}


# --- whole envelopes --------------------------------------------------------------------------------------------------


def optional_fields_for(format: Format, wrapped: WrappedDataKey, suite: Suite) -> Mapping[str, str]:
    """Return the optional fields that this library writes."""
    description = print_json(wrapped.description)
    if format is V1:
        return {"x-amz-matdesc": description}
    if format is V2:
        tag_length = {"x-amz-tag-len": _tag_bits(suite)} if suite.authenticated else {}
        return {"x-amz-wrap-alg": wrapped.wrapping_algorithm, "x-amz-matdesc": description, **tag_length}
    if not wrapped.description:
        return {}
    return {"x-amz-t" if wrapped.wrapping_algorithm == KMS_CONTEXT.name else "x-amz-m": description}


def emit(envelope: Envelope) -> dict[str, str]:
    """Return the metadata that stores an envelope, lower-case names to text."""
    return FORMATS[envelope.format].emit(envelope)


def parse(metadata: Mapping[str, str]) -> Envelope:
    """Return the envelope in an object's user metadata; other metadata is ignored.

    Raises:
        NotEncryptedError: There is no trace of an envelope.
        InvalidEnvelopeError: It is not exactly one well-formed envelope.
    """
    return parse_fields(envelope_fields(metadata))


def parse_fields(fields: dict[str, str]) -> Envelope:
    """Return the same from envelope fields, their names in lower case."""
    if not fields:
        raise NotEncryptedError(
            "The object is not encrypted: it has no encryption metadata. allow_plaintext_reads=True reads such objects."
        )
    if size_of(fields) > MAX_ENVELOPE_BYTES:
        refuse("it is too long")
    formats = [format for marker, format in MARKERS.items() if marker in fields]
    if len(formats) != 1:
        refuse("it has no encrypted data key" if not formats else "it mixes several formats")
    format = formats[0]
    for problem, names in (
        ("lacks", format.required - fields.keys()),
        ("does not allow", fields.keys() - format.fields),
    ):
        if names:
            refuse(f"format {format.name} {problem} {', '.join(sorted(names))}")
    return format.parse(fields)


def size_of(fields: Mapping[str, str]) -> int:
    return sum(len(name) + len(text) for name, text in fields.items())


def envelope_fields(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the envelope fields in an object's user metadata, their names in lower case.

    Raises:
        InvalidEnvelopeError: Two names differ only in case, and their values differ.
    """
    fields: dict[str, str] = {}
    for name, text in metadata.items():
        folded = name.lower()
        if folded in RESERVED_FIELDS and fields.setdefault(folded, text) != text:
            refuse(f"it has two values for {folded}")
    return fields


def without_envelope(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return user metadata without the fields of any envelope, whatever their case."""
    reserved = RESERVED_FIELDS | {INSTRUCTION_FILE_MARKER}
    return {name: text for name, text in metadata.items() if name.lower() not in reserved}


def has_envelope(fields: Mapping[str, str]) -> bool:
    """Return whether envelope fields hold an encrypted data key, so that no instruction file is needed."""
    return not MARKERS.keys().isdisjoint(fields)


def is_complete(fields: Mapping[str, str]) -> bool:
    """Return whether envelope fields are all that a well-formed object carries, be the rest in an instruction file."""
    if may_have_instruction_file(fields.keys()):
        return True
    try:
        parse_fields(dict(fields))
    except InvalidEnvelopeError:
        return False
    return True


def may_have_instruction_file(names: Collection[str]) -> bool:
    """Return whether an object with just these envelope fields can have the others in an instruction file."""
    return any(set(names) - {LENGTH_FIELD} == format.with_object for format in FORMATS.values())
