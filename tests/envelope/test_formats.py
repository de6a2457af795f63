"""Envelopes: parsed strictly, printed as they were, split and merged without loss."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from support.encoder import (
    ALL_KINDS,
    CBC,
    CTR,
    GCM,
    V1_AES,
    V1_KINDS,
    V2_AES,
    V2_AES_CBC,
    V2_KMS,
    V3_AES,
    V3_KMS,
    Encoder,
    Kind,
    Stored,
    instruction_file,
    to_base64,
)

from s3_encryption._crypto.content import AES_CBC, AES_CTR, AES_GCM, AES_GCM_COMMITTING
from s3_encryption._envelope.encoding import decode_header_text
from s3_encryption._envelope.formats import (
    FORMATS,
    RESERVED_FIELDS,
    Envelope,
    emit,
    has_envelope,
    is_complete,
    may_have_instruction_file,
    optional_fields_for,
    parse,
    print_json,
    without_envelope,
)
from s3_encryption._envelope.instruction_file import MAX_INSTRUCTION_FILE_BYTES, merge, split
from s3_encryption._keys.keyring import WrappedDataKey
from s3_encryption.exceptions import ConfigurationError, InvalidEnvelopeError, NotEncryptedError

LENGTH = "x-amz-unencrypted-content-length"
V2_KEY_WRAP = Kind("V2", "AESWrap", GCM)

all_kinds = pytest.mark.parametrize("kind", ALL_KINDS, ids=str)
one_of_each_format = pytest.mark.parametrize("kind", [V1_AES, V2_AES, V2_KMS, V3_AES, V3_KMS], ids=str)


def written(kind: Kind, description: Mapping[str, str] | None = None) -> Stored:
    """Return a stored object of a kind."""
    return Encoder().write(kind, b"plaintext", description=description)


def refused(metadata: Mapping[str, str]) -> str:
    """Return the message with which an envelope is refused."""
    with pytest.raises(InvalidEnvelopeError) as caught:
        parse(metadata)
    assert caught.value.__cause__ is None
    return str(caught.value)


# --- what is read -----------------------------------------------------------------------------------------------------


@all_kinds
def test_envelope_is_parsed_into_its_parts(kind: Kind) -> None:
    """Every part of an envelope is found, whatever the format calls it."""
    stored = written(kind, {"team": "blue"})
    envelope = parse(stored.metadata)
    suites = {GCM: AES_GCM, CBC: AES_CBC, "115": AES_GCM_COMMITTING}
    assert (envelope.format, envelope.suite) == (kind.format, suites[kind.content])
    assert envelope.wrapped.wrapping_algorithm == kind.wrap
    assert envelope.wrapped.content_algorithm == kind.content
    assert envelope.wrapped.encrypted_data_key == stored.decoded(kind.fields["edk"])
    assert envelope.wrapped.description == json.loads(stored.metadata[kind.description_field])
    assert envelope.iv == stored.decoded(kind.fields["iv"])
    assert envelope.commitment == (stored.decoded("x-amz-d") if kind.format == "V3" else b"")


@all_kinds
def test_envelope_survives_a_round_trip(kind: Kind) -> None:
    """Printing what was parsed gives back the same metadata, and parsing that the same envelope."""
    metadata = written(kind, {"team": "blue"}).metadata
    assert emit(parse(metadata)) == metadata
    assert parse(emit(parse(metadata))) == parse(metadata)


@all_kinds
def test_other_metadata_is_ignored(kind: Kind) -> None:
    """An application's own metadata takes no part, not even if it looks related."""
    metadata = written(kind).metadata
    others = {"author": "me", "x-amz-key-v3": "AAAA", "x-amz-meta-x-amz-iv": "", "x-amz-crypto-instr-file": ""}
    assert parse({**metadata, **others}) == parse(metadata)


@all_kinds
@pytest.mark.parametrize("change", [str.upper, str.title, lambda name: "-".join(map(str.capitalize, name.split("-")))])
def test_names_are_compared_without_case(kind: Kind, change: Callable[[str], str]) -> None:
    """MD-19: a server that keeps or changes the case of header names does no harm."""
    metadata = written(kind).metadata
    assert parse({change(name): text for name, text in metadata.items()}) == parse(metadata)


@all_kinds
def test_names_that_differ_in_case_must_agree(kind: Kind) -> None:
    """MD-20: two names that differ only in case are one field: refused with two values, harmless with one."""
    metadata = written(kind).metadata
    for name, text in metadata.items():
        assert "two values" in refused({**metadata, name.upper(): text + "x"})
        assert parse({**metadata, name.upper(): text}) == parse(metadata)


def test_object_without_any_field_is_not_encrypted() -> None:
    """AL-16: no trace of an envelope has an error of its own, which names the option that reads such objects."""
    for metadata in ({}, {"author": "me"}, {"x-amz-crypto-instr-file": ""}):
        with pytest.raises(NotEncryptedError, match="allow_plaintext_reads=True"):
            parse(metadata)


@pytest.mark.parametrize("field", sorted(RESERVED_FIELDS))
def test_single_stray_field_is_refused(field: str) -> None:
    """AL-17: an object with one field of an envelope is neither plaintext nor readable."""
    refused({field: "AAAA"})


@pytest.mark.parametrize(
    ("text", "length"),
    [("0", 0), ("61", 61), ("999999999999999", 999999999999999), ("", None), ("-5", None), ("abc", None), ("1e3", None)]
    + [(text, None) for text in ("9" * 16, "9" * 5000, "٣", "+5", " 5", "5 ", "0x10", "1_0")],
)
def test_noted_length_is_a_plain_number_or_nothing(text: str, length: int | None) -> None:
    """MD-14: whatever the unauthenticated length says, the envelope is read; only plain digits count."""
    metadata = {**written(V1_AES).metadata, LENGTH: text}
    assert parse(metadata).plaintext_length == length
    assert emit(parse(metadata)) == metadata


# --- which fields -----------------------------------------------------------------------------------------------------


@all_kinds
def test_required_field_that_is_missing_is_named(kind: Kind) -> None:
    """MD-01: an envelope without one of its required fields is refused, and the message says which one it is."""
    metadata = written(kind).metadata
    format = FORMATS[kind.format]
    assert metadata.keys() >= format.required
    for name in format.required - {format.marker}:
        assert name in refused({n: t for n, t in metadata.items() if n != name})
    refused({n: t for n, t in metadata.items() if n != format.marker})


@pytest.mark.parametrize("other", [V1_AES, V2_AES, V3_AES], ids=lambda kind: kind.format)
@one_of_each_format
def test_field_of_another_format_is_refused(kind: Kind, other: Kind) -> None:
    """DG-11, DG-13, DG-14: a foreign field next to an envelope is refused, each one alone and all together."""
    metadata = written(kind).metadata
    foreign = {n: t for n, t in written(other).metadata.items() if n not in FORMATS[kind.format].fields}
    assert bool(foreign) == (kind.format != other.format)
    for name, text in foreign.items():
        message = refused({**metadata, name: text})
        assert (name == FORMATS[other.format].marker) == ("mixes several formats" in message)
        assert name in message or "mixes several formats" in message
    if foreign:
        refused({**metadata, **foreign})


@pytest.mark.parametrize("field", ["x-amz-3", "x-amz-c", "x-amz-w", "x-amz-d", "x-amz-i", "x-amz-t", "x-amz-m"])
@pytest.mark.parametrize("text", ["", "115", "12", "{}", "AAAA"])
def test_v3_field_on_a_v2_object_is_refused(field: str, text: str) -> None:
    """DG-11: no V3 field may stand next to a V2 envelope, not even empty."""
    refused({**written(V2_KMS).metadata, field: text})


def test_envelope_beyond_8_kib_is_refused() -> None:
    """MD-11, JS-08: a field of 60 KiB is refused before anybody parses it."""
    for kind in (V1_AES, V2_KMS, V3_AES):
        metadata = written(kind).metadata
        for name in metadata:
            assert "too long" in refused({**metadata, name: "A" * 60 * 1024})


def longest(kind: Kind) -> dict[str, str]:
    """Return the metadata of the longest envelope there may be: 8 KiB of names and texts."""
    metadata = written(kind, {"team": "blue"}).metadata
    field = kind.description_field
    others = sum(len(name) + len(text) for name, text in metadata.items()) - len(metadata[field])
    return {**metadata, field: metadata[field].ljust(8 * 1024 - others)}


@one_of_each_format
def test_envelope_of_8_kib_is_the_longest(kind: Kind) -> None:
    """MD-11: names and texts of an envelope's fields may have 8 KiB together, other metadata not counted."""
    metadata, field = longest(kind), kind.description_field
    assert emit(parse({**metadata, "author": "me"})) == metadata
    assert "too long" in refused({**metadata, field: metadata[field] + " "})


@one_of_each_format
def test_instruction_file_that_could_not_be_read_is_not_made(kind: Kind) -> None:
    """What is written can be read: the longest envelope goes into an instruction file, and a longer one is refused."""
    envelope, field = parse(longest(kind)), kind.description_field
    assert merge(*split(envelope)) == envelope
    with pytest.raises(ConfigurationError, match="material_description is too long"):
        split(replace(envelope, texts={**envelope.texts, field: envelope.texts[field] + " "}))


# --- base64 -----------------------------------------------------------------------------------------------------------

BASE64_FIELDS = [
    (kind, field)
    for kind in (V1_AES, V2_AES, V3_AES)
    for field in (kind.fields["edk"], kind.fields["iv"], *(["x-amz-d"] if kind.format == "V3" else []))
]
base64_fields = pytest.mark.parametrize(("kind", "field"), BASE64_FIELDS, ids=lambda value: str(value))


@base64_fields
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text + "$$", id="B6-01-alphabet"),
        pytest.param(lambda text: text + "\n", id="B6-01-newline"),
        pytest.param(lambda text: text[:4] + "\r\n" + text[4:], id="B6-01-folded"),
        pytest.param(lambda text: text[:4] + "-_" + text[6:], id="B6-01-url-safe"),
        pytest.param(lambda text: text + "é", id="B6-01-not-ascii"),
        pytest.param(lambda text: " " + text, id="B6-02-leading-blank"),
        pytest.param(lambda text: text + " ", id="MD-10-trailing-blank"),
        pytest.param(lambda text: text + "\t", id="MD-10-trailing-tab"),
        pytest.param(lambda text: text.rstrip("=")[:-1], id="B6-04-no-padding"),
        pytest.param(lambda text: text + "====", id="B6-04-doubled-padding"),
        pytest.param(lambda text: "AA==" + text, id="B6-04-padding-inside"),
        pytest.param(lambda text: "", id="MD-02-empty"),
        pytest.param(lambda text: " ", id="MD-02-blank"),
        pytest.param(lambda text: "=", id="only-padding"),
    ],
)
def test_base64_is_strict(kind: Kind, field: str, change: Callable[[str], str]) -> None:
    """Only the canonical base64 of a non-empty value is read."""
    stored = written(kind)
    assert field in refused(stored.changed(field, change(stored.metadata[field])).metadata)


@pytest.mark.parametrize(("kind", "field"), [(V1_AES, "x-amz-iv"), (V3_AES, "x-amz-i"), (V3_AES, "x-amz-d")])
def test_base64_with_trailing_bits_is_refused(kind: Kind, field: str) -> None:
    """B6-05: bits behind the last byte must be zero, or one value would have several texts."""
    stored = written(kind)
    text = stored.metadata[field]
    assert text.endswith("==")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    position = alphabet.index(text[-3])
    for bits in range(1, 16):
        assert field in refused(stored.changed(field, text[:-3] + alphabet[position + bits] + "==").metadata)


@pytest.mark.parametrize(
    ("kind", "field", "lengths"),
    [
        (V2_AES, "x-amz-iv", (8, 11, 13, 16, 128)),
        (V2_AES_CBC, "x-amz-iv", (8, 12, 15, 17, 32)),
        (V1_AES, "x-amz-iv", (8, 12, 15, 17, 32)),
        (V3_AES, "x-amz-i", (12, 27, 29, 32, 64, 128)),
        (V3_AES, "x-amz-d", (20, 27, 29, 32, 40)),
    ],
    ids=str,
)
def test_value_of_a_wrong_length_is_refused(kind: Kind, field: str, lengths: tuple[int, ...]) -> None:
    """MD-05, MD-16, KC-01: IV, message id and commitment have one length each."""
    stored = written(kind)
    for length in (1, *lengths):
        assert "wrong length" in refused(stored.changed(field, to_base64(bytes(range(1, length + 1)))).metadata)


def test_message_id_of_zeros_is_refused() -> None:
    """MD-07: a message id that nobody drew at random is not used to derive keys."""
    assert "message id" in refused(written(V3_AES).changed("x-amz-i", to_base64(bytes(28))).metadata)


# --- names of algorithms ----------------------------------------------------------------------------------------------

NO_ALGORITHMS = ["", " ", "null", "115", "aes/gcm/nopadding", "AES/GCM/NoPadding ", "AES/GCM", "AES/CTR", "ChaCha20"]
NO_ALGORITHMS += ["AES/ECB/PKCS5Padding", "AES/CBC/NoPadding", "AES/CBC", "x" * 5000]


@pytest.mark.parametrize("name", NO_ALGORITHMS)
def test_unknown_content_algorithm_is_refused(name: str) -> None:
    """DG-08, DG-10: names are compared exactly; what is not known is not guessed."""
    message = refused(written(V2_AES).changed("x-amz-cek-alg", name).metadata)
    assert "x-amz-cek-alg" in message
    assert len(message) < 400


@pytest.mark.parametrize("name", ["", " ", "AES", "RSA", "AES/ECB", "RSA/ECB/PKCS1Padding", "kms+Context", "KMS", "12"])
def test_unknown_wrapping_algorithm_is_refused(name: str) -> None:
    """WR-04: only names that a writer stores are read; this library's own names for those of V1 are not among them."""
    assert "x-amz-wrap-alg" in refused(written(V2_AES).changed("x-amz-wrap-alg", name).metadata)


@pytest.mark.parametrize("code", ["", " ", "11", "01", "21", "2", "012", "02 ", "AES/GCM", "kms+context", "115"])
def test_unknown_v3_code_is_refused(code: str) -> None:
    """MD-08: V3 knows one content algorithm and three wrapping algorithms; reserved codes are refused."""
    assert "x-amz-w" in refused(written(V3_AES).changed("x-amz-w", code).metadata)
    assert "x-amz-c" in refused(written(V3_AES).changed("x-amz-c", code + "0").metadata)


@pytest.mark.parametrize(
    "kind", [kind for kind in ALL_KINDS if kind.format == "V2" and kind.wrap != "AESWrap"], ids=str
)
def test_ctr_content_is_refused_except_with_aes_wrap(kind: Kind) -> None:
    """DG-08: CTR would do without the tag; the one client that wrote it always used AESWrap."""
    iv = to_base64(bytes(range(16)))
    relabelled = written(kind).changed("x-amz-cek-alg", CTR).changed("x-amz-iv", iv).changed("x-amz-tag-len", None)
    assert "x-amz-wrap-alg" in refused(relabelled.metadata)
    genuine = Encoder().write(Kind("V2", "AESWrap", CTR), b"x")
    assert parse(genuine.metadata).suite is AES_CTR


@pytest.mark.parametrize("text", ["", " ", "96", "32", "0", "16", "-1", "129", "abc", "128 ", "0128", "1e9", "٣"])
def test_wrong_tag_length_is_refused(text: str) -> None:
    """MD-13, CT-08: a tag has 128 bits: the field can't shorten it, only confirm it."""
    assert "x-amz-tag-len" in refused(written(V2_AES).changed("x-amz-tag-len", text).metadata)


def test_tag_length_may_be_absent() -> None:
    """MD-13: old writers left it out; the tag has 128 bits all the same."""
    assert parse(written(V2_AES).changed("x-amz-tag-len", None).metadata).suite.tag_bytes == 16


@pytest.mark.parametrize("text", ["0", ""])
def test_tag_length_of_content_without_tag_is_nothing(text: str) -> None:
    """Some writers say 0, and one nothing, where there is no tag; a tag length of GCM is refused there."""
    stored = written(V2_AES_CBC)
    assert parse(stored.changed("x-amz-tag-len", text).metadata).suite is AES_CBC
    for wrong in ("128", "16", "96"):
        assert "x-amz-tag-len" in refused(stored.changed("x-amz-tag-len", wrong).metadata)


def test_tag_length_in_bytes_is_read_with_aes_wrap_only() -> None:
    """The fork that counted in bytes always used AESWrap."""
    assert parse(written(V2_KEY_WRAP).changed("x-amz-tag-len", "16").metadata).suite is AES_GCM
    for kind in (V2_AES, V2_KMS, Kind("V2", "kms", GCM)):
        refused(written(kind).changed("x-amz-tag-len", "16").metadata)


@pytest.mark.parametrize(("kind", "wrap"), [(V1_AES, "AES/ECB"), (V1_KINDS[1], "RSA/ECB/PKCS1Padding")])
def test_unnamed_wrapping_algorithm_is_told_by_the_length(kind: Kind, wrap: str) -> None:
    """V1 and early V2 objects name none: at most 48 bytes are AES, more are RSA."""
    v1 = written(kind).metadata
    assert parse(v1).wrapped.wrapping_algorithm == wrap
    v2 = {"x-amz-key-v2": v1["x-amz-key"], "x-amz-iv": to_base64(bytes(12)), "x-amz-cek-alg": GCM}
    assert parse(v2).wrapped.wrapping_algorithm == wrap


# --- descriptions and contexts ----------------------------------------------------------------------------------------

NOT_A_MAP = {
    "JS-01-blank": " ",
    "JS-01-word": "hello",
    "JS-01-open": "{",
    "JS-01-garbage": "{}x",
    "JS-01-comma": '{"a":"b",}',
    "JS-01-single-quotes": "{'a':'b'}",
    "JS-02-null": "null",
    "JS-02-number": "1",
    "JS-02-text": '"x"',
    "JS-02-list": "[]",
    "JS-02-true": "true",
    "JS-02-nan": "NaN",
    "nested": '{"a":{}}',
    "null-value": '{"a":null}',
    "number-value": '{"a":1}',
    "float-value": '{"a":1.5}',
    "infinite-value": '{"a":Infinity}',
    "bool-value": '{"a":true}',
    "JS-04-same": '{"a":"b","a":"b"}',
    "JS-05-different": '{"a":"b","a":"c"}',
    "JS-05-escaped": '{"a":"b","\\u0061":"c"}',
    "JS-07-digits": '{"a":' + "1" * 5000 + "}",
    "deep": '{"a":' + "[" * 3000 + "]" * 3000 + "}",
    "JS-10-surrogate": '{"a":"\\ud800"}',
    "JS-10-surrogate-key": '{"\\udfff":"a"}',
    "JS-10-nul": '{"a":"\\u0000"}',
    "JS-10-control": '{"a":"\\u001f"}',
    "JS-10-raw-control": '{"a":"\t"}',
}


@pytest.mark.parametrize("kind", [V1_AES, V2_AES, V2_KMS, V3_AES, V3_KMS], ids=str)
@pytest.mark.parametrize("text", NOT_A_MAP.values(), ids=NOT_A_MAP)
def test_description_that_is_no_map_of_texts_is_refused(kind: Kind, text: str) -> None:
    """Anything but one JSON object of text to text is refused, in one of three fixed messages."""
    message = refused(written(kind).changed(kind.description_field, text).metadata)
    ends = ("is not valid JSON.", "is not a JSON object.", "is not a map of text to text.")
    assert message.endswith(tuple(f"{kind.description_field} {end}" for end in ends))


@one_of_each_format
def test_description_is_compared_by_value(kind: Kind) -> None:
    """JS-11: order, white space and escapes of the JSON text don't matter, and the text itself is kept."""
    stored = written(kind, {"b": "2", "a": "1"})
    value = json.loads(stored.metadata[kind.description_field])
    variants = [
        json.dumps(dict(reversed(value.items())), indent=1).replace("\n", " "),
        "{" + ",".join(f'"{escaped(name)}":"{escaped(text)}"' for name, text in value.items()) + "}",
    ]
    for text in variants:
        metadata = stored.changed(kind.description_field, text).metadata
        assert parse(metadata).wrapped.description == value
        assert emit(parse(metadata)) == metadata


@pytest.mark.parametrize("text", [" ", "\u007f", "\ud7ff", "\ue000", "\uffff", "\U0001f600"])
def test_description_may_hold_any_other_character(text: str) -> None:
    """JS-10: the characters beside those that are refused are read, and printed as ASCII."""
    printed = print_json({"name": text})
    assert printed.isascii()
    stored = written(V2_AES).changed("x-amz-matdesc", printed)
    assert parse(stored.metadata).wrapped.description == {"name": text}


def escaped(text: str) -> str:
    """Return a text with every character escaped as in JSON."""
    return "".join(f"\\u{ord(c):04x}" for c in text)


@pytest.mark.parametrize("kind", [V1_AES, V2_AES, V2_KMS], ids=str)
def test_absent_description_is_an_empty_one(kind: Kind) -> None:
    """Old writers left it out where there was nothing to say."""
    envelope = parse(written(kind).changed("x-amz-matdesc", None).metadata)
    assert envelope.wrapped.description == {}


@pytest.mark.parametrize(("kind", "unused"), [(V3_KMS, "x-amz-m"), (V3_AES, "x-amz-t")])
def test_unused_description_of_v3_must_say_nothing(kind: Kind, unused: str) -> None:
    """Writers may send both fields, but the one that does not fit the wrapping algorithm must be empty."""
    stored = written(kind)
    for text in ("", "{}"):
        assert parse(stored.changed(unused, text).metadata).wrapped == parse(stored.metadata).wrapped
    for text in (" ", '{"a":"b"}', "garbage"):
        assert unused in refused(stored.changed(unused, text).metadata)


def test_empty_description_of_v3_is_an_empty_one() -> None:
    """The Go client sends an empty text where there is no description."""
    for text in ("", None):
        assert parse(written(V3_AES).changed("x-amz-m", text).metadata).wrapped.description == {}


@pytest.mark.parametrize(
    ("stored", "meant"),
    [
        ("plain", "plain"),
        ('{"a":"b=?c"}', '{"a":"b=?c"}'),
        ("=?UTF-8?Q?{=22a=22:=22=C3=83=C2=A9=22}?=", '{"a":"é"}'),
        ("=?UTF-8?B?eyJhIjoiw4PCqSJ9?=", '{"a":"é"}'),
        ("=?utf-8?q?one_?= =?utf-8?q?two?=", "one two"),
        ("=?UTF-8?Q?=C3=83=C2=A9?= and more", "é and more"),
        ("=?UTF-8?Q?=C3=A9?=", "é"),
        ("=?UTF-8?Q?=E2=82=AC?=", "€"),
        ("=?no-such-charset?Q?abc?=", "=?no-such-charset?Q?abc?="),
        ("=?hex?Q?abc?=", "=?hex?Q?abc?="),
        ("=?UTF-8?Q?=FF?=", "=?UTF-8?Q?=FF?="),
    ],
)
def test_header_text_is_decoded_as_s3_encodes_it(stored: str, meant: str) -> None:
    """MD-22: encoded words of doubly encoded UTF-8 give the writer's text; anything else stays as it is."""
    assert decode_header_text(stored) == meant


@pytest.mark.parametrize("text", ["=?\0?Q?abc?=", "=?a\0b?B?YWJj?=", "=?punycode?Q?=80?=", "=?unicode_escape?Q?=5Cd?="])
def test_hostile_header_text_is_refused_like_any_other(text: str) -> None:
    """KV-08: an encoded word with a nonsensical charset ends in the library's own error."""
    assert "x-amz-matdesc" in refused(written(V2_AES).changed("x-amz-matdesc", text).metadata)


@pytest.mark.parametrize("word", ["=?UTF-8?Q?abc?=", "a =?utf-8?b?YWJj?= b", "=?us-ascii?q?=20?="])
@pytest.mark.parametrize("kind", ["AES/GCM", "kms+context"])
def test_description_that_looks_like_an_encoded_word_survives(kind: str, word: str) -> None:
    """What this library writes it reads again, also where a text happens to look like a mail header's encoded word."""
    description = {"note": word, word: "note"}
    wrapped = WrappedDataKey(b"x" * 60, kind, GCM, description)
    texts = optional_fields_for(FORMATS["V2"], wrapped, AES_GCM)
    assert parse(emit(Envelope("V2", AES_GCM, wrapped, bytes(12), texts=texts))).wrapped.description == description


# --- helpers for the client -------------------------------------------------------------------------------------------


@all_kinds
def test_envelope_is_taken_off_metadata(kind: Kind) -> None:
    """What remains is the application's own metadata, in its own spelling."""
    metadata = {n.title(): t for n, t in written(kind).metadata.items()}
    assert without_envelope({**metadata, "Author": "me", "X-Amz-Crypto-Instr-File": ""}) == {"Author": "me"}


@all_kinds
def test_envelope_is_told_from_parts_of_one(kind: Kind) -> None:
    """With the encrypted data key in the metadata there is no need for an instruction file; without it there is."""
    metadata = written(kind).metadata
    with_object, _ = instruction_file(written(kind))
    assert has_envelope(metadata)
    assert is_complete(metadata)
    assert not has_envelope(with_object)
    assert may_have_instruction_file(with_object.keys())
    assert is_complete(with_object)
    assert not may_have_instruction_file(metadata.keys())


@pytest.mark.parametrize(
    "names", [{"x-amz-iv"}, {"x-amz-c"}, {"x-amz-c", "x-amz-d"}, {"x-amz-d", "x-amz-i"}, {"x-amz-matdesc"}]
)
def test_leftover_of_an_envelope_is_told(names: set[str]) -> None:
    """Some fields of an envelope, but neither all nor those that an instruction file leaves, are damage."""
    assert not may_have_instruction_file(names)
    assert not is_complete(dict.fromkeys(names, "AAAA"))


# --- instruction files ------------------------------------------------------------------------------------------------


@all_kinds
def test_instruction_file_makes_the_same_envelope(kind: Kind) -> None:
    """IF-01: with the fields in a file the envelope is the one that they make in the metadata."""
    stored = written(kind, {"team": "blue"})
    assert merge(*instruction_file(stored)) == parse(stored.metadata)


@all_kinds
def test_split_and_merge_are_inverse(kind: Kind) -> None:
    """Nothing is lost or gained between an envelope and its two parts; only V3 leaves fields with the object."""
    envelope = parse(written(kind, {"team": "blue"}).metadata)
    with_object, file = split(envelope)
    assert merge(with_object, file) == envelope
    assert with_object.keys() == ({"x-amz-c", "x-amz-d", "x-amz-i"} if kind.format == "V3" else set())


@all_kinds
def test_instruction_file_is_compact_ascii(kind: Kind) -> None:
    """One reader stops at the first white space, and another expects ASCII: so the file has neither."""
    envelope = parse(written(kind, {"team": "blau", "ort": "Köln"}).metadata)
    _, file = split(envelope)
    assert file.isascii()
    assert not any(byte <= 32 for byte in file)
    assert json.loads(file).keys() <= RESERVED_FIELDS


def test_length_may_be_noted_on_the_object() -> None:
    """Two old writers note the length with the object also when the envelope is in a file."""
    with_object, file = instruction_file(written(V2_AES))
    assert merge({**with_object, LENGTH: "9"}, file).plaintext_length == 9


def test_numbers_and_null_of_old_writers_are_read() -> None:
    """IF-11: the PHP client writes two fields as numbers, the .NET client an empty description as null."""
    _, file = instruction_file(written(V2_AES))
    numbers = json.dumps({**json.loads(file), "x-amz-tag-len": 128, LENGTH: 9}).encode()
    assert emit(merge({}, numbers)) == {**json.loads(file), "x-amz-tag-len": "128", LENGTH: "9"}
    with_object, file = instruction_file(written(V3_AES))
    null = json.dumps({**json.loads(file), "x-amz-m": None}).encode()
    assert merge(with_object, null).wrapped.description == {}


@pytest.mark.parametrize(("digits", "is_read"), [(15, True), (16, False)])
def test_number_of_an_old_writer_has_as_many_digits_as_text_may_have(digits: int, is_read: bool) -> None:
    """IF-11: 15 digits are more than any length has; one more is refused, not rounded."""
    _, file = instruction_file(written(V2_AES))
    numbers = json.dumps({**json.loads(file), LENGTH: int("9" * digits)}).encode()
    if is_read:
        assert merge({}, numbers).plaintext_length == int("9" * digits)
    else:
        assert "is not valid JSON" in refused_file({}, numbers)


@pytest.mark.parametrize(
    ("kind", "field", "number"), [(V3_AES, "x-amz-w", 2), (V3_KMS, "x-amz-w", 12), (V2_AES, "x-amz-iv", 1)]
)
def test_other_numbers_are_refused(kind: Kind, field: str, number: int) -> None:
    """IF-11: no writer stores the other fields as numbers, not even those whose text is one."""
    with_object, file = instruction_file(written(kind))
    fields = json.loads(file)
    assert field in fields
    assert "is not text" in refused_file(with_object, json.dumps({**fields, field: number}).encode())


def refused_file(metadata: Mapping[str, str], file: bytes) -> str:
    """Return the message with which an object and its instruction file are refused."""
    with pytest.raises(InvalidEnvelopeError) as caught:
        merge(metadata, file)
    return str(caught.value)


@pytest.mark.parametrize("field", ["x-amz-c", "x-amz-d", "x-amz-i"])
@pytest.mark.parametrize("moved", [False, True])
def test_commitment_in_the_instruction_file_is_refused(field: str, moved: bool) -> None:
    """IF-04: what binds the object to its key must come from the object, neither copied nor moved to the file."""
    stored = written(V3_AES)
    with_object, file = instruction_file(stored)
    file = json.dumps({**json.loads(file), field: with_object[field]}).encode()
    if moved:
        del with_object[field]
    refused_file(with_object, file)
    refused_file({}, json.dumps(dict(stored.metadata)).encode())


@pytest.mark.parametrize("kind", [V1_AES, V2_AES, V2_KMS], ids=str)
def test_older_envelope_in_the_instruction_file_of_a_v3_object_is_refused(kind: Kind) -> None:
    """IF-05: an object that commits to a key can't be given an envelope that does not."""
    with_object, own_file = instruction_file(written(V3_AES))
    _, file = instruction_file(written(kind))
    refused_file(with_object, file)
    refused_file(with_object, json.dumps({**json.loads(own_file), **json.loads(file)}).encode())


@pytest.mark.parametrize("kind", [V1_AES, V2_AES, V2_KMS], ids=str)
def test_envelope_that_is_partly_in_the_metadata_is_refused(kind: Kind) -> None:
    """IF-07: V1 and V2 have their envelope in one place; a field left in the other is refused."""
    stored = written(kind)
    _, file = instruction_file(stored)
    for name, text in stored.metadata.items():
        rest = {n: t for n, t in stored.metadata.items() if n != name}
        refused_file({name: text}, json.dumps(rest).encode())
        if name != kind.fields["edk"]:
            refused_file({name: text}, file)


@pytest.mark.parametrize("kind", [V1_AES, V2_AES, V3_AES], ids=str)
def test_instruction_file_may_hold_another_wrap_of_the_same_data_key(kind: Kind) -> None:
    """An object with a whole envelope of its own may have a file with its data key for another reader."""
    stored = written(kind)
    _, file = instruction_file(stored.changed(kind.fields["edk"], to_base64(bytes(range(48)))))
    merged = merge(stored.metadata, file)
    assert merged.wrapped.encrypted_data_key == bytes(range(48))
    assert (merged.iv, merged.commitment) == (parse(stored.metadata).iv, parse(stored.metadata).commitment)


@pytest.mark.parametrize("kind", [V1_AES, V2_AES], ids=str)
def test_instruction_file_for_another_content_is_refused(kind: Kind) -> None:
    """A file next to a whole envelope must speak of the same content: IV and algorithms."""
    stored = written(kind)
    _, file = instruction_file(
        Encoder().write(kind, b"plaintext", iv=bytes(range(50, 50 + len(parse(stored.metadata).iv))))
    )
    assert "fit each other" in refused_file(stored.metadata, file)


BAD_FILES: dict[str, Callable[[bytes], bytes]] = {
    "IF-11-empty": lambda file: b"",
    "IF-11-list": lambda file: b"[" + file + b"]",
    "IF-11-text": lambda file: json.dumps(file.decode()).encode(),
    "IF-11-garbage": lambda file: file + b"{}",
    "IF-11-bom": lambda file: b"\xef\xbb\xbf" + file,
    "IF-11-utf-16": lambda file: file.decode().encode("utf-16"),
    "IF-11-utf-16-without-bom": lambda file: file.decode().encode("utf-16-le"),
    "IF-11-latin-1": lambda file: file[:-1] + b',"x-amz-matdesc":"\xe9"}',
    "IF-11-unknown": lambda file: file[:-1] + b',"author":"me"}',
    "IF-11-upper-case": lambda file: file.replace(b"x-amz-iv", b"X-Amz-Iv"),
    "IF-11-duplicate": lambda file: file[:-1] + b',"x-amz-iv":"AAAA"}',
    "IF-11-number": lambda file: file.replace(b'"x-amz-cek-alg": "AES/GCM/NoPadding"', b'"x-amz-cek-alg": 115'),
    "IF-11-null": lambda file: file.replace(b'"{}"', b"null"),
    "IF-11-object": lambda file: file.replace(b'"{}"', b"{}"),
    "IF-11-float": lambda file: file.replace(b'"128"', b"128.0"),
    "IF-11-big-number": lambda file: file.replace(b'"128"', b"1" * 5000),
    "IF-11-nan": lambda file: file.replace(b'"128"', b"NaN"),
    "IF-11-bool": lambda file: file.replace(b'"128"', b"true"),
    "IF-11-surrogate": lambda file: file.replace(b'"128"', b'"\\ud800"'),
    "IF-11-nul": lambda file: file.replace(b'"128"', b'"128\\u0000"'),
    "IF-11-long": lambda file: file + b" " * 64 * 1024,
    "JS-08-keys": lambda file: b"{" + b",".join(b'"%d":""' % i for i in range(500_000)) + b"}",
    "JS-08-blanks": lambda file: file[:-1] + b" " * 5_000_000 + b"}",
    "no-data-key": lambda file: b"{}",
    "deep": lambda file: b'{"x-amz-iv":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
}


@pytest.mark.parametrize("damage", BAD_FILES.values(), ids=BAD_FILES)
def test_malformed_instruction_file_is_refused(damage: Callable[[bytes], bytes]) -> None:
    """A file that no known client writes ends in the library's error, at once and in few words."""
    _, file = instruction_file(written(V2_AES))
    damaged = damage(file)
    assert damaged != file
    assert len(refused_file({}, damaged)) < 300


def test_instruction_file_may_have_64_kib() -> None:
    """White space up to the limit is no reason to refuse a file."""
    _, file = instruction_file(written(V2_AES))
    assert merge({}, file.ljust(MAX_INSTRUCTION_FILE_BYTES)).format == "V2"
    assert MAX_INSTRUCTION_FILE_BYTES == 64 * 1024
