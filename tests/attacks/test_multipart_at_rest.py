"""Objects that went up in parts, changed in the bucket or completed wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.encoder import V2_AES, V3_AES, Kind, Stored
from support.sources import Huge
from support.ways_to_read import MODES, VERIFIED_MODES
from support.worlds import KEY

from s3_encryption.exceptions import ConfigurationError, DecryptionError, PolicyError

from . import counts
from .bucket import Bucket, fingerprint
from .uploads import MIB, marked, started, upload

SIZES = (5 * MIB, 5 * MIB, 1024)
SMALL_SIZES = (5 * MIB, 1024)
GIB = 2**30

formats = pytest.mark.parametrize("kind", [V2_AES, V3_AES], ids=["V2", "V3"])
verified_modes = pytest.mark.parametrize("mode", VERIFIED_MODES)

Parts = list[dict[str, Any]]


def parts_of(stored: Stored) -> list[bytes]:
    """Return the stored body in the parts that it went up in; the tag is at the end of the last one."""
    return [stored.body[: 5 * MIB], stored.body[5 * MIB : 10 * MIB], stored.body[10 * MIB :]]


def refuse_bodies(bucket: Bucket, kind: Kind, mode: str, stored: Stored, bodies: list[bytes]) -> None:
    """Have bodies refused before their first byte, in errors that nothing tells apart."""
    client = bucket.client(kind, **MODES[mode])
    fingerprints = set()
    for body in bodies:
        counts.tried("rearranged multipart objects")
        bucket.put(Stored(stored.metadata, body))
        answer = client.get_object(**bucket.world.object_at())
        error = bucket.refused_call(lambda: answer["Body"].read(1), DecryptionError)  # noqa: B023
        fingerprints.add(fingerprint(error))
    assert len(fingerprints) == 1
    bucket.put(stored)
    assert bucket.read(client) == marked(sum(SIZES))


@verified_modes
@formats
def test_mp_01_mp_02_rearranged_parts_are_refused(kind: Kind, mode: str, bucket: Bucket) -> None:
    """Reordered, lost and repeated parts are no such object, and none of it is released."""
    stored = upload(bucket, bucket.writer(kind), SIZES)
    parts = parts_of(stored)
    orders = [(1, 0, 2), (2, 1, 0), (1, 2), (0, 2), (0, 1), (0,), (2,), (0, 0, 2), (0, 1, 1, 2), (0, 1, 2, 2)]
    refuse_bodies(bucket, kind, mode, stored, [b"".join(parts[number] for number in order) for order in orders])


@formats
def test_mp_04_part_of_another_upload_is_refused(kind: Kind, bucket: Bucket) -> None:
    """The same plaintext uploaded twice makes parts that can't stand in for each other."""
    client = bucket.writer(kind)
    stored, other = (upload(bucket, client, SIZES, key) for key in (KEY, "other"))
    mixed = [parts_of(stored) for _ in range(3)]
    for number, parts in enumerate(mixed):
        parts[number] = parts_of(other)[number]
    refuse_bodies(bucket, kind, "memory", stored, [b"".join(parts) for parts in mixed])


WRONG_LISTS: dict[str, Callable[[Parts], Parts]] = {
    "none": lambda parts: [],
    "one-too-many": lambda parts: [*parts, {"PartNumber": 3, "ETag": '"00"'}],
    "twice": lambda parts: [*parts, parts[-1]],
    "reversed": lambda parts: parts[::-1],
    "other-etag": lambda parts: [parts[0], {**parts[1], "ETag": '"00"'}],
    "swapped-etags": lambda parts: [{**parts[0], "ETag": parts[1]["ETag"]}, {**parts[1], "ETag": parts[0]["ETag"]}],
    "no-etag": lambda parts: [parts[0], {"PartNumber": 2}],
    "no-number": lambda parts: [parts[0], {"ETag": parts[1]["ETag"]}],
}


@pytest.mark.parametrize("last", [1024, 5 * MIB], ids=["last-held", "last-sent"])
@formats
def test_mp_05_wrong_list_of_parts_is_refused_unsent(kind: Kind, last: int, bucket: Bucket) -> None:
    """The client knows what it encrypted and completes exactly that; the upload can still be completed."""
    client = bucket.writer(kind)
    named, parts = started(bucket, client, (5 * MIB, last))
    bucket.world.forget()
    for wrong in WRONG_LISTS.values():
        error = bucket.refused_call(
            lambda: client.complete_multipart_upload(**named, MultipartUpload={"Parts": wrong(parts)}),  # noqa: B023
            ClientError,
        )
        assert isinstance(error, ClientError)
        assert bucket.world.requests == []
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert bucket.read(client) == marked(5 * MIB + last)


@formats
def test_mp_07_part_can_not_be_verified_by_itself(kind: Kind, bucket: Bucket) -> None:
    """A part is a range: without the switch for these nothing of it is released, and the message names the switch."""
    client = bucket.writer(kind)
    upload(bucket, client, SMALL_SIZES)
    for number in range(1, len(SMALL_SIZES) + 1):
        error = bucket.refused(client, PolicyError, PartNumber=number)
        assert "enable_unauthenticated_ranges" in str(error)


@formats
def test_mp_08_object_longer_than_gcm_encrypts_is_refused_unsent(kind: Kind, bucket: Bucket) -> None:
    """2^39 - 256 bits is the limit; a source that announces more is refused before a data key is made for it."""
    client = bucket.writer(kind)
    too_long = Huge(2**36 - 31)
    bucket.refused_call(lambda: client.put_object(**bucket.world.object_at(), Body=too_long), ConfigurationError)
    assert bucket.world.requests == []
    named = bucket.world.object_at()
    named["UploadId"] = client.create_multipart_upload(**named)["UploadId"]
    bucket.world.forget()
    bucket.refused_call(lambda: client.upload_part(**named, PartNumber=1, Body=too_long), ConfigurationError)
    assert bucket.world.requests == []
