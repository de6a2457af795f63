"""Multipart uploads as programs make them, and an S3 in memory that is called without a network."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3_encryption import CommitmentPolicy
from s3_encryption._keys.raw import AesKeyring
from s3_encryption._operations import multipart
from s3_encryption._operations.call import Call, Encryption
from s3_encryption._operations.open_uploads import OPEN_UPLOADS

from .opened import opened
from .sealers import sealer_with
from .worlds import AES_KEY, BUCKET, KEY, StrictWorld

MIB = 2**20
MIN_PART_BYTES = 5 * MIB
DATA = random.Random("multipart").randbytes(11 * MIB)
POLICIES = {
    "V2": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
    "V3": CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
}
policies = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)


def cut(*sizes: int) -> list[bytes]:
    """Return parts of these sizes, which together are the start of DATA."""
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return [DATA[start : start + size] for start, size in zip(starts, sizes, strict=True)]


class Upload:
    """One multipart upload under way: it remembers the ETags, as a program would."""

    def __init__(self, client: Any, key: str = KEY, repeated: Mapping[str, Any] | None = None, **params: Any) -> None:
        self.client = client
        # What all calls of the upload have in common.
        self.named = {"Bucket": BUCKET, "Key": key, **(repeated or {})}
        answer = client.create_multipart_upload(**self.named, **params)
        self.named["UploadId"] = answer["UploadId"]
        self.parts: dict[int, dict[str, Any]] = {}

    def send(self, number: int, body: Any, **params: Any) -> dict[str, Any]:
        """Upload a part, note what is to be said of it at the end, and return S3's answer."""
        answer: dict[str, Any] = self.client.upload_part(**self.named, PartNumber=number, Body=body, **params)
        checksums = {name: answer[name] for name in answer if name.startswith("Checksum") and name != "ChecksumType"}
        self.parts[number] = {"PartNumber": number, "ETag": answer["ETag"], **checksums}
        return answer

    def listed(self) -> list[dict[str, Any]]:
        """Return the parts as they are listed at the end."""
        return [self.parts[number] for number in sorted(self.parts)]

    def complete(self, parts: list[dict[str, Any]] | None = None, **params: Any) -> Any:
        """Complete the upload with all parts, or with those given."""
        listed = self.listed() if parts is None else parts
        return self.client.complete_multipart_upload(**self.named, MultipartUpload={"Parts": listed}, **params)

    @property
    def state(self) -> Any:
        """What this process knows of the upload."""
        uploads = OPEN_UPLOADS._uploads
        return next(upload for (_, upload_id), (upload, _) in uploads.items() if upload_id == self.named["UploadId"])

    def abort(self) -> Any:
        """Abort the upload."""
        return self.client.abort_multipart_upload(**self.named)


def uploaded(s3: StrictWorld, *sizes: int, client: Any = None, **params: Any) -> Upload:
    """Return an upload to which parts of these sizes were sent."""
    upload = Upload(client or s3.client(), **params)
    for number, part in enumerate(cut(*sizes), start=1):
        upload.send(number, part)
    return upload


def part_sizes(s3: StrictWorld) -> list[tuple[int, int]]:
    """Return number and size of every part that went over the wire, in order of arrival."""
    return [
        (int(request.query["partNumber"]), len(request.body))
        for request in s3.server.of("PUT")
        if "partNumber" in request.query
    ]


class MemoryS3:
    """Multipart uploads of an encrypting client onto an S3 that is a function: ``raw_call`` stands for the network.

    ``passes`` is how often a body is read; ``before_part`` is called with number and body before it is, and may raise.
    """

    def __init__(self, passes: int = 1, **options: Any) -> None:
        sealer = sealer_with(keyring=AesKeyring(AES_KEY), **options)
        self.encryption = Encryption(sealer, sealer.settings, "CRC32", "memory")
        self.passes = passes
        self.before_part: Callable[[int, Any], None] = lambda number, body: None
        # Every body that was read to its end, by part number; and what became of them.
        self.wire: list[tuple[int, bytes]] = []
        self.stored: dict[int, tuple[str, bytes]] = {}
        self.metadata: dict[str, str] = {}
        self.open: set[str] = set()
        self.object: bytes | None = None

    def raw_call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer as S3 would."""
        if operation == "CreateMultipartUpload":
            self.metadata = params["Metadata"]
            self.open.add(upload_id := uuid.uuid4().hex)
            return {"UploadId": upload_id}
        if params["UploadId"] not in self.open:
            raise ClientError({"Error": {"Code": "NoSuchUpload"}}, operation)
        if operation == "UploadPart":
            return self._part(params["PartNumber"], params["Body"])
        if operation == "CompleteMultipartUpload":
            parts = [(part["PartNumber"], part["ETag"]) for part in params["MultipartUpload"]["Parts"]]
            assert parts == [(number, self.stored[number][0]) for number, _ in parts]
            self.object = b"".join(self.stored[number][1] for number, _ in parts)
        if operation in ("CompleteMultipartUpload", "AbortMultipartUpload"):
            self.open.discard(params["UploadId"])
        return {}

    def _call(self, params: dict[str, Any]) -> Call:
        return Call(self.encryption, self.raw_call, params)

    def _part(self, number: int, body: Any) -> dict[str, Any]:
        self.before_part(number, body)
        content = b""
        for _ in range(self.passes):
            if not isinstance(body, bytearray):
                body.seek(0)
            content = bytes(body) if isinstance(body, bytearray) else body.read()
            self.wire.append((number, content))
        return self.keep(number, content)

    def keep(self, number: int, content: bytes) -> dict[str, Any]:
        """Take a part, and answer as S3 would."""
        etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        self.stored[number] = (etag, content)
        return {"ETag": etag}

    def plaintext(self) -> bytes:
        """Return what the completed object decrypts to."""
        assert self.object is not None
        return opened(self.object, self.metadata)

    # --- the client's operations that Upload uses ---------------------------------------------------------------------

    def create_multipart_upload(self, **params: Any) -> Any:
        """Start an upload."""
        return multipart.create_multipart_upload(self._call(params))

    def upload_part(self, **params: Any) -> Any:
        """Send a part."""
        return multipart.upload_part(self._call(params))

    def complete_multipart_upload(self, **params: Any) -> Any:
        """Complete an upload."""
        return multipart.complete_multipart_upload(self._call(params))

    def abort_multipart_upload(self, **params: Any) -> Any:
        """Abort an upload."""
        return multipart.abort_multipart_upload(self._call(params))
