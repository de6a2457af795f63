"""Multipart uploads with boto3's own signatures: parts in any order, from many threads, sent again if need be.

All parts together are one AES-GCM ciphertext, bit for bit what a single put would have stored. Each part is encrypted
in counter mode at its own offset, and hashed apart; Complete combines the hashes into the tag. A part must wait until
the *sizes* of the parts before it are known, and for nothing else (``upload``).

S3 takes parts below 5 MiB at the end of an object only. So a part that small is held back: if it turns out to be the
last one, it is sent with the tag behind it. After a bigger last part the tag goes into a part of its own.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import IO, Any

from .._body.plaintext import (
    PlaintextSource,
    check_length,
    crc32_header,
    digest_field,
    is_digest_name,
    take_claims,
    wrong_digest,
)
from .._body.request import EncryptingReader, SmallBody, encrypted_in_spool
from .._body.sizes import IO_BLOCK_BYTES
from .._crypto.gf2 import combined_crc32
from ..exceptions import ConfigurationError, UnsupportedOperationError
from .call import Call
from .placement import Placement
from .upload import Part, Upload, UploadState

MIN_PART_BYTES = 5 * 1024 * 1024
MAX_PARTS = 10_000


def create_multipart_upload(call: Call) -> Any:
    """Start an upload, its envelope in the object's metadata, and return S3's answer."""
    placement = Placement.of(call)
    sealed = call.encryption.sealer.seal(call.encryption_context)
    if not sealed.content_key.suite.authenticated:
        raise UnsupportedOperationError("Legacy CBC content can't be written in parts. Use put_object.")
    placed = placement.with_envelope(sealed.envelope)
    params = {**call.params, "Metadata": placed.metadata}
    response = call.send("CreateMultipartUpload", dict(params))
    upload = Upload(sealed.content_key, params, finish=placed.put_instruction_file)
    call.encryption.uploads.add(response["UploadId"], upload)
    return response


def upload_part(call: Call) -> Any:
    """Send one part encrypted, or hold it back until it is known whether it is the last one."""
    upload = _upload(call)
    with PlaintextSource(call.params.pop("Body", b"")) as source:
        return _upload_part(call, upload, source)


def _upload_part(call: Call, upload: Upload, source: PlaintextSource) -> Any:
    params, number = call.params, call.params["PartNumber"]
    claims = take_claims(params)
    check_length(source, claims)
    if not 1 <= number <= MAX_PARTS:
        return call.send("UploadPart", {**params, "Body": SmallBody()})  # S3 says what is wrong with it
    part = upload.part(number, params)
    if upload.checksum_is_of_the_whole:
        claims = replace(claims, on_crc32=part.note_crc32)
    if source.length is not None:
        upload.set_length(part, source.length)
    segment = upload.wait_for_place(part, source.raise_if_cancelled)
    with part.lock:
        # What is sent later, as the caller would send it now.
        part.params = params
        if source.length is None or source.length < MIN_PART_BYTES or number == MAX_PARTS:
            return _send_spool(call, upload, part, encrypted_in_spool(source, segment.new_context(), claims))
        body = EncryptingReader(source, segment, claims)
        return part.note_sent(call.send("UploadPart", {**params, "Body": body}))


def _send_spool(call: Call, upload: Upload, part: Part, spool: IO[bytes]) -> Any:
    """Send a part whose ciphertext is in a file, or hold it back, if it may be the last one only."""
    length = spool.seek(0, os.SEEK_END)
    spool.seek(0)
    try:
        upload.set_length(part, length)
        if length >= MIN_PART_BYTES and part.number < MAX_PARTS:
            answer = part.note_sent(call.send("UploadPart", {**part.params, "Body": spool}))
            spool.close()
            return answer
    except BaseException:
        spool.close()
        raise
    return _hold(call, upload, part, spool)


def _hold(call: Call, upload: Upload, part: Part, spool: IO[bytes]) -> Any:
    """Hold a part back, and return what S3 might say of it."""
    asked = {**part.params, **upload.checksum}.get("ChecksumAlgorithm", call.encryption.default_checksum)
    checksum = digest_field(f"Checksum{asked}", iter(lambda: spool.read(IO_BLOCK_BYTES), b""))
    # S3's own ETag is not known yet; this one stands for it until Complete.
    part.hold(spool, f'"{uuid.uuid4().hex}"')
    response = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
    return {"ETag": part.etag, **checksum, "ResponseMetadata": response}


def complete_multipart_upload(call: Call) -> Any:
    """Send the tag, and what was held back, and complete the upload."""
    params, upload = call.params, _upload(call)
    with upload.completing:
        if upload.state is not UploadState.COMPLETED:
            given = (params.get("MultipartUpload") or {}).get("Parts", [])
            upload.check_listed(given)
            _check_whole(params, [upload.parts[number].crc32 for number in sorted(upload.parts)])
            parts = _send_rest(call, upload, len(given))
            # Digests of the plaintext say nothing about the ciphertext; S3 has those of the parts.
            kept = {name: value for name, value in params.items() if not is_digest_name(name)}
            if "MpuObjectSize" in kept:
                kept["MpuObjectSize"] += upload.ghash.key.suite.tag_bytes
            kept["MultipartUpload"] = {"Parts": parts}
            upload.complete(call.send("CompleteMultipartUpload", kept))
        upload.finish(call.send)
    call.encryption.uploads.forget(params["UploadId"])
    upload.close()
    return upload.answer


def _check_whole(params: Mapping[str, Any], parts: Sequence[tuple[int, int] | None]) -> None:
    """Check that what a request declares of an object fits its parts.

    Args:
        params: The parameters of CompleteMultipartUpload.
        parts: CRC-32 and length of each part's plaintext, in order; None for a part of which they are not known.

    Raises:
        BodyMismatchError: It does not fit.
        ConfigurationError: It can't be compared.
    """
    for name in [name for name in params if is_digest_name(name)]:
        known = [part for part in parts if part is not None] if name == "ChecksumCRC32" else []
        if len(known) != len(parts) or not known:
            raise ConfigurationError(
                f"{name} of a multipart upload can't be compared with the plaintext. Leave it out, or declare "
                'ChecksumCRC32, after create_multipart_upload(ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT").'
            )
        if params[name] != crc32_header(combined_crc32(known)):
            raise wrong_digest(name)


def _send_rest(call: Call, upload: Upload, parts: int) -> list[dict[str, Any]]:
    """Send the parts that were held back, the last one with the tag, and return the list of all parts."""
    tag, last = upload.tag(parts), upload.last

    def send_held(part: Part, spool: IO[bytes]) -> Mapping[str, Any]:
        if part is last:
            # The tag overwrites itself when a failed Complete is called again.
            spool.seek(part.length or 0)
            spool.write(tag)
        spool.seek(0)
        return call.send("UploadPart", {**part.params, **upload.checksum, "Body": spool})

    for part in upload.parts.values():
        part.enlist(send_held)
    answers = {number: upload.parts[number].answer for number in sorted(upload.parts)}
    if last.spool is None:
        number = last.number + 1
        own = {**last.params, **upload.checksum, "PartNumber": number, "Body": SmallBody(tag)}
        answers[number] = call.send("UploadPart", own)
    return [_complete_entry(number, answer, upload) for number, answer in answers.items()]


def _complete_entry(number: int, answer: Mapping[str, Any], upload: Upload) -> dict[str, Any]:
    """Return the entry for a part as S3 has it; a caller knows other ETags and digests."""
    # Other digests than the upload was created for have no place there, as boto3's own transfers have it.
    names = ("ETag", f"Checksum{upload.params.get('ChecksumAlgorithm')}")
    return {"PartNumber": number, **{name: answer[name] for name in names if name in answer}}


def abort_multipart_upload(call: Call) -> Any:
    """Abort an upload, and forget its key."""
    uploads, upload_id = call.encryption.uploads, call.params["UploadId"]
    upload = uploads.find(upload_id)
    if upload is not None:
        upload.abort()
        # Whatever S3 will say: nobody goes on, and another attempt to abort needs no key.
        uploads.forget(upload_id)
        upload.close()
    return call.send("AbortMultipartUpload", call.params)


def upload_part_copy(call: Call) -> Any:
    """Refuse to copy foreign bytes into an encrypted upload; leave other uploads alone."""
    if call.encryption.uploads.find(call.params.get("UploadId")) is not None:
        raise UnsupportedOperationError(
            "A part copied inside S3 would not be encrypted under this upload's key. Download it and use upload_part."
        )
    return call.send("UploadPartCopy", call.params)


def _upload(call: Call) -> Upload:
    upload = call.encryption.uploads.find(call.params["UploadId"])
    if upload is None:
        raise UnsupportedOperationError(
            "This client did not start the multipart upload, or it is completed or aborted: the key to encrypt its "
            "parts is only where create_multipart_upload was called."
        )
    upload.check_process()
    return upload
