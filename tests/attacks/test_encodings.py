"""Base64 and JSON in the envelope and in instruction files: one spelling of a value, or a reader who isn't fooled."""

from __future__ import annotations

import email.header
import json
from collections.abc import Callable
from typing import Any

import pytest
from support.encoder import ALL_KINDS, V1_AES, V2_AES, V2_KMS, V3_AES, V3_KMS, Kind, Stored, instruction_file
from support.fake_kms import FakeKmsError

from s3_encryption.exceptions import (
    EncryptionContextMismatchError,
    InvalidEnvelopeError,
    S3EncryptionClientSecurityError,
)

from .bucket import Bucket, fingerprint
from .witness import MARKER

all_kinds = pytest.mark.parametrize("kind", ALL_KINDS, ids=str)
DESCRIBED_KINDS = (V1_AES, V2_AES, V2_KMS, V3_AES, V3_KMS)
described_kinds = pytest.mark.parametrize("kind", DESCRIBED_KINDS, ids=str)
kms_kinds = pytest.mark.parametrize("kind", [V2_KMS, V3_KMS], ids=str)

# --- base64 -----------------------------------------------------------------------------------------------------------


def loosened(text: str) -> str:
    """Return the text with a bit set in its last character that decoding ignores, or with padding that it ignores."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    bare = text.rstrip("=")
    if bare == text:
        return text + "===="
    return bare[:-1] + alphabet[alphabet.index(bare[-1]) + 1] + text[len(bare) :]


RESPELLINGS: dict[str, Callable[[str], str]] = {
    "B6-01-dollars": lambda text: text + "$$",
    "B6-01-newline": lambda text: text + "\n",
    "B6-01-newline-within": lambda text: text[:4] + "\n" + text[4:],
    "B6-01-url-alphabet": lambda text: text[:4] + "-_" + text[6:],
    "B6-01-not-ascii": lambda text: text[:4] + "\u00c4" + text[5:],
    "B6-01-nul": lambda text: text + "\0",
    "B6-02-leading-space": lambda text: " " + text,
    "B6-02-trailing-space": lambda text: text + " ",
    "B6-04-padding-missing": lambda text: text.rstrip("=") if text.endswith("=") else text[:-1],
    "B6-04-padding-doubled": lambda text: text + "==",
    "B6-04-padding-in-the-middle": lambda text: text[:2] + "==" + text[4:],
    "B6-05-loose-bits": loosened,
}


@pytest.mark.parametrize("respell", RESPELLINGS.values(), ids=RESPELLINGS)
@all_kinds
def test_b6_01_b6_02_b6_04_b6_05_other_spelling_of_base64_is_refused_without_kms(
    kind: Kind, respell: Callable[[str], str], bucket: Bucket
) -> None:
    """There is one base64 for each value: printing what was decoded must give the field back."""
    stored = bucket.write(kind)
    client = bucket.client(kind)
    for field in (*kind.fields.values(), *(["x-amz-d"] if kind.format == "V3" else [])):
        bucket.put_changed(stored, field, respell(stored.metadata[field]))
        error = bucket.refused(client, InvalidEnvelopeError)
        assert (error.__cause__, error.__context__) == (None, None)


# --- JSON that is none, or not an object of texts ---------------------------------------------------------------------


NOT_JSON: dict[str, str] = {
    "JS-01-blank": " ",
    "JS-01-text": "hello",
    "JS-01-open": "{",
    "JS-01-garbage-behind": "{}x",
    "JS-01-two-objects": "{}{}",
    "JS-01-single-quotes": "{'k':'v'}",
    "JS-01-comma": '{"k":"v",}',
    "JS-01-byte-order-mark": "\ufeff{}",
    "JS-04-twice-the-same": '{"k":"v","k":"v"}',
    "JS-05-evil-first": '{"k":"evil","k":"v"}',
    "JS-05-evil-last": '{"k":"v","k":"evil"}',
    "JS-05-escaped": '{"k":"v","\\u006b":"evil"}',
    "JS-07-long-integer": '{"k":%s}' % ("9" * 5000),
    "JS-07-float": '{"k":1e999}',
    "JS-02-nan": '{"k":NaN}',
    "JS-10-raw-nul": '{"k":"\0"}',
    "JS-10-raw-newline": '{"k":"\n"}',
}
NOT_AN_OBJECT_OF_TEXTS: dict[str, str] = {
    "JS-02-null": "null",
    "JS-02-number": "1",
    "JS-02-string": '"x"',
    "JS-02-list": "[]",
    "JS-02-true": "true",
    "JS-02-bare-nan": "NaN",
    "JS-02-deep-list": "[" * 3000,
    "JS-02-deep-object": '{"a":' * 1000,
    "JS-02-null-in-it": '{"k":null}',
    "JS-02-number-in-it": '{"k":1}',
    "JS-02-true-in-it": '{"k":true}',
    "JS-02-list-in-it": '{"k":[]}',
    "JS-02-object-in-it": '{"k":{}}',
    "JS-10-surrogate": '{"k":"\\ud800"}',
    "JS-10-surrogate-in-a-name": '{"\\udfff":"v"}',
    "JS-10-nul": '{"k":"\\u0000"}',
    "JS-10-nul-in-a-name": '{"\\u0000":"v"}',
}
SPOILT = {**NOT_JSON, **NOT_AN_OBJECT_OF_TEXTS}


@pytest.mark.parametrize("text", SPOILT.values(), ids=SPOILT)
@described_kinds
def test_js_01_js_02_js_04_js_05_js_07_js_10_spoilt_description_is_refused_without_kms(
    kind: Kind, text: str, bucket: Bucket
) -> None:
    """A description is a JSON object of texts, each name once; the error has a fixed text and nothing of a parser."""
    stored = bucket.write(kind)
    bucket.put_changed(stored, kind.description_field, text)
    error = bucket.refused(bucket.client(kind), InvalidEnvelopeError)
    assert (error.__cause__, error.__context__) == (None, None)
    assert not {"line", "column", "char", "Expecting"} & set(str(error).split())


@pytest.mark.parametrize("kind", [V2_KMS, V3_KMS], ids=str)
def test_js_01_texts_of_refusals_tell_only_the_kind_of_mistake(kind: Kind, bucket: Bucket) -> None:
    """All that is no JSON is refused by one text, whatever the parser found at whatever position."""
    stored = bucket.write(kind)
    client = bucket.client(kind)
    texts = set()
    for text in NOT_JSON.values():
        bucket.put_changed(stored, kind.description_field, text)
        texts.add(fingerprint(bucket.refused(client, InvalidEnvelopeError)))
    assert len(texts) == 1


MANY_NAMES = b"".join(b',"%d":""' % number for number in range(500_000)) + b"}"
SPOILT_FILES: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "JS-01-empty": lambda fields: b"",
    "JS-01-cut": lambda fields: json.dumps(fields).encode()[:-1],
    "JS-01-garbage-behind": lambda fields: json.dumps(fields).encode() + b"x",
    "JS-02-list": lambda fields: json.dumps([fields]).encode(),
    "JS-02-text": lambda fields: json.dumps(json.dumps(fields)).encode(),
    "JS-02-null-fields": lambda fields: json.dumps(dict.fromkeys(fields)).encode(),
    "JS-04-twice": lambda fields: json.dumps(fields).encode()[:-1] + b"," + json.dumps(fields).encode()[1:],
    "JS-05-evil-last": lambda fields: json.dumps(fields).encode()[:-1] + b',"x-amz-wrap-alg":"kms"}',
    "JS-07-long-integer": lambda fields: json.dumps({**fields, "x-amz-tag-len": 0}).encode()[:-2] + b"9" * 5000 + b"}",
    "JS-08-blanks": lambda fields: json.dumps(fields).encode() + b" " * 70_000,
    "JS-08-many-names": lambda fields: json.dumps(fields).encode()[:-1] + MANY_NAMES,
    "JS-08-deep": lambda fields: b'{"a":' * 10_000,
    "JS-10-latin-1": lambda fields: json.dumps({**fields, "x-amz-matdesc": "\u00e4"}, ensure_ascii=False).encode(
        "latin-1"
    ),
    "JS-10-surrogate": lambda fields: json.dumps({**fields, "x-amz-matdesc": "\ud800"}).encode(),
    "JS-10-nul": lambda fields: json.dumps({**fields, "x-amz-matdesc": "{}\0"}).encode(),
}


@pytest.mark.parametrize("spoil", SPOILT_FILES.values(), ids=SPOILT_FILES)
@kms_kinds
def test_js_01_js_02_js_05_js_08_js_10_spoilt_instruction_file_is_refused_without_kms(
    kind: Kind, spoil: Callable[[dict[str, Any]], bytes], bucket: Bucket
) -> None:
    """So it is with instruction files, which are bounded before they are parsed."""
    stored = bucket.encoder.write(kind, MARKER)
    on_object, file = instruction_file(stored)
    bucket.put_with_file(Stored(on_object, stored.body), spoil(json.loads(file)))
    error = bucket.refused(bucket.client(kind), InvalidEnvelopeError)
    assert (error.__cause__, error.__context__) == (None, None)


@described_kinds
def test_js_08_long_description_is_refused_before_it_is_parsed(
    kind: Kind, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than 8 KiB of metadata, be it blanks or names, never reach the parser."""
    words = email.header.decode_header
    parsed: list[str] = []
    decode = json.JSONDecoder.decode

    def noted(decoder: json.JSONDecoder, text: str) -> Any:
        parsed.append(text)
        return decode(decoder, text)

    def noted_words(text: str) -> Any:
        parsed.append(text)
        return words(text)

    monkeypatch.setattr(json.JSONDecoder, "decode", noted)
    monkeypatch.setattr(email.header, "decode_header", noted_words)
    stored = bucket.write(kind)
    client = bucket.client(kind)
    many_names = json.dumps({str(n): "" for n in range(2000)})
    for text in ("{" + " " * 9000 + "}", many_names, "[" * 9000, "=?UTF-8?Q?" * 1000):
        bucket.put_changed(stored, kind.description_field, text)
        bucket.refused(client, InvalidEnvelopeError)
    assert parsed == []
    bucket.put(stored)
    assert bucket.read(client) == MARKER
    assert parsed


# --- JSON that is right -----------------------------------------------------------------------------------------------


def reordered(context: dict[str, str]) -> str:
    """Return a JSON object in another order."""
    return json.dumps(dict(reversed(context.items())))


def escaped(context: dict[str, str]) -> str:
    """Return a JSON object all of whose characters are escaped."""

    def quoted(text: str) -> str:
        return '"' + "".join(f"\\u{ord(character):04x}" for character in text) + '"'

    return "{" + ",".join(f"{quoted(name)}:{quoted(value)}" for name, value in context.items()) + "}"


RESPELT_JSON: dict[str, Callable[[dict[str, str]], str]] = {
    "order": reordered,
    "escapes": escaped,
    "blanks": lambda context: json.dumps(context, indent=3) + "  ",
    "tabs": lambda context: "\t" + json.dumps(context, separators=(" ,\t", "\t: ")),
}


@pytest.mark.parametrize("respell", RESPELT_JSON.values(), ids=RESPELT_JSON)
@kms_kinds
def test_js_11_other_spelling_of_the_same_json_is_read(
    kind: Kind, respell: Callable[[dict[str, str]], str], bucket: Bucket
) -> None:
    """What counts are the values, for us and for KMS, not the text: order, escapes and blanks make no difference."""
    context = {"p": "alpha", "q": "beta"}
    stored = bucket.write(kind, description=context)
    bucket.put_changed(stored, kind.description_field, respell(json.loads(stored.metadata[kind.description_field])))
    assert bucket.read(bucket.client(kind), EncryptionContext=context) == MARKER


@pytest.mark.parametrize("location", ["metadata", "instruction_file"])
@pytest.mark.parametrize(
    "text", ["Gr\u00fc\u00dfe", "\u20ac \U0001f600", "a\tb\r\nX-Amz-Acl: public-read\r\n\r\n\x1b[2J\x7f"], ids=ascii
)
@kms_kinds
def test_js_13_context_of_any_text_is_written_and_read(kind: Kind, text: str, location: str, bucket: Bucket) -> None:
    """Other clients write such contexts, and KMS takes them; here they go out as escapes in JSON, never as they are."""
    context = {"k": text}
    bucket.write(kind, description=context)
    client = bucket.writer(kind, envelope_location=location)
    assert bucket.read(client, EncryptionContext=context) == MARKER
    bucket.world.forget()
    client.put_object(**bucket.world.object_at(), Body=MARKER, EncryptionContext=context)
    for request in bucket.world.requests:
        assert all(value.isascii() and value.isprintable() for value in request.headers.values())
        assert "x-amz-acl" not in {name.lower() for name in request.headers}
    assert bucket.read(client, EncryptionContext=context) == MARKER
    bucket.refused(client, EncryptionContextMismatchError, EncryptionContext={"k": "a"})


@kms_kinds
def test_js_14_context_of_another_object_is_refused(kind: Kind, bucket: Bucket) -> None:
    """The same names and other values: refused here without KMS, or by KMS where the caller is deceived as well."""
    stored = bucket.write(kind, description={"k": "A"})
    other = bucket.encoder.write(kind, MARKER, description={"k": "B"})
    bucket.put_changed(stored, kind.description_field, other.metadata[kind.description_field])
    client = bucket.client(kind)
    bucket.refused(client, EncryptionContextMismatchError, EncryptionContext={"k": "A"})
    bucket.refused(client, FakeKmsError, kms_calls=1, EncryptionContext={"k": "B"})


@pytest.mark.parametrize("kind", [V2_AES, V3_AES], ids=str)
def test_js_14_description_of_another_object_is_no_key(kind: Kind, bucket: Bucket) -> None:
    """A material description only names a raw key: another one does not make the wrong key the right one."""
    stored = bucket.write(kind, description={"key": "one"})
    bucket.put_changed(stored, kind.description_field, '{"key":"two"}')
    assert bucket.read(bucket.client(kind)) == MARKER
    other = bucket.world.client(aes_key=bytes(range(32)), **kind.switches)
    bucket.refused(other, S3EncryptionClientSecurityError)
