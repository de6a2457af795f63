"""What becomes of every operation of S3's model: one table, and the checks that go before a call.

A streaming operation that is not in the table is refused, so that a new botocore can't open a way for plaintext.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ParamValidationError
from botocore.handlers import BUILTIN_HANDLERS
from botocore.hooks import HierarchicalEmitter
from botocore.validate import ParamValidator

from .envelope_store import CONTEXT_PARAMETER, SUFFIX_PARAMETER, Params


@dataclass(frozen=True, slots=True)
class Operation:
    """What the client does with one operation of S3's model.

    ``decision`` is "encrypt", "decrypt", "translate" (lengths and metadata), "protect" (refuse) or "pass". ``handle``
    names the method of Handlers that does it; ``reason`` says why, where the call is refused.
    """

    decision: str
    handle: str = ""
    reason: str = ""


OPERATIONS: Mapping[str, Operation] = {
    "PutObject": Operation("encrypt", handle="writer.put_object"),
    "GetObject": Operation("decrypt", handle="reader.get_object"),
    "HeadObject": Operation("translate", handle="reader.head_object"),
    "CreateMultipartUpload": Operation("encrypt", handle="uploads.create_multipart_upload"),
    "UploadPart": Operation("encrypt", handle="uploads.upload_part"),
    "CompleteMultipartUpload": Operation("encrypt", handle="uploads.complete_multipart_upload"),
    "AbortMultipartUpload": Operation("translate", handle="uploads.abort_multipart_upload"),
    "UploadPartCopy": Operation("protect", handle="uploads.upload_part_copy"),
    "CopyObject": Operation("protect", handle="copies.copy_object"),
    "SelectObjectContent": Operation("protect", reason="S3 can't query what it can't read. Get the object instead."),
    "PutObjectAnnotation": Operation("protect", reason="It would store the annotation unencrypted."),
    # Streams that are not the content of an object: a bit torrent file, an annotation, a Lambda function's answer.
    "GetObjectTorrent": Operation("pass"),
    "GetObjectAnnotation": Operation("pass"),
    "WriteGetObjectResponse": Operation("pass"),
}
_PASS = Operation("pass")
_UNKNOWN_STREAM = Operation("protect", reason="This version does not know how to keep its data encrypted.")

CALL_PARAMETERS = (CONTEXT_PARAMETER, SUFFIX_PARAMETER)
EXTRA_PARAMETERS = {
    "PutObject": CALL_PARAMETERS,
    "GetObject": CALL_PARAMETERS,
    "CreateMultipartUpload": CALL_PARAMETERS,
}

# Presigned URLs leave the encryption to whoever uses them. Reading by one yields ciphertext, which harms nobody.
UNSAFE_PRESIGNED = frozenset(
    {"put_object", "upload_part", "create_multipart_upload", "complete_multipart_upload", "put_object_annotation"}
)
PRESIGNED_WARNING = "Whoever uses a presigned URL for get_object gets the encrypted object and must decrypt it."


def _botocores_own_handlers() -> HierarchicalEmitter:
    emitter = HierarchicalEmitter()
    for event, handler, *_ in BUILTIN_HANDLERS:
        if event.startswith("before-parameter-build.s3"):
            emitter.register(event, handler)
    return emitter


_BOTOCORES_OWN = _botocores_own_handlers()


def decision(model: Any) -> Operation:
    """Return what becomes of an operation, by botocore's model of it."""
    decided = OPERATIONS.get(model.name)
    if decided is not None:
        return decided
    streams = (
        model.has_streaming_input,
        model.has_streaming_output,
        model.has_event_stream_input,
        model.has_event_stream_output,
    )
    return _UNKNOWN_STREAM if any(streams) else _PASS


def validate(model: Any, params: Params) -> None:
    """Let botocore refuse wrong parameters before a data key is asked for, in its own words.

    Its own event handlers come first, as in a real call: they encode customer keys, and check bucket names and
    metadata. The client's other handlers are the user's, and are to see ciphertext only.

    Raises:
        ParamValidationError: As plain boto3 would raise it.
    """
    extra = EXTRA_PARAMETERS.get(model.name, ())
    known = {name: value for name, value in params.items() if name not in extra}
    _BOTOCORES_OWN.emit(f"before-parameter-build.s3.{model.name}", params=known, model=model, context={})
    # A handler may have made a file of the body; the caller's own is what must be of a right type.
    given = {**known, "Body": params["Body"]} if "Body" in params else known
    report = ParamValidator().validate(given, model.input_shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())
