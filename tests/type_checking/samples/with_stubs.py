"""What boto3-stubs tells about the client: the types are those of a boto3 client."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.response import StreamingBody
from mypy_boto3_s3 import S3Client, S3ServiceResource
from mypy_boto3_s3.paginator import ListObjectsV2Paginator
from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef, ObjectTypeDef, PutObjectOutputTypeDef
from typing_extensions import assert_type

from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig, S3EncryptionSession


def wants_a_client(s3: S3Client) -> None:
    """Take a boto3 client."""


def is_a_client(s3: S3EncryptionClient) -> Iterator[ObjectTypeDef]:
    """Use one like the other."""
    wants_a_client(s3)
    assert_type(s3.get_object(Bucket="b", Key="k")["Body"], StreamingBody)
    assert_type(s3.put_object(Bucket="b", Key="k"), PutObjectOutputTypeDef)
    head: HeadObjectOutputTypeDef = s3.head_object(Bucket="b", Key="k")
    assert_type(head["ContentLength"], int)
    assert_type(s3.head_object(Bucket="b", Key="k")["EncryptionEnvelope"], dict[str, str])
    assert_type(s3.get_object(Bucket="b", Key="k")["EncryptionEnvelope"], dict[str, str])
    assert_type(s3.get_paginator("list_objects_v2"), ListObjectsV2Paginator)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="b"):
        yield from page.get("Contents", [])


def is_made_as_one(s3: S3Client, config: S3EncryptionClientConfig, session: S3EncryptionSession) -> None:
    """Make one in every way."""
    assert_type(S3EncryptionClient(s3, kms_key_id="alias/my-key"), S3EncryptionClient)
    assert_type(S3EncryptionClient(s3, config), S3EncryptionClient)
    assert_type(session.client("s3"), S3EncryptionClient)
    assert_type(session.resource("s3"), S3ServiceResource)
    wants_a_client(session.client("s3"))
