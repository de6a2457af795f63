"""Managed uploads that go wrong: S3 refuses, sources fail, callers cancel. Nothing is stored, and no thread hangs."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from s3transfer.exceptions import CancelledError
from s3transfer.manager import TransferConfig as ManagerConfig
from s3transfer.manager import TransferManager
from s3transfer.subscribers import BaseSubscriber
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.opened import stored_plaintext
from support.servers import Answer, Fault, Request, refusal
from support.sources import BrokenSource, WrongLater, WrongLaterReadOnce
from support.strict_s3 import StrictS3
from support.uploads import DATA as SOME_DATA
from support.uploads import MIB
from support.worlds import KEY, StrictWorld, served_by

from s3_encryption import BodyChangedError, ConfigurationError, ConfigurationTypeError, KmsKeyring
from s3_encryption._operations import upload as upload_module

DATA = SOME_DATA + SOME_DATA[::-1]
CHUNK = 8 * MIB
PERMANENTLY = 1000
BOUNDED_SECONDS = 20.0


class RefusesFirst(StrictS3):
    """A strict S3 that is overloaded at the first attempt of every request."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[tuple[str, str]] = set()

    def answer(self, request: Request) -> Answer:
        if (request.method, request.target) in self._seen:
            return super().answer(request)
        self._seen.add((request.method, request.target))
        return Answer(503, {"Content-Type": "application/xml"}, b"<Error><Code>SlowDown</Code></Error>")


@pytest.fixture
def overloaded() -> Iterator[StrictWorld]:
    """Return a bucket on such an S3."""
    with served_by(RefusesFirst()) as world:
        yield world


@pytest.mark.parametrize("size", [1000, 2 * CHUNK + 5])
def test_every_request_may_be_refused_once(overloaded: StrictWorld, size: int) -> None:
    """RT-07: botocore repeats each request, the bytes of each part are the same, and progress is still exact."""
    progress: list[int] = []
    overloaded.client().upload_fileobj(io.BytesIO(DATA[:size]), overloaded.bucket, KEY, Callback=progress.append)
    bodies: dict[str, set[bytes]] = {}
    for request in overloaded.server.of("PUT"):
        bodies.setdefault(request.target, set()).add(request.body)
    assert all(len(each) == 1 for each in bodies.values())
    assert stored_plaintext(overloaded) == DATA[:size]
    assert sum(progress) == size


# Which request S3 refuses for good, and the size of an upload that makes it.
REFUSED: dict[str, tuple[str, int]] = {
    "put": ("PUT", 1000),
    "create": ("POST", CHUNK + 5),
    "part": ("PUT", CHUNK + 5),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_refusal_is_raised_as_by_boto3(s3: StrictWorld, tmp_path: Path, refused: str) -> None:
    """upload_file raises S3UploadFailedError, upload_fileobj ClientError, in boto3's words; the upload is aborted."""
    method, size = REFUSED[refused]
    path = tmp_path / "source"
    path.write_bytes(DATA[:size])
    errors: list[list[tuple[type, str]]] = []
    for client in (s3.plain, s3.client()):
        s3.server.script(refusal(403, "AccessDenied"), method=method, times=PERMANENTLY)
        with pytest.raises(S3UploadFailedError) as of_a_file:
            client.upload_file(str(path), s3.bucket, KEY)
        with pytest.raises(ClientError) as of_a_fileobj:
            client.upload_fileobj(io.BytesIO(DATA[:size]), s3.bucket, KEY)
        s3.server._scripts.clear()
        errors.append([(type(caught.value), str(caught.value)) for caught in (of_a_file, of_a_fileobj)])
    assert errors[0] == errors[1]
    assert (s3.stored_keys(), s3.server.uploads) == ([], {})


def test_refusal_of_one_part_stores_nothing(s3: StrictWorld) -> None:
    """One part that S3 does not take in the end fails the upload, which is aborted; the client goes on working."""
    client = s3.client()
    s3.server.script(refusal(503, "SlowDown"), method="PUT", times=PERMANENTLY)
    with pytest.raises(ClientError, match="SlowDown"):
        client.upload_fileobj(io.BytesIO(DATA), s3.bucket, KEY)
    assert (s3.stored_keys(), s3.server.uploads) == ([], {})
    s3.server._scripts.clear()
    client.upload_fileobj(io.BytesIO(DATA), s3.bucket, KEY)
    assert stored_plaintext(s3) == DATA


@pytest.mark.parametrize("size", [1000, CHUNK + 5])
def test_failure_of_kms_is_raised_and_nothing_is_sent(s3: StrictWorld, kms: FakeKms, tmp_path: Path, size: int) -> None:
    """KM-04: neither a small nor a large upload falls back to anything."""
    kms.failure = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GenerateDataKey")
    client = s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN))
    (tmp_path / "source").write_bytes(DATA[:size])
    with pytest.raises(ClientError) as caught:
        client.upload_fileobj(io.BytesIO(DATA[:size]), s3.bucket, KEY)
    assert caught.value is kms.failure
    with pytest.raises(S3UploadFailedError, match="AccessDeniedException"):
        client.upload_file(str(tmp_path / "source"), s3.bucket, KEY)
    assert s3.requests == []


@pytest.mark.parametrize(("size", "at_read"), [(1000, 0), (CHUNK - 1, 1), (3 * CHUNK, 1), (3 * CHUNK, 2)])
def test_error_of_the_source_is_raised_as_by_boto3(s3: StrictWorld, size: int, at_read: int) -> None:
    """What reading the source raises is raised, by whatever thread it was read, and the upload is aborted."""
    source = (DATA + DATA)[:size]
    errors = []
    for client in (s3.plain, s3.client()):
        failure = OSError("the disk is gone")
        with pytest.raises(OSError, match="the disk is gone") as caught:
            client.upload_fileobj(BrokenSource(source, failure, at_read), s3.bucket, KEY)
        errors.append(caught.value is failure)
    assert errors[0] == errors[1]
    assert (s3.stored_keys(), s3.server.uploads) == ([], {})


@pytest.mark.parametrize("size", [3 * MIB, 20 * MIB])
def test_file_that_is_rewritten_under_way_is_refused(s3: StrictWorld, tmp_path: Path, size: int) -> None:
    """RT-02: what was to be sent again has changed: the upload ends with this library's own error, and is aborted."""
    path = tmp_path / "source"
    path.write_bytes(DATA[:size])

    def rewritten(answer: Answer) -> Answer:
        path.write_bytes(bytes(size))
        return Answer(503)

    s3.server.script(Fault(rewritten, carried_out=False), method="PUT")
    with pytest.raises(BodyChangedError) as caught:
        s3.client().upload_file(str(path), s3.bucket, KEY)
    assert (caught.value.key, s3.stored_keys(), s3.server.uploads) == (KEY, [], {})


# --- cancelled transfers ----------------------------------------------------------------------------------------------


class CancelsAfter(BaseSubscriber):  # type: ignore[misc]
    """Cancels its transfer when so many bytes have gone out."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def on_progress(self, future: Any, bytes_transferred: int, **kwargs: Any) -> None:
        with self._lock:
            self._left -= bytes_transferred
            is_enough = self._left <= 0
        if is_enough:
            future.cancel()


def ends_soon(thread: threading.Thread) -> bool:
    """Return whether a thread ends within the bounds."""
    thread.join(BOUNDED_SECONDS)
    return not thread.is_alive()


@pytest.mark.parametrize("workers", [1, 3, 10])
@pytest.mark.parametrize("limit", [0, 1, 5 * MIB, 9 * MIB, 15 * MIB])
def test_cancelled_upload_leaves_no_thread(
    s3: StrictWorld, monkeypatch: pytest.MonkeyPatch, workers: int, limit: int
) -> None:
    """A part may wait for one that was never started because of the cancellation: it must not wait for ever."""
    monkeypatch.setattr(upload_module, "_POLL_SECONDS", 0.02)
    before = set(threading.enumerate())
    config = ManagerConfig(max_request_concurrency=workers, multipart_chunksize=5 * MIB, multipart_threshold=5 * MIB)
    with TransferManager(s3.client(), config) as manager:
        future = manager.upload(io.BytesIO(DATA), s3.bucket, KEY, subscribers=[CancelsAfter(limit)])
        if limit == 0:
            future.cancel()
        with pytest.raises(CancelledError):
            future.result()
    ours = [thread for thread in set(threading.enumerate()) - before if "ThreadPoolExecutor" in thread.name]
    assert all(ends_soon(thread) for thread in ours)
    assert (s3.stored_keys(), s3.server.uploads) == ([], {})


def test_part_that_waits_for_a_failed_one_does_not_hang(s3: StrictWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the first part can't even be read, the others end with the transfer, long before their own timeout."""
    monkeypatch.setattr(upload_module, "_POLL_SECONDS", 0.02)
    started = time.monotonic()
    config = TransferConfig(max_concurrency=3, multipart_chunksize=5 * MIB)
    with pytest.raises(OSError, match="gone"):
        s3.client().upload_fileobj(BrokenSource(DATA, OSError("gone"), 2), s3.bucket, KEY, Config=config)
    assert time.monotonic() - started < BOUNDED_SECONDS
    assert (s3.stored_keys(), s3.server.uploads) == ([], {})


# --- reads that are no reads ------------------------------------------------------------------------------------------

WRONG: dict[str, Callable[[int, bytes], Any]] = {
    "nothing yet": lambda size, piece: None,
    "text": lambda size, piece: piece.decode("latin-1"),
    "too much": lambda size, piece: bytes(size + 1) if piece else piece,
}
WAYS_TO_UPLOAD: dict[str, Callable[[Any, StrictWorld, Any], object]] = {
    "put_object": lambda client, s3, body: client.put_object(**s3.object_at(), Body=body),
    "upload_fileobj": lambda client, s3, body: client.upload_fileobj(body, s3.bucket, KEY),
    "upload_fileobj, speed limited": lambda client, s3, body: client.upload_fileobj(
        body, s3.bucket, KEY, Config=TransferConfig(max_bandwidth=2**40)
    ),
    "upload_part": lambda client, s3, body: client.upload_part(
        **s3.object_at(),
        PartNumber=1,
        Body=body,
        UploadId=client.create_multipart_upload(**s3.object_at())["UploadId"],
    ),
}


@pytest.mark.parametrize("start", [0.0, 0.5], ids=["at once", "later"])
@pytest.mark.parametrize("size", [100, 4 * MIB, 2 * CHUNK + 5], ids=["small", "below the threshold", "in parts"])
@pytest.mark.parametrize("source", [WrongLater, WrongLaterReadOnce], ids=["seekable", "read once"])
@pytest.mark.parametrize("way", WAYS_TO_UPLOAD)
@pytest.mark.parametrize("wrong", WRONG)
def test_read_that_is_no_read_is_an_error_and_stores_nothing(
    s3: StrictWorld, wrong: str, way: str, source: Any, size: int, start: float
) -> None:
    """UP-02: what a non-blocking source says before more has come is not the end, whatever the way to upload."""
    body = source(DATA[:size], int(size * start), WRONG[wrong])
    expected = ConfigurationError if wrong == "too much" else ConfigurationTypeError
    with pytest.raises(expected, match=rf"Body\.read.*{KEY}"):
        WAYS_TO_UPLOAD[way](s3.client(), s3, body)
    assert s3.stored_keys() == []
    if way != "upload_part":
        assert s3.server.uploads == {}


@pytest.mark.parametrize("way", WAYS_TO_UPLOAD)
def test_pipe_that_does_not_block_stores_nothing_while_its_writer_is_slow(s3: StrictWorld, way: str) -> None:
    """The real thing: what came is there, the rest is on its way, and no part of it becomes an object."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.write(writing, b"the first half")
    with open(reading, "rb") as body, open(writing, "wb"), pytest.raises(ConfigurationTypeError, match="non-blocking"):
        WAYS_TO_UPLOAD[way](s3.client(), s3, body)
    assert s3.stored_keys() == []
