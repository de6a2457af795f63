"""Copies inside S3: the ciphertext moves as it is, so its envelope must move with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from . import envelope as envelopes
from .envelope_store import EnvelopeStore, Params, RawCall

# How a copy names, for its source, what a request about the source would say.
_SOURCE_PARAMETERS = {
    "CopySourceSSECustomerAlgorithm": "SSECustomerAlgorithm",
    "CopySourceSSECustomerKey": "SSECustomerKey",
    "CopySourceSSECustomerKeyMD5": "SSECustomerKeyMD5",
    "ExpectedSourceBucketOwner": "ExpectedBucketOwner",
    "RequestPayer": "RequestPayer",
}


@dataclass(frozen=True, slots=True)
class ObjectCopier:
    """Copies objects with their envelopes."""

    envelopes: EnvelopeStore

    def copy_object(self, raw_call: RawCall, params: Params) -> Any:
        """Copy an object with its envelope, also where its metadata is replaced, and return S3's answer."""
        response = raw_call("CopyObject", self.with_envelope(raw_call, params))
        self.copy_instruction_file(raw_call, params)
        return response

    def with_envelope(self, raw_call: RawCall, params: Params) -> Params:
        """Return a copy's parameters such that the copy has its source's envelope."""
        if params.get("MetadataDirective") != "REPLACE":
            return params
        source = _source(params)
        repeated = {to: params[name] for name, to in _SOURCE_PARAMETERS.items() if name in params}
        head = raw_call("HeadObject", {**repeated, **source})
        envelope = envelopes.envelope_fields(head.get("Metadata", {}))
        own = envelopes.without_envelope(params.get("Metadata") or {})
        pinned = {"CopySourceIfMatch": head["ETag"]} if envelope else {}
        return {**pinned, **params, "Metadata": {**own, **envelope}}

    def copy_instruction_file(self, raw_call: RawCall, params: Params) -> None:
        """Copy the source's instruction file too, where this client keeps envelopes in such files."""
        if self.envelopes.location != "instruction_file":
            return
        source = _source(params)
        source.pop("VersionId", None)
        source["Key"] += self.envelopes.suffix
        try:
            raw_call(
                "CopyObject",
                {"Bucket": params["Bucket"], "Key": params["Key"] + self.envelopes.suffix, "CopySource": source},
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in ("NoSuchKey", "404"):
                raise


def _source(params: Mapping[str, Any]) -> dict[str, str]:
    """Return bucket, key and perhaps version of a copy's source, from botocore's two ways to name it."""
    source = params["CopySource"]
    if not isinstance(source, str):
        return dict(source)
    path, _, version = source.partition("?versionId=")
    bucket, _, key = path.removeprefix("/").partition("/")
    return {"Bucket": bucket, "Key": unquote(key), **({"VersionId": version} if version else {})}
