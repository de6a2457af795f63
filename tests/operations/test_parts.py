"""Part numbers: what plain boto3 says of the parts of a plaintext, the encrypting client says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.encoders import ENCODERS
from support.uploads import DATA, MIN_PART_BYTES, policies, uploaded
from support.worlds import StrictWorld, error_of

from s3_encryption import CommitmentPolicy, DecryptionError, NotEncryptedError, PolicyError

# Sizes of a caller's parts. S3 gets the tag within the last one, or as one more.
SHAPES: dict[str, list[int]] = {
    "one-empty": [0],
    "one-small": [100],
    "one-large": [MIN_PART_BYTES],
    "last-small": [MIN_PART_BYTES, 100],
    "last-large": [MIN_PART_BYTES, MIN_PART_BYTES + 1],
    "three": [MIN_PART_BYTES, MIN_PART_BYTES + 5, 7],
}
shapes = pytest.mark.parametrize("shape", SHAPES)


def told(call: Callable[..., Any], named: dict[str, str], number: int) -> Any:
    """Return what a client says to a request for a part: lengths, number of parts and content, or the error."""
    try:
        answer = call(**named, PartNumber=number)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"], str(error)
    content = answer["Body"].read() if "Body" in answer else None
    lengths = {name: answer.get(name) for name in ("ContentLength", "ContentRange", "PartsCount")}
    # No range is without bytes; with which status nothing is sent, servers disagree.
    status = answer["ResponseMetadata"]["HTTPStatusCode"] if lengths["ContentLength"] else None
    return status, lengths, content


@policies
@shapes
def test_part_is_as_it_was_uploaded(s3: StrictWorld, shape: str, policy: CommitmentPolicy) -> None:
    """Length, place, number and content of every part, and of the one behind the last, are those of plain boto3."""
    client = s3.client(commitment_policy=policy, enable_unauthenticated_ranges=True)
    uploaded(s3, *SHAPES[shape], client=client).complete()
    uploaded(s3, *SHAPES[shape], client=s3.plain, key="plain").complete()
    for number in range(1, len(SHAPES[shape]) + 3):
        for operation in ("head_object", "get_object"):
            ours = told(getattr(client, operation), s3.object_at(), number)
            boto3s = told(getattr(s3.plain, operation), s3.object_at("plain"), number)
            assert (operation, number, ours) == (operation, number, boto3s)


@pytest.mark.parametrize("size", [0, 1, 61])
def test_what_was_put_at_once_is_one_part(s3: StrictWorld, size: int) -> None:
    """An object that was not uploaded in parts is its own first part, verified, and has no second."""
    s3.client().put_object(**s3.object_at(), Body=DATA[:size])
    s3.plain.put_object(**s3.object_at("plain"), Body=DATA[:size])
    for number in (1, 2):
        for operation in ("head_object", "get_object"):
            ours = told(getattr(s3.client(), operation), s3.object_at(), number)
            assert ours == told(getattr(s3.plain, operation), s3.object_at("plain"), number)


@pytest.mark.parametrize("format", ["V1", "V2-CBC"])
def test_part_of_legacy_content_is_its_plaintext(s3: StrictWorld, format: str) -> None:
    """The only part of a CBC object ends before its padding."""
    encoded = ENCODERS[format].encode(DATA[:61])
    s3.store(encoded.body, encoded.metadata)
    answer = s3.client(**ENCODERS[format].options).get_object(**s3.object_at(), PartNumber=1)
    assert (answer["ContentLength"], answer["ContentRange"]) == (61, "bytes 0-60/61")
    assert answer["Body"].read() == DATA[:61]


def test_part_of_an_object_with_an_instruction_file(s3: StrictWorld) -> None:
    """Where the envelope is makes no difference to a read."""
    client = s3.client(envelope_location="instruction_file", enable_unauthenticated_ranges=True)
    uploaded(s3, *SHAPES["last-large"], client=client).complete()
    answer = client.get_object(**s3.object_at(), PartNumber=2)
    assert (answer["PartsCount"], answer["Body"].read()) == (2, DATA[MIN_PART_BYTES : 2 * MIN_PART_BYTES + 1])


@shapes
def test_part_that_is_all_of_the_object_is_verified(s3: StrictWorld, shape: str) -> None:
    """One part is the whole plaintext, also where S3 has the tag as another: it needs no switch, and is verified."""
    client = s3.client()
    uploaded(s3, *SHAPES[shape], client=client).complete()
    if len(SHAPES[shape]) > 1:
        with pytest.raises(PolicyError, match="enable_unauthenticated_ranges"):
            client.get_object(**s3.object_at(), PartNumber=1)
        return
    assert client.get_object(**s3.object_at(), PartNumber=1)["Body"].read() == DATA[: SHAPES[shape][0]]
    s3.change_body(lambda body: body[:-1] + bytes([body[-1] ^ 1]))
    with pytest.raises(DecryptionError):
        client.get_object(**s3.object_at(), PartNumber=1)["Body"].read()


def test_part_of_a_plaintext_object(s3: StrictWorld) -> None:
    """A plaintext object is refused as in any other read; where it is allowed, its parts are plain boto3's."""
    uploaded(s3, *SHAPES["last-small"], client=s3.plain).complete()
    with pytest.raises(NotEncryptedError):
        s3.client().get_object(**s3.object_at(), PartNumber=1)
    client = s3.client(allow_plaintext_reads=True)
    for number in (1, 2, 3):
        assert told(client.get_object, s3.object_at(), number) == told(s3.plain.get_object, s3.object_at(), number)
        assert told(client.head_object, s3.object_at(), number) == told(s3.plain.head_object, s3.object_at(), number)


REFUSED: dict[str, dict[str, Any]] = {
    "missing": {"Key": "missing", "PartNumber": 1},
    "condition": {"IfMatch": '"another"', "PartNumber": 1},
    "range-beside-it": {"Range": "bytes=0-5", "PartNumber": 1},
    "no-number": {"PartNumber": 0},
}


@pytest.mark.parametrize("refused", REFUSED)
def test_refusal_of_a_part_is_s3s_own(s3: StrictWorld, refused: str) -> None:
    """S3's error for a part is raised in its own words, as plain boto3 raises it."""
    s3.client().put_object(**s3.object_at(), Body=b"secret")
    params = {**s3.object_at(), **REFUSED[refused]}
    ours, boto3s = (error_of(lambda c=c: c.get_object(**params)) for c in (s3.client(), s3.plain))  # type: ignore[misc]
    assert (type(ours).__name__, str(ours)) == (type(boto3s).__name__, str(boto3s))
    assert ours.response["Error"] == boto3s.response["Error"]


def test_all_requests_for_a_part_are_about_one_object(s3: StrictWorld) -> None:
    """What is asked for after the first answer is pinned to its ETag, and says again what concerns access."""
    client = s3.client(enable_unauthenticated_ranges=True)
    uploaded(s3, *SHAPES["last-large"], client=client).complete()
    s3.forget()
    client.get_object(**s3.object_at(), PartNumber=1, RequestPayer="requester")["Body"].close()
    etag = s3.plain.head_object(**s3.object_at())["ETag"]
    first, *later = s3.requests[:-1]
    assert (first.method, [request.method for request in later]) == ("HEAD", ["GET", "HEAD"])
    assert {request.headers["if-match"] for request in later} == {etag}
    assert {request.headers["x-amz-request-payer"] for request in (first, *later)} == {"requester"}
