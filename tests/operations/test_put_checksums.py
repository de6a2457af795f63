"""What requests with a body say of its checksum: what plain boto3 says, and what S3 demands under Object Lock."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import ClientError
from support.servers import Request
from support.uploads import DATA, MIB, MIN_PART_BYTES, Upload, cut
from support.worlds import KEY, ReadOnce, StrictWorld, World

from s3_encryption._body.sizes import SMALL_BODY_BYTES

SIZES = {"small": 1000, "large": SMALL_BODY_BYTES + 1000}
CONFIGS = ("when_supported", "when_required")
ALGORITHM = "x-amz-sdk-checksum-algorithm"
_bucket_numbers = itertools.count(1)

sizes = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
configs = pytest.mark.parametrize("config", CONFIGS)


def configured(config: str) -> dict[str, Any]:
    """Return the option of a client that adds checksums so."""
    return {"config": Config(request_checksum_calculation=config)}


def md5_of(body: bytes) -> str:
    """Return a Content-MD5."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def told(request: Request) -> set[str]:
    """Return the names of the checksums of a request, wherever they are, and the algorithm that it names.

    A Content-MD5 beside another checksum does not count: the client has compared it with the plaintext.
    """
    sent = {**request.headers, **request.trailers}
    names = {name for name in sent if name == "content-md5" or name.startswith("x-amz-checksum-")}
    return (names - {"content-md5"} or names) | {sent.get(ALGORITHM, "no algorithm")}


def is_protected(request: Request) -> bool:
    """Return whether a request has what S3 demands of a body that will be locked."""
    return not told(request).isdisjoint({"content-md5", "CRC32", "SHA256"})


# --- beside plain boto3 -----------------------------------------------------------------------------------------------

ASKED: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "nothing": lambda body: {},
    "CRC32": lambda body: {"ChecksumAlgorithm": "CRC32"},
    "SHA256": lambda body: {"ChecksumAlgorithm": "SHA256"},
    "lower-case": lambda body: {"ChecksumAlgorithm": "sha256"},
    "ContentMD5": lambda body: {"ContentMD5": md5_of(body)},
}
asked = pytest.mark.parametrize("asked", ASKED)
bodies = pytest.mark.parametrize("make_body", [bytes, io.BytesIO, ReadOnce], ids=["bytes", "BytesIO", "read-once"])


@configs
@sizes
@asked
def test_put_says_of_its_checksum_what_boto3_says(wire: StrictWorld, asked: str, size: int, config: str) -> None:
    """Algorithm and checksum stand beside each other wherever plain boto3 sends them, and nowhere else."""
    for client in (wire.plain_client(**configured(config)), wire.new_client(**configured(config))):
        client.put_object(**wire.object_at(), Body=DATA[:size], **ASKED[asked](DATA[:size]))
    boto3s, ours = wire.requests
    assert told(ours) == told(boto3s)


@configs
@asked
@pytest.mark.parametrize("last", [1000, MIN_PART_BYTES], ids=["held-part", "tag-part"])
def test_parts_say_of_their_checksums_what_boto3_says(wire: StrictWorld, asked: str, last: int, config: str) -> None:
    """A part that is held back says what it would have said, had it been sent at once."""
    requests = []
    for client in (wire.plain_client(**configured(config)), wire.new_client(**configured(config))):
        wire.forget()
        upload = Upload(client)
        for number, part in enumerate(cut(MIN_PART_BYTES, last), start=1):
            upload.send(number, part, **ASKED[asked](part))
        upload.complete()
        requests.append([told(request) for request in wire.server.of("PUT")])
    boto3s, ours = requests
    assert ours[: len(boto3s)] == boto3s


@sizes
@bodies
def test_content_md5_is_that_of_the_ciphertext(wire: StrictWorld, make_body: Callable[[bytes], Any], size: int) -> None:
    """Where botocore adds no checksum, a declared Content-MD5 is replaced by one of what is sent, of whatever size."""
    client = wire.new_client(**configured("when_required"))
    client.put_object(**wire.object_at(), Body=make_body(DATA[:size]), ContentMD5=md5_of(DATA[:size]))
    (request,) = wire.requests
    assert request.headers["content-md5"] == md5_of(request.body)
    assert client.get_object(**wire.object_at())["Body"].read() == DATA[:size]


# --- the client's own requests ----------------------------------------------------------------------------------------


@configs
@sizes
def test_instruction_file_has_a_checksum_whatever_the_object_has(wire: StrictWorld, size: int, config: str) -> None:
    """S3 may demand one of every object in the bucket, and without its file the object could not be read."""
    client = wire.new_client(envelope_location="instruction_file", **configured(config))
    client.put_object(**wire.object_at(), Body=DATA[:size])
    assert is_protected(wire.requests[-1])


@configs
@pytest.mark.parametrize("last", [1000, MIN_PART_BYTES], ids=["held-part", "tag-part"])
def test_what_completes_an_upload_has_checksums(wire: StrictWorld, last: int, config: str) -> None:
    """The part that is held back or has the tag, and the instruction file, where parts had a Content-MD5 only."""
    client = wire.new_client(envelope_location="instruction_file", **configured(config))
    upload = Upload(client)
    for number, part in enumerate(cut(MIN_PART_BYTES, last), start=1):
        upload.send(number, part, ContentMD5=md5_of(part))
    upload.complete()
    puts = wire.server.of("PUT")
    assert len(puts) == (3 if last < MIN_PART_BYTES else 4)
    assert all(is_protected(request) for request in puts)
    assert client.get_object(**wire.object_at())["Body"].read() == DATA[: MIN_PART_BYTES + last]


# --- Object Lock ------------------------------------------------------------------------------------------------------


@pytest.fixture
def locked(moto_url: str) -> Iterator[World]:
    """Return a bucket on moto that locks every object for a day."""
    world = World(moto_url, f"locked-{next(_bucket_numbers)}")
    world.plain.create_bucket(Bucket=world.bucket, ObjectLockEnabledForBucket=True)
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": retention}
    world.plain.put_object_lock_configuration(Bucket=world.bucket, ObjectLockConfiguration=lock)
    yield world
    world.close()


def _put(s3: World, client: Any, folder: Path, body: bytes) -> None:
    client.put_object(**s3.object_at(), Body=body)


def _put_declared(s3: World, client: Any, folder: Path, body: bytes) -> None:
    client.put_object(**s3.object_at(), Body=body, ContentMD5=md5_of(body))


def _put_by_algorithm(s3: World, client: Any, folder: Path, body: bytes) -> None:
    client.put_object(**s3.object_at(), Body=io.BytesIO(body), ChecksumAlgorithm="SHA256")


def _upload_file(s3: World, client: Any, folder: Path, body: bytes) -> None:
    path = folder / "source"
    path.write_bytes(body)
    client.upload_file(str(path), s3.bucket, KEY)


WRITES = {
    "put_object": _put,
    "put_object-ContentMD5": _put_declared,
    "put_object-SHA256": _put_by_algorithm,
    "upload_file": _upload_file,
}


def outcome(s3: World, write: Callable[[], None]) -> Any:
    """Return what becomes of a write: the class of its error, or what a listing and a head tell of its checksum."""
    try:
        write()
    except (ClientError, S3UploadFailedError) as error:
        return type(error)
    (entry,) = [entry for entry in s3.plain.list_objects_v2(Bucket=s3.bucket)["Contents"] if entry["Key"] == KEY]
    head = s3.plain.head_object(**s3.object_at(), ChecksumMode="ENABLED")
    return entry.get("ChecksumAlgorithm"), sorted(name for name in head if name.startswith("Checksum"))


@pytest.mark.parametrize("location", ["metadata", "instruction_file"])
@configs
@pytest.mark.parametrize("size", [1000, 2 * MIB, 9 * MIB], ids=["small", "large", "in-parts"])
@pytest.mark.parametrize("write", WRITES)
def test_bucket_with_object_lock_takes_what_it_takes_from_boto3(
    locked: World, tmp_path: Path, write: str, size: int, config: str, location: str
) -> None:
    """A bucket with a default retention stores it, or refuses it, and tells of its checksum as of plain boto3's."""
    client = locked.new_client(envelope_location=location, **configured(config))
    plain = locked.plain_client(**configured(config))
    body = DATA[:size]
    boto3s, ours = [
        outcome(locked, lambda client=client: WRITES[write](locked, client, tmp_path, body))  # type: ignore[misc]
        for client in (plain, client)
    ]
    assert ours == boto3s
    if isinstance(ours, tuple):
        assert client.get_object(**locked.object_at())["Body"].read() == body


# --- event handlers ---------------------------------------------------------------------------------------------------


def _set(params: dict[str, Any], **event: Any) -> None:
    params["ChecksumAlgorithm"] = "SHA256"


def _set_default(params: dict[str, Any], **event: Any) -> None:
    params.setdefault("ChecksumAlgorithm", "SHA256")


def _return(params: dict[str, Any], **event: Any) -> dict[str, Any]:
    return {**params, "ChecksumAlgorithm": "SHA256"}


def _give(params: dict[str, Any], **event: Any) -> None:
    digest = hashlib.sha256(params["Body"].read()).digest()
    params["Body"].seek(0)
    params["ChecksumSHA256"] = base64.b64encode(digest).decode()


HANDLERS = {
    "set": ("before-parameter-build", _set),
    "set-default": ("before-parameter-build", _set_default),
    "return": ("provide-client-params", _return),
    "give": ("before-parameter-build", _give),
}
handlers = pytest.mark.parametrize(("event", "handler"), HANDLERS.values(), ids=HANDLERS)


@configs
@sizes
@handlers
def test_handler_that_names_an_algorithm_is_obeyed(
    wire: StrictWorld, event: str, handler: Callable[..., Any], size: int, config: str
) -> None:
    """The checksum is of the algorithm that an event handler names, and no other one goes out beside it."""
    requests = []
    for client in (wire.plain_client(**configured(config)), wire.new_client(**configured(config))):
        client.meta.events.register(f"{event}.s3.PutObject", handler)
        client.put_object(**wire.object_at(), Body=io.BytesIO(DATA[:size]))
        requests.append(told(wire.requests[-1]))
    boto3s, ours = requests
    assert "x-amz-checksum-sha256" in ours
    assert ours == boto3s


@pytest.mark.parametrize("last", [1000, MIN_PART_BYTES], ids=["held-part", "tag-part"])
def test_handler_that_names_an_algorithm_is_obeyed_in_parts(wire: StrictWorld, last: int) -> None:
    """Every part has a checksum of it, and the list of parts that completes the upload tells it."""
    client = wire.new_client()
    for operation in ("CreateMultipartUpload", "UploadPart"):
        client.meta.events.register(f"before-parameter-build.s3.{operation}", _set)
    upload = Upload(client)
    for number, part in enumerate(cut(MIN_PART_BYTES, last), start=1):
        upload.send(number, part)
    upload.complete()
    assert all(told(request) == {"x-amz-checksum-sha256", "SHA256"} for request in wire.server.of("PUT"))
    listed = wire.server.of("POST")[-1].body
    assert listed.count(b"<ChecksumSHA256>") == len(wire.server.of("PUT"))
    assert client.get_object(**wire.object_at())["Body"].read() == DATA[: MIN_PART_BYTES + last]
