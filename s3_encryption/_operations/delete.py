"""Deleting objects: an instruction file goes with its object, where this client writes such files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .envelope_store import CallOptions, EnvelopeStore, Params, RawCall

# What is said of a delete, and holds for the instruction file too. Versions and conditions are the object's alone.
_REPEATED_PARAMETERS = (
    "Bucket",
    "MFA",
    "RequestPayer",
    "BypassGovernanceRetention",
    "ExpectedBucketOwner",
    "ChecksumAlgorithm",
)


@dataclass(frozen=True, slots=True)
class ObjectRemover:
    """Deletes objects, and after them their instruction files.

    The object goes first: a delete that S3 refuses must leave it readable. A delete with a VersionId takes one old
    version, or a marker, away; the instruction file is needed by what remains.
    """

    envelopes: EnvelopeStore

    def delete_object(self, raw_call: RawCall, params: Params) -> Any:
        """Delete an object, and return S3's answer to that."""
        call = CallOptions.pop_suffix_from(params)
        response = raw_call("DeleteObject", dict(params))
        for file in self._files([params], call):
            raw_call("DeleteObject", {**_repeated(params), "Key": file})
        return response

    def delete_objects(self, raw_call: RawCall, params: Params) -> Any:
        """Delete objects, and return S3's answer; what goes wrong with an instruction file is said of its object."""
        call = CallOptions.pop_suffix_from(params)
        response = raw_call("DeleteObjects", dict(params))
        kept = {(error.get("Key"), error.get("VersionId")) for error in response.get("Errors", [])}
        deleted = [entry for entry in params["Delete"]["Objects"] if (entry["Key"], entry.get("VersionId")) not in kept]
        files = self._files(deleted, call)
        if not files:
            return response
        listed = {"Objects": [{"Key": file} for file in files], "Quiet": True}
        answer = raw_call("DeleteObjects", {**_repeated(params), "Delete": listed})
        errors = [{**error, "Key": files.get(error.get("Key"), error.get("Key"))} for error in answer.get("Errors", [])]
        return {**response, "Errors": [*response.get("Errors", []), *errors]} if errors else response

    def _files(self, entries: Iterable[Mapping[str, Any]], call: CallOptions) -> dict[Any, Any]:
        """Return the keys of the instruction files that go with deleted objects, and whose they are."""
        keys = [entry["Key"] for entry in entries if "VersionId" not in entry]
        files = {self.envelopes.instruction_key(key, call): key for key in keys}
        # Who lists a bucket and deletes all that is in it names the files, too.
        return {file: key for file, key in files.items() if file is not None and file not in keys}


def _repeated(params: Params) -> Params:
    return {name: params[name] for name in _REPEATED_PARAMETERS if name in params}
