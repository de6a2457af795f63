"""Ranges of encrypted objects: the same bytes, lengths and errors as plain boto3 gives for the plaintext."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.encoders import AUTHENTICATED, ENCODERS
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.features import CUT_STREAM_ERROR
from support.servers import NO_FAULT, changed_headers, cut_body
from support.strict_s3 import StoredObject
from support.ways_to_read import MODES
from support.worlds import KEY, StrictWorld, World, error_of

from s3_encryption import (
    DecryptionError,
    KeyCommitmentError,
    KmsKeyring,
    NotEncryptedError,
    PolicyError,
    S3EncryptionClientError,
)

SIZES = (1, 15, 16, 17, 61, 300_000)
CONTENT = random.Random("ranges").randbytes(max(SIZES))
LEGACY = ENCODERS["V1"].options


def ranges_of(size: int) -> dict[str, str]:
    """Return Range headers of every form, for an object of a size."""
    middle = size // 2
    return {
        "whole": "bytes=0-",
        "whole-exactly": f"bytes=0-{size - 1}",
        "whole-and-more": f"bytes=0-{size + 100}",
        "whole-and-tag": f"bytes=0-{size + 15}",
        "first": "bytes=0-0",
        "last": f"bytes={size - 1}-",
        "last-and-tag": f"bytes={size - 1}-{size + 15}",
        "block": "bytes=16-31",
        "across-blocks": "bytes=15-16",
        "inside": f"bytes={middle}-{middle + 20}",
        "open": f"bytes={middle}-",
        "all-but-one": f"bytes=1-{size}",
        "suffix": "bytes=-1",
        "suffix-of-blocks": "bytes=-17",
        "suffix-of-all": f"bytes=-{size}",
        "suffix-of-more": f"bytes=-{size + 5}",
        "suffix-of-none": "bytes=-0",
        "at-the-end": f"bytes={size}-",
        "in-the-tag": f"bytes={size + 3}-{size + 7}",
        "behind-the-tag": f"bytes={size + 16}-",
        "far-away": f"bytes={size + 5000}-{size + 6000}",
        "reversed": f"bytes={size - 1}-{max(0, size - 2)}",
        "several": "bytes=0-1,4-5",
        "malformed": "bytes=a-b",
        "empty": "bytes=-",
    }


@pytest.fixture(scope="module")
def shelf(moto_url: str) -> Iterator[World]:
    """Return a bucket with an object of every size in every format, and in plaintext."""
    world = World(moto_url, "ranges")
    world.plain.create_bucket(Bucket=world.bucket)
    for size in SIZES:
        world.store(CONTENT[:size], {}, f"plain-{size}")
        for format, encoder in ENCODERS.items():
            encoded = encoder.encode(CONTENT[:size])
            world.store(encoded.body, encoded.metadata, f"{format}-{size}")
    yield world
    world.close()


@pytest.fixture(scope="module")
def ranging(shelf: World) -> Any:
    """Return a client that reads ranges of every format."""
    return shelf.client(enable_unauthenticated_ranges=True, **LEGACY)


def told(client: Any, parameters: dict[str, str]) -> Any:
    """Return what a client says to a read: status, lengths and content, or the error."""
    try:
        answer = client.get_object(**parameters)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return type(error), status, error.response["Error"]["Code"], error.operation_name, str(error)
    with answer["Body"] as body:
        content = body.read()
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    return status, answer["ContentLength"], answer.get("ContentRange"), content


@pytest.mark.parametrize("form", ranges_of(1))
@pytest.mark.parametrize("size", SIZES)
def test_rg_02_rg_04_rg_05_rg_14_range_is_answered_as_by_boto3(
    shelf: World, ranging: Any, size: int, form: str
) -> None:
    """Each form of Range selects the same bytes of each format as of the plaintext (RG-02, RG-04, RG-05, RG-14)."""
    header = ranges_of(size)[form]
    expected = told(shelf.plain, {**shelf.object_at(f"plain-{size}"), "Range": header})
    for format in ENCODERS:
        ours = told(ranging, {**shelf.object_at(f"{format}-{size}"), "Range": header})
        if expected[0] == 200 and format == "V1":  # of which nobody knows the length beforehand
            assert (ours[0], ours[2:]) == (expected[0], expected[2:])
        else:
            assert ours == expected


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-9", "bytes=5-", "bytes=-5", "bytes=-0", "bytes=16-"])
@pytest.mark.parametrize("format", ENCODERS)
def test_no_range_of_an_empty_object_can_be_satisfied(s3: StrictWorld, format: str, header: str) -> None:
    """S3 answers any range of an empty object with 416; so does this, although the object has a tag or padding."""
    store(s3, format, b"")
    s3.store(b"", {}, "plain")
    client = s3.client(enable_unauthenticated_ranges=True, **LEGACY)
    ours = told(client, {**s3.object_at(), "Range": header})
    assert ours == told(s3.plain, {**s3.object_at("plain"), "Range": header})
    assert ours[1:3] == (416, "InvalidRange")


def store(s3: StrictWorld, format: str, plaintext: bytes = CONTENT[:61]) -> None:
    """Store an object as another client has written it."""
    encoded = ENCODERS[format].encode(plaintext)
    s3.store(encoded.body, encoded.metadata)


@pytest.mark.parametrize("first", [2**16 - 1, 2**16, 2**16 + 1, 2**18 - 1, 2**18, 2**18 + 1])
@pytest.mark.parametrize("length", [1, 16, 70_000])
@pytest.mark.parametrize("format", ENCODERS)
def test_range_at_an_internal_buffers_end_is_exact(
    shelf: World, ranging: Any, format: str, first: int, length: int
) -> None:
    """Positions around the sizes of internal buffers make no difference."""
    parameters = {**shelf.object_at(f"{format}-300000"), "Range": f"bytes={first}-{first + length - 1}"}
    assert ranging.get_object(**parameters)["Body"].read() == CONTENT[first : first + length]


@pytest.mark.parametrize("format", ENCODERS)
def test_range_is_read_in_pieces(shelf: World, ranging: Any, format: str) -> None:
    """The Body of a range can be read in steps, like any other."""
    body = ranging.get_object(**shelf.object_at(f"{format}-300000"), Range="bytes=1000-250999")["Body"]
    assert b"".join((body.read(1), body.read(100_000), *body.iter_chunks(7000))) == CONTENT[1000:251_000]


# --- without the switch -----------------------------------------------------------------------------------------------

PARTIAL = ["bytes=0-0", "bytes=0-59", "bytes=1-", "bytes=1-60", "bytes=60-", "bytes=-1", "bytes=-60"]
WHOLE = ["bytes=0-", "bytes=0-60", "bytes=0-61", "bytes=0-76", "bytes=0-9999", "bytes=-61", "bytes=-62", "bytes=-9999"]


@pytest.mark.parametrize("header", PARTIAL)
@pytest.mark.parametrize("format", ENCODERS)
def test_rg_01_partial_range_needs_the_switch(s3: StrictWorld, format: str, header: str) -> None:
    """A range that no tag can verify is refused, and the message names the switch (RG-01)."""
    store(s3, format)
    with pytest.raises(PolicyError, match="enable_unauthenticated_ranges") as caught:
        s3.client(**LEGACY).get_object(**s3.object_at(), Range=header)
    assert caught.value.key == KEY


@pytest.mark.parametrize("header", ["bytes=1-", "bytes=1-5", "bytes=60-100"])
def test_rg_01_range_that_cannot_be_the_whole_is_refused_unsent(s3: StrictWorld, header: str) -> None:
    """Where the header alone shows that it is partial, nothing is sent (RG-01)."""
    with pytest.raises(PolicyError):
        s3.client().get_object(**s3.object_at(), Range=header)
    assert s3.requests == []


@pytest.mark.parametrize("header", WHOLE)
@pytest.mark.parametrize("format", ENCODERS)
def test_range_of_the_whole_needs_no_switch(s3: StrictWorld, format: str, header: str) -> None:
    """A range that selects every byte is a read of the whole object, and is answered as a range."""
    store(s3, format)
    ours = told(s3.client(**LEGACY), {**s3.object_at(), "Range": header})
    s3.store(CONTENT[:61], {}, "plain")
    assert ours == told(s3.plain, {**s3.object_at("plain"), "Range": header})


@pytest.mark.parametrize("header", WHOLE)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("format", AUTHENTICATED)
def test_range_of_the_whole_is_verified(s3: StrictWorld, format: str, mode: str, header: str) -> None:
    """A tampered object yields nothing to a range of the whole, with the switch or without."""
    store(s3, format)
    s3.change_body(lambda body: body[:-1] + bytes([body[-1] ^ 1]))
    for enabled in (False, True):
        client = s3.client(enable_unauthenticated_ranges=enabled, **MODES[mode])
        with pytest.raises(DecryptionError):
            client.get_object(**s3.object_at(), Range=header)["Body"].read()


@pytest.mark.parametrize("header", ["bytes=9-5", "bytes=0-1,4-5", "bytes=a-b", "lines=0-5"])
def test_range_that_s3_ignores_is_a_verified_read_of_the_whole(s3: StrictWorld, header: str) -> None:
    """S3 sends the whole object for a malformed range, and it is verified."""
    store(s3, "V2")
    client = s3.client()
    assert told(client, {**s3.object_at(), "Range": header}) == (200, 61, None, CONTENT[:61])
    s3.change_body(lambda body: body[:-1] + bytes([body[-1] ^ 1]))
    with pytest.raises(DecryptionError):
        client.get_object(**s3.object_at(), Range=header)["Body"].read()


# --- what a range can't promise, and what it does ---------------------------------------------------------------------


def test_rg_08_changed_byte_outside_the_range_is_not_noticed(s3: StrictWorld) -> None:
    """The documented limit of the switch: a change within the range shows in the plaintext, no other does (RG-08)."""
    store(s3, "V2")
    s3.change_body(lambda body: body[:20] + bytes([body[20] ^ 1]) + body[21:])
    client = s3.client(enable_unauthenticated_ranges=True)
    assert client.get_object(**s3.object_at(), Range="bytes=21-40")["Body"].read() == CONTENT[21:41]
    changed = client.get_object(**s3.object_at(), Range="bytes=20-20")["Body"].read()
    assert changed == bytes([CONTENT[20] ^ 1])


def test_range_of_another_wrapping_key_fails(s3: StrictWorld) -> None:
    """The data key is verified even where the content is not."""
    store(s3, "V2")
    client = s3.client(aes_key=b"another key, 32 bytes in length.", enable_unauthenticated_ranges=True)
    with pytest.raises(DecryptionError):
        client.get_object(**s3.object_at(), Range="bytes=0-5")


def test_rg_07_range_under_another_commitment_fails(s3: StrictWorld) -> None:
    """A V3 object commits to its key, also for a range (RG-07)."""
    store(s3, "V3")
    s3.change_metadata(x_amz_d=ENCODERS["V3"].encode(b"").metadata["x-amz-d"])
    with pytest.raises(KeyCommitmentError):
        s3.client(enable_unauthenticated_ranges=True).get_object(**s3.object_at(), Range="bytes=5-9")


def test_range_asks_kms_once(s3: StrictWorld, kms: FakeKms) -> None:
    """One Decrypt for a range, as for a whole object."""
    client = s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN), enable_unauthenticated_ranges=True)
    client.put_object(**s3.object_at(), Body=b"secret")
    assert client.get_object(**s3.object_at(), Range="bytes=1-3")["Body"].read() == b"ecr"
    assert kms.count("decrypt") == 1


def test_rg_10_further_requests_are_for_the_very_same_object(s3: StrictWorld) -> None:
    """A CBC range takes several requests: the later ones are bound to the first one's ETag, and repeat it (RG-10)."""
    store(s3, "V2-CBC")
    s3.forget()
    client = s3.client(enable_unauthenticated_ranges=True, **LEGACY)
    client.get_object(**s3.object_at(), Range="bytes=20-40", RequestPayer="requester", ExpectedBucketOwner="1" * 12)
    further = s3.requests[1:]
    assert further
    etag = s3.plain.head_object(**s3.object_at())["ETag"]
    for request in further:
        assert request.headers["if-match"] == etag
        assert request.headers["x-amz-request-payer"] == "requester"
        assert request.headers["x-amz-expected-bucket-owner"] == "1" * 12


def test_rg_10_object_replaced_between_two_requests_is_an_error(s3: StrictWorld) -> None:
    """When somebody overwrites the object in the middle of a range read, S3's 412 comes through (RG-10)."""
    store(s3, "V2-CBC")
    other = ENCODERS["V2-CBC"].encode(CONTENT[61:122])
    client = s3.new_client(enable_unauthenticated_ranges=True, **LEGACY)

    def overwrite(**event: Any) -> None:
        headers = {f"x-amz-meta-{name}": text for name, text in other.metadata.items()}
        s3.server.objects[f"/{s3.bucket}/{KEY}"] = StoredObject(other.body, '"another"', headers)

    client.meta.events.register("after-call.s3.GetObject", overwrite)
    error = error_of(lambda: client.get_object(**s3.object_at(), Range="bytes=20-40"))
    assert error.response["Error"]["Code"] == "PreconditionFailed"


@pytest.mark.parametrize("sent", [0, 1, 15, 16, 17, 30])
@pytest.mark.parametrize(
    ("format", "broken"),
    [("V2", 0), ("V3", 0), ("V2-CBC", 1), ("V2-CBC", 2)],
    ids=["V2", "V3", "CBC-end", "CBC-blocks"],
)
def test_wi_01_cut_transfer_of_a_range_is_botocores_error(s3: StrictWorld, format: str, broken: int, sent: int) -> None:
    """A connection that breaks in one of a range's answers is told as such: it is no tampering, and no data (WI-01)."""
    store(s3, format, CONTENT[:200])
    for _ in range(broken):
        s3.server.script(NO_FAULT, method="GET")
    s3.server.script(cut_body(sent), method="GET")
    client = s3.client(enable_unauthenticated_ranges=True, **LEGACY)
    with pytest.raises(CUT_STREAM_ERROR):
        client.get_object(**s3.object_at(), Range="bytes=40-140")["Body"].read()


@pytest.mark.parametrize(
    "forged",
    ["bytes 0-10/216", "bytes 41-157/216", "bytes 40-156/300", "bytes 40-60/216", "bytes */216", "nonsense", ""],
)
def test_wi_14_forged_content_range_is_an_error(s3: StrictWorld, forged: str) -> None:
    """An answer that is not the range that was asked for ends in an error, and never in other bytes (WI-14)."""
    store(s3, "V2", CONTENT[:200])
    client = s3.client(enable_unauthenticated_ranges=True)
    s3.server.script(changed_headers(Content_Range=forged), method="GET")
    try:
        content = client.get_object(**s3.object_at(), Range="bytes=40-140")["Body"].read()
    except S3EncryptionClientError:
        return
    assert content == CONTENT[40:141]


def test_rg_13_condition_holds_together_with_a_range(s3: StrictWorld) -> None:
    """IfMatch of the caller decides, with a range too (RG-13)."""
    store(s3, "V2")
    client = s3.client(enable_unauthenticated_ranges=True)
    etag = s3.plain.head_object(**s3.object_at())["ETag"]
    answer = client.get_object(**s3.object_at(), Range="bytes=5-9", IfMatch=etag)
    assert answer["Body"].read() == CONTENT[5:10]
    error = error_of(lambda: client.get_object(**s3.object_at(), Range="bytes=5-9", IfMatch='"another"'))
    assert error.response["Error"]["Code"] == "PreconditionFailed"


@pytest.mark.parametrize("header", ["bytes=61-70", "bytes=61-", "bytes=80-90", "bytes=900-", "bytes=-0"])
@pytest.mark.parametrize("format", ENCODERS)
def test_unsatisfiable_range_is_refused_in_plaintext_terms(s3: StrictWorld, format: str, header: str) -> None:
    """A range behind the end, in the tag or behind it, is refused as plain boto3 has it, with size and range."""
    store(s3, format)
    s3.store(CONTENT[:61], {}, "plain")
    client = s3.client(enable_unauthenticated_ranges=True, **LEGACY)
    ours = error_of(lambda: client.get_object(**s3.object_at(), Range=header))
    boto3s = error_of(lambda: s3.plain.get_object(**s3.object_at("plain"), Range=header))
    assert ours.response["Error"] == boto3s.response["Error"]
    assert str(ours) == str(boto3s)
    headers = ours.response["ResponseMetadata"]["HTTPHeaders"]
    assert "content-range" not in headers


def test_unsatisfiable_range_of_another_object_tells_no_size(s3: StrictWorld) -> None:
    """What may not be read is refused as in any other read, wherever the range starts."""
    s3.store(CONTENT[:61], {})
    client = s3.client(enable_unauthenticated_ranges=True)
    for header in ("bytes=5-9", "bytes=100-"):
        with pytest.raises(NotEncryptedError):
            client.get_object(**s3.object_at(), Range=header)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=5-20", "bytes=-7"])
@pytest.mark.parametrize("format", ENCODERS)
def test_headers_of_a_range_tell_the_same_lengths(s3: StrictWorld, format: str, header: str) -> None:
    """The HTTP headers say of length and place what the answer says, and plain boto3 of the plaintext."""
    store(s3, format)
    s3.store(CONTENT[:61], {}, "plain")
    client = s3.client(enable_unauthenticated_ranges=True, **LEGACY)
    lengths = []
    for one, key in ((client, KEY), (s3.plain, "plain")):
        answer = one.get_object(**s3.object_at(key), Range=header)
        answer["Body"].close()
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert headers["content-length"] == str(answer["ContentLength"])
        assert headers["content-range"] == answer["ContentRange"]
        lengths.append((answer["ContentLength"], answer["ContentRange"]))
    assert lengths[0] == lengths[1]


@pytest.mark.parametrize("format", AUTHENTICATED)
def test_rg_04_tag_is_never_returned(s3: StrictWorld, format: str) -> None:
    """Neither the tag nor what decrypting it as content would give is among the bytes of any range (RG-04)."""
    store(s3, format)
    client = s3.client(enable_unauthenticated_ranges=True)
    for first in range(62):
        for header in (f"bytes={first}-{first + 40}", f"bytes={first}-", f"bytes=-{first + 1}"):
            answer = told(client, {**s3.object_at(), "Range": header})
            assert answer[1] == 416 or answer[-1] in CONTENT[:61]
