"""Answers have the members of plain boto3's answers, and the same values where these are not about the ciphertext."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from support.uploads import MIB
from support.worlds import KEY, World

from s3_encryption import CommitmentPolicy

TEXT = b"hello"
# Different by nature: made anew for each object or request, or told in terms of the ciphertext.
_OWN = {
    "ETag",
    "ChecksumCRC32",
    "UploadId",
    "VersionId",
    "LastModified",
    "Date",
    "EncryptionEnvelope",
    "ResponseMetadata",
    "Body",
}
Answer = dict[str, Any]


def _put(client: Any, bucket: str) -> Answer:
    answer: Answer = client.put_object(
        Bucket=bucket,
        Key=KEY,
        Body=TEXT,
        Metadata={"own": "1"},
        ContentType="text/plain",
        CacheControl="no-store",
        ContentDisposition="inline",
        ContentLanguage="en",
        Tagging="a=b",
        StorageClass="STANDARD_IA",
    )
    return answer


def _uploaded(client: Any, bucket: str) -> list[Answer]:
    named = {"Bucket": bucket, "Key": "in parts"}
    answers = [client.create_multipart_upload(**named, ContentType="text/plain")]
    named["UploadId"] = answers[0]["UploadId"]
    parts = []
    for number, size in enumerate((5 * MIB, 6 * MIB), start=1):
        answers.append(client.upload_part(**named, PartNumber=number, Body=bytes(size)))
        parts.append({"PartNumber": number, "ETag": answers[-1]["ETag"]})
    answers.append(client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts}))
    return answers


def _aborted(client: Any, bucket: str) -> list[Answer]:
    named = {"Bucket": bucket, "Key": "aborted"}
    started = client.create_multipart_upload(**named)
    return [client.abort_multipart_upload(**named, UploadId=started["UploadId"])]


CALLS: dict[str, Callable[[Any, str], list[Answer]]] = {
    "put_object": lambda client, bucket: [_put(client, bucket)],
    "get_object": lambda client, bucket: [client.get_object(Bucket=bucket, Key=KEY)],
    "get_object-range": lambda client, bucket: [client.get_object(Bucket=bucket, Key=KEY, Range="bytes=0-")],
    "get_object-response-headers": lambda client, bucket: [
        client.get_object(Bucket=bucket, Key=KEY, ResponseContentType="text/html", ResponseCacheControl="none")
    ],
    "head_object": lambda client, bucket: [client.head_object(Bucket=bucket, Key=KEY)],
    "multipart": _uploaded,
    "abort": _aborted,
    "copy_object": lambda client, bucket: [
        client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": KEY})
    ],
    "tagging": lambda client, bucket: [client.get_object_tagging(Bucket=bucket, Key=KEY)],
    "delete_object": lambda client, bucket: [client.delete_object(Bucket=bucket, Key="absent")],
    "delete_objects": lambda client, bucket: [
        client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "absent"}, {"Key": "missing"}]})
    ],
}


def told(answers: list[Answer]) -> list[tuple[set[str], Answer, int]]:
    """Return the members of answers, what can be compared of their values, and their status."""
    return [
        (
            # A checksum of the ciphertext is left out of answers to reads, and what is not the user's is apart.
            set(answer) - {"ChecksumCRC32", "ChecksumType", "EncryptionEnvelope"},
            {name: value for name, value in answer.items() if name not in _OWN and name != "CopyObjectResult"},
            answer["ResponseMetadata"]["HTTPStatusCode"],
        )
        for answer in answers
    ]


# With V2 and an instruction file, nothing on the object tells HEAD that it is encrypted.
CLIENTS: dict[str, dict[str, Any]] = {
    "V2": {},
    "V3-instruction-file": {
        "commitment_policy": CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
        "envelope_location": "instruction_file",
    },
}


@pytest.mark.parametrize("options", CLIENTS)
@pytest.mark.parametrize("call", CALLS)
def test_row_r1_answer_has_the_members_of_boto3s(moto: World, call: str, options: str) -> None:
    """R1: lengths, ranges, types, versions, tags and status are those of an object that was not encrypted."""
    results = []
    for client in (moto.plain, moto.client(**CLIENTS[options])):
        _put(client, moto.bucket)
        results.append(told(CALLS[call](client, moto.bucket)))
    assert results[1] == results[0]


USERS = {"own": "1", "x-amz-key-of-mine": "2"}


def test_row_r2_metadata_of_a_plain_copy_needs_the_envelope(moto: World) -> None:
    """R2: the user's names and the envelope together are what S3 has: a plain client that copies both keeps both."""
    client = moto.client()
    client.put_object(**moto.object_at(), Body=TEXT, Metadata=USERS)
    for answer in (client.get_object(**moto.object_at()), client.head_object(**moto.object_at())):
        assert answer["Metadata"] == USERS
        assert {**USERS, **answer["EncryptionEnvelope"]} == moto.metadata_stored()
    head = client.head_object(**moto.object_at())
    metadata = {**head["Metadata"], **head["EncryptionEnvelope"], "own": "changed"}
    replaced = {"MetadataDirective": "REPLACE", "Metadata": metadata}
    moto.plain.copy_object(**moto.object_at("copy"), CopySource=moto.object_at(), **replaced)
    answer = client.get_object(**moto.object_at("copy"))
    assert (answer["Body"].read(), answer["Metadata"]["own"]) == (TEXT, "changed")


USES: dict[str, Callable[[Any, str, Answer], Any]] = {
    "put_object": lambda client, bucket, read: client.put_object(
        Bucket=bucket, Key="new", Body=TEXT, Metadata=read["Metadata"]
    ),
    "upload_fileobj": lambda client, bucket, read: client.upload_fileobj(
        io.BytesIO(bytes(9 * MIB)), bucket, "new", {"Metadata": read["Metadata"]}
    ),
    "copy_object": lambda client, bucket, read: client.copy_object(
        **_copied(bucket), MetadataDirective="REPLACE", Metadata={**read["Metadata"], "own": "changed"}
    ),
    "copy": lambda client, bucket, read: client.copy(
        **_copied(bucket), ExtraArgs={"MetadataDirective": "REPLACE", "Metadata": read["Metadata"]}
    ),
    "copy_object-onto-itself": lambda client, bucket, read: client.copy_object(
        **{**_copied(bucket), "Key": KEY}, MetadataDirective="REPLACE", Metadata={**read["Metadata"], "more": "3"}
    ),
}


def _copied(bucket: str) -> Answer:
    return {"CopySource": {"Bucket": bucket, "Key": KEY}, "Bucket": bucket, "Key": "new"}


@pytest.mark.parametrize("options", CLIENTS)
@pytest.mark.parametrize("use", USES)
def test_metadata_that_was_read_is_written_as_by_boto3(moto: World, use: str, options: str) -> None:
    """What a program reads as Metadata, writes back and compares is what it is with plain boto3."""
    told = []
    for client in (moto.plain, moto.client(**CLIENTS[options])):
        client.put_object(**moto.object_at(), Body=TEXT, Metadata=USERS)
        USES[use](client, moto.bucket, client.head_object(**moto.object_at()))
        named = moto.object_at(KEY if use.endswith("itself") else "new")
        answers = [client.head_object(**named), client.get_object(**named)]
        told.append([answer["Metadata"] for answer in answers] + [len(answers[1]["Body"].read())])
    assert told[0] == told[1]


def test_metadata_of_a_resource_is_the_users(moto: World) -> None:
    """Object.metadata of a boto3 resource, loaded or got, has the user's names only."""
    client = moto.client()
    client.put_object(**moto.object_at(), Body=TEXT, Metadata=USERS)
    resource = boto3.resource("s3", endpoint_url=moto.url)
    resource.meta.client.close()
    resource.meta.client = client
    stored = resource.Object(moto.bucket, KEY)
    assert (stored.metadata, stored.content_length, stored.get()["Metadata"]) == (USERS, len(TEXT), USERS)


def test_headers_of_metadata_are_as_s3_sent_them(moto: World) -> None:
    """Whoever looks at the HTTP headers sees what S3 has, envelope included."""
    client = moto.client()
    client.put_object(**moto.object_at(), Body=TEXT, Metadata=USERS)
    for answer in (client.get_object(**moto.object_at()), client.head_object(**moto.object_at())):
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        prefix = "x-amz-meta-"
        sent = {name.removeprefix(prefix): text for name, text in headers.items() if name.startswith(prefix)}
        assert sent == moto.metadata_stored()


def test_row_r1_position_in_the_body_counts_plaintext(moto: World) -> None:
    """R1: tell() counts what was read, whatever was fetched, also while unverified bytes are released."""
    for options in ({}, {"enable_delayed_authentication": True}):
        client = moto.client(**options)
        client.put_object(**moto.object_at(), Body=bytes(range(100)))
        body = client.get_object(**moto.object_at())["Body"]
        positions = [(len(body.read(size)), body.tell()) for size in (10, 0, 50, 100)]
        assert positions == [(10, 10), (0, 10), (50, 60), (40, 100)]
