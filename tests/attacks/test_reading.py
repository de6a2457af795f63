"""Ranges that reach too far, and libraries that read from a Body: plaintext is exact, or it is an error."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from support.encoder import V2_AES, V2_AES_CBC, V3_AES, Kind, Stored
from support.scripted_server import CLOSE, http, saying
from support.ways_to_read import MODES, VERIFIED_MODES

from s3_encryption.exceptions import DecryptionError, S3EncryptionClientError

from .bucket import Bucket, flipped
from .hostile import OBJECT, clients_of, genuine
from .witness import MARKER

gcm_kinds = pytest.mark.parametrize("kind", [V2_AES, V3_AES], ids=str)


# --- ranges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [V2_AES, V3_AES, V2_AES_CBC], ids=str)
def test_rg_02_rg_04_every_range_of_a_small_object_is_exact(kind: Kind, bucket: Bucket) -> None:
    """All first and last positions of 61 bytes, and up to behind the tag, select what a slice of the plaintext does."""
    bucket.write(kind)
    client = bucket.client(kind, enable_unauthenticated_ranges=True)
    # All of them once; V3 has the code of V2, and CBC content takes three requests for each.
    for first in range(61):
        for last in [*range(first, 61, 1 if kind is V2_AES else 5), 61, 76, 77, 1000]:
            assert bucket.read(client, Range=f"bytes={first}-{last}") == MARKER[first : last + 1]


LIMIT = 2**36 - 32
FAR: dict[str, tuple[int, int, int]] = {
    "at the limit": (LIMIT, LIMIT + 15, LIMIT + 100),
    "across it": (LIMIT - 8, LIMIT + 7, LIMIT + 100),
    "behind it": (LIMIT + 16, LIMIT + 31, LIMIT + 100),
    "far away": (2**59, 2**59 + 15, 2**59 + 1000),
}


@gcm_kinds
@pytest.mark.parametrize("far", FAR)
def test_rg_11_range_beyond_what_gcm_encrypts_is_refused(far: str, kind: Kind, bucket: Bucket) -> None:
    """Where a server speaks of more than 64 GiB, the counter never wraps to a keystream that was used before."""
    first, last, total = FAR[far]
    stored = genuine(kind)
    body = bytes(last - first + 1 + 16)
    headers = [
        CLOSE,
        ("Content-Length", str(len(body))),
        ("Content-Range", f"bytes {first}-{last + 16}/{total}"),
        ("ETag", '"etag"'),
        *((f"x-amz-meta-{name}", text) for name, text in stored.metadata.items()),
    ]
    script = saying(http(headers, body, "206 Partial Content"))
    reading = clients_of(kind, script, enable_unauthenticated_ranges=True)
    with reading as (client, *_), pytest.raises(DecryptionError):
        client.get_object(**OBJECT, Range=f"bytes={first}-{last}")["Body"].read()


def test_rg_11_range_before_the_limit_is_read(bucket: Bucket) -> None:
    """The last 16 bytes that GCM can encrypt are decrypted, so that the refusals above are about the limit."""
    first, total = LIMIT - 16, LIMIT + 16
    stored = genuine(V2_AES)
    headers = [
        CLOSE,
        ("Content-Length", "32"),
        ("Content-Range", f"bytes {first}-{total - 1}/{total}"),
        ("ETag", '"etag"'),
        *((f"x-amz-meta-{name}", text) for name, text in stored.metadata.items()),
    ]
    script = saying(http(headers, bytes(32), "206 Partial Content"))
    with clients_of(V2_AES, script, enable_unauthenticated_ranges=True) as (client, *_):
        answer = client.get_object(**OBJECT, Range=f"bytes={first}-{LIMIT - 1}")
        assert len(answer["Body"].read()) == 16


# --- consumers --------------------------------------------------------------------------------------------------------


def _lines(count: int) -> bytes:
    return b"".join(b"%d,%s\n" % (number, MARKER) for number in range(count))


def _tar(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("one", "two"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("one", content)
    return file.getvalue()


def _members(body: Any) -> list[bytes]:
    with tarfile.open(fileobj=body, mode="r|") as archive:
        return [file.read() for member in archive if (file := archive.extractfile(member)) is not None]


def _copied(body: Any) -> bytes:
    sink = io.BytesIO()
    shutil.copyfileobj(body, sink)
    return sink.getvalue()


CONSUMERS: dict[str, tuple[Callable[[bytes], bytes], Callable[[Any], object]]] = {
    "gzip": (gzip.compress, lambda body: gzip.GzipFile(fileobj=body).read()),
    "tarfile": (_tar, _members),
    "zipfile": (_zip, lambda body: zipfile.ZipFile(io.BytesIO(body.read())).read("one")),
    "csv": (lambda content: content, lambda body: list(csv.reader(io.TextIOWrapper(io.BufferedReader(body), "ascii")))),
    "json": (lambda content: json.dumps([content.decode()]).encode(), json.load),
    "copyfileobj": (lambda content: content, _copied),
    "readlines": (lambda content: content, lambda body: body.readlines()),
    "iter_lines": (lambda content: content, lambda body: list(body.iter_lines())),
}


@gcm_kinds
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [1, 3000], ids=["small", "large"])
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_st_07_changed_object_fails_through_every_consumer(
    consumer: str, size: int, mode: str, kind: Kind, bucket: Bucket
) -> None:
    """No library takes the error for the end of the file. Only the tag is wrong: all plaintext would make sense."""
    make, consume = CONSUMERS[consumer]
    stored = bucket.encoder.write(kind, make(_lines(size)))
    bucket.put(Stored(stored.metadata, flipped(stored.body, len(stored.body) * 8 - 1)))
    client = bucket.client(kind, **MODES[mode])
    with pytest.raises(DecryptionError):
        consume(client.get_object(**bucket.world.object_at())["Body"])
    bucket.put(stored)
    assert consume(client.get_object(**bucket.world.object_at())["Body"])


@pytest.mark.parametrize("mode", VERIFIED_MODES)
@pytest.mark.parametrize("make", [io.BufferedReader, io.TextIOWrapper], ids=["BufferedReader", "TextIOWrapper"])
def test_st_07_wrappers_of_the_standard_library_keep_failing(make: Any, mode: str, bucket: Bucket) -> None:
    """Who catches the error and reads on through a buffer gets it again, and no byte."""
    stored = bucket.encoder.write(V3_AES, _lines(3000))
    bucket.put(Stored(stored.metadata, flipped(stored.body, 0)))
    reader = make(bucket.client(V3_AES, **MODES[mode]).get_object(**bucket.world.object_at())["Body"])
    for _ in range(3):
        with pytest.raises(S3EncryptionClientError):
            reader.read(10)
