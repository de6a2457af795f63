"""Multipart uploads with boto3's own signatures: parts in any order, from many threads, sent again if need be.

All parts together are one AES-GCM ciphertext, bit for bit what a single put would have stored. Each part is encrypted
in counter mode at its own offset, and hashed apart; Complete combines the hashes into the tag. A part must wait until
the *sizes* of the parts before it are known, and for nothing else.

S3 takes parts below 5 MiB at the end of an object only. So a part that small is held back: if it turns out to be the
last one, it is sent with the tag behind it. After a bigger last part the tag goes into a part of its own.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import IO, Any

from .._body.digests import check_whole, digest_field, is_digest_name, take_claims
from .._body.plaintext import IO_BLOCK_BYTES, PlaintextSource, check_length
from .._body.request import EncryptingReader, SmallBody, encrypted_in_spool
from .._crypto.contexts import ContentKey
from .._crypto.ghash import Ghash
from .._crypto.keystream import KeystreamSegment
from .._crypto.suites import GCM_MAX_PLAINTEXT_BYTES
from .._sealer import ObjectSealer
from ..exceptions import (
    BodyChangedError,
    CipherStateError,
    ConfigurationError,
    UnsupportedOperationError,
)
from .envelope_store import CallOptions, EnvelopeStore, Params, RawCall, StoredEnvelope

MIN_PART_BYTES = 5 * 1024 * 1024
MAX_PARTS = 10_000
# How long a part waits to learn the sizes of the parts before it, and how often it looks whether its transfer was
# cancelled.
PART_ORDER_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.5
# Uploads that are neither completed nor aborted keep their keys here; the oldest go when there are more.
MAX_OPEN_UPLOADS = 10_000


@dataclass(slots=True)
class _Part:
    """What is known of one part. Its bytes can't change any more: its keystream is used."""

    number: int
    params: Params
    lock: threading.Lock = field(default_factory=threading.Lock)
    length: int | None = None
    # Known when the sizes of all parts before it are.
    segment: KeystreamSegment | None = None
    # CRC-32 and length of its plaintext, where a checksum of the whole will be given.
    crc32: tuple[int, int] | None = None
    # A part that is held back: its ciphertext.
    held: IO[bytes] | None = None
    # What the caller was told, and what S3 said when the part was really sent.
    etag: str = ""
    sent: Mapping[str, Any] | None = None

    def on_crc32(self, crc32: int, length: int) -> None:
        """Remember what the part adds to the checksum of the whole plaintext."""
        self.crc32 = crc32, length


class _Upload:
    """One multipart upload: its key, and its parts."""

    def __init__(self, key: ContentKey, stored: StoredEnvelope, params: Params) -> None:
        self.ghash = Ghash(key)
        self.stored = stored
        self.params = params
        self.parts: dict[int, _Part] = {}
        self.completing = threading.Lock()
        self._process_id = os.getpid()
        self._changed = threading.Condition()
        self._aborted = False
        # Once there is a tag, the plaintext is what it is: another tag under the same key and IV would give the key
        # away.
        self._tag: bytes | None = None
        # S3's answer to a Complete after which the instruction file could not be stored.
        self.completed: Any = None
        # The parts up to here have known sizes, and make so many bytes.
        self._known_parts = 0
        self._known_bytes = 0
        self._all_bytes = 0

    @property
    def checksum_is_of_the_whole(self) -> bool:
        """Whether the caller may declare a CRC-32 of the whole plaintext at the end."""
        return (self.params.get("ChecksumType"), self.params.get("ChecksumAlgorithm")) == ("FULL_OBJECT", "CRC32")

    def check_process(self) -> None:
        """Refuse to go on in a forked process, where the same keystream would be used twice."""
        if os.getpid() != self._process_id:
            raise CipherStateError("A multipart upload can't go on in a process forked after it was started.")

    def part(self, number: int, params: Params) -> _Part:
        """Return the part of a number, which is new or is sent again.

        Raises:
            UnsupportedOperationError: It is new, and the upload is complete but for S3's consent.
        """
        with self._changed:
            if number not in self.parts and self._tag is not None:
                raise UnsupportedOperationError(
                    "The upload's tag is made, because complete_multipart_upload was called. Call it again; "
                    "no part can be added. Or abort the upload and start again."
                )
            return self.parts.setdefault(number, _Part(number, params))

    def set_length(self, part: _Part, length: int) -> None:
        """Note the length of a part, and with it the offsets of those that follow.

        Raises:
            BodyChangedError: The part was sent before, with another length.
            ConfigurationError: The object grows beyond what GCM can encrypt.
        """
        with self._changed:
            if part.length not in (None, length):
                raise _part_changed(part.number)
            if part.length is None:
                if self._all_bytes + length > GCM_MAX_PLAINTEXT_BYTES:
                    raise ConfigurationError(
                        f"The parts make more than AES-GCM encrypts under one key: "
                        f"{GCM_MAX_PLAINTEXT_BYTES} bytes (64 GiB)."
                    )
                part.length = length
                self._all_bytes += length
            while (following := self.parts.get(self._known_parts + 1)) is not None and following.length is not None:
                if following.segment is None:
                    following.segment = KeystreamSegment(self.ghash, self._known_bytes, length=following.length)
                self._known_parts += 1
                self._known_bytes += following.length
            self._changed.notify_all()

    def _forget_length(self, part: _Part) -> None:
        # Nothing is encrypted yet, so the part may come again with another length.
        if part.length is not None:
            self._all_bytes -= part.length
            part.length = None

    def segment_of(self, part: _Part, source: PlaintextSource) -> KeystreamSegment:
        """Wait until the sizes of all parts before this one are known, and return where in the object it is.

        Raises:
            UnsupportedOperationError: They did not come in time, or the upload was aborted.
        """
        deadline = time.monotonic() + PART_ORDER_TIMEOUT_SECONDS
        while True:
            with self._changed:
                if self._aborted:
                    raise _aborted()
                if self._known_parts >= part.number - 1:
                    if part.segment is None:
                        part.segment = KeystreamSegment(self.ghash, self._known_bytes)
                    return part.segment
                if time.monotonic() >= deadline:
                    self._forget_length(part)
                    raise UnsupportedOperationError(
                        f"Part {part.number} can't be encrypted before the sizes of all parts before it are known, and "
                        f"part {self._known_parts + 1} did not come in {PART_ORDER_TIMEOUT_SECONDS:.0f} seconds. "
                        "Upload parts in order, or from as many threads as parts are under way."
                    )
                self._changed.wait(_POLL_SECONDS)
            source.raise_if_cancelled()

    def abort(self) -> None:
        """Wake whoever waits, and let nobody go on."""
        with self._changed:
            self._aborted = True
            self._changed.notify_all()

    def __del__(self) -> None:
        # A client that is dropped with an upload under way.
        self.close()

    def close(self) -> None:
        """Drop what was held back."""
        for part in self.parts.values():
            if part.held is not None:
                part.held.close()

    def tag(self, parts: int) -> bytes:
        """Return the tag of the whole object, which has so many parts; from then on none can be added.

        Raises:
            UnsupportedOperationError: The upload was aborted, or another part is on its way.
        """
        with self._changed:
            if self._aborted:
                raise _aborted()
            if self._tag is None:
                hashed = [part.segment.hashed for part in self.parts.values() if part.segment is not None]
                segments = [segment for segment in hashed if segment is not None]
                if (len(segments), len(self.parts)) != (parts, parts):
                    raise UnsupportedOperationError("A part is still on its way; complete the upload after it.")
                self._tag = self.ghash.tag(segments, self._known_bytes)
            return self._tag


class MultipartUploads:
    """The encrypted multipart uploads of one client that are under way.

    Args:
        sealer: What encrypts them.
        envelopes: Where their envelopes go.
        default_checksum: The algorithm of the checksum that botocore adds to a request that asks for no other.
    """

    def __init__(self, sealer: ObjectSealer, envelopes: EnvelopeStore, default_checksum: str | None) -> None:
        self._engine = sealer
        self._envelopes = envelopes
        self._default_checksum = default_checksum
        self._lock = threading.Lock()
        self._uploads: OrderedDict[str, _Upload] = OrderedDict()

    def create_multipart_upload(self, raw_call: RawCall, params: Params) -> Any:
        """Start an upload, its envelope in the object's metadata, and return S3's answer."""
        call = CallOptions.pop_from(params)
        self._envelopes.check_put(params, call)
        sealed = self._engine.seal(call.encryption_context)
        if not sealed.content_key.suite.authenticated:
            raise UnsupportedOperationError("Legacy CBC content can't be written in parts. Use put_object.")
        stored = self._envelopes.layout(sealed.envelope, params, call)
        params["Metadata"] = stored.metadata
        response = raw_call("CreateMultipartUpload", dict(params))
        with self._lock:
            self._uploads[response["UploadId"]] = _Upload(sealed.content_key, stored, params)
            while len(self._uploads) > MAX_OPEN_UPLOADS:
                self._uploads.popitem(last=False)[1].close()
        return response

    def upload_part(self, raw_call: RawCall, params: Params) -> Any:
        """Send one part encrypted, or hold it back until it is known whether it is the last one."""
        upload = self._upload(params)
        with PlaintextSource(params.pop("Body", b"")) as source:
            return self._upload_part(raw_call, upload, params, source)

    def _upload_part(self, raw_call: RawCall, upload: _Upload, params: Params, source: PlaintextSource) -> Any:
        number = params["PartNumber"]
        claims = take_claims(params)
        check_length(source, claims)
        if not 1 <= number <= MAX_PARTS:
            return raw_call("UploadPart", {**params, "Body": SmallBody()})  # S3 says what is wrong with it
        part = upload.part(number, params)
        if upload.checksum_is_of_the_whole:
            claims = replace(claims, on_crc32=part.on_crc32)
        if source.length is not None:
            upload.set_length(part, source.length)
        segment = upload.segment_of(part, source)
        with part.lock:
            # What is sent later, as the caller would send it now.
            part.params = params
            if source.length is None or source.length < MIN_PART_BYTES or number == MAX_PARTS:
                spool = encrypted_in_spool(source, segment.new_context(), claims)
                return self._send_spool(raw_call, upload, part, spool)
            part.sent = raw_call("UploadPart", {**params, "Body": EncryptingReader(source, segment, claims)})
            part.etag = part.sent["ETag"]
            return part.sent

    def _send_spool(self, raw_call: RawCall, upload: _Upload, part: _Part, spool: IO[bytes]) -> Any:
        length = spool.seek(0, os.SEEK_END)
        spool.seek(0)
        try:
            upload.set_length(part, length)
            if length >= MIN_PART_BYTES and part.number < MAX_PARTS:
                part.sent = raw_call("UploadPart", {**part.params, "Body": spool})
                part.etag = part.sent["ETag"]
                spool.close()
                return part.sent
        except BaseException:
            spool.close()
            raise
        return self._hold(upload, part, spool)

    def _hold(self, upload: _Upload, part: _Part, spool: IO[bytes]) -> Any:
        """Hold a part back, and return what S3 might say of it."""
        asked = {**part.params, **_checksum(upload)}.get("ChecksumAlgorithm", self._default_checksum)
        checksum = digest_field(f"Checksum{asked}", iter(lambda: spool.read(IO_BLOCK_BYTES), b""))
        if part.held is not None:
            part.held.close()
        part.held = spool
        # S3's own ETag is not known yet; this one stands for it until Complete.
        part.etag = part.etag or f'"{uuid.uuid4().hex}"'
        response = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
        return {"ETag": part.etag, **checksum, "ResponseMetadata": response}

    def complete_multipart_upload(self, raw_call: RawCall, params: Params) -> Any:
        """Send the tag, and what was held back, and complete the upload."""
        upload = self._upload(params)
        with upload.completing:
            if upload.completed is None:
                given = (params.get("MultipartUpload") or {}).get("Parts", [])
                _check_parts(upload, given)
                check_whole(params, [upload.parts[number].crc32 for number in sorted(upload.parts)])
                parts = self._send_rest(raw_call, upload, len(given))
                # Digests of the plaintext say nothing about the ciphertext; S3 has those of the parts.
                kept = {name: value for name, value in params.items() if not is_digest_name(name)}
                if "MpuObjectSize" in kept:
                    kept["MpuObjectSize"] += upload.ghash.key.suite.tag_bytes
                kept["MultipartUpload"] = {"Parts": parts}
                upload.completed = raw_call("CompleteMultipartUpload", kept)
            self._envelopes.put_instruction_file(raw_call, upload.stored, upload.params)
        self._forget(params["UploadId"])
        upload.close()
        return upload.completed

    def _send_rest(self, raw_call: RawCall, upload: _Upload, parts: int) -> list[dict[str, Any]]:
        """Send the parts that were held back, the last one with the tag, and return the list of all parts."""
        tag = upload.tag(parts)
        last = upload.parts[len(upload.parts)]
        for part in upload.parts.values():
            if part.held is not None and part.sent is None:
                if part is last:
                    # The tag overwrites itself when a failed Complete is called again.
                    part.held.seek(part.length or 0)
                    part.held.write(tag)
                part.held.seek(0)
                part.sent = raw_call("UploadPart", {**part.params, **_checksum(upload), "Body": part.held})
        sent = {number: upload.parts[number].sent for number in sorted(upload.parts)}
        if last.held is None:
            number = last.number + 1
            tag_part = {**last.params, **_checksum(upload), "PartNumber": number, "Body": SmallBody(tag)}
            sent[number] = raw_call("UploadPart", tag_part)
        return [_complete_entry(number, answer, upload) for number, answer in sent.items()]

    def abort_multipart_upload(self, raw_call: RawCall, params: Params) -> Any:
        """Abort an upload, and forget its key."""
        upload = self._uploads.get(params["UploadId"])
        if upload is not None:
            upload.abort()
            # Whatever S3 will say: nobody goes on, and another attempt to abort needs no key.
            self._forget(params["UploadId"])
            upload.close()
        return raw_call("AbortMultipartUpload", params)

    def upload_part_copy(self, raw_call: RawCall, params: Params) -> Any:
        """Refuse to copy foreign bytes into an encrypted upload; leave other uploads alone."""
        if params.get("UploadId") in self._uploads:
            raise UnsupportedOperationError(
                "A part copied inside S3 would not be encrypted under this upload's key. Download it and use "
                "upload_part."
            )
        return raw_call("UploadPartCopy", params)

    def _upload(self, params: Params) -> _Upload:
        upload = self._uploads.get(params["UploadId"])
        if upload is None:
            raise UnsupportedOperationError(
                "This client did not start the multipart upload, or it is completed or aborted: the key to encrypt its "
                "parts is only where create_multipart_upload was called."
            )
        upload.check_process()
        return upload

    def _forget(self, upload_id: str) -> None:
        with self._lock:
            self._uploads.pop(upload_id, None)


def _check_parts(upload: _Upload, given: list[dict[str, Any]]) -> None:
    """Check that a caller completes an upload with exactly the parts that were encrypted for it.

    Raises:
        UnsupportedOperationError: A part is missing, is of another upload, or is not sent yet.
    """
    numbers = [entry.get("PartNumber") for entry in given]
    expected = list(range(1, len(upload.parts) + 1))
    if not expected:
        raise UnsupportedOperationError("The multipart upload has no parts: an object, even an empty one, needs one.")
    if numbers != expected or sorted(upload.parts) != expected:
        raise UnsupportedOperationError(
            f"An encrypted object has all parts that were uploaded, in order, without gaps. Uploaded: "
            f"{len(upload.parts)}, highest number {max(upload.parts)}; given: {len(numbers)}."
        )
    for entry in given:
        part = upload.parts[entry["PartNumber"]]
        if (
            part.segment is None
            or part.segment.hashed is None
            or not part.etag
            or str(entry.get("ETag", "")).strip('"') != part.etag.strip('"')
        ):
            raise UnsupportedOperationError(f"Part {part.number} is not uploaded, or its ETag is not the one returned.")


def _complete_entry(number: int, sent: Mapping[str, Any] | None, upload: _Upload) -> dict[str, Any]:
    """Return the entry for a part as S3 has it; a caller knows other ETags and digests."""
    assert sent is not None  # everything was sent before
    # Other digests than the upload was created for have no place there, as boto3's own transfers have it.
    names = ("ETag", f"Checksum{upload.params.get('ChecksumAlgorithm')}")
    return {"PartNumber": number, **{name: sent[name] for name in names if name in sent}}


def _aborted() -> UnsupportedOperationError:
    return UnsupportedOperationError("The multipart upload was aborted.")


def _checksum(upload: _Upload) -> dict[str, Any]:
    # S3 wants the checksum of every part of an upload that was created with an algorithm.
    name = "ChecksumAlgorithm"
    return {name: upload.params[name]} if name in upload.params else {}


def _part_changed(number: int) -> BodyChangedError:
    return BodyChangedError(
        f"Part {number} was sent before with other content. A part can be sent again only as it was: its keystream is "
        "used. Abort the upload and start again."
    )
