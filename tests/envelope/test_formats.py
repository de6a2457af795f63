"""Envelopes: parsed strictly, and printed as they were."""

from __future__ import annotations

import json
from collections.abc import Callable

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
    instruction_file,
    to_base64,
)
from support.envelopes import LENGTH, all_kinds, longest, one_of_each_format, refused, written

from s3_encryption._crypto.content import AES_CBC, AES_CTR, AES_GCM, AES_GCM_COMMITTING
from s3_encryption._envelope.formats import (
    FORMATS,
    RESERVED_FIELDS,
    emit,
    has_envelope,
    is_complete,
    may_have_instruction_file,
    parse,
    without_envelope,
)
from s3_encryption.exceptions import NotEncryptedError

V2_KEY_WRAP = Kind("V2", "AESWrap", GCM)


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


@one_of_each_format
def test_envelope_of_8_kib_is_the_longest(kind: Kind) -> None:
    """MD-11: names and texts of an envelope's fields may have 8 KiB together, other metadata not counted."""
    metadata, field = longest(kind), kind.description_field
    assert emit(parse({**metadata, "author": "me"})) == metadata
    assert "too long" in refused({**metadata, field: metadata[field] + " "})


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
