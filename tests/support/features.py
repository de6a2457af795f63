"""What the installed boto3 can do. Tests of what only newer ones can are skipped where it is older, by that reason."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

import boto3
import botocore.exceptions
import botocore.httpsession
import botocore.response
import pytest
import s3transfer.exceptions
from botocore.exceptions import (
    EndpointResolutionError,
    IncompleteReadError,
    ParamValidationError,
    ResponseStreamingError,
)

_CLIENT = boto3.client("s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
_MODEL = _CLIENT.meta.service_model


def _has(operation: str, parameter: str = "") -> bool:
    if operation not in _MODEL.operation_names:
        return False
    return not parameter or parameter in _MODEL.operation_model(operation).input_shape.members


def _validates_first() -> bool:
    # Older versions make a request's address before they validate, and stumble over what is no text.
    try:
        _CLIENT.head_object(Bucket="bucket", Key=5)
    except ParamValidationError:
        return True
    except EndpointResolutionError:
        pass
    return False


_SENDS = inspect.getsource(botocore.httpsession.URLLib3Session.send)
# How a cut stream ends: older versions let urllib3 find it out.
CUT_STREAM_ERROR = IncompleteReadError if "enforce_content_length" in _SENDS else ResponseStreamingError
# Older versions of s3transfer don't pin what they download: there S3's own error comes out.
DOWNLOAD_FAILED_ERROR = getattr(s3transfer.exceptions, "S3DownloadFailedError", botocore.exceptions.ClientError)

# A feature, whether this boto3 has it, and the texts by which the ids of its tests are known.
_FEATURES: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
    ("RenameObject", _has("RenameObject"), ("test_rename_", "_rename_never", "RenameObject", "rename_object")),
    ("annotations of objects", _has("PutObjectAnnotation"), ("_annotation", "Annotation")),
    ("ChecksumSHA512", _has("PutObject", "ChecksumSHA512"), ("ChecksumSHA512",)),
    ("ChecksumMD5", _has("PutObject", "ChecksumMD5"), ("ChecksumMD5",)),
    ("StreamingBody.readinto", hasattr(botocore.response.StreamingBody, "readinto"), ("readinto", "TextIOWrapper")),
    (
        "aws_account_id",
        "aws_account_id" in inspect.signature(boto3.Session.client).parameters,
        ("test_keyword_of_boto3_is_accepted", "test_every_keyword_of_boto3_is_known", "keywords_are_complete"),
    ),
    (
        "validation before the address is made",
        _validates_first(),
        (".Key-type]", ".CopySource-type]", "test_wrong_copy_is_answered_as_by_boto3[number]"),
    ),
    (
        "S3DownloadFailedError",
        hasattr(s3transfer.exceptions, "S3DownloadFailedError"),
        ("object_that_is_replaced_between_ranges", "object_that_changes_while_it_is_downloaded"),
    ),
)


def skip_what_is_missing(items: Iterable[pytest.Item]) -> None:
    """Mark the tests of features that this boto3 does not have."""
    missing = [(name, texts) for name, is_there, texts in _FEATURES if not is_there]
    for item in items:
        for name, texts in missing:
            if any(text in item.name for text in texts):
                item.add_marker(pytest.mark.skip(reason=f"this boto3 has no {name}"))


def is_missing(text: str) -> bool:
    """Return whether a text, such as the name of an operation, is about a feature that this boto3 does not have."""
    return any(not is_there and any(part in text for part in texts) for _, is_there, texts in _FEATURES)
