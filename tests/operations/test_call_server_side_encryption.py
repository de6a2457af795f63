"""Server-side encryption beside ours: what a call says of it, and of payer and owner, is said in all its requests.

The oracle is plain boto3: what it says in a request, we say in the same one; and of an instruction file, what is said
of its object.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from support.encoders import ENCODERS, store_with_file
from support.servers import Answer, Request
from support.strict_s3 import RefusedError, StrictS3
from support.uploads import MIB, Upload
from support.worlds import KEY, StrictWorld, served_by

from s3_encryption import CommitmentPolicy

DATA = random.Random("SSE").randbytes(11 * MIB)
COPY = "folder/copy.txt"
SMALL, LARGE = 1000, len(DATA)
IN_PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
LOCATIONS = ("metadata", "instruction_file")

PAYER_AND_OWNER = {"RequestPayer": "requester", "ExpectedBucketOwner": "111122223333"}
CUSTOMER_KEY = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"k" * 32}
SOURCE_KEY = {f"CopySource{name}": value for name, value in CUSTOMER_KEY.items()}
MODES: dict[str, dict[str, Any]] = {
    "SSE-S3": {"ServerSideEncryption": "AES256"},
    "SSE-KMS": {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "alias/at-rest",
        "SSEKMSEncryptionContext": "e30=",
        "BucketKeyEnabled": True,
    },
    "DSSE-KMS": {"ServerSideEncryption": "aws:kms:dsse", "SSEKMSKeyId": "alias/at-rest"},
    "SSE-C": CUSTOMER_KEY,
    "payer-and-owner": PAYER_AND_OWNER,
}
SAID = ("x-amz-server-side-encryption", "x-amz-copy-source-server-side", "x-amz-request-payer", "x-amz-expected-bucket")


def said(s3: StrictWorld) -> dict[str, set[frozenset[tuple[str, str]]]]:
    """Return what was said of encryption, payer and owner in each kind of request."""
    kinds: dict[str, set[frozenset[tuple[str, str]]]] = {}
    for request in s3.requests:
        words = frozenset((name, text) for name, text in request.headers.items() if name.startswith(SAID))
        kinds.setdefault(_kind(request), set()).add(words)
    return kinds


def _kind(request: Request) -> str:
    name = "file" if request.path.endswith(".instruction") else "object"
    if "partNumber" in request.query:
        return "copied part" if "x-amz-copy-source" in request.headers else "part"
    if request.method == "PUT" or "uploads" in request.query:
        return f"new {name}"
    return f"{request.method} {name}"


# --- writing ----------------------------------------------------------------------------------------------------------

Way = Callable[[StrictWorld, Any, dict[str, Any], Path], Any]


def _by_hand(s3: StrictWorld, client: Any, arguments: dict[str, Any], path: Path) -> None:
    # As programs must: customer key, payer and owner go with each call, what else is said when the upload starts.
    everywhere = {**PAYER_AND_OWNER, **CUSTOMER_KEY}.keys()
    repeated = {name: value for name, value in arguments.items() if name in everywhere}
    upload = Upload(client, repeated=repeated, **{n: v for n, v in arguments.items() if n not in everywhere})
    for number, start in enumerate(range(0, len(DATA), 5 * MIB), start=1):
        upload.send(number, DATA[start : start + 5 * MIB])
    upload.complete()


def _upload_file(s3: StrictWorld, client: Any, arguments: dict[str, Any], path: Path, size: int) -> None:
    path.write_bytes(DATA[:size])
    client.upload_file(str(path), s3.bucket, KEY, ExtraArgs=_transferable(arguments), Config=IN_PARTS)


def _transferable(arguments: dict[str, Any]) -> dict[str, Any]:
    # s3transfer knows nothing of bucket keys.
    return {name: value for name, value in arguments.items() if name != "BucketKeyEnabled"}


WRITES: dict[str, Way] = {
    "put_object": lambda s3, client, arguments, path: client.put_object(
        **s3.object_at(), Body=DATA[:SMALL], **arguments
    ),
    "put_object-large": lambda s3, client, arguments, path: client.put_object(
        **s3.object_at(), Body=io.BytesIO(DATA), **arguments
    ),
    "upload_file": lambda s3, client, arguments, path: _upload_file(s3, client, arguments, path, SMALL),
    "upload_file-in-parts": lambda s3, client, arguments, path: _upload_file(s3, client, arguments, path, LARGE),
    "upload_fileobj-in-parts": lambda s3, client, arguments, path: client.upload_fileobj(
        io.BytesIO(DATA), s3.bucket, KEY, ExtraArgs=_transferable(arguments), Config=IN_PARTS
    ),
    "upload_part": _by_hand,
}


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WRITES)
def test_write_says_what_boto3_says(s3: StrictWorld, tmp_path: Path, way: str, mode: str, location: str) -> None:
    """Every request of a write says of encryption at rest what that of plain boto3 says; so does the file's."""
    WRITES[way](s3, s3.plain, MODES[mode], tmp_path / "source")
    expected = said(s3)
    s3.forget()
    WRITES[way](s3, s3.client(envelope_location=location), MODES[mode], tmp_path / "source")
    if location == "instruction_file":
        expected["new file"] = expected["new object"]
    assert said(s3) == expected
    assert all(words for words in expected["new object"])


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(client: Any, **call: Any) -> None:
    with client.get_object(**call)["Body"] as body:
        body.read()


def _open(s3: StrictWorld, client: Any, arguments: dict[str, Any], path: Path) -> None:
    with client.open(s3.bucket, KEY, **arguments) as file:
        file.read(10)


READS: dict[str, Way] = {
    "get_object": lambda s3, client, arguments, path: _read(client, **s3.object_at(), **arguments),
    "range": lambda s3, client, arguments, path: _read(client, **s3.object_at(), **arguments, Range="bytes=20-40"),
    "suffix-range": lambda s3, client, arguments, path: _read(client, **s3.object_at(), **arguments, Range="bytes=-5"),
    "head_object": lambda s3, client, arguments, path: client.head_object(**s3.object_at(), **arguments),
    "download_file": lambda s3, client, arguments, path: client.download_file(
        s3.bucket, KEY, str(path), ExtraArgs=arguments, Config=IN_PARTS
    ),
    "download_fileobj": lambda s3, client, arguments, path: client.download_fileobj(
        s3.bucket, KEY, io.BytesIO(), ExtraArgs=arguments, Config=IN_PARTS
    ),
    "open": _open,
}
OBJECTS = {"V2-small": ("V2", SMALL), "V3-large": ("V3", LARGE), "CBC": ("V2-CBC", SMALL)}


@pytest.mark.parametrize("in_file", [False, True], ids=LOCATIONS)
@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("way", READS)
def test_read_says_the_same_in_every_request(
    s3: StrictWorld, tmp_path: Path, way: str, kind: str, in_file: bool
) -> None:
    """IF-13: also where more requests are needed: for an instruction file, for ranges, for the end of CBC content."""
    format, size = OBJECTS[kind]
    if in_file:
        store_with_file(s3, format, DATA[:size])
    else:
        encoded = ENCODERS[format].encode(DATA[:size])
        s3.store(encoded.body, encoded.metadata)
    client = s3.client(enable_unauthenticated_ranges=True, **ENCODERS[format].options)
    arguments = {**CUSTOMER_KEY, **PAYER_AND_OWNER}
    s3.forget()
    s3.plain.head_object(**s3.object_at(), **arguments)
    (expected,) = said(s3).values()
    s3.forget()
    READS[way](s3, client, arguments, tmp_path / "target")
    assert said(s3)
    assert all(words == expected for words in said(s3).values())
    fetches_file = in_file and way != "head_object"
    assert ("GET file" in said(s3)) == fetches_file


# --- copies -----------------------------------------------------------------------------------------------------------

REPLACE = {"MetadataDirective": "REPLACE", "Metadata": {"owner": "somebody"}}
COPIES: dict[str, Way] = {
    "copy_object": lambda s3, client, arguments, path: client.copy_object(
        **s3.object_at(COPY), CopySource=s3.object_at(), **arguments
    ),
    "copy": lambda s3, client, arguments, path: client.copy(
        s3.object_at(), s3.bucket, COPY, ExtraArgs=_transferable(arguments)
    ),
    "copy-in-parts": lambda s3, client, arguments, path: client.copy(
        s3.object_at(), s3.bucket, COPY, ExtraArgs=_transferable(arguments), Config=IN_PARTS
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", COPIES)
def test_copy_of_the_file_says_what_that_of_the_object_says(
    s3: StrictWorld, tmp_path: Path, way: str, mode: str
) -> None:
    """The copy's instruction file is encrypted at rest as the copy is, and taken from its source as that is."""
    arguments = {**MODES[mode], **SOURCE_KEY}
    client = s3.client(envelope_location="instruction_file")
    client.put_object(**s3.object_at(), Body=DATA, **CUSTOMER_KEY)
    s3.forget()
    COPIES[way](s3, s3.plain, {**arguments, **REPLACE}, tmp_path)
    expected = said(s3)
    s3.forget()
    COPIES[way](s3, client, {**arguments, **REPLACE}, tmp_path)
    ours = said(s3)
    (of_file,) = ours.pop("new file")
    looked_at = ours.pop("HEAD object")
    assert expected.pop("HEAD object", set()) <= looked_at
    assert ours == expected
    assert of_file >= frozenset().union(*expected["new object"])
    assert "x-amz-copy-source-server-side-encryption-customer-key" in dict(of_file)
    assert all("x-amz-server-side-encryption-customer-key" in dict(words) for words in looked_at)


# --- customer keys ----------------------------------------------------------------------------------------------------


class CustomerKeyS3(StrictS3):
    """A strict S3 that holds everybody to the customer key that an object, or an upload, was started with."""

    _KEY = "x-amz-server-side-encryption-customer-key-md5"
    _SOURCE_KEY = "x-amz-copy-source-server-side-encryption-customer-key-md5"

    def __init__(self) -> None:
        # By path, and of uploads under way by path and the word "upload".
        self.customer_keys: dict[str | tuple[str, str], str | None] = {}
        super().__init__()

    def answer(self, request: Request) -> Answer:
        """Refuse another customer key, or none, as S3 does."""
        given, source = request.headers.get(self._KEY), request.headers.get("x-amz-copy-source")
        if source is not None and self.customer_keys[f"/{source}"] != request.headers.get(self._SOURCE_KEY):
            return RefusedError(400, "InvalidRequest", "customer key of the source").answer()
        is_part, ends_upload = "partNumber" in request.query, request.method == "POST" and "uploadId" in request.query
        place = (request.path, "upload") if is_part or request.method == "POST" else request.path
        starts = not is_part and (request.method == "PUT" or "uploads" in request.query)
        if not starts and not ends_upload and self.customer_keys.get(place, given) != given:
            return RefusedError(400, "InvalidRequest", "customer key").answer()
        answer = super().answer(request)
        if starts and answer.status == 200:
            self.customer_keys[place] = given
        if ends_upload:
            self.customer_keys[request.path] = self.customer_keys[place]
        return answer


@pytest.fixture
def customers() -> Iterator[StrictWorld]:
    """Return a bucket where customer keys are checked."""
    with served_by(CustomerKeyS3()) as world:
        yield world


POLICIES = {
    "V2": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
    "V3": CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
}


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("format", POLICIES)
@pytest.mark.parametrize("way", WRITES)
def test_object_under_a_customer_key_comes_back(
    customers: StrictWorld, tmp_path: Path, way: str, format: str, location: str
) -> None:
    """Both encryptions together: written in every way, the object is read with the customer key in every way."""
    client = customers.client(
        envelope_location=location, commitment_policy=POLICIES[format], enable_unauthenticated_ranges=True
    )
    WRITES[way](customers, client, CUSTOMER_KEY, tmp_path / "source")
    for read in READS.values():
        read(customers, client, CUSTOMER_KEY, tmp_path / "target")
    assert DATA.startswith((tmp_path / "target").read_bytes())
    assert (tmp_path / "target").stat().st_size in (SMALL, LARGE)
    with pytest.raises(client.exceptions.ClientError, match="InvalidRequest"):
        client.get_object(**customers.object_at())


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("in_place", [False, True], ids=["elsewhere", "in-place"])
def test_customer_key_is_changed_by_a_copy(
    customers: StrictWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, location: str, in_place: bool
) -> None:
    """A copy under another customer key, also onto itself, changes the instruction file's key with the object's."""
    if in_place:
        monkeypatch.setitem(globals(), "COPY", KEY)
    client = customers.client(envelope_location=location)
    client.put_object(**customers.object_at(), Body=DATA, **CUSTOMER_KEY)
    new_key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"another key of 32 bytes, exactly"}
    COPIES[way](customers, client, {**SOURCE_KEY, **new_key}, tmp_path)
    with client.get_object(**customers.object_at(COPY), **new_key)["Body"] as body:
        assert body.read() == DATA
