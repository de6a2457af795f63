"""What becomes of every operation of S3's model.

OPERATIONS has a row for each operation that is not simply boto3's. One that has none, and that could carry content, is
refused: a new botocore can't open a way for plaintext. ``docs/operations.md`` says of each operation what a user must
know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from .call import CONTEXT_PARAMETER, SUFFIX_PARAMETER, Call
from .copy import copy_object, rename_object
from .delete import delete_object, delete_objects
from .get import get_object
from .head import head_object
from .multipart import (
    abort_multipart_upload,
    complete_multipart_upload,
    create_multipart_upload,
    list_parts,
    upload_part,
)
from .part_copy import upload_part_copy
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
    """What the client does with one operation of S3's model.

    ``decision`` is one of DECISIONS. ``function`` does it, and ``extra`` names the parameters that it takes beside
    boto3's. Where the call is always refused, ``reason`` says why, and what to do instead.
    """

    decision: str
    function: Callable[[Call], Any] | None = None
    extra: tuple[str, ...] = ()
    reason: str = ""


CALL_PARAMETERS = (CONTEXT_PARAMETER, SUFFIX_PARAMETER)
_SUFFIX_ONLY = (SUFFIX_PARAMETER,)

_PASS = Operation("pass")

# fmt: off
OPERATIONS: Mapping[str, Operation] = {
    "PutObject":               Operation("encrypt", put_object, CALL_PARAMETERS),
    "GetObject":               Operation("decrypt", get_object, CALL_PARAMETERS),
    "HeadObject":              Operation("translate", head_object),
    "CreateMultipartUpload":   Operation("encrypt", create_multipart_upload, CALL_PARAMETERS),
    "UploadPart":              Operation("encrypt", upload_part),
    "CompleteMultipartUpload": Operation("encrypt", complete_multipart_upload),
    "AbortMultipartUpload":    Operation("translate", abort_multipart_upload),
    "ListParts":               Operation("translate", list_parts),
    "UploadPartCopy":          Operation("protect", upload_part_copy, CALL_PARAMETERS),
    "CopyObject":              Operation("protect", copy_object, _SUFFIX_ONLY),
    "DeleteObject":            Operation("translate", delete_object, _SUFFIX_ONLY),
    "DeleteObjects":           Operation("translate", delete_objects, _SUFFIX_ONLY),
    "RenameObject":            Operation("protect", rename_object),
    "SelectObjectContent":     Operation("protect", reason=(
                                   "S3 can't query what it can't read. Get the object instead.")),
    "PutObjectAnnotation":     Operation("protect", reason=(
                                   "It would be stored unencrypted. Put the text into an object.")),
    # These carry bytes or texts that are not the content of an object.
    "GetObjectAnnotation":     _PASS,
    "GetObjectTorrent":        _PASS,
    "WriteGetObjectResponse":  _PASS,
    "GetBucketPolicy":         _PASS,
    "PutBucketPolicy":         _PASS,
}
# fmt: on

PRESIGNED_READS = ("get_object", "head_object")
PRESIGNED_WARNING = "Whoever uses a presigned URL to read gets the encrypted object and must decrypt it."

_UNKNOWN_WITH_DATA = Operation("protect", reason="This version does not know how to keep its data encrypted.")


# Of models that were looked through: each client that is there has some.
_DECIDED: WeakKeyDictionary[Any, Operation] = WeakKeyDictionary()


def decision(model: Any) -> Operation:
    """Return what becomes of an operation, by botocore's model of it: what carries no content passes."""
    decided = OPERATIONS.get(model.name) or _DECIDED.get(model)
    if decided is None:
        decided = _DECIDED[model] = _decided_by(model)
    return decided


def _decided_by(model: Any) -> Operation:
    streams = model.has_event_stream_input or model.has_event_stream_output
    carries_data = streams or _holds_data(model.input_shape) or _holds_data(model.output_shape)
    return _UNKNOWN_WITH_DATA if carries_data else _PASS


def is_unsafe_to_presign(method: str, meta: Any) -> bool:
    """Return whether a presigned URL for a client's method would let whoever uses it store content unencrypted."""
    name = meta.method_to_api_mapping.get(method)
    if name is None:
        return False  # botocore says what is wrong with it
    model = meta.service_model.operation_model(name)
    decided = decision(model).decision
    return decided == "encrypt" or (decided == "protect" and _holds_data(model.input_shape))


def _holds_data(shape: Any, *outer: str) -> bool:
    """Return whether what has this shape of botocore's has room for bytes, or is a text that is sent as it is."""
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
