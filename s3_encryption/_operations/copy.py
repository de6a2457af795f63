"""Copies inside S3: the ciphertext moves as it is, so its envelope must move with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from .._botocore import MANAGED_COPIES_KEEP_METADATA
from .._envelope import formats
from ..exceptions import UnsupportedOperationError
from .call import Call, Params, Send, error_code
from .placement import INSTRUCTION_FILE_PARAMETERS, check_key, suffix_of
from .stored_object import check_metadata_complete

_NO_SUCH_OBJECT = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NoSuchVersion"})

# How a copy names, for its source, what a request about the source would say.
SOURCE_PARAMETERS = {
    "CopySourceSSECustomerAlgorithm": "SSECustomerAlgorithm",
    "CopySourceSSECustomerKey": "SSECustomerKey",
    "CopySourceSSECustomerKeyMD5": "SSECustomerKeyMD5",
    "ExpectedSourceBucketOwner": "ExpectedBucketOwner",
    "RequestPayer": "RequestPayer",
}

# With no more than these there is no reason to copy an instruction file onto itself. With more, S3 refuses it all the
# same (for rights and locks, say) unless the metadata is replaced.
_CHANGES_NOTHING = frozenset({"RequestPayer", "ExpectedBucketOwner", "ChecksumAlgorithm"})
_METADATA_ANEW = {"MetadataDirective": "REPLACE", "Metadata": {formats.INSTRUCTION_FILE_MARKER: ""}}


def copy_object(call: Call) -> Any:
    """Copy an object with its envelope, also where its metadata is replaced, and return S3's answer."""
    source = CopySource.of(call)
    if source is None:
        return call.send("CopyObject", call.params)
    response = call.send("CopyObject", dict(source.with_envelope(call.params)))
    source.copy_instruction_file(call)
    return response


def rename_object(call: Call) -> Any:
    """Rename an object, which takes its metadata along; refuse where its envelope is elsewhere."""
    if call.encryption.settings.envelope_location == "instruction_file":
        raise UnsupportedOperationError(
            "RenameObject would leave the instruction file under the old name, and the object unreadable. "
            "Use copy_object and delete_object: they take the instruction file along."
        )
    check_key(call, call.params["Key"], call.params["RenameSource"])
    return call.send("RenameObject", call.params)


def managed_copy(call: Call, extra_args: Params, copy: Callable[[Params], object], head: Send) -> None:
    """Copy an object with its envelope by a function that copies large ones in parts, as boto3's ``copy`` does.

    Args:
        call: What is copied; it sends on the target's client.
        extra_args: What else is said of the copy.
        copy: Copies, with these for its ``extra_args``.
        head: Sends requests about the source.
    """
    call = replace(call, params={**extra_args, **call.params})
    source = CopySource.of(replace(call, send=head), keeps_metadata=MANAGED_COPIES_KEEP_METADATA)
    if source is None:
        copy(extra_args)
        return
    kept = dict(source.with_envelope(extra_args))
    if not MANAGED_COPIES_KEEP_METADATA and extra_args.get("MetadataDirective") != "REPLACE":
        # The caller's has no effect without that word.
        kept["Metadata"] = dict(source.metadata)
    if "CopySourceIfMatch" not in extra_args:
        # A managed copy pins its source by itself.
        kept.pop("CopySourceIfMatch", None)
    copy(kept)
    source.copy_instruction_file(call)


@dataclass(frozen=True, slots=True)
class CopySource:
    """The source of a copy: where it is, its ETag, its metadata, and the envelope fields in that."""

    address: dict[str, str]
    etag: str | None
    metadata: Mapping[str, str]
    fields: Mapping[str, str]

    @classmethod
    def of(cls, call: Call, *, keeps_metadata: bool = True) -> CopySource | None:
        """Return what a copy must know of its source; None if there is none, so that S3 may say so in its own words.

        S3 is asked only for what the copy depends on.

        Args:
            call: The copy.
            keeps_metadata: Whether who copies sees to the metadata that is not replaced.

        Raises:
            InvalidEnvelopeError: The copy's metadata are given anew, and the envelope may be among those that S3 does
                not tell.
        """
        params = call.params
        address = address_of_source(params)
        if address is None:
            return None
        check_key(call, params["Key"], address["Key"])
        finds_file = call.instruction_file_suffix is None and not call.encryption.settings.ignore_instruction_files
        if keeps_metadata and not finds_file and params.get("MetadataDirective") != "REPLACE":
            return cls(address, None, {}, {})
        repeated = {to: params[name] for name, to in SOURCE_PARAMETERS.items() if name in params}
        try:
            head = call.send("HeadObject", {**repeated, **address})
        except ClientError as error:
            if error_code(error) in _NO_SUCH_OBJECT:
                return None
            raise
        metadata = head.get("Metadata", {})
        fields = formats.envelope_fields(metadata)
        if not fields and params.get("MetadataDirective") == "REPLACE":
            check_metadata_complete(head)
        return cls(address, head.get("ETag"), metadata, fields)

    def with_envelope(self, params: Params) -> Params:
        """Return a copy's parameters such that the copy has its source's envelope."""
        if params.get("MetadataDirective") != "REPLACE":
            return params
        own = formats.without_envelope(params.get("Metadata") or {})
        pinned = {"CopySourceIfMatch": self.etag} if self.fields and self.etag is not None else {}
        return {**pinned, **params, "Metadata": {**own, **self.fields}}

    def copy_instruction_file(self, call: Call) -> None:
        """Copy the source's instruction file too: the one that the call names, or where its envelope is in one."""
        named = call.instruction_file_suffix is not None
        if not named and (formats.has_envelope(self.fields) or call.encryption.settings.ignore_instruction_files):
            return
        params, suffix = call.params, suffix_of(call)
        address = {"Bucket": self.address["Bucket"], "Key": self.address["Key"] + suffix}
        target = {"Bucket": params["Bucket"], "Key": params["Key"] + suffix}
        changed = {name: params[name] for name in INSTRUCTION_FILE_PARAMETERS if name in params}
        in_place = address == target
        if in_place and changed.keys() <= _CHANGES_NOTHING:
            return
        anew = _METADATA_ANEW if in_place else {}
        said_of_source = {name: params[name] for name in SOURCE_PARAMETERS if name in params}
        try:
            call.send("CopyObject", {**said_of_source, **changed, **anew, **target, "CopySource": address})
        except ClientError as error:
            # A plaintext object has none.
            if named or error_code(error) not in _NO_SUCH_OBJECT:
                raise


def address_of_source(params: Mapping[str, Any]) -> dict[str, str] | None:
    """Return bucket, key and perhaps version of a copy's source, from the two ways in which botocore takes it.

    None for what botocore does not take, and refuses by itself.
    """
    source = params.get("CopySource")
    if isinstance(source, Mapping):
        # boto3's copy_object looks at no other entry, and takes None for the newest version.
        address = {name: source[name] for name in ("Bucket", "Key", "VersionId") if source.get(name) is not None}
        return address if {"Bucket", "Key"} <= address.keys() else None
    if not isinstance(source, str):
        return None
    version = re.search(r"\?versionId=(\S+)$", source)
    path = source[: version.start()] if version else source
    separator = "/object/" if path.startswith("arn:") else "/"
    bucket, _, key = path.removeprefix("/").partition(separator)
    if not bucket or not key:
        return None
    return {"Bucket": bucket, "Key": key, **({"VersionId": version[1]} if version else {})}
