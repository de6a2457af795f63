"""Envelopes in instruction files: split and merged without loss, and parsed strictly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from support.encoder import (
    V1_AES,
    V2_AES,
    V2_KMS,
    V3_AES,
    V3_KMS,
    Encoder,
    Kind,
    instruction_file,
    to_base64,
)
from support.envelopes import LENGTH, all_kinds, longest, one_of_each_format, written

from s3_encryption._envelope.formats import (
    RESERVED_FIELDS,
    emit,
    parse,
)
from s3_encryption._envelope.instruction_file import MAX_INSTRUCTION_FILE_BYTES, merge, split
from s3_encryption.exceptions import ConfigurationError, InvalidEnvelopeError


@one_of_each_format
def test_instruction_file_that_could_not_be_read_is_not_made(kind: Kind) -> None:
    """What is written can be read: the longest envelope goes into an instruction file, and a longer one is refused."""
    envelope, field = parse(longest(kind)), kind.description_field
    assert merge(*split(envelope)) == envelope
    with pytest.raises(ConfigurationError, match="material_description is too long"):
        split(
            replace(
                envelope, optional_fields={**envelope.optional_fields, field: envelope.optional_fields[field] + " "}
            )
        )


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
    envelope = parse(written(kind, {"team": "blau und rot", "ort": "Köln"}).metadata)
    with_object, file = split(envelope)
    assert merge(with_object, file) == envelope
    assert file.isascii()
    assert not any(byte <= 32 for byte in file)
    assert json.loads(file).keys() <= RESERVED_FIELDS


@one_of_each_format
@pytest.mark.parametrize("text", ["=?UTF-8?Q?abc?=", "Ã©"], ids=["encoded-word", "doubly-encoded"])
def test_text_in_a_file_is_what_it_says(kind: Kind, text: str) -> None:
    """A file is UTF-8 and no header: nothing in it is decoded once more, and what it gives can go into a header."""
    description = {"note": text}
    with_object, file = instruction_file(written(kind, description))
    fields = json.loads(file)
    fields[kind.description_field] = json.dumps(json.loads(fields[kind.description_field]), ensure_ascii=False)
    envelope = merge(with_object, json.dumps(fields, ensure_ascii=False).encode())
    assert envelope.wrapped.description.items() >= description.items()
    assert parse(emit(envelope)) == merge(*split(envelope)) == envelope


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
