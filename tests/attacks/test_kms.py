"""KMS that fails, lies or is lied to; and encryption contexts that are forgotten, forged or mixed up."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from s3transfer.exceptions import RetriesExceededError as S3TransferRetriesExceededError
from support.encoder import V2_KMS, V3_KMS, Kind
from support.fake_kms import KMS_KEY_ARN, OTHER_KMS_KEY_ARN, FakeKms, FakeKmsError
from support.worlds import KEY

from s3_encryption import KmsKeyring
from s3_encryption.exceptions import (
    ConfigurationError,
    ConfigurationTypeError,
    DecryptionError,
    EncryptionContextMismatchError,
    MetadataTooLargeError,
)

from .bucket import Bucket, Read, reads
from .uploads import MIB
from .witness import MARKER, Witness

OLD_KMS = Kind("V2", "kms", "AES/GCM/NoPadding")
ALPHA = {"p": "alpha"}

kms_kinds = pytest.mark.parametrize("kind", [V2_KMS, V3_KMS], ids=["V2", "V3"])
all_kms_kinds = pytest.mark.parametrize("kind", [V2_KMS, V3_KMS, OLD_KMS], ids=["V2", "V3", "kms"])


def said_no(code: str, operation: str) -> ClientError:
    """Return what a KMS client of botocore raises when KMS says no."""
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


# --- which key --------------------------------------------------------------------------------------------------------


@all_kms_kinds
def test_km_01_data_key_of_another_kms_key_is_refused(kind: Kind, bucket: Bucket) -> None:
    """The configured key is named to KMS, which refuses what was wrapped under another one, be it ours to use."""
    reserved = {"aws:x-amz-cek-alg": kind.content} if kind.wrap == "kms+context" else {"kms_cmk_id": KMS_KEY_ARN}
    data_key = bucket.encoder.random_bytes(32)
    edk = bucket.kms.wrap(data_key, reserved, OTHER_KMS_KEY_ARN)
    bucket.write(kind, data_key=data_key, edk=edk)
    error = bucket.refused(bucket.client(kind), FakeKmsError, kms_calls=1)
    assert "IncorrectKeyException" in str(error)
    assert [request["KeyId"] for _, request in bucket.kms.calls] == [KMS_KEY_ARN]


@kms_kinds
def test_km_02_answer_of_another_key_is_not_believed(kind: Kind, bucket: Bucket) -> None:
    """A KMS that overlooks the key id betrays itself by the key id in its answer."""
    careless = FakeKms(ignores_key_id=True)
    writer = bucket.writer(kind, keyring=KmsKeyring(careless, OTHER_KMS_KEY_ARN))
    writer.put_object(**bucket.world.object_at(), Body=MARKER)
    bucket.refused(bucket.client(kind, keyring=KmsKeyring(careless, KMS_KEY_ARN)), DecryptionError)
    assert bucket.read(writer) == MARKER


NAMES = {
    "alias": "alias/my-key",
    "alias-arn": "arn:aws:kms:us-east-1:111122223333:alias/my-key",
    "bare-id": "0d990263-018e-4065-a703-eff731de951e",
    "multi-region": "arn:aws:kms:us-east-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@kms_kinds
def test_km_07_key_may_be_named_otherwise_than_kms_does(kind: Kind, name: str, bucket: Bucket) -> None:
    """An alias or a bare id is answered by the key's ARN, and that is right."""
    kms = FakeKms(aliases={} if ":key/" in name else {name: KMS_KEY_ARN})
    client = bucket.writer(kind, keyring=KmsKeyring(kms, name))
    client.put_object(**bucket.world.object_at(), Body=MARKER)
    assert bucket.read(client) == MARKER
    assert {request["KeyId"] for _, request in kms.calls} == {name}


def test_km_08_key_id_in_an_old_object_is_context_only(bucket: Bucket) -> None:
    """kms_cmk_id names whatever its writer liked: KMS is asked for the configured key, and gets it as context."""
    named = {"kms_cmk_id": "arn:aws:kms:us-east-1:999999999999:key/of-the-attacker"}
    data_key = bucket.encoder.random_bytes(32)
    stored = bucket.write(OLD_KMS, data_key=data_key, edk=bucket.kms.wrap(data_key, named))
    client = bucket.client(OLD_KMS)
    bucket.refused(client, FakeKmsError, kms_calls=1)
    bucket.put_changed(stored, "x-amz-matdesc", '{"kms_cmk_id":"%s"}' % named["kms_cmk_id"])  # noqa: UP031
    assert bucket.read(client) == MARKER
    assert {request["KeyId"] for _, request in bucket.kms.calls} == {KMS_KEY_ARN}


# --- failures ---------------------------------------------------------------------------------------------------------

KMS_FAILURES: dict[str, Callable[[str], Exception]] = {
    **{
        code: lambda operation, code=code: said_no(code, operation)  # type: ignore[misc]
        for code in ("AccessDeniedException", "ThrottlingException", "DisabledException", "IncorrectKeyException")
    },
    "InvalidCiphertextException": lambda operation: said_no("InvalidCiphertextException", operation),
    "read-timeout": lambda operation: ReadTimeoutError(endpoint_url="https://kms"),
    "connect-timeout": lambda operation: ConnectTimeoutError(endpoint_url="https://kms"),
}
kms_failures = pytest.mark.parametrize("fail", KMS_FAILURES.values(), ids=KMS_FAILURES)


WRITES: dict[str, Callable[[Any, dict[str, str], bytes, Path], Any]] = {
    "put": lambda s3, named, content, path: s3.put_object(**named, Body=content),
    "upload_file": lambda s3, named, content, path: s3.upload_file(str(path), named["Bucket"], named["Key"]),
    "upload_fileobj": lambda s3, named, content, path: s3.upload_fileobj(io.BytesIO(content), *named.values()),
    "create_multipart_upload": lambda s3, named, content, path: s3.create_multipart_upload(**named),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_km_04_no_data_key_means_nothing_is_sent(
    write: Callable[[Any, dict[str, str], bytes, Path], Any], bucket: Bucket, witness: Witness
) -> None:
    """The very error of KMS is raised, as boto3 does it; no fallback to plaintext or to an earlier write's data key."""
    client = bucket.client(V2_KMS)
    client.put_object(**bucket.world.object_at("earlier"), Body=MARKER)
    bucket.world.forget()
    path = witness.directory / "source"
    witness.plaintext_files.add(path)
    for content in (MARKER, MARKER * (9 * MIB // len(MARKER))):
        path.write_bytes(content)
        for fail in KMS_FAILURES.values():
            bucket.kms.failure = failure = fail("GenerateDataKey")
            with pytest.raises((type(failure), S3UploadFailedError)) as caught:
                write(client, bucket.world.object_at(), content, path)
            assert failure in (caught.value, caught.value.__context__)
    assert bucket.world.requests == []


@kms_failures
@reads
@all_kms_kinds
def test_km_05_failure_of_decrypt_comes_through(
    kind: Kind,
    read: Read,
    fail: Callable[[str], Exception],
    bucket: Bucket,
    tmp_path: Path,
) -> None:
    """What KMS answers is raised as it is, and not called tampering; no file is made."""
    bucket.write(kind)
    bucket.kms.failure = failure = fail("Decrypt")
    client = bucket.client(kind, enable_unauthenticated_ranges=True)
    # Of a connection that fails again and again, transfers tell by an exception of their own.
    with pytest.raises((type(failure), RetriesExceededError, S3TransferRetriesExceededError)) as caught:
        read(client, bucket.world.object_at(), tmp_path / "target")
    assert failure in (caught.value, getattr(caught.value, "last_exception", None))
    assert not (tmp_path / "target").exists()


# --- encryption contexts ----------------------------------------------------------------------------------------------

WRONG_CONTEXTS: dict[str, dict[str, str] | None] = {
    "none": None,
    "empty": {},
    "value": {"p": "beta", "q": "gamma"},
    "subset": {"p": "alpha"},
    "superset": {"p": "alpha", "q": "gamma", "r": "delta"},
    "letter-case": {"P": "alpha", "q": "gamma"},
    "letter-case-of-value": {"p": "Alpha", "q": "gamma"},
    "blank": {"p": "alpha ", "q": "gamma"},
    "swapped": {"p": "gamma", "q": "alpha"},
}


@pytest.mark.parametrize("context", WRONG_CONTEXTS.values(), ids=WRONG_CONTEXTS)
@kms_kinds
def test_ec_01_other_context_is_refused_before_kms(kind: Kind, context: dict[str, str] | None, bucket: Bucket) -> None:
    """Only the very context of the write reads the object; entries may come in any order."""
    bucket.write(kind, description={"p": "alpha", "q": "gamma"})
    client = bucket.client(kind)
    params: dict[str, Any] = {} if context is None else {"EncryptionContext": context}
    bucket.refused(client, EncryptionContextMismatchError, **params)
    assert bucket.read(client, EncryptionContext={"q": "gamma", "p": "alpha"}) == MARKER


@pytest.mark.parametrize("name", ["aws:x-amz-cek-alg", "kms_cmk_id"])
@kms_kinds
def test_ec_02_reserved_name_is_refused_on_reading(kind: Kind, name: str, bucket: Bucket) -> None:
    """What the client adds itself is not the caller's to give, be it what is stored."""
    bucket.write(kind, description=ALPHA)
    error = bucket.refused(bucket.client(kind), ConfigurationError, EncryptionContext={**ALPHA, name: kind.content})
    assert name in str(error)


UNWRITABLE: dict[str, tuple[Any, type[Exception]]] = {
    "EC-04-kms_cmk_id": ({"kms_cmk_id": KMS_KEY_ARN}, ConfigurationError),
    "EC-04-cek-alg": ({"aws:x-amz-cek-alg": "AES/GCM/NoPadding"}, ConfigurationError),
    "EC-05-value": ({"k": "a\0b"}, ConfigurationError),
    "EC-05-name": ({"\ud83d": "v"}, ConfigurationError),
    "EC-05-number": ({"k": 1}, ConfigurationTypeError),
    "EC-05-list": ([("k", "v")], ConfigurationTypeError),
    "EC-07-value": ({"k": "v" * 2048}, MetadataTooLargeError),
    "EC-07-names": ({f"name-{number}": "v" for number in range(200)}, MetadataTooLargeError),
}


@pytest.mark.parametrize("unwritable", UNWRITABLE)
@pytest.mark.parametrize("write", ["put_object", "create_multipart_upload"])
@kms_kinds
def test_ec_04_ec_05_ec_07_unusable_context_is_refused_unsent(
    kind: Kind, write: str, unwritable: str, bucket: Bucket
) -> None:
    """Reserved, no text or too long: refused before KMS is asked and before anything is sent; a size is told."""
    context, expected = UNWRITABLE[unwritable]
    call = getattr(bucket.writer(kind), write)
    error = bucket.refused_call(lambda: call(**bucket.world.object_at(), EncryptionContext=context), expected)
    assert bucket.world.requests == []
    assert expected is not MetadataTooLargeError or "bytes" in str(error)


@kms_kinds
def test_ec_08_context_of_the_caller_is_left_alone(kind: Kind, bucket: Bucket) -> None:
    """Neither a write nor a read adds a reserved entry to the caller's map."""
    context = dict(ALPHA)
    client = bucket.writer(kind)
    client.put_object(**bucket.world.object_at(), Body=MARKER, EncryptionContext=context)
    assert bucket.read(client, EncryptionContext=context) == MARKER
    assert context == ALPHA
    assert bucket.kms.calls[0][1]["EncryptionContext"] == {**ALPHA, "aws:x-amz-cek-alg": kind.content}


class _Reentrant(io.BytesIO):
    """A body that uses the client while it is read."""

    def __init__(self, use: Callable[[], object]) -> None:
        super().__init__(MARKER)
        self._use = use

    def read(self, size: int | None = -1) -> bytes:
        self._use()
        return super().read(size)


@kms_kinds
def test_ec_10_request_within_a_request_has_its_own_context(kind: Kind, bucket: Bucket) -> None:
    """A put from within the read() of another put's body: each object has the context of its own call."""
    client, at = bucket.writer(kind), bucket.world.object_at
    body = _Reentrant(lambda: client.put_object(**at("inner"), Body=MARKER, EncryptionContext={"p": "inner"}))
    client.put_object(**at(), Body=body, EncryptionContext={"p": "outer"})
    for key, own, other in (("inner", "inner", "outer"), (KEY, "outer", "inner")):
        assert bucket.read(client, key, EncryptionContext={"p": own}) == MARKER
        bucket.refused_call(
            lambda: bucket.read(client, key, EncryptionContext={"p": other}),  # noqa: B023
            EncryptionContextMismatchError,
        )
