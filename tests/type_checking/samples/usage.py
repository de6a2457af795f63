"""Correct programs: no type checker has anything to say about them."""

from __future__ import annotations

import io

from s3_encryption import (
    AesKeyring,
    CommitmentPolicy,
    DecryptionError,
    S3EncryptionClient,
    S3EncryptionClientConfig,
    S3EncryptionSession,
)
from s3_encryption.materials.kms_keyring import KmsKeyring


def keyword_form(key: bytes) -> S3EncryptionClient:
    """Make a client, with options of both kinds."""
    return S3EncryptionClient(
        aes_key=key,
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
        region_name="eu-west-1",
        endpoint_url=None,
        config=None,
    )


def config_form(s3: object, kms: object) -> S3EncryptionClient:
    """Make a client from a configuration object."""
    config = S3EncryptionClientConfig(KmsKeyring(kms, "alias/my-key", enable_legacy_wrapping_algorithms=True))
    by_name = S3EncryptionClient(wrapped_s3_client=s3, config=config)
    with by_name as same:
        same.list_buckets()
    by_name.close()
    return S3EncryptionClient(s3, config)


def calls(s3: S3EncryptionClient) -> bytes:
    """Call what takes further parameters, and what does not."""
    s3.put_object(Bucket="b", Key="k", Body=b"", EncryptionContext={"tenant": "7"}, InstructionFileSuffix=".i")
    s3.create_multipart_upload(Bucket="b", Key="k", EncryptionContext={"tenant": "7"})
    s3.copy_object(Bucket="b", Key="k", CopySource="b/other", InstructionFileSuffix=".i")
    s3.delete_object(Bucket="b", Key="k", InstructionFileSuffix=".i")
    s3.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "k"}]}, InstructionFileSuffix=".i")
    s3.upload_file("name", "b", "k", ExtraArgs={"EncryptionContext": {"tenant": "7"}})
    s3.upload_fileobj(io.BytesIO(), "b", "k")
    s3.download_file("b", "k", "name")
    s3.get_waiter("object_exists").wait(Bucket="b", Key="k")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="b"):
        for item in page.get("Contents", []):
            print(item["Key"], item["Size"])
    try:
        with s3.open("b", "k", EncryptionContext={"tenant": "7"}) as file:
            file.seek(1)
        content: bytes = s3.get_object(Bucket="b", Key="k", EncryptionContext={"tenant": "7"})["Body"].read()
        return content
    except s3.exceptions.NoSuchKey:
        return b""
    except DecryptionError as error:
        print(error.bucket, error.key)
        raise


def sessions(key: bytes) -> None:
    """Make clients and resources by a session."""
    session = S3EncryptionSession(keyring=AesKeyring(key), region_name="eu-west-1")
    session.client("s3", endpoint_url="http://localhost").put_object(Bucket="b", Key="k", EncryptionContext={})
    session.resource("s3").Object("b", "k").put(Body=b"")
    session.client("kms").close()
