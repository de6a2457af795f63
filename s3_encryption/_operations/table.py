"""What becomes of every operation of S3's model, and the checks that go before a call.

``docs/operations.md`` is made from the tables here (``make docs-operations``). An operation that is in none of them,
and that could carry content, is refused: a new botocore can't open a way for plaintext.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ParamValidationError
from botocore.handlers import BUILTIN_HANDLERS
from botocore.hooks import HierarchicalEmitter
from botocore.validate import ParamValidator

from .call import CONTEXT_PARAMETER, SUFFIX_PARAMETER, Call, Params
from .copy import copy_object, rename_object
from .delete import delete_object, delete_objects
from .get import get_object
from .head import head_object
from .put import put_object

DECISIONS: Mapping[str, str] = {
    "encrypt": "content is encrypted before it is sent",
    "decrypt": "content is decrypted, and verified before it is released",
    "translate": "lengths are told in plaintext terms, or what belongs to the object follows it",
    "protect": "refused, or done such that encrypted objects stay readable",
    "pass": "as in boto3",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """What the client does with one operation of S3's model, or with one method that boto3 adds to these.

    ``decision`` is one of DECISIONS. ``function`` does it, and ``extra`` names the parameters that it takes beside
    boto3's; ``reason`` says why, and what to do instead, where the call is always refused; ``note`` is what else a user
    must know.
    """

    decision: str
    function: Callable[[Call], Any] | None = None
    extra: tuple[str, ...] = ()
    reason: str = ""
    note: str = ""


def _of_uploads(name: str) -> Callable[[Call], Any]:
    return lambda call: getattr(call.encryption.uploads, name)(
        call.send,
        {
            **call.params,
            **({CONTEXT_PARAMETER: call.encryption_context} if call.encryption_context is not None else {}),
            **({SUFFIX_PARAMETER: call.instruction_file_suffix} if call.instruction_file_suffix is not None else {}),
        },
    )


CALL_PARAMETERS = (CONTEXT_PARAMETER, SUFFIX_PARAMETER)

_PASS = Operation("pass")
_LISTING = Operation(
    "pass", note="`Size`, `ETag` and checksums are the ciphertext's; instruction files are listed too."
)
_EVENTS = Operation("pass", note="Events tell the ciphertext's size and `ETag`; instruction files cause events too.")
_RULES = Operation("pass", note="Rules must take instruction files along, where there are any.")
_TAGS = Operation("pass", note="Tags are stored as they are: S3 sees them.")
_AT_REST = Operation("pass", note="This is about S3's own encryption at rest, which comes on top.")

_WITH_CONTENT: Mapping[str, Operation] = {
    "PutObject": Operation(
        "encrypt",
        put_object,
        extra=CALL_PARAMETERS,
        note="`ContentLength`, `ContentMD5` and `ChecksumCRC32`, `SHA1`, `SHA256`, `SHA512`, `MD5` are compared with "
        "the plaintext, and not sent; other checksums are refused (`ChecksumAlgorithm=` asks S3 for one of the "
        "ciphertext). `ETag`, `Size` and checksums of the answer are the ciphertext's. `WriteOffsetBytes` (append) is "
        "refused: write the whole object.",
    ),
    "GetObject": Operation(
        "decrypt",
        get_object,
        extra=CALL_PARAMETERS,
        note="`Body`, `ContentLength` and `ContentRange` are the plaintext's; checksums are left out, as they are the "
        "ciphertext's; `Metadata` shows the envelope. A `Range` of less than the object needs "
        "`enable_unauthenticated_ranges`. `PartNumber` is refused: use `Range`. An object without an envelope needs "
        "`allow_plaintext_reads`.",
    ),
    "HeadObject": Operation(
        "translate",
        head_object,
        note="`ContentLength` is the plaintext's, where the metadata tell it. It is the ciphertext's for V1 and V2 "
        "objects with an instruction file, for CBC content that does not note its length, and with `Range` or "
        "`PartNumber`.",
    ),
    "CreateMultipartUpload": Operation(
        "encrypt",
        _of_uploads("create_multipart_upload"),
        extra=CALL_PARAMETERS,
        note="The key is in this client's memory: all parts must go through the same client, in the same process.",
    ),
    "UploadPart": Operation(
        "encrypt",
        _of_uploads("upload_part"),
        note="In any order, from many threads. A part that is sent again must have the same content. A part below "
        "5 MiB is held back until the upload is completed. `ContentLength`, `ContentMD5` and `Checksum*` are as in "
        "`put_object`. Parts of an upload that this client did not start are refused.",
    ),
    "CompleteMultipartUpload": Operation(
        "encrypt",
        _of_uploads("complete_multipart_upload"),
        note="Sends the tag. All parts that were uploaded must be listed, without gaps. `ChecksumCRC32` of the whole "
        "object is compared with the plaintext, and not sent; others are refused. `MpuObjectSize` is the plaintext's.",
    ),
    "AbortMultipartUpload": Operation(
        "translate",
        _of_uploads("abort_multipart_upload"),
        note="Parts that wait for others fail at once, and the key is forgotten.",
    ),
    "UploadPartCopy": Operation(
        "protect",
        _of_uploads("upload_part_copy"),
        note="Refused into an upload of this client, whose key the copied bytes don't have: download them and use "
        "`upload_part`. Into other uploads S3 copies what it has.",
    ),
    "CopyObject": Operation(
        "protect",
        copy_object,
        extra=(SUFFIX_PARAMETER,),
        note="The copy keeps its source's envelope, also with `MetadataDirective='REPLACE'`, and its instruction file "
        "(that of `InstructionFileSuffix`, where the call says so). "
        "What was not encrypted is not encrypted by being copied: download it and write it anew.",
    ),
    "DeleteObject": Operation(
        "translate",
        delete_object,
        extra=(SUFFIX_PARAMETER,),
        note="Where `envelope_location` or the call's `InstructionFileSuffix` says that there is an instruction file, "
        "it is deleted after its object; never with `VersionId`.",
    ),
    "DeleteObjects": Operation(
        "translate",
        delete_objects,
        extra=(SUFFIX_PARAMETER,),
        note="Instruction files as in `delete_object`, in one more call, whose `Errors` are told of their objects.",
    ),
    "RenameObject": Operation(
        "protect",
        rename_object,
        note="Refused with `envelope_location='instruction_file'`, because the instruction file would not follow: copy "
        "and delete.",
    ),
    "SelectObjectContent": Operation("protect", reason="S3 can't query what it can't read. Get the object instead."),
    "PutObjectAnnotation": Operation("protect", reason="It would be stored unencrypted. Put the text into an object."),
    # Streams that are not the content of an object.
    "GetObjectAnnotation": Operation("pass", note="An annotation is as whoever wrote it left it: not encrypted."),
    "GetObjectTorrent": Operation("pass", note="It is a torrent of the ciphertext."),
    "WriteGetObjectResponse": Operation(
        "pass", note="A Lambda function's answer to a reader goes out as it is; S3 does not store it."
    ),
}

_TO_BE_KNOWN: Mapping[str, Operation] = {
    "GetObjectAttributes": Operation(
        "pass", note="`ObjectSize`, `ETag`, `Checksum` and `ObjectParts` are the ciphertext's."
    ),
    "ListObjects": _LISTING,
    "ListObjectsV2": _LISTING,
    "ListObjectVersions": _LISTING,
    "ListParts": Operation("pass", note="A part that is held back is not listed before the upload is completed."),
    "RestoreObject": Operation("pass", note="With `Type='SELECT'` S3 would query the ciphertext."),
    "UpdateObjectEncryption": _AT_REST,
    "PutBucketEncryption": _AT_REST,
    "PutBucketInventoryConfiguration": Operation("pass", note="Inventories tell the ciphertext's sizes."),
    "PutBucketLifecycle": _RULES,
    "PutBucketLifecycleConfiguration": _RULES,
    "PutBucketNotification": _EVENTS,
    "PutBucketNotificationConfiguration": _EVENTS,
    "PutBucketReplication": _RULES,
    "PutBucketTagging": _TAGS,
    "PutBucketWebsite": Operation("pass", note="A website serves the ciphertext."),
    "PutObjectTagging": _TAGS,
}

_NEITHER_WAY = """
    CreateBucket CreateBucketMetadataConfiguration CreateBucketMetadataTableConfiguration CreateSession DeleteBucket
    DeleteBucketAnalyticsConfiguration DeleteBucketCors DeleteBucketEncryption
    DeleteBucketIntelligentTieringConfiguration DeleteBucketInventoryConfiguration DeleteBucketLifecycle
    DeleteBucketMetadataConfiguration DeleteBucketMetadataTableConfiguration DeleteBucketMetricsConfiguration
    DeleteBucketOwnershipControls DeleteBucketPolicy DeleteBucketReplication DeleteBucketTagging DeleteBucketWebsite
    DeleteObjectAnnotation DeleteObjectTagging DeletePublicAccessBlock GetBucketAbac GetBucketAccelerateConfiguration
    GetBucketAcl GetBucketAnalyticsConfiguration GetBucketCors GetBucketEncryption
    GetBucketIntelligentTieringConfiguration GetBucketInventoryConfiguration GetBucketLifecycle
    GetBucketLifecycleConfiguration GetBucketLocation GetBucketLogging GetBucketMetadataConfiguration
    GetBucketMetadataTableConfiguration GetBucketMetricsConfiguration GetBucketNotification
    GetBucketNotificationConfiguration GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus
    GetBucketReplication GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite GetObjectAcl
    GetObjectLegalHold GetObjectLockConfiguration GetObjectRetention GetObjectTagging GetPublicAccessBlock HeadBucket
    ListBucketAnalyticsConfigurations ListBucketIntelligentTieringConfigurations ListBucketInventoryConfigurations
    ListBucketMetricsConfigurations ListBuckets ListDirectoryBuckets ListMultipartUploads ListObjectAnnotations
    PutBucketAbac PutBucketAccelerateConfiguration PutBucketAcl PutBucketAnalyticsConfiguration PutBucketCors
    PutBucketIntelligentTieringConfiguration PutBucketLogging PutBucketMetricsConfiguration PutBucketOwnershipControls
    PutBucketPolicy PutBucketRequestPayment PutBucketVersioning PutObjectAcl PutObjectLegalHold
    PutObjectLockConfiguration PutObjectRetention PutPublicAccessBlock UpdateBucketMetadataAnnotationTableConfiguration
    UpdateBucketMetadataInventoryTableConfiguration UpdateBucketMetadataJournalTableConfiguration
"""

OPERATIONS: Mapping[str, Operation] = {**_WITH_CONTENT, **_TO_BE_KNOWN, **dict.fromkeys(_NEITHER_WAY.split(), _PASS)}

# What a client has besides the operations, most of it from boto3.
METHODS: Mapping[str, Operation] = {
    "upload_file": Operation(
        "encrypt",
        note="In parallel parts where the file is large. `ExtraArgs` also takes `EncryptionContext` and "
        "`InstructionFileSuffix`.",
    ),
    "upload_fileobj": Operation("encrypt", note="As `upload_file`, from a file-like object, whatever it is."),
    "download_file": Operation(
        "decrypt",
        note="The file gets its name when the whole object was verified. `ExtraArgs` also takes `EncryptionContext` "
        "and `InstructionFileSuffix`.",
    ),
    "download_fileobj": Operation(
        "decrypt",
        note="The object is verified first; below `multipart_threshold`, `enable_delayed_authentication` says "
        "otherwise. `ExtraArgs` as for `download_file`.",
    ),
    "open": Operation(
        "decrypt",
        note="This library's own: an object as a seekable file. The first read verifies all of it, unless "
        "`enable_unauthenticated_ranges` lets it fetch what is read only.",
    ),
    "copy": Operation(
        "protect",
        note="As `copy_object`, in parts where the object is large. S3 moves the ciphertext. `ExtraArgs` also takes "
        "`InstructionFileSuffix`.",
    ),
    "generate_presigned_url": Operation(
        "protect",
        note="URLs to read yield the ciphertext, and one warning for each client says so. URLs to write are refused, "
        "because what comes in by them is not encrypted: write through this client, or, where plaintext is meant, "
        "`enable_plaintext_presigned_uploads`.",
    ),
    "generate_presigned_post": Operation(
        "protect",
        note="Refused: what a browser posts is not encrypted. Take it in your application, and write it here. Where "
        "plaintext is meant: `enable_plaintext_presigned_uploads`.",
    ),
    "get_paginator": Operation("pass", note="Pages are what the operation returns: sizes are the ciphertext's."),
    "get_waiter": _PASS,
    "can_paginate": _PASS,
    "waiter_names": _PASS,
    "close": _PASS,
    "exceptions": Operation("pass", note="S3's errors. This library's own are in `s3_encryption`."),
    "meta": Operation(
        "pass",
        note="Handlers that are registered with `meta.events` see the ciphertext. A request whose encrypted body they "
        "replace, or whose envelope they drop from `Metadata`, is refused.",
    ),
}

PRESIGNED_READS = ("get_object", "head_object")
PRESIGNED_WARNING = "Whoever uses a presigned URL to read gets the encrypted object and must decrypt it."

_UNKNOWN_WITH_DATA = Operation("protect", reason="This version does not know how to keep its data encrypted.")


def decision(model: Any) -> Operation:
    """Return what becomes of an operation, by botocore's model of it."""
    decided = OPERATIONS.get(model.name)
    if decided is not None:
        return decided
    streams = model.has_event_stream_input or model.has_event_stream_output
    carries_data = streams or _holds_data(model.input_shape) or _holds_data(model.output_shape)
    return _UNKNOWN_WITH_DATA if carries_data else _PASS


def is_unsafe_to_presign(method: str, meta: Any) -> bool:
    """Tell whether a presigned URL for a client's method would let whoever uses it store content unencrypted."""
    name = meta.method_to_api_mapping.get(method)
    if name is None:
        return False  # botocore says what is wrong with it
    model = meta.service_model.operation_model(name)
    decided = decision(model).decision
    return decided == "encrypt" or (decided == "protect" and _holds_data(model.input_shape))


def _holds_data(shape: Any, *outer: str) -> bool:
    """Tell whether what has this shape of botocore's has room for bytes, or is a text that is sent as it is."""
    if shape is None or shape.name in outer:
        return False
    if shape.type_name == "blob":
        return True
    members = getattr(shape, "members", {})
    payload = members.get(shape.serialization.get("payload"))
    if payload is not None and payload.type_name == "string":
        return True
    inner = (*members.values(), getattr(shape, "member", None), getattr(shape, "value", None))
    return any(_holds_data(member, shape.name, *outer) for member in inner)


def _botocores_own_handlers() -> HierarchicalEmitter:
    emitter = HierarchicalEmitter()
    for event, handler, *_ in BUILTIN_HANDLERS:
        if event.startswith("before-parameter-build.s3"):
            emitter.register(event, handler)
    return emitter


_BOTOCORES_OWN = _botocores_own_handlers()


def validate(model: Any, params: Params) -> None:
    """Let botocore refuse wrong parameters in its own words, before anything else is done with them.

    Its own event handlers come first, as in a real call: they encode customer keys, and check bucket names and
    metadata. The client's other handlers are the user's, and are to see ciphertext only.

    Raises:
        ParamValidationError: As plain boto3 would raise it.
    """
    built = dict(params)
    _BOTOCORES_OWN.emit(f"before-parameter-build.s3.{model.name}", params=built, model=model, context={})
    # A handler may have made a file of the body; the caller's own is what must be of a right type.
    given = {**built, "Body": params["Body"]} if "Body" in params else built
    report = ParamValidator().validate(given, model.input_shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())
