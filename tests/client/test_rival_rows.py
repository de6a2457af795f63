"""What breaks or surprises with other S3 encryption clients, row by row: here it works, or says what is wrong.

A row's id is in its test's name, after ``row``. ELSEWHERE names the tests of rows that are proven under another name.
"""

from __future__ import annotations

import ast
import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import smart_open
from django.conf import settings
from storages.backends.s3 import S3Storage
from support import encoder
from support.encoders import AUTHENTICATED, ENCODERS
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.uploads import DATA, MIB
from support.ways_to_read import MODES
from support.worlds import AES_KEY, KEY, StrictWorld

from s3_encryption import (
    DecryptionError,
    InvalidEnvelopeError,
    KmsKeyring,
    NotEncryptedError,
    PolicyError,
    S3EncryptionClientError,
    S3EncryptionClientSecurityError,
    S3EncryptionSession,
)

if not settings.configured:
    settings.configure()

# How many rows there are of data, arguments, errors, responses, bodies, integration, and kinds of objects.
_NUMBERS = {"D": 6, "A": 8, "E": 4, "R": 2, "B": 5, "I": 2, "K": 2}
ROWS = [f"{letter}{number}" for letter, last in _NUMBERS.items() for number in range(1, last + 1)]
ELSEWHERE = {
    "D1": "test_dl_02_up_22_download_of_any_size_is_the_plaintext",
    "D3": "test_up_07_up_08_true_declaration_of_the_plaintext_is_accepted",
    "D4": "test_rt_10_rt_11_part_with_another_content_is_refused",
    "D5": "test_if_17_delete_of_an_old_version_keeps_the_file",
    "A3": "test_al_01_up_05_up_22_upload_of_any_size_is_one_encrypted_object",
    "A4": "test_up_04_fileobj_of_any_kind_is_uploaded_whole",
    "A5": "test_parts_in_any_order_make_the_same_object",
    "A6": "test_rg_02_rg_04_rg_05_rg_14_range_is_answered_as_by_boto3",
    "A8": "test_up_01_body_of_any_kind_is_stored_encrypted",
    "B1": "test_archives_open_on_it",
    "B2": "test_st_01_st_02_st_07_body_is_read_as_boto3s",
    "B3": "test_st_01_st_02_st_07_body_is_read_as_boto3s",
    "B4": "test_st_04_delayed_body_can_be_left_early",
    "B5": "test_st_01_st_02_st_07_body_is_read_as_boto3s",
}


@functools.cache
def names_of_tests() -> frozenset[str]:
    """Return the names of all tests that there are."""
    paths = Path(__file__).parents[1].rglob("test_*.py")
    trees = (ast.parse(path.read_text("utf-8")) for path in paths)
    return frozenset(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_its_test(row: str) -> None:
    """A row is in the name of a test, or a test that exists is named for it."""
    names = names_of_tests()
    assert ELSEWHERE.get(row) in names or any(f"_row_{row.lower()}_" in name for name in names)


def read(client: Any, s3: StrictWorld, **more: Any) -> bytes:
    """Return an object's plaintext."""
    with client.get_object(**s3.object_at(), **more)["Body"] as body:
        content: bytes = body.read()
    return content


# --- D: data ----------------------------------------------------------------------------------------------------------


class Storage(S3Storage):  # type: ignore[misc]
    """Storage of django-storages, through an encrypting session."""

    def _create_session(self) -> boto3.Session:
        return S3EncryptionSession(aes_key=AES_KEY)


@pytest.mark.parametrize("size", [1000, 9 * MIB])
def test_row_d2_django_storages_opens_what_it_saved(s3: StrictWorld, size: int) -> None:
    """D2: large files are opened as small ones are, sought in, and have their plaintext's size."""
    storage = Storage(bucket_name=s3.bucket, endpoint_url=s3.url)
    storage.save(KEY, io.BytesIO(DATA[:size]))
    assert DATA[:16] not in s3.body_stored()
    with storage.open(KEY) as file:
        assert (file.read(10), file.seek(500), file.read()) == (DATA[:10], 500, DATA[500:size])
    assert storage.size(KEY) == size
    storage.connection.meta.client.close()


def test_row_d6_two_clients_share_one_boto3_client(s3: StrictWorld) -> None:
    """D6: each encrypts once, with its own key, and the client underneath stays an ordinary one."""
    one, two = s3.client(), s3.client(aes_key=b"another key of 32 bytes, exactly")
    one.put_object(**s3.object_at(), Body=b"one")
    assert read(one, s3) == b"one"
    two.put_object(**s3.object_at(), Body=b"two")
    assert read(two, s3) == b"two"
    assert len(s3.body_stored()) == len(b"two") + 16
    with pytest.raises(DecryptionError):
        read(one, s3)


# --- A: arguments -----------------------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[Any, str, str, list[int]], Any]] = {
    "names": lambda client, bucket, path, seen: client.upload_file(
        Filename=path, Bucket=bucket, Key=KEY, ExtraArgs={"Metadata": {"a": "b"}}, Callback=seen.append, Config=None
    ),
    "positions": lambda client, bucket, path, seen: client.upload_file(
        path, bucket, KEY, {"Metadata": {"a": "b"}}, seen.append
    ),
    "names-fileobj": lambda client, bucket, path, seen: client.upload_fileobj(
        Fileobj=io.BytesIO(Path(path).read_bytes()),
        Bucket=bucket,
        Key=KEY,
        ExtraArgs={"Metadata": {"a": "b"}},
        Callback=seen.append,
    ),
    "positions-fileobj": lambda client, bucket, path, seen: client.upload_fileobj(
        io.BytesIO(Path(path).read_bytes()), bucket, KEY, {"Metadata": {"a": "b"}}, seen.append
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_row_a1_row_a2_arguments_are_boto3s(s3: StrictWorld, tmp_path: Path, form: str) -> None:
    """A1, A2: by boto3's names and in boto3's order, with ExtraArgs and Callback."""
    (tmp_path / "source").write_bytes(DATA[:5000])
    seen: list[int] = []
    client = s3.client()
    FORMS[form](client, s3.bucket, str(tmp_path / "source"), seen)
    assert read(client, s3) == DATA[:5000]
    assert (sum(seen), s3.metadata_stored()["a"]) == (5000, "b")


@pytest.mark.parametrize("size", [1000, 9 * MIB])
def test_row_a7_context_goes_with_transfers(s3: StrictWorld, kms: FakeKms, tmp_path: Path, size: int) -> None:
    """A7: EncryptionContext is an argument of uploads and downloads, by ExtraArgs."""
    client = s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN))
    extra = {"EncryptionContext": {"tenant": "7"}}
    client.upload_fileobj(io.BytesIO(DATA[:size]), s3.bucket, KEY, ExtraArgs=extra)
    client.download_file(s3.bucket, KEY, str(tmp_path / "target"), ExtraArgs=extra)
    assert (tmp_path / "target").read_bytes() == DATA[:size]
    with pytest.raises(S3EncryptionClientSecurityError):
        client.download_file(s3.bucket, KEY, str(tmp_path / "target"))


# --- E: errors --------------------------------------------------------------------------------------------------------

TAMPERED: dict[str, Callable[[StrictWorld], None]] = {
    "changed": lambda s3: s3.change_body(lambda body: bytes([body[0] ^ 1]) + body[1:]),
    "cut": lambda s3: s3.change_body(lambda body: body[:-1]),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", TAMPERED)
@pytest.mark.parametrize("format", AUTHENTICATED)
def test_row_e2_tampering_has_a_class_of_its_own(s3: StrictWorld, format: str, change: str, mode: str) -> None:
    """E2: in every mode it is a security error, which is also an error of this library, and nothing wraps it."""
    encoded = ENCODERS[format].encode(b"secret" * 100)
    s3.store(encoded.body, encoded.metadata)
    TAMPERED[change](s3)
    with pytest.raises(S3EncryptionClientSecurityError) as caught:
        read(s3.client(**MODES[mode]), s3)
    assert isinstance(caught.value, S3EncryptionClientError)
    assert (caught.value.__cause__, caught.value.bucket, caught.value.key) == (None, s3.bucket, KEY)


def test_row_e2_wrong_commitment_is_a_security_error(s3: StrictWorld) -> None:
    """E2: another object's commitment is tampering, too."""
    first, second = (ENCODERS["V3"].encode(b"secret") for _ in range(2))
    s3.store(first.body, {**first.metadata, "x-amz-d": second.metadata["x-amz-d"]})
    with pytest.raises(S3EncryptionClientSecurityError):
        read(s3.client(), s3)


def test_row_e3_broken_context_is_told_in_words(s3: StrictWorld, kms: FakeKms) -> None:
    """E3: the error says which field is no JSON, not where a parser stopped; KMS is not asked."""
    client = s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN))
    client.put_object(**s3.object_at(), Body=b"secret")
    s3.change_metadata(x_amz_matdesc="{broken")
    with pytest.raises(InvalidEnvelopeError, match="x-amz-matdesc is not valid JSON"):
        read(client, s3)
    assert kms.count("decrypt") == 0


def test_row_e3_refusal_of_kms_is_not_wrapped(s3: StrictWorld, kms: FakeKms) -> None:
    """E3: what KMS raises is what the caller catches."""
    client = s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN))
    client.put_object(**s3.object_at(), Body=b"secret")
    kms.failure = PermissionError("AccessDeniedException")
    with pytest.raises(PermissionError, match="AccessDenied"):
        read(client, s3)


def test_row_e4_object_that_lost_its_envelope_is_told(s3: StrictWorld) -> None:
    """E4: a plain object, or one whose metadata a plain client has replaced, is not encrypted: the error says so."""
    client = s3.client()
    client.put_object(**s3.object_at(), Body=b"secret")
    replaced = {"MetadataDirective": "REPLACE", "Metadata": {"a": "b"}}
    s3.plain.copy_object(**s3.object_at(), CopySource=s3.object_at(), **replaced)
    with pytest.raises(NotEncryptedError, match=r"allow_plaintext_reads"):
        read(client, s3)


# --- I: integration ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, 9 * MIB])
def test_row_i2_smart_open_reads_through_the_client(s3: StrictWorld, size: int) -> None:
    """I2: smart_open asks for ``bytes=0-``, which is the whole object and is verified."""
    client = s3.client()
    client.upload_fileobj(io.BytesIO(DATA[:size]), s3.bucket, KEY)
    with smart_open.open(f"s3://{s3.bucket}/{KEY}", "rb", transport_params={"client": client}) as file:
        assert file.read() == DATA[:size]


# --- K: kinds of objects ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", AUTHENTICATED)
def test_row_k1_objects_of_both_formats_are_read_by_default(s3: StrictWorld, format: str) -> None:
    """K1: a client without further options reads V2 and V3."""
    encoded = ENCODERS[format].encode(b"secret")
    s3.store(encoded.body, encoded.metadata)
    assert read(s3.client(), s3) == b"secret"


def test_row_k1_mail_of_ses_needs_one_switch_and_is_told_which(s3: StrictWorld) -> None:
    """K1: SES wraps data keys in the older way; the error names the switch, and with it the mail is read."""
    writer, kind = encoder.Encoder(), encoder.Kind("V2", "kms", encoder.GCM)
    stored, keyring = writer.write(kind, b"mail"), writer.keyring(kind)
    s3.store(stored.body, stored.metadata)
    with pytest.raises(PolicyError, match="enable_legacy_wrapping_algorithms"):
        read(s3.client(keyring=keyring), s3)
    assert read(s3.client(keyring=keyring, enable_legacy_wrapping_algorithms=True), s3) == b"mail"


KEYS: dict[str, Any] = {"aes_key": AES_KEY, "rsa_key": encoder.RSA_KEY}


@pytest.mark.parametrize("option", KEYS)
def test_row_k2_objects_under_keys_of_ones_own_are_read(s3: StrictWorld, option: str) -> None:
    """K2: AES and RSA keys wrap data keys as KMS does, and what others wrote with them is read."""
    wrap = {"aes_key": "AES/GCM", "rsa_key": "RSA-OAEP-SHA1"}[option]
    stored = encoder.Encoder().write(encoder.Kind("V2", wrap, encoder.GCM), b"secret")
    s3.store(stored.body, stored.metadata)
    assert read(s3.client(**{option: KEYS[option]}), s3) == b"secret"
