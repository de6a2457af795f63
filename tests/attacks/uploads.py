"""Objects that went up in parts."""

from __future__ import annotations

from typing import Any

from support.encoder import Stored
from support.worlds import KEY

from .bucket import Bucket
from .witness import MARKER

MIB = 2**20


def marked(length: int) -> bytes:
    """Return a plaintext of a length, full of the marker."""
    return (MARKER * (length // len(MARKER) + 1))[:length]


def upload(bucket: Bucket, client: Any, sizes: tuple[int, ...], key: str = KEY) -> Stored:
    """Return an object that was uploaded in parts of these sizes."""
    named, parts = started(bucket, client, sizes, key)
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    return bucket.get(key)


def started(
    bucket: Bucket, client: Any, sizes: tuple[int, ...], key: str = KEY
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the names of an upload whose parts were all sent, and the list of its parts."""
    named = bucket.world.object_at(key)
    named["UploadId"] = client.create_multipart_upload(**named)["UploadId"]
    plaintext, parts, start = marked(sum(sizes)), [], 0
    for number, size in enumerate(sizes, start=1):
        answer = client.upload_part(**named, PartNumber=number, Body=plaintext[start : start + size])
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        start += size
    return named, parts
