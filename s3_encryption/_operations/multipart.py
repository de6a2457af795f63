"""Multipart uploads with boto3's own signatures: parts in any order, from many threads, sent again if need be.

All parts together are one AES-GCM ciphertext, bit for bit what a single put would have stored. Each part is encrypted
in counter mode at its own offset, and hashed apart; Complete combines the hashes into the tag. A part's place is known
when the *sizes* of the parts before it are (``upload``); one that comes earlier is parked, and sent later.

So is a part that may be the last one, because S3 takes parts below 5 MiB at the end of an object only: it is sent when
a higher part has come, or by Complete, with the tag behind it. After any other last part the tag has a part of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from botocore.exceptions import ClientError

from .._body.parking import ParkedBody
from .._body.plaintext import (
    PlaintextClaims,
    PlaintextSource,
    check_length,
    crc32_header,
    digest_field,
    is_digest_name,
    take_claims,
    wrong_digest,
)
from .._body.request import EncryptingReader, SmallBody
from .._crypto.gf2 import combined_crc32
from ..exceptions import ConfigurationError, UnsupportedOperationError
from .call import Call, Params, error_code, s3_error
from .open_uploads import OPEN_UPLOADS
from .part import Part, PartState
from .placement import Placement
from .upload import MAX_PARTS, Upload
from .upload_states import UploadState

# What S3 says of a part that it also says of its upload.
_OF_UPLOAD = (
    "ServerSideEncryption",
    "SSECustomerAlgorithm",
    "SSECustomerKeyMD5",
    "SSEKMSKeyId",
    "BucketKeyEnabled",
    "RequestCharged",
)


def create_multipart_upload(call: Call) -> Any:
    """Start an upload, its envelope in the object's metadata, and return S3's answer."""
    placement = Placement.of(call)
    sealed = call.encryption.sealer.seal(call.encryption_context)
    if not sealed.content_key.suite.authenticated:
        raise UnsupportedOperationError("Legacy CBC content can't be written in parts. Use put_object.")
    placed = placement.with_envelope(sealed.envelope)
    params = {**call.params, "Metadata": placed.metadata}
    # Before anything is sent: S3 shall keep no upload that nobody can go on with.
    upload = Upload(sealed.content_key, params, finish=placed.put_instruction_file)
    response = upload.created = call.send("CreateMultipartUpload", dict(params))
    # As S3 has it: an event handler may have named another one.
    upload.listed_checksum = response.get("ChecksumAlgorithm", params.get("ChecksumAlgorithm"))
    OPEN_UPLOADS.add(_place(call, response["UploadId"]), upload, call.encryption.sealer.keyring)
    return response


def upload_part(call: Call) -> Any:
    """Send one part encrypted, or park it until its place is known, and whether it is the last one."""
    upload = _upload(call, "UploadPart")
    with PlaintextSource(call.params.pop("Body", b"")) as source:
        answer = _upload_part(call, upload, source)
    _send_parked(call, upload)
    return answer


def _upload_part(call: Call, upload: Upload, source: PlaintextSource) -> Any:
    params, number = call.params, call.params["PartNumber"]
    claims = take_claims(params)
    check_length(source, claims)
    if not 1 <= number <= MAX_PARTS:
        return call.send("UploadPart", {**params, "Body": SmallBody()})  # S3 says what is wrong with it
    part = upload.part(number)
    if upload.checksum_is_of_the_whole:
        claims = replace(claims, on_crc32=part.note_crc32)
    with part.held(), upload.call_for(part):
        answer = _send_or_park(call, upload, part, source, claims)
        # What is sent later, as the caller has sent it now.
        part.params, part.has_md5 = params, claims.has_md5
        return answer


def _send_or_park(call: Call, upload: Upload, part: Part, source: PlaintextSource, claims: PlaintextClaims) -> Any:
    params, has_md5 = call.params, claims.has_md5
    length, parked = source.length, None
    try:
        if length is None:
            parked = _parked(upload, source, claims)
            length, source, claims = parked.length, PlaintextSource(parked), PlaintextClaims()
        upload.announce(part, length)
        if upload.may_be_sent(part, source.raise_if_cancelled):
            answer = _send(call, part, params, source, claims, has_md5=has_md5)
            upload.note_sent(part, answer, answer["ETag"])
            return answer
        parked = _parked(upload, source, claims) if parked is None else parked
        upload.park(part, parked)
        return _stand_in(call, upload, part)
    finally:
        if parked is not None and part.parked is not parked:
            parked.leave()


def _stand_in(call: Call, upload: Upload, part: Part) -> dict[str, Any]:
    """Return what stands for S3's answer to a part that waits: its own ETag, and a digest of that for a checksum."""
    asked = {**call.params, **upload.checksum}.get("ChecksumAlgorithm", call.encryption.default_checksum)
    part.answer = {
        "ETag": part.etag,
        **{name: upload.created[name] for name in _OF_UPLOAD if name in upload.created},
        **digest_field(f"Checksum{asked}", [part.etag.encode()]),
        "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0},
    }
    return dict(part.answer)


def _parked(upload: Upload, source: PlaintextSource, claims: PlaintextClaims) -> ParkedBody:
    source.signal("signal_transferring")
    return upload.space.park(source.checked_blocks(claims))


def _send(
    call: Call, part: Part, params: Params, source: PlaintextSource, claims: PlaintextClaims, *, has_md5: bool
) -> Any:
    """Send a part as its caller declared it: with a Content-MD5 in the place of the plaintext's, if ``has_md5``."""
    assert part.segment is not None  # who sends has a place for it
    body = EncryptingReader(source, part.segment, claims)
    md5 = call.content_md5(body, params) if has_md5 else {}
    return call.send("UploadPart", {**params, "Body": body, **md5})


def _send_parked(call: Call, upload: Upload) -> None:
    """Send what was parked and can be sent by now. Where that fails, Complete does it again, and says so."""
    while True:
        with upload.sending_parked() as part:
            if part is None:
                return
            try:
                _send_from_parked(call, upload, part)
            except Exception:
                return


def _send_from_parked(call: Call, upload: Upload, part: Part) -> None:
    assert part.parked is not None  # who sends has seen that
    part.parked.seek(0)
    params = {**part.params, **upload.checksum}
    answer = _send(call, part, params, PlaintextSource(part.parked), PlaintextClaims(), has_md5=part.has_md5)
    # The caller knows it by the ETag that stands for S3's.
    upload.note_sent(part, answer, part.etag)


def complete_multipart_upload(call: Call) -> Any:
    """Send what is parked, and the tag, and complete the upload."""
    params = call.params
    try:
        upload = _upload(call, "CompleteMultipartUpload")
    except ClientError as error:
        if error_code(error) != "NoSuchUpload":
            raise
        return call.send("CompleteMultipartUpload", params)  # S3 says it again, or what the upload has become
    with upload.completing, contextlib.ExitStack() as holding:
        if upload.state is not UploadState.COMPLETED:
            given = (params.get("MultipartUpload") or {}).get("Parts", [])
            numbers = _numbers(given)
            # No part of the list changes from here on.
            for number in numbers:
                if number in upload.parts:
                    holding.enter_context(upload.parts[number].held())
            _check_listed(upload, given)
            _check_whole(params, [upload.parts[number].crc32 for number in numbers])
            parts = _send_rest(call, upload, numbers)
            # Digests of the plaintext say nothing about the ciphertext; S3 has those of the parts.
            kept = {name: value for name, value in params.items() if not is_digest_name(name)}
            if "MpuObjectSize" in kept:
                kept["MpuObjectSize"] += upload.ghash.key.suite.tag_bytes
            kept["MultipartUpload"] = {"Parts": parts}
            upload.complete(call.send("CompleteMultipartUpload", kept))
        upload.finish(call)
    OPEN_UPLOADS.forget(_place(call, params["UploadId"]))
    upload.close()
    return upload.answer


def _numbers(given: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of the parts that a caller completes an upload with.

    Raises:
        ClientError: S3's own: there is none, or they are out of order.
    """
    operation = "CompleteMultipartUpload"
    if not given:
        message = "The XML you provided was not well-formed or did not validate against our published schema"
        raise s3_error("MalformedXML", message, operation)
    numbers = [int(entry.get("PartNumber") or 0) for entry in given]
    if any(following <= number for number, following in pairwise(numbers)):
        message = "The list of parts was not in ascending order. Parts must be ordered by part number."
        raise s3_error("InvalidPartOrder", message, operation)
    return numbers


def _check_listed(upload: Upload, given: list[dict[str, Any]]) -> None:
    """Check that the parts of a list are there.

    Raises:
        ClientError: S3's own: one is not there with that ETag.
    """
    for entry in given:
        number = int(entry["PartNumber"])
        part = upload.parts.get(number)
        etag = str(entry.get("ETag", "")).strip('"')
        if part is None or part.state is PartState.NEW or etag not in {known.strip('"') for known in part.etags}:
            raise s3_error(
                "InvalidPart",
                "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
                f"specified entity tag may not match the part's entity tag. (Part {number})",
                "CompleteMultipartUpload",
            )


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


def _send_rest(call: Call, upload: Upload, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Send the parts that are parked, and the tag behind the last one, and return the list of all parts."""
    parts = upload.settle(numbers)
    for part in parts:
        if part.state is PartState.PARKED:
            _send_from_parked(call, upload, part)
    answers = {part.number: part.answer for part in parts}
    rest = upload.tag()[upload.tag_bytes_behind_last :]
    if rest:
        last = parts[-1]
        own, body = {**last.params, **upload.checksum, "PartNumber": last.number + 1}, SmallBody(rest)
        answers[last.number + 1] = call.send("UploadPart", {**own, "Body": body, **call.content_md5(body, own)})
    return [_complete_entry(number, answer, upload) for number, answer in answers.items()]


def _complete_entry(number: int, answer: Mapping[str, Any], upload: Upload) -> dict[str, Any]:
    """Return the entry for a part as S3 has it; a caller knows other ETags and digests."""
    # Other digests than the upload was created for have no place there, as boto3's own transfers have it.
    names = ("ETag", f"Checksum{upload.listed_checksum}")
    return {"PartNumber": number, **{name: answer[name] for name in names if name in answer}}


def abort_multipart_upload(call: Call) -> Any:
    """Abort an upload, and forget its key."""
    upload = find_upload(call)
    if upload is not None:
        upload.abort()
        # Whatever S3 will say: nobody goes on, and another attempt to abort needs no key.
        OPEN_UPLOADS.forget(_place(call, call.params["UploadId"]))
        upload.close()
    return call.send("AbortMultipartUpload", call.params)


def list_parts(call: Call) -> Any:
    """Return S3's answer, with the parts that are parked, and all parts as the caller knows them."""
    params, response = call.params, call.send("ListParts", call.params)
    upload = find_upload(call)
    if upload is None:
        return response
    is_cut = bool(response.get("IsTruncated"))
    first = int(params.get("PartNumberMarker", 0)) + 1
    last = int(response["NextPartNumberMarker"]) if is_cut else MAX_PARTS
    listed = {entry["PartNumber"]: entry for entry in response.get("Parts", [])}
    # What is not the caller's is the rest of the tag.
    parts = dict(upload.parts)
    theirs = {PartState.SENT: listed.keys(), PartState.PARKED: parts.keys(), PartState.NEW: ()}
    known = sorted(number for number, part in parts.items() if number in theirs[part.state])
    numbers = [number for number in known if first <= number <= last]
    shown = numbers[: params.get("MaxParts", len(numbers))]
    page = {**response, "Parts": [_part_entry(parts[number], listed.get(number)) for number in shown]}
    if len(shown) < len(numbers):
        page["IsTruncated"] = True
    if shown and ("NextPartNumberMarker" in response or len(shown) < len(numbers)):
        page["NextPartNumberMarker"] = last if is_cut and len(shown) == len(numbers) else shown[-1]
    return page


def _part_entry(part: Part, listed: Mapping[str, Any] | None) -> dict[str, Any]:
    if listed is None:
        digests = {name: text for name, text in part.answer.items() if is_digest_name(name)}
        listed = {"PartNumber": part.number, "LastModified": part.changed, **digests}
    return {**listed, "ETag": part.etag, "Size": part.length}


# --- which upload -----------------------------------------------------------------------------------------------------


def _place(call: Call, upload_id: str) -> tuple[str, str]:
    return call.encryption.endpoint, upload_id


def _is_about(call: Call, upload: Upload) -> bool:
    return all(call.params[name] == upload.params[name] for name in ("Bucket", "Key"))


def find_upload(call: Call) -> Upload | None:
    """Return the encrypted upload that a call is about; None if this process has none of that id for the object."""
    upload = OPEN_UPLOADS.find(_place(call, call.params["UploadId"]), call.encryption.sealer.keyring)
    return upload if upload is not None and _is_about(call, upload) else None


def _upload(call: Call, operation: str) -> Upload:
    """Return the upload that a call goes on with.

    Raises:
        ClientError: S3's own, if it knows no such upload.
        UnsupportedOperationError: It knows it, but this process has no key for it.
    """
    upload = find_upload(call)
    if upload is not None:
        return upload
    about = {**call.repeated(), **{name: call.params[name] for name in ("Bucket", "Key", "UploadId")}}
    try:
        call.send("ListParts", {**about, "MaxParts": 1})
    except ClientError as error:
        # Of the same class, and about the call that was made.
        answer, error_class = error.response, type(error)
    else:
        raise UnsupportedOperationError(
            "This process has no key for the multipart upload: it was started in another process, at another endpoint "
            "or for another object, or it was to be aborted. Go on where create_multipart_upload was called, or start "
            "another upload."
        )
    raise error_class(answer, operation)
