"""What type checkers see of the client, by the types of boto3-stubs. It is never imported at run time.

Where the stubs are not installed, whatever is made of them is ``Any``, and user code has no errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.config import Config
from mypy_boto3_s3.client import S3Client
from mypy_boto3_s3.type_defs import (
    CopyObjectOutputTypeDef,
    CopyObjectRequestTypeDef,
    CreateMultipartUploadOutputTypeDef,
    CreateMultipartUploadRequestTypeDef,
    DeleteObjectOutputTypeDef,
    DeleteObjectRequestTypeDef,
    DeleteObjectsOutputTypeDef,
    DeleteObjectsRequestTypeDef,
    GetObjectOutputTypeDef,
    GetObjectRequestTypeDef,
    HeadObjectOutputTypeDef,
    HeadObjectRequestTypeDef,
    PutObjectOutputTypeDef,
    PutObjectRequestTypeDef,
)
from typing_extensions import TypedDict, Unpack

from ._crypto.content import CommitmentPolicy
from ._keys.keyring import Keyring


class Options(TypedDict, total=False):
    """The keywords of the constructor: those of the encryption, and those of ``boto3.client``."""

    session: Any
    keyring: Keyring | None
    kms_key_id: str | None
    aes_key: bytes | None
    rsa_key: Any
    commitment_policy: CommitmentPolicy
    enable_legacy_wrapping_algorithms: bool
    enable_legacy_unauthenticated_modes: bool
    enable_legacy_writes: bool
    content_algorithm: str | None
    enable_unauthenticated_ranges: bool
    enable_delayed_authentication: bool
    allow_plaintext_reads: bool
    enable_plaintext_presigned_uploads: bool
    buffer_size: int
    envelope_location: str
    instruction_file_suffix: str
    ignore_instruction_files: bool

    region_name: str | None
    api_version: str | None
    use_ssl: bool | None
    verify: bool | str | None
    endpoint_url: str | None
    aws_access_key_id: str | None
    aws_secret_access_key: str | None
    aws_session_token: str | None
    aws_account_id: str | None


class BotoConfig(TypedDict, total=False):
    """The keyword that means another thing when it is given as ``(client, config)``."""

    config: Config | None


class KeywordOptions(Options, BotoConfig, total=False):
    """All keywords of the keyword form."""


# Not by a common base: without the stubs, these must not be dicts of nothing but these two.
class PutObjectRequest(PutObjectRequestTypeDef, total=False):
    """Parameters of put_object."""

    EncryptionContext: Mapping[str, str]
    InstructionFileSuffix: str


class GetObjectRequest(GetObjectRequestTypeDef, total=False):
    """Parameters of get_object."""

    EncryptionContext: Mapping[str, str]
    InstructionFileSuffix: str


class CreateMultipartUploadRequest(CreateMultipartUploadRequestTypeDef, total=False):
    """Parameters of create_multipart_upload."""

    EncryptionContext: Mapping[str, str]
    InstructionFileSuffix: str


class CopyObjectRequest(CopyObjectRequestTypeDef, total=False):
    """Parameters of copy_object."""

    InstructionFileSuffix: str


class DeleteObjectRequest(DeleteObjectRequestTypeDef, total=False):
    """Parameters of delete_object."""

    InstructionFileSuffix: str


class DeleteObjectsRequest(DeleteObjectsRequestTypeDef, total=False):
    """Parameters of delete_objects."""

    InstructionFileSuffix: str


class GetObjectOutput(GetObjectOutputTypeDef, total=False):
    """The answer of get_object."""

    EncryptionEnvelope: dict[str, str]


class HeadObjectOutput(HeadObjectOutputTypeDef, total=False):
    """The answer of head_object."""

    EncryptionEnvelope: dict[str, str]


class Client(S3Client):
    """An S3 client whose calls take the further parameters."""

    def put_object(self, **kwargs: Unpack[PutObjectRequest]) -> PutObjectOutputTypeDef:
        """Store an object, encrypted."""
        raise NotImplementedError

    def get_object(self, **kwargs: Unpack[GetObjectRequest]) -> GetObjectOutput:
        """Return an object, decrypted."""
        raise NotImplementedError

    def head_object(self, **kwargs: Unpack[HeadObjectRequestTypeDef]) -> HeadObjectOutput:
        """Return what is known of an object, in terms of its plaintext."""
        raise NotImplementedError

    def create_multipart_upload(
        self, **kwargs: Unpack[CreateMultipartUploadRequest]
    ) -> CreateMultipartUploadOutputTypeDef:
        """Begin a multipart upload, encrypted."""
        raise NotImplementedError

    def copy_object(self, **kwargs: Unpack[CopyObjectRequest]) -> CopyObjectOutputTypeDef:
        """Copy an object with its envelope."""
        raise NotImplementedError

    def delete_object(self, **kwargs: Unpack[DeleteObjectRequest]) -> DeleteObjectOutputTypeDef:
        """Delete an object, and its instruction file where it has one."""
        raise NotImplementedError

    def delete_objects(self, **kwargs: Unpack[DeleteObjectsRequest]) -> DeleteObjectsOutputTypeDef:
        """Delete objects, and their instruction files where they have such."""
        raise NotImplementedError
