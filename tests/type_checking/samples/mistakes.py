"""Mistakes that a type checker finds. ``always`` stands where it needs no stubs for that."""

from __future__ import annotations

from s3_encryption import AesKeyring, S3EncryptionClient, S3EncryptionClientConfig


def construction(s3: object, config: S3EncryptionClientConfig) -> None:
    """Make a client wrongly."""
    S3EncryptionClient(aes_key=b"", enable_legacy_write=True)  # error: call-overload, always
    S3EncryptionClient(s3, aes_key="text")  # error: call-overload, always
    S3EncryptionClient(s3, config, regoin_name="eu-west-1")  # error: call-overload, always
    S3EncryptionClient(s3, AesKeyring(b""))  # error: call-overload, always
    S3EncryptionClientConfig(AesKeyring(b""), commitment_policy="FORBID")  # error: arg-type, always


def calls(s3: S3EncryptionClient) -> None:
    """Call it wrongly."""
    s3.put_object(Bucket="b", Key="k", EncryptionContxt={})  # error: call-arg
    s3.put_object(Bucket="b", Key="k", EncryptionContext={"tenant": 7})  # error: dict-item
    s3.put_object(Bucket="b", Key="k", Body=5)  # error: arg-type
    s3.put_object(Bucket="b")  # error: call-arg
    s3.get_object(Bucket="b", Key="k", Rnage="bytes=0-1")  # error: call-arg
    s3.head_object(Bucket="b", Key="k", EncryptionContext={})  # error: call-arg
    s3.create_multipart_upload(Bucket="b", Key="k", EncryptionContext="x")  # error: arg-type
    s3.no_such_operation()  # error: attr-defined
    s3.upload_file("name", "b")  # error: call-arg, always
