"""upload_part_copy: a part of an encrypted upload that comes from another object.

S3 can't copy it, because it must be encrypted under the upload's own key. So the source is read through this client,
once for all parts that come from it: whole and verified, then kept as other parts are that wait.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from botocore.exceptions import ClientError

from .._body.parking import ParkedBody
from .._body.plaintext import is_digest_name
from .._body.response import closing_body
from .._body.sizes import IO_BLOCK_BYTES
from .call import Call, Params, error_code, s3_error
from .copy import SOURCE_PARAMETERS, address_of_source
from .get import get_object
from .multipart import find_upload, upload_part
from .upload import Upload

_OPERATION = "UploadPartCopy"
# What a read of the source says of the conditions of the copy.
_CONDITIONS = {
    "CopySourceIfMatch": "IfMatch",
    "CopySourceIfNoneMatch": "IfNoneMatch",
    "CopySourceIfModifiedSince": "IfModifiedSince",
    "CopySourceIfUnmodifiedSince": "IfUnmodifiedSince",
}
_OF_SOURCE = {"CopySource", "CopySourceRange", *_CONDITIONS, *SOURCE_PARAMETERS} - {"RequestPayer"}


def upload_part_copy(call: Call) -> Any:
    """Read the source, upload it as a part, and return S3's answer; into other uploads S3 copies what it has."""
    upload, address = find_upload(call), address_of_source(call.params)
    if upload is None or address is None:
        return call.send(_OPERATION, call.params)
    params = call.params
    source, version = _source(call, upload, address)
    start, stop = _span(params.get("CopySourceRange"), source.length)
    own = {name: value for name, value in params.items() if name not in _OF_SOURCE}
    answer = dict(upload_part(replace(call, params={**own, "Body": source.section(start, stop)})))
    result = {name: answer.pop(name) for name in list(answer) if name == "ETag" or is_digest_name(name)}
    told = {} if version is None else {"CopySourceVersionId": version}
    return {"CopyPartResult": {**result, "LastModified": datetime.now(timezone.utc)}, **told, **answer}


def _source(call: Call, upload: Upload, address: Params) -> tuple[ParkedBody, str | None]:
    """Return the plaintext of a source, and its version; read if no part of the upload has come from it so far.

    Raises:
        ClientError: S3's own, for a source that is not there, or is not what the conditions say.
        S3EncryptionClientError: As for get_object.
    """
    names = {**_CONDITIONS, **SOURCE_PARAMETERS}
    wanted = {to: call.params[name] for name, to in names.items() if name in call.params} | address
    # Another condition, or another customer key, is another read.
    identity = tuple(sorted((name, str(value)) for name, value in wanted.items()))
    with upload.reading_source:
        if identity not in upload.sources:
            upload.sources[identity] = _read(replace(call, params=wanted), upload)
        return upload.sources[identity]


def _read(call: Call, upload: Upload) -> tuple[ParkedBody, str | None]:
    try:
        answer = get_object(call)
    except ClientError as error:
        if error_code(error) in ("304", "NotModified"):
            # What a read calls not modified, a copy calls a condition that does not hold.
            message = "At least one of the pre-conditions you specified did not hold"
            raise s3_error("PreconditionFailed", message, _OPERATION) from None
        raise type(error)(error.response, _OPERATION) from None

    def blocks() -> Iterator[bytes]:
        with closing_body(answer["Body"]) as body:
            yield from iter(lambda: body.read(IO_BLOCK_BYTES), b"")

    return upload.space.park(blocks()), answer.get("VersionId")


def _span(text: str | None, length: int) -> tuple[int, int]:
    """Return the span of the source that a copy asks for.

    Raises:
        ClientError: S3's own, for anything else than a range that is all in the source.
    """
    if text is None:
        return 0, length
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", text)
    if found is None:
        message = (
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy"
        )
        raise s3_error("InvalidArgument", message, _OPERATION)
    start, stop = int(found[1]), int(found[2]) + 1
    if start >= stop or stop > length:
        raise s3_error(
            "InvalidArgument", f"Range specified is not valid for source object of size: {length}", _OPERATION
        )
    return start, stop
