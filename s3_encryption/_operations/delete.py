"""Deleting objects: an instruction file goes with its object, where this client writes such files.

The object goes first: a delete that S3 refuses must leave it readable. A delete with a VersionId takes one old version,
or a marker, away; the instruction file is needed by what remains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .call import Call, Params
from .placement import instruction_key

# What is said of a delete, and holds for the instruction file too. Versions and conditions are the object's alone.
_REPEATED_PARAMETERS = (
    "Bucket",
    "MFA",
    "RequestPayer",
    "BypassGovernanceRetention",
    "ExpectedBucketOwner",
    "ChecksumAlgorithm",
)


def delete_object(call: Call) -> Any:
    """Delete an object, and return S3's answer to that."""
    response = call.send("DeleteObject", dict(call.params))
    for file in _files(call, [call.params]):
        call.send("DeleteObject", {**_repeated(call.params), "Key": file})
    return response


def delete_objects(call: Call) -> Any:
    """Delete objects, and return S3's answer; what goes wrong with an instruction file is said of its object."""
    response = call.send("DeleteObjects", dict(call.params))
    kept = {(error.get("Key"), error.get("VersionId")) for error in response.get("Errors", [])}
    entries = call.params["Delete"]["Objects"]
    files = _files(call, [entry for entry in entries if (entry["Key"], entry.get("VersionId")) not in kept])
    if not files:
        return response
    listed = {"Objects": [{"Key": file} for file in files], "Quiet": True}
    answer = call.send("DeleteObjects", {**_repeated(call.params), "Delete": listed})
    errors = [{**error, "Key": files.get(error.get("Key"), error.get("Key"))} for error in answer.get("Errors", [])]
    return {**response, "Errors": [*response.get("Errors", []), *errors]} if errors else response


def _files(call: Call, entries: Iterable[Mapping[str, Any]]) -> dict[Any, Any]:
    """Return the keys of the instruction files that go with deleted objects, and whose they are."""
    keys = [entry["Key"] for entry in entries if "VersionId" not in entry]
    files = {instruction_key(call, key): key for key in keys}
    # Who lists a bucket and deletes all that is in it names the files, too.
    return {file: key for file, key in files.items() if file is not None and file not in keys}


def _repeated(params: Params) -> Params:
    return {name: params[name] for name in _REPEATED_PARAMETERS if name in params}
