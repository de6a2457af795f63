"""Single fields of an envelope: base64, JSON and header text are parsed strictly."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from support.encoder import (
    GCM,
    V1_AES,
    V2_AES,
    V2_KMS,
    V3_AES,
    V3_KMS,
    Kind,
)
from support.envelopes import one_of_each_format, refused, written

from s3_encryption._crypto.content import AES_GCM
from s3_encryption._envelope.encoding import decode_header_text
from s3_encryption._envelope.formats import (
    FORMATS,
    Envelope,
    emit,
    parse,
    print_json,
)
from s3_encryption._keys.keyring import WrappedDataKey

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


@pytest.mark.parametrize(
    "text", [" ", "\x01", "\t", "\r\n", "\x1f", "\x7f", "\x85", "\ud7ff", "\ue000", "\uffff", "\U0001f600"], ids=ascii
)
def test_description_may_hold_any_other_character(text: str) -> None:
    """JS-10: the characters beside those that are refused are read, and printed as ASCII that a header takes."""
    printed = print_json({"name": text})
    assert printed.isascii()
    assert printed.isprintable()
    stored = written(V2_AES).changed("x-amz-matdesc", printed)
    assert parse(stored.metadata).wrapped.description == {"name": text}


def escaped(text: str) -> str:
    """Return a text with every character escaped as in JSON."""
    return "".join(f"\\u{ord(c):04x}" for c in text)


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
        *((text.encode().decode("latin-1"), text) for text in ("é", "Köln €", "Ã©", "\U0001f600", "é =? é")),
        ("Latin-1: é", "Latin-1: é"),
        ("not UTF-8: Ã", "not UTF-8: Ã"),
    ],
)
def test_header_text_is_decoded_as_servers_return_it(stored: str, meant: str) -> None:
    """MD-22: encoded words of doubly encoded UTF-8, or its bare bytes, give the writer's text; all else stays."""
    assert decode_header_text(stored) == meant


@one_of_each_format
def test_description_is_kept_in_ascii(kind: Kind) -> None:
    """What a writer stored as bare UTF-8 can be stored again by botocore, which takes ASCII only."""
    description = {"Straße": "Köln € \U0001f600", "=?UTF-8?Q?abc?=": "\\é\x7f"}
    stored = written(kind, description)
    value = json.loads(stored.metadata[kind.description_field])
    bare = json.dumps(value, ensure_ascii=False).encode().decode("latin-1").replace("=?", "=\\u003f")
    envelope = parse(stored.changed(kind.description_field, bare).metadata)
    again = emit(envelope)
    assert envelope.wrapped.description == value
    assert parse(again) == envelope
    assert all(text.isascii() and text.isprintable() and "=?" not in text for text in again.values())


@one_of_each_format
@pytest.mark.parametrize("text", ['{"a":"\\é"}', '{"a":"b"}é', "é", '"é"'], ids=ascii)
def test_description_that_is_no_json_does_not_become_it(kind: Kind, text: str) -> None:
    """JS-01: escapes are put where they mean the character, and nowhere else."""
    assert kind.description_field in refused(written(kind).changed(kind.description_field, text).metadata)


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
    fields = FORMATS["V2"].optional_fields_for(wrapped, AES_GCM)
    assert (
        parse(emit(Envelope("V2", AES_GCM, wrapped, bytes(12), optional_fields=fields))).wrapped.description
        == description
    )
