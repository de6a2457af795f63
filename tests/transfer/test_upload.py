"""Managed uploads: every way in which boto3 and s3transfer upload, at every size, when all goes well and when not."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import boto3.s3.transfer
import pytest
import s3transfer
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import S3Transfer, TransferConfig
from botocore.exceptions import ClientError, ParamValidationError
from s3transfer.manager import TransferManager
from s3transfer.subscribers import BaseSubscriber
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.opened import stored_plaintext
from support.servers import refusal
from support.sources import ShortReads, Unseekable, pipe_with
from support.uploads import DATA as SOME_DATA
from support.uploads import MIB, Upload, part_sizes, policies
from support.worlds import KEY, StrictWorld

from s3_encryption import BodyMismatchError, CommitmentPolicy, ConfigurationTypeError, KmsKeyring
from s3_encryption._body.plaintext import crc32_of

DATA = SOME_DATA + SOME_DATA[::-1]
CHUNK = 8 * MIB
PERMANENTLY = 100
BOUNDED_SECONDS = 20.0


def file_with(directory: Path, content: bytes) -> Path:
    """Return a new file."""
    path = directory / "source"
    path.write_bytes(content)
    return path


def resource_over(client: Any) -> Any:
    """Return a boto3 resource that works through a client."""
    resource = boto3.resource("s3", endpoint_url=client.meta.endpoint_url)
    resource.meta.client.close()
    resource.meta.client = client
    return resource


# --- sizes and ways ---------------------------------------------------------------------------------------------------

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 16, 20 * MIB + 3]
Way = Callable[[StrictWorld, Any, Path, Any], None]


def with_manager(s3: StrictWorld, client: Any, path: Path, callback: Any) -> None:
    """Upload by an s3transfer manager, which has subscribers in place of callbacks."""

    class Subscriber(BaseSubscriber):  # type: ignore[misc]
        def on_progress(self, bytes_transferred: int, **kwargs: Any) -> None:
            callback(bytes_transferred)

    with TransferManager(client) as manager, path.open("rb") as file:
        manager.upload(file, s3.bucket, KEY, subscribers=[Subscriber()]).result()


def with_fileobj(upload: Callable[..., None], path: Path, *where: str, **options: Any) -> None:
    """Upload an open file."""
    with path.open("rb") as file:
        upload(file, *where, **options)


WAYS: dict[str, Way] = {
    "upload_file": lambda s3, client, path, callback: client.upload_file(str(path), s3.bucket, KEY, Callback=callback),
    "upload_fileobj": lambda s3, client, path, callback: with_fileobj(
        client.upload_fileobj, path, s3.bucket, KEY, Callback=callback
    ),
    "Bucket.upload_fileobj": lambda s3, client, path, callback: with_fileobj(
        resource_over(client).Bucket(s3.bucket).upload_fileobj, path, KEY, Callback=callback
    ),
    "Object.upload_file": lambda s3, client, path, callback: (
        resource_over(client).Object(s3.bucket, KEY).upload_file(path, Callback=callback)
    ),
    "S3Transfer": lambda s3, client, path, callback: S3Transfer(client).upload_file(
        str(path), s3.bucket, KEY, callback=callback
    ),
    "s3transfer.S3Transfer": lambda s3, client, path, callback: s3transfer.S3Transfer(client).upload_file(
        str(path), s3.bucket, KEY, callback=callback
    ),
    "TransferManager": with_manager,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", ["upload_file", "upload_fileobj"])
def test_al_01_up_05_up_22_upload_of_any_size_is_one_encrypted_object(
    s3: StrictWorld, tmp_path: Path, way: str, size: int
) -> None:
    """AL-01, UP-05, UP-22: sizes around the threshold and the part, and Callback counts exactly the plaintext."""
    progress: list[int] = []
    WAYS[way](s3, s3.client(), file_with(tmp_path, DATA[:size]), progress.append)
    assert stored_plaintext(s3) == DATA[:size]
    assert sum(progress) == size


@pytest.mark.parametrize("size", [1000, 2 * MIB, CHUNK + 1000])
@pytest.mark.parametrize("way", WAYS)
def test_al_02_upload_in_any_way_is_one_encrypted_object(s3: StrictWorld, tmp_path: Path, way: str, size: int) -> None:
    """AL-02: whatever calls the client, nothing is stored in the clear, and progress is what plain boto3 reports."""
    path = file_with(tmp_path, DATA[:size])
    totals = []
    for client in (s3.plain_client(), s3.new_client()):
        progress: list[int] = []
        WAYS[way](s3, client, path, progress.append)
        totals.append(sum(progress))
    assert stored_plaintext(s3) == DATA[:size]
    assert totals == [size, size]


@pytest.mark.parametrize("way", ["upload_file", "upload_fileobj", "s3transfer.S3Transfer"])
def test_upload_over_https_is_one_encrypted_object(s3_over_tls: StrictWorld, tmp_path: Path, way: str) -> None:
    """The same where bodies are sent in one pass."""
    progress: list[int] = []
    WAYS[way](s3_over_tls, s3_over_tls.new_client(), file_with(tmp_path, DATA[: CHUNK + 7]), progress.append)
    assert stored_plaintext(s3_over_tls) == DATA[: CHUNK + 7]
    assert sum(progress) == CHUNK + 7


@policies
@pytest.mark.parametrize("location", ["metadata", "instruction_file"])
def test_upload_in_parts_is_read_back(s3: StrictWorld, tmp_path: Path, policy: CommitmentPolicy, location: str) -> None:
    """Both formats, with the envelope in either place."""
    client = s3.client(commitment_policy=policy, envelope_location=location)
    client.upload_file(str(file_with(tmp_path, DATA[: CHUNK + 100])), s3.bucket, KEY)
    assert client.get_object(**s3.object_at())["Body"].read() == DATA[: CHUNK + 100]


CONFIGS: dict[str, Callable[[], TransferConfig]] = {
    "default": TransferConfig,
    "one-thread": lambda: TransferConfig(use_threads=False),
    "concurrency-1": lambda: TransferConfig(max_concurrency=1),
    "concurrency-3": lambda: TransferConfig(max_concurrency=3, multipart_chunksize=5 * MIB),
    "odd-chunks": lambda: TransferConfig(multipart_chunksize=5 * MIB + 13, multipart_threshold=5 * MIB),
    "large-chunks": lambda: TransferConfig(multipart_chunksize=50 * MIB),
    "never-in-parts": lambda: TransferConfig(multipart_threshold=50 * MIB),
    "always-in-parts": lambda: TransferConfig(multipart_threshold=1),
    "bandwidth": lambda: TransferConfig(max_bandwidth=10**9),
}


@pytest.mark.parametrize("config", CONFIGS)
def test_transfer_config_is_honoured(s3: StrictWorld, tmp_path: Path, config: str) -> None:
    """Threads and sizes of parts are the caller's choice: the parts are those of plain boto3, and the tag."""
    path = file_with(tmp_path, DATA[: 16 * MIB + 5])
    shapes = []
    for client in (s3.plain, s3.client()):
        s3.forget()
        progress: list[int] = []
        client.upload_file(str(path), s3.bucket, KEY, Callback=progress.append, Config=CONFIGS[config]())
        shapes.append(sorted(part_sizes(s3)))
        assert sum(progress) == 16 * MIB + 5
    plain, ours = shapes
    assert sum(size for _, size in ours) == sum(size for _, size in plain) + (16 if plain else 0)
    assert ours[: len(plain) - 1] == plain[:-1]
    assert stored_plaintext(s3) == DATA[: 16 * MIB + 5]


@pytest.mark.parametrize("preferred", ["crt", "CRT", "auto"])
def test_crt_is_never_used(s3: StrictWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preferred: str) -> None:
    """The CRT transfer client knows nothing of encryption; boto3 makes one only from the client's credentials."""
    asked = []

    def create(client: Any, config: Any) -> Any:
        asked.append(client._get_credentials())
        if asked[-1] is None:
            return None
        raise AssertionError("plaintext would be stored")

    monkeypatch.setattr(boto3.s3.transfer, "_should_use_crt", lambda config: True)
    monkeypatch.setattr(boto3.s3.transfer, "create_crt_transfer_manager", create, raising=False)
    client, config = s3.client(), TransferConfig(preferred_transfer_client=preferred)
    client.upload_file(str(file_with(tmp_path, DATA[:1000])), s3.bucket, KEY, Config=config)
    client.upload_fileobj(io.BytesIO(DATA[: CHUNK + 5]), s3.bucket, "large", Config=config)
    assert asked == [None, None]
    assert stored_plaintext(s3) == DATA[:1000]
    assert stored_plaintext(s3, "large") == DATA[: CHUNK + 5]


# --- sources ----------------------------------------------------------------------------------------------------------

SOURCES: dict[str, Callable[[bytes], Any]] = {
    "short-reads": lambda content: ShortReads(content, 100_003),
    "read-once": Unseekable,
    "pipe": pipe_with,
    "buffered": lambda content: io.BufferedReader(io.BytesIO(content)),
}


@pytest.mark.parametrize("size", [0, 1, 1000, CHUNK, CHUNK + 1, 2 * CHUNK])
@pytest.mark.parametrize("source", SOURCES)
def test_up_04_fileobj_of_any_kind_is_uploaded_whole(s3: StrictWorld, source: str, size: int) -> None:
    """UP-04: short reads are put together to whole parts, and what can't be rewound is read once."""
    fileobj = SOURCES[source](DATA[:size])
    progress: list[int] = []
    s3.client().upload_fileobj(fileobj, s3.bucket, KEY, Callback=progress.append)
    getattr(fileobj, "close", lambda: None)()
    assert stored_plaintext(s3) == DATA[:size]
    assert sum(progress) == size


def test_body_of_a_download_can_be_uploaded(s3: StrictWorld) -> None:
    """One object's Body is another one's source, without a file in between."""
    client = s3.client()
    client.put_object(**s3.object_at("first"), Body=DATA[: CHUNK + 9])
    client.upload_fileobj(client.get_object(**s3.object_at("first"))["Body"], s3.bucket, KEY)
    assert stored_plaintext(s3) == DATA[: CHUNK + 9]


def opened_file(directory: Path, content: bytes) -> Any:
    """Return an open file that has a content."""
    return file_with(directory, content).open("rb")


CALLERS_FILES: dict[str, Callable[[Path, bytes], Any]] = {
    "file": opened_file,
    "BytesIO": lambda directory, content: io.BytesIO(content),
    "short-reads": lambda directory, content: ShortReads(content, 70_000),
    "buffered": lambda directory, content: io.BufferedReader(io.BytesIO(content)),
    "read-once": lambda directory, content: io.BufferedReader(pipe_with(content)),
}
USES: dict[str, Callable[[Any, Any, str], Any]] = {
    "upload_fileobj": lambda client, file, bucket: client.upload_fileobj(file, bucket, KEY),
    "put_object": lambda client, file, bucket: client.put_object(Bucket=bucket, Key=KEY, Body=file),
    "upload_part": lambda client, file, bucket: Upload(client).send(1, file),
}


@pytest.mark.parametrize("size", [0, 1000, CHUNK - 1, CHUNK, CHUNK + 5])
@pytest.mark.parametrize("kind", CALLERS_FILES)
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("refused", [False, True], ids=["stored", "refused"])
def test_callers_file_is_closed_where_boto3_closes_it(
    s3: StrictWorld, tmp_path: Path, refused: bool, use: str, kind: str, size: int
) -> None:
    """The file that was given is closed or left open as plain boto3 does it, also when S3 refuses the object."""
    closed = []
    for client in (s3.plain, s3.client()):
        if refused:
            s3.server.script(refusal(403, "AccessDenied"), method="PUT", times=PERMANENTLY)
        with CALLERS_FILES[kind](tmp_path, DATA[:size]) as file:
            # Of a pipe plain boto3 makes no object, except in a transfer.
            with contextlib.suppress(ClientError, S3UploadFailedError, OSError):
                USES[use](client, file, s3.bucket)
            closed.append(file.closed)
        s3.server._scripts.clear()
    assert closed[0] == closed[1]


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, CHUNK + 5])
def test_co_10_extra_args_reach_the_threads(s3: StrictWorld, kms: FakeKms, tmp_path: Path, size: int) -> None:
    """CO-10: the encryption context binds the object, other arguments go to S3, and the caller's dict is left alone."""
    client = s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN))
    context = {"EncryptionContext": {"tenant": "alpha"}}
    arguments = {**context, "Metadata": {"owner": "somebody"}, "ContentType": "text/plain"}
    before = {**arguments}
    client.upload_file(str(file_with(tmp_path, DATA[:size])), s3.bucket, KEY, ExtraArgs=arguments)
    client.upload_fileobj(io.BytesIO(DATA[:size]), s3.bucket, "fileobj", ExtraArgs=arguments)
    assert arguments == before
    assert [request["EncryptionContext"]["tenant"] for _, request in kms.calls] == ["alpha", "alpha"]
    for key in (KEY, "fileobj"):
        answer = client.get_object(**s3.object_at(key), **context)
        assert answer["Body"].read() == DATA[:size]
        assert (answer["Metadata"]["owner"], answer["ContentType"]) == ("somebody", "text/plain")


@pytest.mark.parametrize("size", [1000, CHUNK + 5])
def test_instruction_file_suffix_is_that_of_the_call(s3: StrictWorld, size: int) -> None:
    """One upload may have its envelope in an instruction file of its own name."""
    client = s3.client()
    client.upload_fileobj(io.BytesIO(DATA[:size]), s3.bucket, KEY, ExtraArgs={"InstructionFileSuffix": ".mine"})
    assert s3.stored_keys() == [KEY, f"{KEY}.mine"]
    assert client.get_object(**s3.object_at(), InstructionFileSuffix=".mine")["Body"].read() == DATA[:size]


def test_uploads_of_many_threads_keep_their_contexts(s3: StrictWorld, kms: FakeKms) -> None:
    """EC-11: one client, several uploads in parts at a time, each with its own encryption context."""
    client = s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN))
    names = [f"object-{number}" for number in range(4)]

    def upload(name: str) -> None:
        client.upload_fileobj(
            io.BytesIO(name.encode() + DATA[:CHUNK]), s3.bucket, name, {"EncryptionContext": {"of": name}}
        )

    threads = [threading.Thread(target=upload, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        answer = client.get_object(**s3.object_at(name), EncryptionContext={"of": name})
        assert answer["Body"].read() == name.encode() + DATA[:CHUNK]


WRONG_CALLS: dict[str, Callable[[Any, Path], None]] = {
    "no-file": lambda client, path: client.upload_file(str(path / "missing"), "bucket", KEY),
    "directory": lambda client, path: client.upload_file(str(path), "bucket", KEY),
    "number": lambda client, path: client.upload_file(5, "bucket", KEY),
    "no-fileobj": lambda client, path: client.upload_fileobj(5, "bucket", KEY),
    "bytes": lambda client, path: client.upload_fileobj(b"content", "bucket", KEY),
    "extra-argument": lambda client, path: client.upload_fileobj(io.BytesIO(), "bucket", KEY, {"Nonsense": 1}),
    "condition": lambda client, path: client.upload_fileobj(io.BytesIO(), "bucket", KEY, {"IfMatch": "x"}),
    "bucket-name": lambda client, path: client.upload_fileobj(io.BytesIO(), "no bucket", KEY),
    "object-lambda": lambda client, path: client.upload_fileobj(
        io.BytesIO(), "arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint:x", KEY
    ),
}


@pytest.mark.parametrize("call", WRONG_CALLS)
def test_wrong_call_is_answered_as_by_boto3(s3: StrictWorld, tmp_path: Path, call: str) -> None:
    """The same exception with the same words, and nothing is stored."""
    errors = []
    for client in (s3.plain, s3.client()):
        with pytest.raises((ValueError, OSError, ParamValidationError)) as caught:
            WRONG_CALLS[call](client, tmp_path)
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]
    assert s3.stored_keys() == []


@pytest.mark.parametrize("size", [1000, CHUNK, CHUNK + 1, 20 * MIB + 3])
def test_up_08_checksum_of_the_whole_is_compared_and_stays_here(s3: StrictWorld, tmp_path: Path, size: int) -> None:
    """A CRC-32 in ExtraArgs is that of the file, in one request or in many: a false one stores nothing."""
    path = file_with(tmp_path, DATA[:size])
    client = s3.client()
    with pytest.raises((BodyMismatchError, S3UploadFailedError), match="does not have the declared ChecksumCRC32"):
        client.upload_file(str(path), s3.bucket, KEY, ExtraArgs={"ChecksumCRC32": crc32_of(b"another file")})
    assert not s3.stored_keys()
    client.upload_file(str(path), s3.bucket, KEY, ExtraArgs={"ChecksumCRC32": crc32_of(DATA[:size])})
    assert stored_plaintext(s3) == DATA[:size]
    assert not any(crc32_of(DATA[:size]).encode() in request.sent_bytes for request in s3.requests)


def test_up_02_text_is_refused(s3: StrictWorld) -> None:
    """The message says how a file is to be opened (UP-02); of a large one, s3transfer's own, earlier one is raised."""
    with pytest.raises(ConfigurationTypeError, match="'rb'"):
        s3.client().upload_fileobj(io.StringIO("text"), s3.bucket, KEY)
    with pytest.raises(TypeError, match="str"):
        s3.client().upload_fileobj(io.StringIO("x" * (CHUNK + 1)), s3.bucket, KEY)
    assert (s3.stored_keys(), s3.server.uploads) == ([], {})
