"""Copies inside S3: the ciphertext moves as it is, so its envelope must move with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from s3transfer.copies import CopySubmissionTask

from .._envelope import formats as envelopes
from ..exceptions import UnsupportedOperationError
from .envelope_store import INSTRUCTION_FILE_PARAMETERS, CallOptions, EnvelopeStore, Params, RawCall, error_code

# Older versions of s3transfer lose the metadata of what they copy in parts, unless they are given it.
MANAGED_COPIES_KEEP_METADATA = hasattr(CopySubmissionTask, "PRESERVED_METADATA_FIELDS")

_NO_SUCH_OBJECT = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NoSuchVersion"})

# How a copy names, for its source, what a request about the source would say.
_SOURCE_PARAMETERS = {
    "CopySourceSSECustomerAlgorithm": "SSECustomerAlgorithm",
    "CopySourceSSECustomerKey": "SSECustomerKey",
    "CopySourceSSECustomerKeyMD5": "SSECustomerKeyMD5",
    "ExpectedSourceBucketOwner": "ExpectedBucketOwner",
    "RequestPayer": "RequestPayer",
}

# With no more than these there is no reason to copy an instruction file onto itself. With more, S3 refuses it all the
# same (for rights and locks, say) unless the metadata is replaced.
_CHANGES_NOTHING = frozenset({"RequestPayer", "ExpectedBucketOwner", "ChecksumAlgorithm"})
_METADATA_ANEW = {"MetadataDirective": "REPLACE", "Metadata": {envelopes.INSTRUCTION_FILE_MARKER: ""}}


@dataclass(frozen=True, slots=True)
class ObjectCopier:
    """Copies objects with their envelopes."""

    envelopes: EnvelopeStore

    def copy_object(self, raw_call: RawCall, params: Params) -> Any:
        """Copy an object with its envelope, also where its metadata is replaced, and return S3's answer."""
        call = CallOptions.pop_suffix_from(params)
        source = self.source_of(raw_call, params, call)
        if source is None:
            return raw_call("CopyObject", params)
        response = raw_call("CopyObject", dict(source.with_envelope(params)))
        self.copy_instruction_file(raw_call, params, source, call)
        return response

    def rename_object(self, raw_call: RawCall, params: Params) -> Any:
        """Rename an object, which takes its metadata along; refuse where its envelope is elsewhere."""
        if self.envelopes.location == "instruction_file":
            raise UnsupportedOperationError(
                "RenameObject would leave the instruction file under the old name, and the object unreadable. "
                "Use copy_object and delete_object: they take the instruction file along."
            )
        self.envelopes.check_key(params["Key"], CallOptions(None, None), params["RenameSource"])
        return raw_call("RenameObject", params)

    def source_of(self, raw_call: RawCall, params: Params, call: CallOptions) -> CopySource | None:
        """Return what a copy must know of its source; None if there is none, so that S3 may say so in its own words."""
        address = _address(params)
        if address is None:
            return None
        self.envelopes.check_key(params["Key"], call, address["Key"])
        repeated = {to: params[name] for name, to in _SOURCE_PARAMETERS.items() if name in params}
        try:
            head = raw_call("HeadObject", {**repeated, **address})
        except ClientError as error:
            if error_code(error) in _NO_SUCH_OBJECT:
                return None
            raise
        metadata = head.get("Metadata", {})
        return CopySource(address, head["ETag"], metadata, envelopes.envelope_fields(metadata))

    def copy_instruction_file(self, raw_call: RawCall, params: Params, source: CopySource, call: CallOptions) -> None:
        """Copy the source's instruction file too: the one that the call names, or where its envelope is in one."""
        named = call.instruction_file_suffix is not None
        if not named and (envelopes.has_envelope(source.fields) or self.envelopes.ignores_instruction_files):
            return
        suffix = self.envelopes.suffix_for(call)
        address = {"Bucket": source.address["Bucket"], "Key": source.address["Key"] + suffix}
        target = {"Bucket": params["Bucket"], "Key": params["Key"] + suffix}
        changed = {name: params[name] for name in INSTRUCTION_FILE_PARAMETERS if name in params}
        in_place = address == target
        if in_place and changed.keys() <= _CHANGES_NOTHING:
            return
        anew = _METADATA_ANEW if in_place else {}
        said_of_source = {name: params[name] for name in _SOURCE_PARAMETERS if name in params}
        try:
            raw_call("CopyObject", {**said_of_source, **changed, **anew, **target, "CopySource": address})
        except ClientError as error:
            # A plaintext object has none.
            if named or error_code(error) not in _NO_SUCH_OBJECT:
                raise


@dataclass(frozen=True, slots=True)
class CopySource:
    """The source of a copy: where it is, its ETag, its metadata, and the envelope fields in that."""

    address: dict[str, str]
    etag: str
    metadata: Mapping[str, str]
    fields: Mapping[str, str]

    def with_envelope(self, params: Params) -> Params:
        """Return a copy's parameters such that the copy has its source's envelope."""
        if params.get("MetadataDirective") != "REPLACE":
            return params
        own = envelopes.without_envelope(params.get("Metadata") or {})
        pinned = {"CopySourceIfMatch": self.etag} if self.fields else {}
        return {**pinned, **params, "Metadata": {**own, **self.fields}}


def _address(params: Mapping[str, Any]) -> dict[str, str] | None:
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
