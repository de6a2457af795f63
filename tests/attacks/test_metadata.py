"""The envelope, field by field: whatever is done to a field, the object is refused or intact, and KMS is asked last."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from support.encoder import (
    ALL_KINDS,
    CBC,
    CBC_KINDS,
    GCM,
    GCM_KINDS,
    V1_AES,
    V2_AES,
    V2_AES_CBC,
    V2_CBC_KINDS,
    V2_GCM_KINDS,
    V2_KMS,
    V3_AES,
    V3_KINDS,
    V3_KMS,
    Kind,
    Stored,
    to_base64,
)
from support.fake_kms import KMS_KEY_ARN, FakeKmsError

from s3_encryption._envelope.formats import parse
from s3_encryption.exceptions import (
    DecryptionError,
    EncryptionContextMismatchError,
    InvalidEnvelopeError,
    KeyringMismatchError,
    NotEncryptedError,
)

from .bucket import Bucket, fingerprint
from .witness import MARKER

LENGTH = "x-amz-unencrypted-content-length"
LEGACY: dict[str, Any] = {
    "enable_legacy_wrapping_algorithms": True,
    "enable_legacy_unauthenticated_modes": True,
}
UNREADABLE = (InvalidEnvelopeError, EncryptionContextMismatchError, KeyringMismatchError, DecryptionError)
REFUSED = (InvalidEnvelopeError, DecryptionError, FakeKmsError)

gcm_kinds = pytest.mark.parametrize("kind", GCM_KINDS, ids=str)
cbc_kinds = pytest.mark.parametrize("kind", CBC_KINDS, ids=str)
all_kinds = pytest.mark.parametrize("kind", ALL_KINDS, ids=str)


def base64_fields(kind: Kind) -> list[str]:
    """Return the fields of a kind that hold bytes."""
    return [*kind.fields.values(), *(["x-amz-d"] if kind.format == "V3" else [])]


def may_be_absent(kind: Kind, field: str) -> bool:
    """Return whether old writers left a field out, so that reading does without."""
    return field in ("x-amz-tag-len", "x-amz-m") or (field == "x-amz-matdesc" and kind.key_type != "kms")


@all_kinds
def test_md_01_missing_field_is_refused_and_named(kind: Kind, bucket: Bucket) -> None:
    """No missing field leads to a weaker format or to KMS; the message names the field where the format demands it."""
    stored = bucket.write(kind)
    client = bucket.client(kind, **LEGACY)
    for field in stored.metadata:
        bucket.put_changed(stored, field, None)
        if may_be_absent(kind, field):
            assert bucket.read(client) == MARKER
            continue
        if (kind.wrap, field) == ("kms", "x-amz-matdesc"):
            # What is in the context of such an old object nobody knows but KMS.
            bucket.refused(client, FakeKmsError, kms_calls=1)
            continue
        # Without the name of its wrap, a V2 object looks like a very old one, which another key would have wrapped.
        error = bucket.refused(client, UNREADABLE)
        if field not in ("x-amz-wrap-alg", kind.description_field):
            assert isinstance(error, InvalidEnvelopeError)
            assert field in str(error) or field == kind.fields["edk"]


@pytest.mark.parametrize("text", ["", " "], ids=["empty", "blank"])
@all_kinds
def test_md_02_blank_field_is_refused(kind: Kind, text: str, bucket: Bucket) -> None:
    """No field may be empty or blank, but for the description of a raw key in V3, which may be empty."""
    stored = bucket.write(kind)
    client = bucket.client(kind, **LEGACY)
    for field in stored.metadata:
        bucket.put_changed(stored, field, text)
        if (field, text) == ("x-amz-m", ""):
            assert bucket.read(client) == MARKER
        else:
            bucket.refused(client, InvalidEnvelopeError)


BYTE_CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "MD-04-first-bit": lambda value: bytes([value[0] ^ 0x80]) + value[1:],
    "MD-04-last-bit": lambda value: value[:-1] + bytes([value[-1] ^ 1]),
    "MD-05-shorter": lambda value: value[:-1],
    "MD-05-longer": lambda value: value + b"\0",
    "MD-07-zeros": lambda value: bytes(len(value)),
    "MD-07-ones": lambda value: b"\xff" * len(value),
}
byte_changes = pytest.mark.parametrize("change", BYTE_CHANGES.values(), ids=BYTE_CHANGES)


@byte_changes
@gcm_kinds
def test_md_04_md_05_md_07_changed_bytes_of_a_field_are_refused(
    kind: Kind, change: Callable[[bytes], bytes], bucket: Bucket
) -> None:
    """No change of data key, IV, message id or commitment passes."""
    stored = bucket.write(kind)
    client = bucket.client(kind)
    for field in base64_fields(kind):
        bucket.put_changed(stored, field, to_base64(change(stored.decoded(field))))
        bucket.refused(client, REFUSED, kms_calls=kind.key_type == "kms")


@byte_changes
@cbc_kinds
def test_md_04_md_05_md_07_changed_data_key_of_cbc_content_is_refused(
    kind: Kind, change: Callable[[bytes], bytes], bucket: Bucket
) -> None:
    """Without a tag a changed IV may pass, which is why CBC has a switch; a changed data key gives no plaintext."""
    stored = bucket.write(kind)
    field = kind.fields["edk"]
    bucket.put_changed(stored, field, to_base64(change(stored.decoded(field))))
    # A data key of V1 with more than 48 bytes is taken for RSA.
    bucket.refused(bucket.client(kind), (*REFUSED, KeyringMismatchError), kms_calls=kind.key_type == "kms")


CONSTANTS = {
    "x-amz-cek-alg": [GCM, CBC, "AES/CBC/PKCS7Padding", "AES/CTR/NoPadding", "115"],
    "x-amz-wrap-alg": ["kms", "kms+context", "AES/GCM", "AESWrap", "RSA-OAEP-SHA1", "AES", "RSA", "AES/ECB"],
    "x-amz-c": ["114", "116", "0115", "0x73", GCM],
    "x-amz-w": ["01", "11", "21", "02", "12", "22", "2"],
}
# Both names of CBC's padding mean the same.
ALIASES = {CBC: "AES/CBC/PKCS7Padding"}


@all_kinds
def test_md_08_other_constant_of_a_field_is_refused_without_kms(kind: Kind, bucket: Bucket) -> None:
    """No known name passes for another one in the same field, whatever the switches."""
    stored = bucket.write(kind)
    client = bucket.client(kind, **LEGACY)
    for field in CONSTANTS.keys() & stored.metadata.keys():
        for text in CONSTANTS[field]:
            if text in (stored.metadata[field], ALIASES.get(stored.metadata[field])):
                continue
            bucket.put_changed(stored, field, text)
            if (kind.wrap, kind.content, text) == ("AESWrap", CBC, "AES/CTR/NoPadding"):
                # A documented limit: neither wrap nor content bind the name, and what comes out is noise.
                assert MARKER[:16] not in bucket.read(client)
                continue
            bucket.refused(client, UNREADABLE)


@pytest.mark.parametrize("blank", [" ", "\t"], ids=["space", "tab"])
@all_kinds
def test_md_10_blanks_around_a_value_are_refused_or_mean_nothing(kind: Kind, blank: str, bucket: Bucket) -> None:
    """JSON may have blanks around it; no other value may."""
    stored = bucket.write(kind)
    client = bucket.client(kind, **LEGACY)
    for field, value in stored.metadata.items():
        for text in (blank + value, value + blank, blank + value + blank):
            bucket.put_changed(stored, field, text)
            if field == kind.description_field:
                assert bucket.read(client) == MARKER
            else:
                bucket.refused(client, InvalidEnvelopeError)


@all_kinds
def test_md_11_long_value_is_refused_without_kms(kind: Kind, bucket: Bucket) -> None:
    """60 KiB in any field, valid by themselves or not, are more than an envelope can have."""
    stored = bucket.write(kind)
    client = bucket.client(kind, **LEGACY)
    long_json = json.dumps({"k": "v" * 60 * 1024})
    for field in [*stored.metadata, LENGTH]:
        for text in ("A" * 60 * 1024, "1" * 60 * 1024, long_json):
            bucket.put_changed(stored, field, text)
            assert len(str(bucket.refused(client, InvalidEnvelopeError))) < 500


@pytest.mark.parametrize("kind", V2_GCM_KINDS, ids=str)
def test_md_13_tag_length_is_128_or_absent(kind: Kind, bucket: Bucket) -> None:
    """Old writers left it out; one wrote bytes for bits, always with AESWrap. Nothing else is taken, and no tag cut."""
    stored = bucket.write(kind)
    client = bucket.client(kind)
    right = [None, "128", *(["16"] if kind.wrap == "AESWrap" else [])]
    for text in right:
        bucket.put_changed(stored, "x-amz-tag-len", text)
        assert bucket.read(client) == MARKER
    for text in (
        "96",
        "32",
        "0",
        "-1",
        "129",
        "abc",
        "128 ",
        "1000000000",
        "0128",
        "128.0",
        *([] if "16" in right else ["16"]),
    ):
        bucket.put_changed(stored, "x-amz-tag-len", text)
        bucket.refused(client, InvalidEnvelopeError)


NOTED_LENGTHS = ("0", "5", "60", "62", "999999999999999", "9" * 50, "-1", "abc", "")


@gcm_kinds
def test_md_14_noted_length_does_not_matter_where_a_tag_does(kind: Kind, bucket: Bucket) -> None:
    """The unauthenticated length neither cuts nor stretches what the tag vouches for, in the body or in the answer."""
    stored = bucket.write(kind)
    client = bucket.client(kind)
    for text in NOTED_LENGTHS:
        bucket.put_changed(stored, LENGTH, text)
        assert bucket.read(client) == MARKER
        assert client.get_object(**bucket.world.object_at())["ContentLength"] == len(MARKER)


@cbc_kinds
def test_md_14_noted_length_that_is_wrong_stops_cbc(kind: Kind, bucket: Bucket) -> None:
    """For CBC a length that differs is the one sign of truncation, and raises; nonsense is ignored."""
    stored = bucket.write(kind)
    client = bucket.client(kind)
    for text in ("0", "60", "62", "999999999999999"):
        bucket.put_changed(stored, LENGTH, text)
        bucket.refused(client, DecryptionError, kms_calls=kind.key_type == "kms")
    for text in ("61", "", "abc", "-1", "9" * 50):
        bucket.put_changed(stored, LENGTH, text)
        assert bucket.read(client) == MARKER


IV_LENGTHS = {"GCM": (0, 8, 11, 13, 16, 128), "CBC": (0, 8, 15, 17, 32), "V3": (0, 27, 29, 32, 64, 128)}


@all_kinds
def test_md_16_iv_of_another_length_is_refused_without_kms(kind: Kind, bucket: Bucket) -> None:
    """12, 16 and 28 bytes are the lengths, and a message id of zeros is none."""
    stored = bucket.write(kind)
    client = bucket.client(kind)
    lengths = IV_LENGTHS["V3" if kind.format == "V3" else "CBC" if kind.content == CBC else "GCM"]
    for length in lengths:
        bucket.put_changed(stored, kind.fields["iv"], to_base64(bytes(range(1, length + 1))))
        bucket.refused(client, InvalidEnvelopeError)
    if kind.format == "V3":
        bucket.put_changed(stored, "x-amz-i", to_base64(bytes(28)))
        bucket.refused(client, InvalidEnvelopeError)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 24, 31, 33, 64])
@pytest.mark.parametrize("kind", [V2_KMS, V2_AES, V2_GCM_KINDS[4], *V3_KINDS], ids=str)
def test_md_17_data_key_of_a_wrong_length_is_refused(kind: Kind, length: int, bucket: Bucket) -> None:
    """Today's wraps hold 32 bytes and nothing else, even where the object commits to a shorter data key."""
    data_key = bucket.encoder.random_bytes(length)
    edk = bucket.encoder.wrap(kind, data_key, {"aws:x-amz-cek-alg": kind.content})
    stored = bucket.write(kind, edk=edk, data_key=data_key if kind.format == "V3" and length else None)
    for options in ({}, LEGACY) if kind.format == "V3" else ({},):
        bucket.all_refused(bucket.client(kind, **options), kind, iter([stored]))


@pytest.mark.parametrize("length", [1, 8, 15, 17, 31, 33, 40])
@pytest.mark.parametrize("kind", [V1_AES, V2_AES_CBC, V2_CBC_KINDS[0], V2_CBC_KINDS[2]], ids=str)
def test_md_17_legacy_data_key_of_no_aes_length_is_refused(kind: Kind, length: int, bucket: Bucket) -> None:
    """Legacy wraps may hold 16, 24 or 32 bytes; AES takes nothing else."""
    data_key = bucket.encoder.random_bytes(length)
    wrappable = kind.wrap != "AESWrap" or length % 8 == 0
    edk = bucket.encoder.wrap(kind, data_key, {"kms_cmk_id": KMS_KEY_ARN}) if wrappable else bytes(length + 8)
    bucket.all_refused(bucket.client(kind), kind, iter([bucket.write(kind, edk=edk)]))


@pytest.mark.parametrize("length", [16, 24, 32])
@pytest.mark.parametrize("kind", [V1_AES, V2_AES_CBC, V2_CBC_KINDS[0], V2_CBC_KINDS[2]], ids=str)
def test_md_17_legacy_data_key_of_an_aes_length_is_used(kind: Kind, length: int, bucket: Bucket) -> None:
    """Old writers used shorter data keys, and their objects are read behind the switch."""
    bucket.write(kind, data_key=bucket.encoder.random_bytes(length))
    assert bucket.read(bucket.client(kind)) == MARKER


CASES: dict[str, Callable[[str], str]] = {"canonical": str.title, "upper": str.upper, "lower": str.lower}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@all_kinds
def test_md_19_letter_case_of_names_does_not_matter(kind: Kind, case: Callable[[str], str], bucket: Bucket) -> None:
    """Some servers return the names of headers in another letter case."""
    stored = bucket.write(kind)
    headers = {case(f"x-amz-meta-{name}"): text for name, text in stored.metadata.items()}
    bucket.put_raw("cased", stored.body, headers)
    assert bucket.read(bucket.client(kind), "cased") == MARKER


@all_kinds
def test_md_20_two_values_of_one_field_are_refused(kind: Kind, bucket: Bucket) -> None:
    """Two headers that differ in letter case only contradict each other, as HTTP joins them and in a map alike."""
    stored, other = bucket.write(kind), bucket.write(kind)
    client = bucket.client(kind, **LEGACY)
    for field in base64_fields(kind):
        twice = {**stored.metadata, field.upper(): other.metadata[field]}
        bucket.put(Stored(twice, stored.body))
        bucket.refused(client, InvalidEnvelopeError)
        with pytest.raises(InvalidEnvelopeError, match="two values"):
            parse(twice)


def as_s3_returns_it(text: str, encoding: str) -> str:
    """Return a value as S3 returns what is not ASCII: as encoded words of its UTF-8, taken for Latin-1.

    Other servers return its UTF-8 as it is ("bare"), and HTTP takes it for Latin-1.
    """
    bare = text.encode().decode("latin-1")
    if encoding == "bare":
        return bare
    mangled = bare.encode()
    if encoding == "B":
        return f"=?UTF-8?B?{base64.b64encode(mangled).decode()}?="
    return "=?UTF-8?Q?" + "".join(f"={byte:02X}" for byte in mangled) + "?="


@pytest.mark.parametrize("encoding", ["B", "Q", "bare"])
@pytest.mark.parametrize("kind", [V2_KMS, V3_KMS], ids=str)
def test_md_22_text_beyond_ascii_is_understood(kind: Kind, encoding: str, bucket: Bucket) -> None:
    """A context that is not ASCII is what its writer meant, and KMS gets it so."""
    context = {"k": "Grüße €"}
    stored = bucket.write(kind, description=context)
    meant = json.dumps({**context, "aws:x-amz-cek-alg": kind.content}, ensure_ascii=False)
    bucket.put_changed(stored, kind.description_field, as_s3_returns_it(meant, encoding))
    assert bucket.read(bucket.client(kind), EncryptionContext=context) == MARKER


SPOILT_WORDS = {
    "charset": "=?utf-7?B?e30=?=",
    "unknown-charset": "=?rot13?B?e30=?=",
    "not-base64": "=?UTF-8?B?###?=",
    "not-utf-8": "=?UTF-8?B?/////w==?=",
    "open": "=?UTF-8?B?e30=",
    "joined": "=?UTF-8?B?e30=?= {}",
}


@pytest.mark.parametrize("text", SPOILT_WORDS.values(), ids=SPOILT_WORDS)
@pytest.mark.parametrize("kind", [V2_KMS, V3_KMS], ids=str)
def test_md_22_spoilt_encoded_words_are_refused_without_kms(kind: Kind, text: str, bucket: Bucket) -> None:
    """KMS never sees a context that may not be what its writer meant."""
    stored = bucket.write(kind)
    bucket.put_changed(stored, kind.description_field, text)
    bucket.refused(bucket.client(kind), InvalidEnvelopeError)


@pytest.mark.parametrize("kind", [V2_AES, V3_AES], ids=str)
def test_md_01_object_without_any_field_is_not_plaintext(kind: Kind, bucket: Bucket) -> None:
    """Who takes all of the envelope away gets no ciphertext returned, and no guess at a format."""
    stored = bucket.write(kind)
    bucket.put(Stored({}, stored.body))
    refusals = {
        fingerprint(bucket.refused(bucket.client(kind, **options), NotEncryptedError)) for options in ({}, LEGACY)
    }
    assert len(refusals) == 1
    bucket.put(
        Stored({name: text for name, text in stored.metadata.items() if name != kind.fields["edk"]}, stored.body)
    )
    bucket.refused(bucket.client(kind), InvalidEnvelopeError)
