"""Managed downloads: every way, at every size, and into every kind of target; what is asked of S3 and of KMS."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3.s3.transfer
import pytest
from boto3.s3.transfer import S3Transfer, TransferConfig
from s3transfer.bandwidth import BandwidthLimitedStream
from s3transfer.manager import TransferManager
from support.encoders import ENCODERS
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.servers import CHUNKED, WITHOUT_ETAG
from support.uploads import MIB, policies
from support.worlds import KEY, StrictWorld

from s3_encryption import (
    CommitmentPolicy,
    EncryptionContextMismatchError,
    KmsKeyring,
    NotEncryptedError,
    PolicyError,
)

from .test_upload import CHUNK, DATA, resource_over

SIZES = [0, 1, CHUNK - 17, CHUNK - 16, CHUNK - 1, CHUNK, CHUNK + 1, 20 * MIB + 3]
Way = Callable[[StrictWorld, Any, Path, Any], None]


class Sink:
    """A file-like object that keeps what it is given: the very objects, which must stay what they were."""

    def __init__(self) -> None:
        self.pieces: list[Any] = []

    def write(self, data: Any) -> int:
        assert type(data) is bytes
        self.pieces.append(data)
        return len(data)

    def content(self) -> bytes:
        """Return all that was written."""
        return b"".join(self.pieces)


def into_sink(download: Callable[..., None], path: Path, *where: str, **options: Any) -> None:
    """Download into a file-like object, and from there into a file."""
    sink = Sink()
    download(*where, sink, **options)
    path.write_bytes(sink.content())


WAYS: dict[str, Way] = {
    "download_file": lambda s3, client, path, callback: client.download_file(
        s3.bucket, KEY, str(path), Callback=callback
    ),
    "download_fileobj": lambda s3, client, path, callback: into_sink(
        client.download_fileobj, path, s3.bucket, KEY, Callback=callback
    ),
    "Object.download_file": lambda s3, client, path, callback: (
        resource_over(client).Object(s3.bucket, KEY).download_file(path, Callback=callback)
    ),
    "Bucket.download_file": lambda s3, client, path, callback: (
        resource_over(client).Bucket(s3.bucket).download_file(KEY, str(path), Callback=callback)
    ),
    "Bucket.download_fileobj": lambda s3, client, path, callback: into_sink(
        resource_over(client).Bucket(s3.bucket).download_fileobj, path, KEY, Callback=callback
    ),
}


def stored(s3: StrictWorld, size: int, **options: Any) -> Any:
    """Return a client that has stored an object of a size."""
    client = s3.client(**options)
    client.put_object(**s3.object_at(), Body=DATA[:size])
    s3.forget()
    return client


# --- sizes and ways ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"buffer_size": 1}], ids=["memory", "spool"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", ["download_file", "download_fileobj"])
def test_dl_02_up_22_download_of_any_size_is_the_plaintext(
    s3: StrictWorld, tmp_path: Path, way: str, size: int, options: dict[str, Any]
) -> None:
    """DL-02, UP-22: sizes around the threshold, on both sides of the tag; Callback counts exactly the plaintext."""
    client, progress = stored(s3, size, **options), list[int]()
    WAYS[way](s3, client, tmp_path / "target", progress.append)
    assert (tmp_path / "target").read_bytes() == DATA[:size]
    assert sum(progress) == size
    assert all(amount > 0 for amount in progress)


@policies
@pytest.mark.parametrize("size", [1000, CHUNK + 1000])
@pytest.mark.parametrize("way", WAYS)
def test_download_in_any_way_is_the_plaintext(
    s3: StrictWorld, tmp_path: Path, way: str, size: int, policy: CommitmentPolicy
) -> None:
    """Client and resources, both formats."""
    WAYS[way](s3, stored(s3, size, commitment_policy=policy), tmp_path / "target", lambda amount: None)
    assert (tmp_path / "target").read_bytes() == DATA[:size]


def test_download_over_https_is_the_plaintext(s3_over_tls: StrictWorld, tmp_path: Path) -> None:
    """The same over HTTPS."""
    client = stored(s3_over_tls, CHUNK + 1000)
    client.download_file(s3_over_tls.bucket, KEY, str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == DATA[: CHUNK + 1000]


CONFIGS: dict[str, Callable[[], TransferConfig]] = {
    "one-thread": lambda: TransferConfig(use_threads=False),
    "concurrency-1": lambda: TransferConfig(max_concurrency=1),
    "concurrency-3": lambda: TransferConfig(max_concurrency=3, multipart_chunksize=5 * MIB),
    "small-chunks": lambda: TransferConfig(multipart_chunksize=1_000_003, multipart_threshold=1),
    "at-once": lambda: TransferConfig(multipart_threshold=50 * MIB),
    "small-io": lambda: TransferConfig(io_chunksize=10_007, max_io_queue=3),
    "bandwidth": lambda: TransferConfig(max_bandwidth=10**9),
}


@pytest.mark.parametrize("way", ["download_file", "download_fileobj"])
@pytest.mark.parametrize("config", CONFIGS)
def test_transfer_config_is_honoured(s3: StrictWorld, tmp_path: Path, config: str, way: str) -> None:
    """Threads and ranges are the caller's choice: the requests are those of plain boto3."""
    client, counts = stored(s3, 12 * MIB + 5), []
    for reader in (s3.plain, client):
        s3.forget()
        target = tmp_path / "target"
        if way == "download_file":
            reader.download_file(s3.bucket, KEY, str(target), Config=CONFIGS[config]())
        else:
            into_sink(reader.download_fileobj, target, s3.bucket, KEY, Config=CONFIGS[config]())
        counts.append((len(s3.server.of("HEAD")), len(s3.server.of("GET"))))
    assert counts[0] == counts[1]
    assert (tmp_path / "target").read_bytes() == DATA[: 12 * MIB + 5]


@pytest.mark.parametrize("preferred", ["crt", "auto"])
def test_crt_is_never_used(s3: StrictWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preferred: str) -> None:
    """The CRT transfer client would write the ciphertext to the target."""

    def create(client: Any, config: Any) -> Any:
        raise AssertionError("ciphertext would be written")

    monkeypatch.setattr(
        boto3.s3.transfer, "_should_use_crt", lambda config: config.preferred_transfer_client != "classic"
    )
    monkeypatch.setattr(boto3.s3.transfer, "create_crt_transfer_manager", create, raising=False)
    client, config = stored(s3, CHUNK + 5), TransferConfig(preferred_transfer_client=preferred)
    client.download_file(s3.bucket, KEY, str(tmp_path / "target"), Config=config)
    assert (tmp_path / "target").read_bytes() == DATA[: CHUNK + 5]
    assert config.preferred_transfer_client == preferred


@pytest.mark.parametrize("size", [1000, CHUNK - 16, CHUNK + 1000])
def test_s3transfer_itself_downloads_only_what_it_can_verify(s3: StrictWorld, tmp_path: Path, size: int) -> None:
    """Used directly, s3transfer asks for ranges of what is large: only a client that may read those answers it."""
    target = tmp_path / "target"
    client = stored(s3, size)
    if size < CHUNK:
        S3Transfer(client).download_file(s3.bucket, KEY, str(target))
        assert target.read_bytes() == DATA[:size]
        return
    with pytest.raises(PolicyError, match="enable_unauthenticated_ranges"):
        S3Transfer(client).download_file(s3.bucket, KEY, str(target))
    assert list(tmp_path.iterdir()) == []
    with TransferManager(s3.client(enable_unauthenticated_ranges=True)) as manager:
        manager.download(s3.bucket, KEY, str(target)).result()
    assert target.read_bytes() == DATA[:size]


# --- what is asked of S3 and of KMS -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["download_file", "download_fileobj"])
@pytest.mark.parametrize(("size", "ranges"), [(0, 1), (1000, 1), (CHUNK + 1000, 2), (20 * MIB, 3)])
def test_key_and_object_are_asked_for_once(
    s3: StrictWorld, kms: FakeKms, tmp_path: Path, way: str, size: int, ranges: int
) -> None:
    """One HEAD, one KMS Decrypt, and as many GETs as there are ranges, all of one and the same object."""
    client = stored(s3, size, keyring=KmsKeyring(kms, KMS_KEY_ARN))
    kms.calls.clear()
    WAYS[way](s3, client, tmp_path / "target", lambda amount: None)
    assert [name for name, _ in kms.calls] == ["decrypt"]
    assert [request.method for request in s3.requests] == ["HEAD", *["GET"] * ranges]
    # One answer alone needs no promise that others are of the same object: boto3 asks for none, either.
    pins = {request.headers.get("if-match") for request in s3.server.of("GET")}
    assert pins == ({s3.server.objects[f"/{s3.bucket}/{KEY}"].etag} if ranges > 1 else {None})


@pytest.mark.parametrize("size", [1000, CHUNK + 1000])
def test_instruction_file_is_fetched_once(s3: StrictWorld, tmp_path: Path, size: int) -> None:
    """The envelope may be in a file of its own, also one of the call's."""
    client = stored(s3, size, envelope_location="instruction_file")
    client.download_file(s3.bucket, KEY, str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == DATA[:size]
    assert sum(request.path.endswith(".instruction") for request in s3.server.of("GET")) == 1
    client.put_object(**s3.object_at(), Body=DATA[:size], InstructionFileSuffix=".mine")
    client.download_fileobj(s3.bucket, KEY, Sink(), ExtraArgs={"InstructionFileSuffix": ".mine"})


REPEATED = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": b"k" * 32,
    "RequestPayer": "requester",
    "ExpectedBucketOwner": "111122223333",
}


@pytest.mark.parametrize("size", [1000, CHUNK + 1000])
def test_extra_args_go_with_every_request(s3: StrictWorld, tmp_path: Path, size: int) -> None:
    """Customer keys, the requester's consent and the owner are said in each request, that of the envelope included."""
    client = s3.client(envelope_location="instruction_file")
    client.put_object(**s3.object_at(), Body=DATA[:size], **REPEATED)
    s3.forget()
    arguments = {**REPEATED}
    client.download_file(s3.bucket, KEY, str(tmp_path / "target"), ExtraArgs=arguments)
    assert arguments == REPEATED
    for name in ("x-amz-server-side-encryption-customer-key", "x-amz-request-payer", "x-amz-expected-bucket-owner"):
        assert len({request.headers[name] for request in s3.requests}) == 1


@pytest.mark.parametrize("size", [1000, CHUNK + 1000])
def test_encryption_context_is_compared(s3: StrictWorld, kms: FakeKms, tmp_path: Path, size: int) -> None:
    """EC-01: with another context the download is refused without asking KMS, and the target is not made."""
    client = s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN))
    context = {"EncryptionContext": {"tenant": "alpha"}}
    client.put_object(**s3.object_at(), Body=DATA[:size], **context)
    kms.calls.clear()
    for wrong in (None, {"EncryptionContext": {"tenant": "beta"}}):
        with pytest.raises(EncryptionContextMismatchError) as caught:
            client.download_file(s3.bucket, KEY, str(tmp_path / "target"), ExtraArgs=wrong)
        assert caught.value.key == KEY
    assert (kms.calls, list(tmp_path.iterdir())) == ([], [])
    client.download_file(s3.bucket, KEY, str(tmp_path / "target"), ExtraArgs=context)
    assert (tmp_path / "target").read_bytes() == DATA[:size]


# --- objects of other kinds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["download_file", "download_fileobj"])
@pytest.mark.parametrize("size", [1000, CHUNK + 1000])
def test_plaintext_object_is_refused_unless_allowed(s3: StrictWorld, tmp_path: Path, size: int, way: str) -> None:
    """AL-16: an object without an envelope is nobody's encrypted object."""
    s3.plain.put_object(**s3.object_at(), Body=DATA[:size])
    with pytest.raises(NotEncryptedError):
        WAYS[way](s3, s3.client(), tmp_path / "target", lambda amount: None)
    assert list(tmp_path.iterdir()) == []
    WAYS[way](s3, s3.client(allow_plaintext_reads=True), tmp_path / "target", lambda amount: None)
    assert (tmp_path / "target").read_bytes() == DATA[:size]


@pytest.mark.parametrize("way", ["download_file", "download_fileobj"])
@pytest.mark.parametrize("size", [1000, CHUNK + 1000])
@pytest.mark.parametrize("format", ENCODERS)
def test_object_of_every_format_is_downloaded(
    s3: StrictWorld, tmp_path: Path, format: str, size: int, way: str
) -> None:
    """What other clients wrote, legacy content with its switches only."""
    encoded, progress = ENCODERS[format].encode(DATA[:size]), list[int]()
    s3.store(encoded.body, encoded.metadata)
    WAYS[way](s3, s3.client(**ENCODERS[format].options), tmp_path / "target", progress.append)
    assert (tmp_path / "target").read_bytes() == DATA[:size]
    assert sum(progress) == size
    if ENCODERS[format].switches:
        with pytest.raises(PolicyError):
            WAYS[way](s3, s3.client(), tmp_path / "target", lambda amount: None)


# --- targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, CHUNK + 1000])
def test_target_may_be_a_path(s3: StrictWorld, tmp_path: Path, size: int) -> None:
    """A Path does as well as a str."""
    stored(s3, size).download_file(s3.bucket, KEY, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA[:size]


@pytest.mark.parametrize("name", ["n" * 247, "n" * 255, "ü" * 127, "."], ids=["247", "255", "umlauts", "dot"])
def test_target_may_have_any_name_that_boto3_can_write(s3: StrictWorld, tmp_path: Path, name: str) -> None:
    """The temporary name is cut to what the file system takes; what boto3 refuses is refused as by boto3."""
    client = stored(s3, 1000)
    outcomes: list[type[OSError] | None] = []
    for reader in (s3.plain, client):
        try:
            reader.download_file(s3.bucket, KEY, str(tmp_path / name))
            outcomes.append(None)
        except OSError as error:
            outcomes.append(type(error))
    assert outcomes[1] in (None, outcomes[0])
    assert outcomes[1] is not None or (tmp_path / name).read_bytes() == DATA[:1000]


@pytest.mark.parametrize("size", [1000, CHUNK + 1000])
def test_target_may_be_a_device(s3: StrictWorld, size: int) -> None:
    """What can't be replaced is written to, as by boto3; its errors come through."""
    client = stored(s3, size)
    client.download_file(s3.bucket, KEY, os.devnull)
    for reader in (s3.plain, client):
        with pytest.raises(OSError, match="No space left on device"):
            reader.download_file(s3.bucket, KEY, "/dev/full")


def test_target_may_be_a_named_pipe(s3: StrictWorld, tmp_path: Path) -> None:
    """Another program reads at the other end; it gets verified bytes."""
    os.mkfifo(tmp_path / "pipe")
    client, read = stored(s3, 1000), []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    client.download_file(s3.bucket, KEY, str(tmp_path / "pipe"))
    reader.join(10)
    assert read == [DATA[:1000]]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_mode_of_the_target_is_that_of_boto3(s3: StrictWorld, tmp_path: Path, umask: int) -> None:
    """The caller's umask decides in the end, also where a file with another mode is replaced."""
    client = stored(s3, 1000)
    before = os.umask(umask)
    modes = []
    try:
        for reader, name in ((s3.plain, "plain"), (client, "ours")):
            target = tmp_path / name
            target.write_bytes(b"existing")
            target.chmod(0o604)
            reader.download_file(s3.bucket, KEY, str(target))
            modes.append(target.stat().st_mode)
    finally:
        os.umask(before)
    assert modes[0] == modes[1]


def test_link_is_replaced_as_by_boto3(s3: StrictWorld, tmp_path: Path) -> None:
    """A symbolic link gives way to the file; what it pointed to is left alone."""
    client, kinds = stored(s3, 1000), []
    for reader, name in ((s3.plain, "plain"), (client, "ours")):
        (tmp_path / f"{name}-pointed-to").write_bytes(b"existing")
        (tmp_path / name).symlink_to(tmp_path / f"{name}-pointed-to")
        reader.download_file(s3.bucket, KEY, str(tmp_path / name))
        kinds.append(((tmp_path / name).is_symlink(), (tmp_path / f"{name}-pointed-to").read_bytes()))
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("size", [0, 1000, CHUNK + 1000])
@pytest.mark.parametrize("options", [{}, {"buffer_size": 1}], ids=["memory", "spool"])
def test_file_that_can_seek_is_written_as_by_boto3(s3: StrictWorld, size: int, options: dict[str, Any]) -> None:
    """BytesIO, the commonest target, is written to from its start, wherever it stands; what is behind stays."""
    client = stored(s3, size, **options)
    s3.plain.put_object(**s3.object_at("plain"), Body=DATA[:size])
    contents = []
    for reader, key in ((s3.plain, "plain"), (client, KEY)):
        target = io.BytesIO(b"x" * (size + 10))
        target.seek(6)
        reader.download_fileobj(s3.bucket, key, target)
        contents.append(target.getvalue())
    assert contents[0] == contents[1] == DATA[:size] + b"x" * 10


@pytest.mark.parametrize("size", [1000, 20 * MIB])
def test_bandwidth_is_limited_by_s3transfer(s3: StrictWorld, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """``max_bandwidth`` counts for small objects and large ones: every byte of the object goes through its limiter."""
    client, limited = stored(s3, size), list[int]()
    read = BandwidthLimitedStream.read

    def noted(stream: Any, amount: int) -> bytes:
        data: bytes = read(stream, amount)
        limited.append(len(data))
        return data

    monkeypatch.setattr(BandwidthLimitedStream, "read", noted)
    target = io.BytesIO()
    client.download_fileobj(s3.bucket, KEY, target, Config=TransferConfig(max_bandwidth=10**12))
    assert target.getvalue() == DATA[:size]
    assert sum(limited) == size + 16


def test_large_plaintext_object_is_downloaded_in_ranges(s3: StrictWorld, tmp_path: Path) -> None:
    """Where plaintext may be read, it comes as boto3 fetches it: in parallel, repaired, with its own progress."""
    s3.plain.put_object(**s3.object_at(), Body=DATA[: 20 * MIB])
    client, target, progress = s3.client(allow_plaintext_reads=True), tmp_path / "target", list[int]()
    s3.forget()
    client.download_file(s3.bucket, KEY, str(target), Callback=progress.append)
    assert target.read_bytes() == DATA[: 20 * MIB]
    assert sum(progress) == 20 * MIB
    assert len(s3.server.of("GET")) == 4  # one of them for an instruction file, which is not there


def test_server_without_etags_serves_downloads(s3: StrictWorld, tmp_path: Path) -> None:
    """Some servers have none: then nothing is pinned, and the tag alone tells whether all is of one object."""
    client = stored(s3, 20 * MIB)
    s3.server.script(WITHOUT_ETAG, method="HEAD", times=2)
    client.download_file(s3.bucket, KEY, str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == DATA[: 20 * MIB]
    assert not any("if-match" in request.headers for request in s3.server.of("GET"))


def test_dl_08_downloads_to_one_target_do_not_mix(s3: StrictWorld, tmp_path: Path) -> None:
    """DL-08: of several downloads to one file, the last complete one wins, whole."""
    client = s3.client()
    contents = [bytes([number]) * (CHUNK + number) for number in range(1, 4)]
    for number, content in enumerate(contents):
        client.put_object(**s3.object_at(str(number)), Body=content)
    target = tmp_path / "target"
    threads = [
        threading.Thread(target=client.download_file, args=(s3.bucket, str(number), str(target)))
        for number in range(len(contents))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("bandwidth", [None, 100 * MIB], ids=["free", "limited"])
@pytest.mark.parametrize("size", [0, 61, CHUNK + 1])
def test_download_needs_no_length_from_a_head(s3: StrictWorld, size: int, bandwidth: int | None) -> None:
    """Where a head does not tell the length, the object is read at once, and verified."""
    client = s3.client()
    client.put_object(**s3.object_at(), Body=DATA[:size])
    s3.server.script(CHUNKED, method="HEAD")
    target = io.BytesIO()
    client.download_fileobj(s3.bucket, KEY, target, Config=TransferConfig(max_bandwidth=bandwidth))
    assert target.getvalue() == DATA[:size]
