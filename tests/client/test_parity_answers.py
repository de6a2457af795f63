"""Answers have the members of plain boto3's answers, and the same values where these are not about the ciphertext."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    "Metadata",
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
            # A checksum of the ciphertext is left out of answers to reads.
            set(answer) - {"ChecksumCRC32", "ChecksumType"},
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


def test_row_r2_metadata_of_the_user_is_kept_beside_the_envelope(moto: World) -> None:
    """R2: the user's own names come back, and the envelope under its own: a copy by a plain client stays readable."""
    client = moto.client()
    client.put_object(**moto.object_at(), Body=TEXT, Metadata={"own": "1", "x-amz-key-of-mine": "2"})
    for answer in (client.get_object(**moto.object_at()), client.head_object(**moto.object_at())):
        assert {name: answer["Metadata"][name] for name in ("own", "x-amz-key-of-mine")} == {
            "own": "1",
            "x-amz-key-of-mine": "2",
        }
    metadata = client.head_object(**moto.object_at())["Metadata"]
    replaced = {"MetadataDirective": "REPLACE", "Metadata": {**metadata, "own": "changed"}}
    moto.plain.copy_object(**moto.object_at("copy"), CopySource=moto.object_at(), **replaced)
    answer = client.get_object(**moto.object_at("copy"))
    assert (answer["Body"].read(), answer["Metadata"]["own"]) == (TEXT, "changed")


def test_row_r1_position_in_the_body_counts_plaintext(moto: World) -> None:
    """R1: tell() counts what was read, whatever was fetched, also while unverified bytes are released."""
    for options in ({}, {"enable_delayed_authentication": True}):
        client = moto.client(**options)
        client.put_object(**moto.object_at(), Body=bytes(range(100)))
        body = client.get_object(**moto.object_at())["Body"]
        positions = [(len(body.read(size)), body.tell()) for size in (10, 0, 50, 100)]
        assert positions == [(10, 10), (0, 10), (50, 60), (40, 100)]
