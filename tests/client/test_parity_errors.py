"""What S3 refuses is raised as plain boto3 raises it: class, words, code, status, and after as many attempts."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ParamValidationError,
    WaiterError,
)
from support.features import DOWNLOAD_FAILED_ERROR
from support.servers import HANG_UP, NO_FAULT, refusal
from support.uploads import MIB, Upload
from support.worlds import KEY, StrictWorld, World, error_of

ALWAYS = 1000
# The codes that programs look for, those with a class of their own among them.
REFUSALS = {
    "NoSuchKey": 404,
    "NoSuchBucket": 404,
    "NoSuchUpload": 404,
    "AccessDenied": 403,
    "InvalidObjectState": 403,
    "PreconditionFailed": 412,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "EntityTooLarge": 400,
    "ConditionalRequestConflict": 409,
    "SlowDown": 503,
    "InternalError": 500,
    "RequestTimeout": 400,
}
Call = Callable[[Any, dict[str, Any]], Any]

CALLS: dict[str, tuple[str, Call]] = {
    "put_object": ("PUT", lambda client, target: client.put_object(**target, Body=b"text")),
    "put_object-large": ("PUT", lambda client, target: client.put_object(**target, Body=io.BytesIO(bytes(MIB)))),
    "get_object": ("GET", lambda client, target: client.get_object(**target)),
    "get_object-range": ("GET", lambda client, target: client.get_object(**target, Range="bytes=0-")),
    "head_object": ("HEAD", lambda client, target: client.head_object(**target)),
    "copy_object": ("PUT", lambda client, target: client.copy_object(**target, CopySource=target)),
    "create_multipart_upload": ("POST", lambda client, target: client.create_multipart_upload(**target)),
    "upload_part": ("PUT", lambda client, target: Upload(client).send(1, bytes(6 * MIB))),
    "complete_multipart_upload": ("POST", lambda client, target: _completed(client)),
    "abort_multipart_upload": ("DELETE", lambda client, target: Upload(client).abort()),
    "upload_part_copy": (
        "PUT",
        lambda client, target: client.upload_part_copy(**target, CopySource=target, UploadId="foreign", PartNumber=1),
    ),
    "delete_object": ("DELETE", lambda client, target: client.delete_object(**target)),
    "delete_objects": (
        "POST",
        lambda client, target: client.delete_objects(Bucket=target["Bucket"], Delete={"Objects": [{"Key": KEY}]}),
    ),
    "list_objects_v2": ("GET", lambda client, target: client.list_objects_v2(Bucket=target["Bucket"])),
    "get_object_tagging": ("GET", lambda client, target: client.get_object_tagging(**target)),
    "upload_fileobj": (
        "PUT",
        lambda client, target: client.upload_fileobj(io.BytesIO(b"text"), target["Bucket"], target["Key"]),
    ),
    "download_fileobj": (
        "GET",
        lambda client, target: client.download_fileobj(target["Bucket"], target["Key"], io.BytesIO()),
    ),
    "copy": ("PUT", lambda client, target: client.copy(target, target["Bucket"], "copy")),
}


def _completed(client: Any) -> Any:
    upload = Upload(client)
    upload.send(1, b"text")
    return upload.complete()


def told(error: ClientError) -> dict[str, Any]:
    """Return all that a program can learn from an error."""
    metadata = error.response["ResponseMetadata"]
    return {
        "class": type(error).__name__,
        "text": str(error),
        "operation": error.operation_name,
        "error": error.response["Error"],
        "status": metadata["HTTPStatusCode"],
        "retries": metadata["RetryAttempts"],
    }


def refuse(s3: StrictWorld, call: str, code: str) -> None:
    """Let S3 refuse a call for good, but not what the call needs before."""
    if call == "complete_multipart_upload":
        s3.server.script(NO_FAULT, method="POST")
    s3.server.script(refusal(REFUSALS[code], code), method=CALLS[call][0], times=ALWAYS)


def cases() -> list[Any]:
    """Return every call with every refusal, except those of which s3transfer makes something else."""
    pairs = [(call, code) for call in CALLS for code in REFUSALS]
    apart = {("download_fileobj", "InvalidRange"), ("download_fileobj", "PreconditionFailed")}
    return [pytest.param(*pair, id="-".join(pair)) for pair in pairs if pair not in apart]


@pytest.mark.parametrize(("call", "code"), cases())
def test_er_02_refusal_is_raised_as_by_boto3(s3: StrictWorld, call: str, code: str) -> None:
    """ER-02, E1: class, text, code, status and the number of attempts are those of plain boto3."""
    s3.client().put_object(**s3.object_at(), Body=b"text")
    errors = []
    # With clients of their own: retries use up a client's quota.
    for client in (s3.plain_client(), s3.new_client()):
        refuse(s3, call, code)
        errors.append(told(error_of(lambda client=client: CALLS[call][1](client, s3.object_at()))))  # type: ignore[misc]
        s3.server._scripts.clear()
    assert errors[0] == errors[1]
    assert errors[0]["status"] == REFUSALS[code]


# The strict S3's own answers, without a script: what does not exist, what has changed, what can't be.
ABSENT = {"Bucket": "bucket", "Key": "absent"}
REAL: dict[str, Callable[[Any, str], Any]] = {
    "no-such-key": lambda client, etag: client.get_object(**ABSENT),
    "no-such-key-head": lambda client, etag: client.head_object(**ABSENT),
    "no-such-key-copy": lambda client, etag: client.copy_object(Bucket="bucket", Key="copy", CopySource=ABSENT),
    "no-such-key-if-match": lambda client, etag: client.put_object(**ABSENT, Body=b"", IfMatch=etag),
    "not-modified": lambda client, etag: client.get_object(Bucket="bucket", Key=KEY, IfNoneMatch=etag),
    "not-modified-head": lambda client, etag: client.head_object(Bucket="bucket", Key=KEY, IfNoneMatch=etag),
    "changed": lambda client, etag: client.get_object(Bucket="bucket", Key=KEY, IfMatch='"another"'),
    "changed-head": lambda client, etag: client.head_object(Bucket="bucket", Key=KEY, IfMatch='"another"'),
    "exists": lambda client, etag: client.put_object(Bucket="bucket", Key=KEY, Body=b"", IfNoneMatch="*"),
    "key-too-long": lambda client, etag: client.put_object(Bucket="bucket", Key="k" * 1025, Body=b""),
    "no-such-key-download": lambda client, etag: client.download_fileobj("bucket", "absent", io.BytesIO()),
    "no-such-upload": lambda client, etag: client.abort_multipart_upload(**ABSENT, UploadId="foreign"),
    "waiter": lambda client, etag: client.get_waiter("object_exists").wait(
        **ABSENT, WaiterConfig={"Delay": 0, "MaxAttempts": 2}
    ),
}


@pytest.mark.parametrize("case", REAL)
def test_er_02_answer_is_raised_as_by_boto3(s3: StrictWorld, case: str) -> None:
    """ER-02, E1: 304, 404, 412 and their like, as an S3 says them by itself."""
    s3.client().put_object(**s3.object_at(), Body=b"text")
    etag = s3.plain.head_object(**s3.object_at())["ETag"]
    errors = []
    for client in (s3.plain, s3.client()):
        with pytest.raises((ClientError, WaiterError)) as caught:
            REAL[case](client, etag)
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]


BUCKETLESS: dict[str, Callable[[Any], Any]] = {
    "put_object": lambda client: client.put_object(Bucket="no-such-bucket", Key=KEY, Body=b"text"),
    "get_object": lambda client: client.get_object(Bucket="no-such-bucket", Key=KEY),
    "head_object": lambda client: client.head_object(Bucket="no-such-bucket", Key=KEY),
    "delete_object": lambda client: client.delete_object(Bucket="no-such-bucket", Key=KEY),
    "list_objects_v2": lambda client: client.list_objects_v2(Bucket="no-such-bucket"),
    "create_multipart_upload": lambda client: client.create_multipart_upload(Bucket="no-such-bucket", Key=KEY),
    "upload_fileobj": lambda client: client.upload_fileobj(io.BytesIO(b"text"), "no-such-bucket", KEY),
    "download_fileobj": lambda client: client.download_fileobj("no-such-bucket", KEY, io.BytesIO()),
}


@pytest.mark.parametrize("call", BUCKETLESS)
def test_missing_bucket_is_raised_as_by_boto3(moto: World, call: str) -> None:
    """ER-02, E1: NoSuchBucket, from an S3 that knows its buckets."""
    errors = [error_of(lambda client=client: BUCKETLESS[call](client)) for client in (moto.plain, moto.client())]  # type: ignore[misc]
    assert told(errors[0]) == told(errors[1])


def test_except_clauses_of_programs_match(s3: StrictWorld) -> None:
    """E1: the classes are the very ones of the wrapped client, caught by what programs catch."""
    client = s3.client()
    for caught in (
        client.exceptions.NoSuchKey,
        s3.plain.exceptions.NoSuchKey,
        client.exceptions.ClientError,
        ClientError,
    ):
        with pytest.raises(caught):
            client.get_object(**s3.object_at())
    with pytest.raises(ParamValidationError):
        client.get_object(Bucket=s3.bucket)


def test_file_transfers_fail_in_boto3s_classes(s3: StrictWorld, tmp_path: Path) -> None:
    """E1: S3UploadFailedError and the 404 of a download, as programs expect them."""
    (tmp_path / "source").write_bytes(b"text")
    errors = []
    for client in (s3.plain, s3.client()):
        s3.server.script(refusal(403, "AccessDenied"), method="PUT")
        with pytest.raises(S3UploadFailedError) as upload:
            client.upload_file(str(tmp_path / "source"), s3.bucket, KEY)
        with pytest.raises(ClientError) as download:
            client.download_file(s3.bucket, KEY, str(tmp_path / "target"))
        errors.append((str(upload.value), str(download.value)))
    assert errors[0] == errors[1]
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_object_that_changes_while_it_is_downloaded_is_told_as_by_boto3(s3: StrictWorld) -> None:
    """E1: s3transfer's own error, however long the object is."""
    s3.client().put_object(**s3.object_at(), Body=b"text")
    for client in (s3.plain, s3.client()):
        s3.server.script(refusal(412, "PreconditionFailed"), method="GET")
        with pytest.raises(DOWNLOAD_FAILED_ERROR, match="ETag"):
            client.download_fileobj(s3.bucket, KEY, io.BytesIO())


# --- without an answer ------------------------------------------------------------------------------------------------

NETWORK: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    name: call
    for name, (_, call) in CALLS.items()
    if name in ("put_object", "get_object", "head_object", "delete_object")
}


@pytest.mark.parametrize("call", NETWORK)
def test_server_that_is_not_there_is_told_as_by_boto3(call: str) -> None:
    """A connection that can't be made is botocore's EndpointConnectionError."""
    world = World("http://127.0.0.1:1")
    errors = []
    for client in (world.plain, world.client()):
        with pytest.raises(EndpointConnectionError) as caught:
            NETWORK[call](client, world.object_at())
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    world.close()


@pytest.mark.parametrize("call", NETWORK)
def test_server_that_hangs_up_is_told_as_by_boto3(s3: StrictWorld, call: str) -> None:
    """A connection that breaks off is botocore's ConnectionClosedError, after as many attempts."""
    errors = []
    for client in (s3.plain_client(), s3.new_client()):
        s3.server.script(HANG_UP, method=CALLS[call][0], times=ALWAYS)
        with pytest.raises(ConnectionClosedError) as caught:
            NETWORK[call](client, s3.object_at())
        errors.append((str(caught.value), len(s3.requests)))
        s3.server.reset()
    assert errors[0] == errors[1]
