"""A strict S3 in memory, path style: it enforces what moto lets pass, and records every request.

Verified on every upload: decoded length, Content-MD5, SHA-256 of signed payloads, flexible checksums in headers and in
trailers. Enforced besides: conditional writes and reads, the limits of keys and of user metadata, satisfiable ranges
(an empty object satisfies none) and part numbers, and for multipart uploads part order, ETags, part checksums and
minimal part sizes.
Whatever it does not know is refused with 501, so that a test never passes by accident.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote
from xml.etree import ElementTree

from .servers import Answer, RecordingServer, Request

MIN_PART_BYTES = 5 * 1024 * 1024
MAX_METADATA_BYTES = 2048
MAX_KEY_BYTES = 1024

_CHECKSUM_PREFIX = "x-amz-checksum-"
_UPLOAD_CHECKSUM = ("x-amz-checksum-algorithm", "x-amz-checksum-type")
_COPY_SOURCE = "x-amz-copy-source"
# What is stored with an object besides its user metadata, and comes back with it.
_KEPT_HEADERS = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
)
# Headers of the answer, which nobody here looks at, and the signatures of presigned URLs.
_INDIFFERENT_PARAMETERS = ("response-", "X-Amz-", "AWSAccessKeyId", "Signature", "Expires", "x-amz-security-token")
_DIGESTS: Mapping[str, Callable[[bytes], bytes]] = {
    "crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "sha256": lambda body: hashlib.sha256(body).digest(),
    "sha512": lambda body: hashlib.sha512(body).digest(),
}


class RefusedError(Exception):
    """What S3 answers instead: status, error code, and further elements of the error document."""

    def __init__(self, status: int, code: str, message: str = "", **elements: object) -> None:
        super().__init__(code)
        self.status = status
        self.elements = {"Code": code, "Message": message, **elements}

    def answer(self) -> Answer:
        """Return the refusal as an answer."""
        return _xml("Error", "".join(f"<{name}>{text}</{name}>" for name, text in self.elements.items()), self.status)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object: body, ETag, the headers that were stored with it, its checksum headers, and the sizes of its parts."""

    body: bytes
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[int, ...] = ()

    def span_of_part(self, number: int) -> tuple[int, int]:
        """Return the half-open span of a part; what was not uploaded in parts is one."""
        sizes = self.parts or (len(self.body),)
        if not 1 <= number <= len(sizes):
            message = "The requested partnumber is not satisfiable"
            counted = {"PartNumberRequested": number, "ActualPartCount": len(sizes)}
            raise RefusedError(416, "InvalidPartNumber", message, **counted)
        start = sum(sizes[: number - 1])
        return start, start + sizes[number - 1]

    @property
    def metadata(self) -> dict[str, str]:
        """The user metadata, the prefix removed from the names."""
        prefix = "x-amz-meta-"
        return {name.removeprefix(prefix): text for name, text in self.headers.items() if name.startswith(prefix)}


@dataclass(slots=True)
class Upload:
    """A multipart upload under way."""

    path: str
    headers: Mapping[str, str]
    algorithm: str | None
    full_object: bool
    parts: dict[int, StoredObject] = field(default_factory=dict)


# What ListParts may say of its page, and what holds otherwise.
_PAGE = {"part-number-marker": "0", "max-parts": "1000"}


class StrictS3(RecordingServer):
    """The server. ``objects`` maps "/bucket/key" to what is stored; any bucket exists."""

    def __init__(self, *args: object, **options: object) -> None:
        self.objects: dict[str, StoredObject] = {}
        self.uploads: dict[str, Upload] = {}
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def reset(self) -> None:
        """Start anew, and empty."""
        self.objects.clear()
        self.uploads.clear()
        super().reset()

    def answer(self, request: Request) -> Answer:
        """Carry out a request as S3 would."""
        try:
            _check_payload(request)
            return self._operation(request)(request)
        except RefusedError as refused:
            return refused.answer()

    def _operation(self, request: Request) -> Callable[[Request], Answer]:
        parameters = frozenset(name for name in request.query if not name.startswith(_INDIFFERENT_PARAMETERS))
        method = "COPY" if _COPY_SOURCE in request.headers else request.method
        operations = {
            ("COPY", frozenset()): self._copy,
            ("COPY", frozenset({"uploadId", "partNumber"})): self._copy_part,
            ("PUT", frozenset()): self._put,
            ("GET", frozenset()): self._get,
            ("HEAD", frozenset()): self._get,
            ("GET", frozenset({"partNumber"})): self._get,
            ("HEAD", frozenset({"partNumber"})): self._get,
            ("DELETE", frozenset()): self._delete,
            ("POST", frozenset({"uploads"})): self._create_upload,
            ("PUT", frozenset({"uploadId", "partNumber"})): self._upload_part,
            ("GET", frozenset({"uploadId"})): self._list_parts,
            ("GET", frozenset({"uploadId", "max-parts"})): self._list_parts,
            ("GET", frozenset({"uploadId", "part-number-marker"})): self._list_parts,
            ("GET", frozenset({"uploadId", "max-parts", "part-number-marker"})): self._list_parts,
            ("POST", frozenset({"uploadId"})): self._complete_upload,
            ("DELETE", frozenset({"uploadId"})): self._abort_upload,
        }
        operation = operations.get((method, parameters))
        if operation is None or request.path.count("/") < 2:
            raise RefusedError(501, "NotImplemented", f"{request.method} {request.target}")
        return operation

    # --- objects ------------------------------------------------------------------------------------------------------

    def _put(self, request: Request) -> Answer:
        _check_limits(request)
        existing = self.objects.get(request.path)
        condition = request.headers.get("if-match")
        if condition is not None and existing is None:
            raise RefusedError(404, "NoSuchKey")
        if condition is not None and existing is not None and not _names(condition, existing):
            raise RefusedError(412, "PreconditionFailed")
        if request.headers.get("if-none-match") == "*" and existing is not None:
            raise RefusedError(412, "PreconditionFailed")
        stored = _stored(request)
        self.objects[request.path] = stored
        return Answer(headers={"ETag": stored.etag, **stored.checksums})

    def _get(self, request: Request) -> Answer:
        stored = self.objects.get(request.path)
        if stored is None:
            raise RefusedError(404, "NoSuchKey")
        headers = request.headers
        if "if-match" in headers and not _names(headers["if-match"], stored):
            raise RefusedError(412, "PreconditionFailed")
        if "if-none-match" in headers and _names(headers["if-none-match"], stored):
            return Answer(304, {"ETag": stored.etag})
        answer_headers = {
            "ETag": stored.etag,
            "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT",
            "Accept-Ranges": "bytes",
            **stored.headers,
        }
        number = request.query.get("partNumber")
        if number is not None and "range" in headers:
            raise RefusedError(400, "InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
        if number is not None and stored.parts:
            answer_headers["x-amz-mp-parts-count"] = str(len(stored.parts))
        in_range = _span(headers.get("range"), len(stored.body))
        span = in_range if number is None else stored.span_of_part(int(number))
        if span is not None and span[0] < span[1]:
            start, stop = span
            content_range = f"bytes {start}-{stop - 1}/{len(stored.body)}"
            return Answer(206, {**answer_headers, "Content-Range": content_range}, stored.body[start:stop])
        checksums = stored.checksums if headers.get("x-amz-checksum-mode") == "ENABLED" else {}
        return Answer(200, {**answer_headers, **checksums}, stored.body)

    def _copied(self, request: Request) -> StoredObject:
        """Return the object that a copy is made of, or the range of it that is asked for."""
        path = unquote(request.headers[_COPY_SOURCE])
        source = self.objects.get(f"/{path.removeprefix('/')}")
        if source is None:
            raise RefusedError(404, "NoSuchKey")
        condition = request.headers.get(f"{_COPY_SOURCE}-if-match")
        if condition is not None and not _names(condition, source):
            raise RefusedError(412, "PreconditionFailed")
        start, stop = _span(request.headers.get(f"{_COPY_SOURCE}-range"), len(source.body)) or (0, len(source.body))
        body = source.body[start:stop]
        replaced = request.headers.get("x-amz-metadata-directive") == "REPLACE"
        return StoredObject(body, _etag(body), _kept_headers(request) if replaced else source.headers)

    def _copy(self, request: Request) -> Answer:
        self.objects[request.path] = copy = self._copied(request)
        return _xml("CopyObjectResult", f"<ETag>{copy.etag}</ETag>")

    def _copy_part(self, request: Request) -> Answer:
        self._upload(request).parts[int(request.query["partNumber"])] = part = self._copied(request)
        return _xml("CopyPartResult", f"<ETag>{part.etag}</ETag>")

    def _delete(self, request: Request) -> Answer:
        self.objects.pop(request.path, None)
        return Answer(204)

    # --- multipart uploads --------------------------------------------------------------------------------------------

    def _create_upload(self, request: Request) -> Answer:
        _check_limits(request)
        upload_id = uuid.uuid4().hex
        self.uploads[upload_id] = Upload(
            request.path,
            _kept_headers(request),
            request.headers.get("x-amz-checksum-algorithm"),
            request.headers.get("x-amz-checksum-type") == "FULL_OBJECT",
        )
        answer = _xml("InitiateMultipartUploadResult", f"<UploadId>{upload_id}</UploadId>")
        asked = {name: request.headers[name] for name in _UPLOAD_CHECKSUM if name in request.headers}
        return replace(answer, headers={**answer.headers, **asked})

    def _upload(self, request: Request) -> Upload:
        upload = self.uploads.get(request.query["uploadId"])
        if upload is None or upload.path != request.path:
            raise RefusedError(404, "NoSuchUpload")
        return upload

    def _upload_part(self, request: Request) -> Answer:
        upload = self._upload(request)
        number = int(request.query["partNumber"])
        if not 1 <= number <= 10_000:
            raise RefusedError(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
        part = _stored(request)
        if upload.algorithm and _CHECKSUM_PREFIX + upload.algorithm.lower() not in part.checksums:
            raise RefusedError(400, "InvalidRequest", "Checksum Type mismatch occurred")
        upload.parts[number] = part
        return Answer(headers={"ETag": part.etag, **part.checksums})

    def _list_parts(self, request: Request) -> Answer:
        marker, at_most = (int(request.query.get(name, or_else)) for name, or_else in _PAGE.items())
        parts = [part for part in sorted(self._upload(request).parts.items()) if part[0] > marker]
        elements = (
            f"<Part><PartNumber>{number}</PartNumber><ETag>{part.etag}</ETag><Size>{len(part.body)}</Size></Part>"
            for number, part in parts[:at_most]
        )
        page = f"<MaxParts>{at_most}</MaxParts><IsTruncated>{str(len(parts) > at_most).lower()}</IsTruncated>"
        if len(parts) > at_most:
            page += f"<NextPartNumberMarker>{parts[at_most - 1][0]}</NextPartNumberMarker>"
        return _xml("ListPartsResult", page + "".join(elements))

    def _complete_upload(self, request: Request) -> Answer:
        upload = self._upload(request)
        listed = [_PartListed.read(element) for element in ElementTree.fromstring(request.body)]  # noqa: S314
        numbers = [part.number for part in listed]
        if not numbers:
            raise RefusedError(400, "MalformedXML")
        if numbers != sorted(set(numbers)):
            raise RefusedError(400, "InvalidPartOrder")
        for part in listed:
            part.check(upload)
        bodies = [upload.parts[number].body for number in numbers]
        if any(len(body) < MIN_PART_BYTES for body in bodies[:-1]):
            raise RefusedError(400, "EntityTooSmall")
        etag, sizes = f'"{uuid.uuid4().hex}-{len(bodies)}"', tuple(map(len, bodies))
        stored = StoredObject(b"".join(bodies), etag, upload.headers, parts=sizes)
        _check_complete(request, stored.body)
        self.objects[upload.path] = stored
        del self.uploads[request.query["uploadId"]]
        return _xml("CompleteMultipartUploadResult", f"<ETag>{stored.etag}</ETag>")

    def _abort_upload(self, request: Request) -> Answer:
        self._upload(request)
        del self.uploads[request.query["uploadId"]]
        return Answer(204)


@dataclass(frozen=True, slots=True)
class _PartListed:
    """What CompleteMultipartUpload says of one part."""

    number: int
    etag: str
    checksums: Mapping[str, str]

    @classmethod
    def read(cls, element: ElementTree.Element) -> _PartListed:
        texts = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
        checksums = {
            _CHECKSUM_PREFIX + name.removeprefix("Checksum").lower(): text
            for name, text in texts.items()
            if name.startswith("Checksum")
        }
        return cls(int(texts["PartNumber"]), texts.get("ETag", ""), checksums)

    def check(self, upload: Upload) -> None:
        part = upload.parts.get(self.number)
        if part is None or part.etag.strip('"') != self.etag.strip('"'):
            raise RefusedError(400, "InvalidPart", f"part {self.number}")
        if upload.algorithm and not upload.full_object and not self.checksums:
            raise RefusedError(400, "InvalidRequest", f"The checksum was missing for part {self.number}")
        if not self.checksums.items() <= part.checksums.items():
            raise RefusedError(400, "InvalidPart", f"checksum of part {self.number}")


# --- checks -----------------------------------------------------------------------------------------------------------


def _check_payload(request: Request) -> None:
    """Refuse a body that is not what the headers and trailers say of it."""
    headers = {**request.headers, **request.trailers}
    if "aws-chunked" in headers.get("content-encoding", ""):
        if "x-amz-decoded-content-length" not in headers:
            raise RefusedError(411, "MissingContentLength")
        if int(headers["x-amz-decoded-content-length"]) != len(request.body):
            raise RefusedError(400, "IncompleteBody")
        if headers.get("x-amz-trailer", "") not in headers:
            raise RefusedError(400, "MalformedTrailerError")
    if "content-md5" in headers and headers["content-md5"] != _base64(_md5(request.body)):
        raise RefusedError(400, "BadDigest", "Content-MD5")
    signed = headers.get("x-amz-content-sha256", "")
    if re.fullmatch("[0-9a-f]{64}", signed) and signed != hashlib.sha256(request.body).hexdigest():
        raise RefusedError(400, "XAmzContentSHA256Mismatch")
    if "uploadId" in request.query and request.method == "POST":
        return  # these checksums are of the whole object
    for name, text in _checksums(request).items():
        digest = _DIGESTS.get(name.removeprefix(_CHECKSUM_PREFIX))
        if digest is None:
            raise RefusedError(501, "NotImplemented", name)
        if text != _base64(digest(request.body)):
            raise RefusedError(400, "BadDigest", name)


def _check_complete(request: Request, body: bytes) -> None:
    size = request.headers.get("x-amz-mp-object-size")
    if size is not None and int(size) != len(body):
        raise RefusedError(400, "InvalidRequest", "x-amz-mp-object-size")
    for name, text in _checksums(request).items():
        if text != _base64(_DIGESTS[name.removeprefix(_CHECKSUM_PREFIX)](body)):
            raise RefusedError(400, "BadDigest", name)


def _check_limits(request: Request) -> None:
    key = request.path.split("/", 2)[2]
    if len(key.encode()) > MAX_KEY_BYTES:
        raise RefusedError(400, "KeyTooLongError")
    if sum(len(name) + len(text) for name, text in request.metadata.items()) > MAX_METADATA_BYTES:
        raise RefusedError(400, "MetadataTooLarge")


def _checksums(request: Request) -> dict[str, str]:
    headers = {**request.headers, **request.trailers}
    about_checksums = tuple(_CHECKSUM_PREFIX + name for name in ("algorithm", "type", "mode"))
    return {
        name: text
        for name, text in headers.items()
        if name.startswith(_CHECKSUM_PREFIX) and name not in about_checksums
    }


def _span(header: str | None, length: int) -> tuple[int, int] | None:
    """Return the half-open span that a Range header selects; None where S3 ignores the header."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, length - int(last)), length
    else:
        start, stop = int(first), min(int(last) + 1, length) if last else length
        if last and int(last) < start:
            return None
    if start >= stop:
        message = "The requested range is not satisfiable"
        raise RefusedError(416, "InvalidRange", message, ActualObjectSize=length, RangeRequested=header)
    return start, stop


# --- small things -----------------------------------------------------------------------------------------------------


def _stored(request: Request) -> StoredObject:
    return StoredObject(request.body, _etag(request.body), _kept_headers(request), _checksums(request))


def _kept_headers(request: Request) -> dict[str, str]:
    kept = {
        name: text for name, text in request.headers.items() if name.startswith("x-amz-meta-") or name in _KEPT_HEADERS
    }
    encoding = [part for part in kept.pop("content-encoding", "").split(",") if part not in ("", "aws-chunked")]
    return {
        "content-type": "binary/octet-stream",
        **kept,
        **({"content-encoding": ",".join(encoding)} if encoding else {}),
    }


def _names(condition: str, stored: StoredObject) -> bool:
    return condition == "*" or condition.strip('"') == stored.etag.strip('"')


def _etag(body: bytes) -> str:
    return f'"{_md5(body).hex()}"'


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _xml(root: str, content: str, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/xml"}, f"<{root}>{content}</{root}>".encode())
