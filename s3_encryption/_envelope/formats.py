"""Envelopes: the metadata that goes with an encrypted object, in the formats V1, V2 and V3.

Parsing is strict: one format only, exactly its fields, canonical base64, JSON objects of text. Whatever is doubtful is
refused, and ``emit(parse(metadata))`` gives back what was parsed, in ASCII. FORMATS has one record for each format.
Envelopes in files beside the objects are the matter of ``instruction_file``.

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
from .encoding import decode_base64, decode_header_text, parse_description, refuse

# S3 keeps at most 2 KB of user metadata with an object; the reader's bounds leave room for servers that keep more.
S3_METADATA_LIMIT_BYTES = 2048
MAX_ENVELOPE_BYTES = 8 * 1024

INSTRUCTION_FILE_MARKER = "x-amz-crypto-instr-file"

LENGTH_FIELD = "x-amz-unencrypted-content-length"
# An AES-wrapped data key of V1 has at most 48 bytes, an RSA-wrapped one at least 256.
_MAX_AES_ECB_BYTES = 48
# The fields that hold JSON: an encryption context or a material description.
DESCRIPTIONS = frozenset({"x-amz-matdesc", "x-amz-t", "x-amz-m"})
# Compact, because one reader (the C++ SDK) stops at white space; escape_json makes it ASCII.
_JSON_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
# What JSON need not escape and a header does not bring back: DEL, what is not ASCII, and what looks like an encoded
# word of RFC 2047. What is escaped already stays.
_UNFIT_FOR_HEADERS = re.compile(r"\\.|([^\x00-\x7e]|(?<==)\?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Everything that is stored about how an object was encrypted.

    ``iv`` is the IV of V1 and V2, the message id of V3. ``optional_fields`` has the texts of those fields that a format
    does not demand, as they were or are to be stored.
    """

    format: str
    suite: Suite
    wrapped: WrappedDataKey
    iv: bytes
    commitment: bytes = b""
    optional_fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def plaintext_length(self) -> int | None:
        """The length in bytes that the writer noted. Nothing authenticates it; None when absent or unreadable."""
        text = self.optional_fields.get(LENGTH_FIELD, "")
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
    # Returns the optional fields that this library writes.
    optional_fields_for: Callable[[WrappedDataKey, Suite], dict[str, str]]

    @property
    def fields(self) -> frozenset[str]:
        """All field names of the format."""
        return self.required | self.optional


def print_json(value: Mapping[str, str]) -> str:
    """Return a map of text to text as every reader takes it."""
    return escape_json(_JSON_ENCODER.encode(dict(value)))


def escape_json(text: str) -> str:
    """Return JSON of the same value that any header and any reader takes: in ASCII, without encoded words."""
    return _UNFIT_FOR_HEADERS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[0]
    units = found[1].encode("utf-16-be", "surrogatepass")
    return "\\u" + units.hex("/", 2).replace("/", "\\u")


def encode_base64(data: bytes) -> str:
    """Return bytes in base64."""
    return base64.b64encode(data).decode("ascii")


def _only(names: frozenset[str], fields: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({name: text for name, text in fields.items() if name in names})


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
    return Envelope("V1", AES_CBC, wrapped, iv, optional_fields=_only(V1.optional, fields))


def _emit_v1(envelope: Envelope) -> dict[str, str]:
    return {
        "x-amz-key": encode_base64(envelope.wrapped.encrypted_data_key),
        "x-amz-iv": encode_base64(envelope.iv),
        **envelope.optional_fields,
    }


def _optional_v1(wrapped: WrappedDataKey, suite: Suite) -> dict[str, str]:
    return {"x-amz-matdesc": print_json(wrapped.description)}


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
    optional_fields_for=_optional_v1,
)


# --- V2: the algorithms have names ------------------------------------------------------------------------------------


def _parse_v2(fields: dict[str, str]) -> Envelope:
    encrypted = decode_base64(fields, "x-amz-key-v2")
    wrap = _v2_wrap(fields, encrypted)
    suite = _v2_suite(fields, wrap)
    if "x-amz-tag-len" in fields and fields["x-amz-tag-len"] not in _tag_lengths(suite, wrap):
        refuse("x-amz-tag-len does not fit the content algorithm")
    description = parse_description(fields.get("x-amz-matdesc"), "x-amz-matdesc")
    return Envelope(
        "V2",
        suite,
        WrappedDataKey(encrypted, wrap, suite.name, description),
        decode_base64(fields, "x-amz-iv", (suite.iv_bytes,)),
        optional_fields=_only(V2.optional, fields),
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


def _tag_lengths(suite: Suite, wrap: str) -> tuple[str, ...]:
    """Return what x-amz-tag-len may say."""
    if not suite.authenticated:
        # Some writers say 0, and the Go SDK's instruction files nothing.
        return ("0", "")
    # The 2020 fork of a Python client wrote bytes instead of bits, always with AESWrap.
    in_bytes = (str(suite.tag_bytes),) if wrap == AES_KEY_WRAP.name else ()
    return (_bits(suite.tag_bytes), *in_bytes)


def _bits(length: int) -> str:
    return str(length * 8)


def _emit_v2(envelope: Envelope) -> dict[str, str]:
    return {
        "x-amz-key-v2": encode_base64(envelope.wrapped.encrypted_data_key),
        "x-amz-iv": encode_base64(envelope.iv),
        "x-amz-cek-alg": envelope.suite.name,
        **envelope.optional_fields,
    }


def _optional_v2(wrapped: WrappedDataKey, suite: Suite) -> dict[str, str]:
    return {
        "x-amz-wrap-alg": wrapped.wrapping_algorithm,
        "x-amz-matdesc": print_json(wrapped.description),
        # Also where there is no tag: the PHP client takes no instruction file without it.
        "x-amz-tag-len": _bits(suite.tag_bytes),
    }


V2 = Format(
    "V2",
    marker="x-amz-key-v2",
    required=frozenset({"x-amz-key-v2", "x-amz-iv", "x-amz-cek-alg"}),
    optional=frozenset({"x-amz-wrap-alg", "x-amz-matdesc", "x-amz-tag-len", LENGTH_FIELD}),
    with_object=frozenset(),
    parse=_parse_v2,
    emit=_emit_v2,
    optional_fields_for=_optional_v2,
)


# --- V3: key commitment -----------------------------------------------------------------------------------------------

_V3_WRAPS = {wrap.v3_code: wrap for wrap in WRAP_ALGORITHMS.values() if wrap.v3_code is not None}


def _parse_v3(fields: dict[str, str]) -> Envelope:
    suite = AES_GCM_COMMITTING
    if fields["x-amz-c"] != suite.name:
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
        suite,
        WrappedDataKey(encrypted, wrap.name, suite.name, description),
        message_id,
        decode_base64(fields, "x-amz-d", (COMMITMENT_BYTES,)),
        optional_fields=_only(V3.optional, fields),
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
        **envelope.optional_fields,
    }


def _optional_v3(wrapped: WrappedDataKey, suite: Suite) -> dict[str, str]:
    if not wrapped.description:
        return {}
    used = "x-amz-t" if wrapped.wrapping_algorithm == KMS_CONTEXT.name else "x-amz-m"
    return {used: print_json(wrapped.description)}


V3 = Format(
    "V3",
    marker="x-amz-3",
    required=frozenset({"x-amz-c", "x-amz-d", "x-amz-i", "x-amz-3", "x-amz-w"}),
    optional=frozenset({"x-amz-t", "x-amz-m", LENGTH_FIELD}),
    with_object=frozenset({"x-amz-c", "x-amz-d", "x-amz-i"}),
    parse=_parse_v3,
    emit=_emit_v3,
    optional_fields_for=_optional_v3,
)

FORMATS = {format.name: format for format in (V1, V2, V3)}

RESERVED_FIELDS = frozenset(name for format in FORMATS.values() for name in format.fields)
MARKERS = {format.marker: format for format in FORMATS.values()}


# --- whole envelopes --------------------------------------------------------------------------------------------------


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
    """Return how many bytes envelope fields take up, names and texts together."""
    return sum(len(name) + len(text) for name, text in fields.items())


def envelope_fields(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the envelope fields in an object's user metadata: names in lower case, descriptions in ASCII.

    Raises:
        InvalidEnvelopeError: Two names differ only in case, and their values differ.
    """
    fields: dict[str, str] = {}
    for name, text in metadata.items():
        folded = name.lower()
        if folded in DESCRIPTIONS and len(text) <= MAX_ENVELOPE_BYTES:
            text = escape_json(decode_header_text(text))
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
