"""An object whose envelope is in its metadata costs no request more than plain boto3's."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from support.uploads import DATA, MIB
from support.worlds import KEY, StrictWorld

from s3_encryption._botocore import MANAGED_COPIES_KEEP_METADATA

SMALL = DATA[:1000]
# The last part is below 5 MiB, so that the tag goes with it.
IN_PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, use_threads=False)
METADATA = {"MetadataDirective": "REPLACE", "Metadata": {"owner": "somebody"}}


def _source(s3: StrictWorld, key: str = KEY) -> dict[str, str]:
    return {"Bucket": s3.bucket, "Key": key}


Call = Callable[[StrictWorld, Any], object]
CALLS: dict[str, Call] = {
    "put_object": lambda s3, client: client.put_object(**s3.object_at("new"), Body=SMALL),
    "put_object-large": lambda s3, client: client.put_object(**s3.object_at("new"), Body=io.BytesIO(DATA)),
    "get_object": lambda s3, client: client.get_object(**s3.object_at())["Body"].read(),
    "get_object-large": lambda s3, client: client.get_object(**s3.object_at("large"))["Body"].read(),
    "head_object": lambda s3, client: client.head_object(**s3.object_at()),
    "delete_object": lambda s3, client: client.delete_object(**s3.object_at()),
    "upload_fileobj": lambda s3, client: client.upload_fileobj(io.BytesIO(SMALL), s3.bucket, "new", Config=IN_PARTS),
    "upload_fileobj-in-parts": lambda s3, client: client.upload_fileobj(
        io.BytesIO(DATA), s3.bucket, "new", Config=IN_PARTS
    ),
    "download_fileobj": lambda s3, client: client.download_fileobj(s3.bucket, KEY, io.BytesIO(), Config=IN_PARTS),
    "download_fileobj-in-parts": lambda s3, client: client.download_fileobj(
        s3.bucket, "large", io.BytesIO(), Config=IN_PARTS
    ),
}
COPIES: dict[str, Call] = {
    "copy_object": lambda s3, client: client.copy_object(**s3.object_at("new"), CopySource=_source(s3)),
    "copy_object-COPY": lambda s3, client: client.copy_object(
        **s3.object_at("new"), CopySource=_source(s3), MetadataDirective="COPY"
    ),
}
if MANAGED_COPIES_KEEP_METADATA:
    # Where s3transfer loses the metadata, the source must be looked at.
    COPIES["copy"] = lambda s3, client: client.copy(_source(s3), s3.bucket, "new", Config=IN_PARTS)


def requests_of(s3: StrictWorld, client: Any, call: Call) -> list[tuple[str, str]]:
    """Return method and path of the requests of a call."""
    client.put_object(**s3.object_at(), Body=SMALL)
    client.put_object(**s3.object_at("large"), Body=DATA)
    s3.forget()
    call(s3, client)
    return sorted((request.method, request.path) for request in s3.requests)


@pytest.mark.parametrize("call", CALLS)
def test_call_makes_the_requests_of_boto3s(s3: StrictWorld, call: str) -> None:
    """Whatever is written, read, asked for or deleted: as many requests of each kind, for the same objects."""
    expected = requests_of(s3, s3.plain, CALLS[call])
    assert requests_of(s3, s3.client(), CALLS[call]) == expected


@pytest.mark.parametrize("call", COPIES)
def test_copy_looks_at_its_source_only_for_an_instruction_file(s3: StrictWorld, call: str) -> None:
    """A copy that keeps the metadata takes the envelope along by itself; one HEAD tells whether it is in a file."""
    expected = requests_of(s3, s3.plain, COPIES[call])
    assert requests_of(s3, s3.client(ignore_instruction_files=True), COPIES[call]) == expected
    assert requests_of(s3, s3.client(), COPIES[call]) == sorted([*expected, ("HEAD", f"/{s3.bucket}/{KEY}")])


@pytest.mark.parametrize("ignore", [False, True], ids=["instruction-files", "no-instruction-files"])
def test_copy_with_other_metadata_looks_at_its_source_once(s3: StrictWorld, ignore: bool) -> None:
    """The envelope must be known to be written beside the new metadata."""

    def copy(s3: StrictWorld, client: Any) -> None:
        client.copy_object(**s3.object_at("new"), CopySource=_source(s3), **METADATA)

    client = s3.client(ignore_instruction_files=ignore)
    expected = [("HEAD", f"/{s3.bucket}/{KEY}"), ("PUT", f"/{s3.bucket}/new")]
    assert requests_of(s3, client, copy) == expected
    assert client.get_object(**s3.object_at("new"))["Body"].read() == SMALL


def test_copy_takes_the_file_along_that_the_call_names_without_a_look(s3: StrictWorld) -> None:
    """Who names the instruction file has said where the envelope is."""
    client = s3.client(ignore_instruction_files=True)
    client.put_object(**s3.object_at(), Body=SMALL, InstructionFileSuffix=".mine")
    s3.forget()
    client.copy_object(**s3.object_at("new"), CopySource=_source(s3), InstructionFileSuffix=".mine")
    assert [(request.method, request.path) for request in s3.requests] == [
        ("PUT", f"/{s3.bucket}/new"),
        ("PUT", f"/{s3.bucket}/new.mine"),
    ]
    assert client.get_object(**s3.object_at("new"), InstructionFileSuffix=".mine")["Body"].read() == SMALL
