"""Managed downloads that go wrong: the target stays what it was, nothing is left behind, nothing false comes out."""

from __future__ import annotations

import gc
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from boto3.exceptions import RetriesExceededError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from s3transfer.exceptions import RetriesExceededError as ManagersRetriesExceededError
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.features import DOWNLOAD_FAILED_ERROR
from support.servers import Answer, Fault, cut_body, refusal
from support.uploads import MIB, policies
from support.worlds import KEY, StrictWorld

from s3_encryption import CommitmentPolicy, DecryptionError, KmsKeyring, S3EncryptionClientError

from .test_upload import CHUNK, DATA

EXISTING = b"EXISTING"
SIZES = [1000, 20 * MIB]
PERMANENTLY = 1000


class Spy:
    """A file-like object that counts what it is given."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, data: bytes) -> int:
        self.content += bytes(data)
        return len(data)


def stored(s3: StrictWorld, size: int, **options: Any) -> Any:
    """Return a client that has stored an object of a size."""
    client = s3.client(**options)
    client.put_object(**s3.object_at(), Body=DATA[:size])
    s3.forget()
    return client


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return a file with content in a directory of its own."""
    path = tmp_path / "directory" / "target"
    path.parent.mkdir()
    path.write_bytes(EXISTING)
    return path


def assert_untouched(target: Path) -> None:
    """Pass when a directory holds the target only, and that holds what it held."""
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.read_bytes() == EXISTING


def change_body(s3: StrictWorld, change: Callable[[bytes], bytes]) -> None:
    """Change what is stored, as somebody would who can also store a checksum that fits."""
    path = f"/{s3.bucket}/{KEY}"
    s3.server.objects[path] = replace(s3.server.objects[path], body=change(s3.server.objects[path].body), checksums={})


def download(client: Any, s3: StrictWorld, way: str, target: Path, **options: Any) -> bytes:
    """Download in one of the two ways, and return what came."""
    if way == "download_file":
        client.download_file(s3.bucket, KEY, str(target), **options)
        return target.read_bytes()
    spy = Spy()
    client.download_fileobj(s3.bucket, KEY, spy, **options)
    return spy.content


ways = pytest.mark.parametrize("way", ["download_file", "download_fileobj"])


@pytest.fixture
def collected() -> Iterator[None]:
    """Close, in time, what s3transfer leaves to the garbage collector when a connection breaks off."""
    yield
    gc.collect()


def broken_off(test: Any) -> Any:
    """Mark a test in which connections break off."""
    ignored = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    return ignored(pytest.mark.usefixtures("collected")(test))


# --- changed objects --------------------------------------------------------------------------------------------------

CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "first-byte": lambda body: bytes([body[0] ^ 1]) + body[1:],
    "last-byte-of-the-tag": lambda body: body[:-1] + bytes([body[-1] ^ 1]),
    "cut": lambda body: body[:-1],
    "longer": lambda body: body + b"\0",
    "moved": lambda body: body[500:] + body[:500],
}
MODES: dict[str, dict[str, Any]] = {"memory": {}, "spool": {"buffer_size": 1}}


@policies
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("change", CHANGES)
def test_dl_01_changed_object_leaves_the_target_untouched(
    s3: StrictWorld, target: Path, change: str, size: int, policy: CommitmentPolicy
) -> None:
    """DL-01: the old content stays, no other file is left, and the error names the object."""
    client = stored(s3, size, commitment_policy=policy)
    change_body(s3, CHANGES[change])
    with pytest.raises(DecryptionError) as caught:
        client.download_file(s3.bucket, KEY, str(target))
    assert (caught.value.bucket, caught.value.key) == (s3.bucket, KEY)
    assert_untouched(target)


def test_dl_01_changed_object_leaves_the_target_untouched_when_streamed(s3: StrictWorld, target: Path) -> None:
    """DL-01: where plaintext may be released before it is verified, a file still gets its name only after that."""
    for size in SIZES:
        client = stored(s3, size, enable_delayed_authentication=True)
        change_body(s3, CHANGES["last-byte-of-the-tag"])
        with pytest.raises(DecryptionError):
            client.download_file(s3.bucket, KEY, str(target))
        assert_untouched(target)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("change", CHANGES)
def test_changed_object_writes_nothing_to_a_fileobj(s3: StrictWorld, change: str, size: int, mode: str) -> None:
    """A file-like object gets verified bytes only: of a changed object, none."""
    client, spy = stored(s3, size, **MODES[mode]), Spy()
    change_body(s3, CHANGES[change])
    with pytest.raises(DecryptionError) as caught:
        client.download_fileobj(s3.bucket, KEY, spy)
    assert (caught.value.key, spy.content) == (KEY, b"")


@pytest.mark.parametrize("size", [1000, CHUNK + 1000])
def test_changed_object_writes_nothing_to_a_device(s3: StrictWorld, tmp_path: Path, size: int) -> None:
    """What can't be renamed gets verified bytes only as well."""
    client = stored(s3, size)
    change_body(s3, CHANGES["first-byte"])
    with pytest.raises(DecryptionError):
        client.download_file(s3.bucket, KEY, "/dev/full")


@pytest.mark.parametrize("size", SIZES)
def test_wrong_key_leaves_the_target_untouched(s3: StrictWorld, target: Path, size: int) -> None:
    """An object of another key is refused before its content is asked for."""
    stored(s3, size, aes_key=b"another key " + bytes(20))
    with pytest.raises(DecryptionError):
        s3.client().download_file(s3.bucket, KEY, str(target))
    assert_untouched(target)


@pytest.mark.parametrize("size", SIZES)
def test_failure_of_kms_leaves_the_target_untouched(s3: StrictWorld, kms: FakeKms, target: Path, size: int) -> None:
    """KM-05: what KMS answers is raised as it is."""
    client = stored(s3, size, keyring=KmsKeyring(kms, KMS_KEY_ARN))
    kms.failure = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Decrypt")
    with pytest.raises(ClientError) as caught:
        client.download_file(s3.bucket, KEY, str(target))
    assert caught.value is kms.failure
    assert_untouched(target)


# --- while a download is under way ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_dl_05_plaintext_under_way_is_private(s3: StrictWorld, target: Path, size: int) -> None:
    """DL-05: until it is verified it has a random name beside the target, which nobody else may read."""
    client, seen = stored(s3, size), list[tuple[str, int]]()

    def look(answer: Answer) -> Answer:
        assert target.read_bytes() == EXISTING
        others = [path for path in target.parent.iterdir() if path != target]
        seen.extend((path.name, stat.S_IMODE(path.stat().st_mode)) for path in others)
        return answer

    s3.server.script(Fault(look), method="GET", times=PERMANENTLY)
    client.download_file(s3.bucket, KEY, str(target))
    assert seen
    assert all(re.fullmatch(r"target\.[0-9a-zA-Z]{8}", name) and mode == 0o600 for name, mode in seen)
    assert target.read_bytes() == DATA[:size]
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def replaced_during(s3: StrictWorld, method: str) -> None:
    """Let the object be overwritten right after the first request of a method."""
    other = s3.server.objects[f"/{s3.bucket}/other"]

    def replace_object(answer: Answer) -> Answer:
        s3.server.objects[f"/{s3.bucket}/{KEY}"] = other
        return answer

    s3.server.script(Fault(replace_object), method=method)


@ways
def test_dl_07_rg_10_object_that_is_replaced_between_ranges_is_refused(s3: StrictWorld, target: Path, way: str) -> None:
    """DL-07, RG-10: all ranges are of one object; that it is gone is said as boto3 says it."""
    errors = []
    for client in (s3.plain, s3.client()):
        client.put_object(**s3.object_at(), Body=DATA[: 20 * MIB])
        client.put_object(**s3.object_at("other"), Body=DATA[1 : 20 * MIB + 1])
        replaced_during(s3, "GET")
        with pytest.raises(DOWNLOAD_FAILED_ERROR) as caught:
            download(client, s3, way, target, Config=TransferConfig(max_concurrency=1))
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]
    assert_untouched(target)


def test_large_object_that_is_replaced_after_the_head_is_refused(s3: StrictWorld, target: Path) -> None:
    """What was said of the object must be true of all its ranges."""
    client = stored(s3, 20 * MIB)
    client.put_object(**s3.object_at("other"), Body=DATA[: 20 * MIB + 5])
    replaced_during(s3, "HEAD")
    with pytest.raises((ClientError, DOWNLOAD_FAILED_ERROR)):
        client.download_file(s3.bucket, KEY, str(target))
    assert_untouched(target)


def test_small_object_that_is_replaced_after_the_head_comes_as_it_is_now(s3: StrictWorld, target: Path) -> None:
    """It comes by one request, as in boto3: whole, and of one version."""
    client = stored(s3, 1000)
    client.put_object(**s3.object_at("other"), Body=DATA[:1005])
    replaced_during(s3, "HEAD")
    client.download_file(s3.bucket, KEY, str(target))
    assert target.read_bytes() == DATA[:1005]


# --- the target -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("error", [TimeoutError, BrokenPipeError, ConnectionResetError])
def test_error_of_the_target_is_not_taken_for_one_of_the_network(
    s3: StrictWorld, size: int, error: type[Exception]
) -> None:
    """A target that fails, in a way in which networks fail too, gets nothing twice, and its error is raised."""
    client, writes = stored(s3, size), list[int]()

    class Failing:
        def write(self, data: bytes) -> int:
            writes.append(len(data))
            raise error("of the target")

    with pytest.raises(error, match="of the target"):
        client.download_fileobj(s3.bucket, KEY, Failing())
    assert len(writes) == 1


@pytest.mark.parametrize("size", [0, 1000])
@pytest.mark.parametrize("name", ["file/", "file/.", "new/", "file/deeper", "folder", "folder/"])
def test_name_that_is_no_files_is_refused_as_by_boto3(s3: StrictWorld, tmp_path: Path, name: str, size: int) -> None:
    """A slash at the end means a folder: a file of that name is neither overwritten nor made."""
    (tmp_path / "file").write_bytes(EXISTING)
    (tmp_path / "folder").mkdir()
    client, errors = stored(s3, size), list[type[Exception]]()
    for reader in (s3.plain, client):
        with pytest.raises((NotADirectoryError, FileNotFoundError, IsADirectoryError)) as caught:
            reader.download_file(s3.bucket, KEY, f"{tmp_path}/{name}")
        errors.append(caught.type)
    assert errors[0] == errors[1]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]
    assert (tmp_path / "file").read_bytes() == EXISTING


def test_file_system_without_modes_takes_downloads(
    s3: StrictWorld, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some mounts refuse to set modes; that is no reason to refuse the download."""
    client = stored(s3, 1000)

    def refuse(path: Path, mode: int) -> None:
        raise PermissionError("no modes here")

    monkeypatch.setattr(Path, "chmod", refuse)
    client.download_file(s3.bucket, KEY, str(target))
    assert target.read_bytes() == DATA[:1000]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe_is_not_waited_for_before_the_object_is_there(s3: StrictWorld, tmp_path: Path) -> None:
    """To open a pipe waits for its reader: a missing object is said to be missing first."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ClientError, match="Not Found"):
        s3.client().download_file(s3.bucket, "missing", str(tmp_path / "pipe"))


@pytest.mark.parametrize(
    "options",
    [{"enable_delayed_authentication": True}, {"allow_plaintext_reads": True}],
    ids=["delayed", "plaintext"],
)
@ways
def test_broken_connection_is_repaired_also_after_bytes_were_written(
    s3: StrictWorld, target: Path, way: str, options: dict[str, Any]
) -> None:
    """What was released already is not written again; it must come from the same object."""
    client, progress, size = s3.client(**options), list[int](), 3 * MIB
    writer = s3.plain if "allow_plaintext_reads" in options else client
    writer.put_object(**s3.object_at(), Body=DATA[:size])
    if writer is s3.plain:
        # The first request after the object's own is for an instruction file.
        s3.server.script(cut_body(2 * MIB), method="GET", path_end=KEY, times=1)
    else:
        s3.server.script(cut_body(2 * MIB), method="GET", times=2)
    s3.forget()
    assert download(client, s3, way, target, Callback=progress.append) == DATA[:size]
    assert sum(progress) == size
    pins = [request.headers.get("if-match") for request in s3.server.of("GET") if request.path.endswith(KEY)]
    assert pins[0] is None
    assert None not in pins[1:]
    assert len(pins) > 1


def test_what_was_released_before_the_connection_broke_is_part_of_what_is_verified(s3: StrictWorld) -> None:
    """A changed beginning that was released, and the true object after a break, are not a whole that was verified."""
    client, size = stored(s3, 3 * MIB, enable_delayed_authentication=True), 3 * MIB
    change = cut_body(2 * MIB).change
    s3.server.script(Fault(lambda answer: change(replace(answer, body=b"?" + answer.body[1:]))), method="GET", times=2)
    sink = Spy()
    with pytest.raises(DecryptionError):
        client.download_fileobj(s3.bucket, KEY, sink)
    assert 0 < len(sink.content) < size


# --- the network ------------------------------------------------------------------------------------------------------


@broken_off
@ways
@pytest.mark.parametrize("size", SIZES)
def test_broken_connection_is_repaired(s3: StrictWorld, target: Path, size: int, way: str) -> None:
    """As boto3 does, the client asks again for what was cut off, small or large, and progress stays exact."""
    client, progress = stored(s3, size), list[int]()
    s3.server.script(cut_body(700), method="GET", times=2)
    assert download(client, s3, way, target, Callback=progress.append) == DATA[:size]
    assert sum(progress) == size


@broken_off
@ways
@pytest.mark.parametrize("size", SIZES)
def test_network_that_stays_broken_is_reported_as_by_boto3(s3: StrictWorld, target: Path, size: int, way: str) -> None:
    """In the end the same exception is raised, and the target is untouched."""
    errors = []
    for reader in (s3.plain, s3.client()):
        reader.put_object(**s3.object_at(), Body=DATA[:size])
        s3.server.script(cut_body(700), method="GET", times=PERMANENTLY)
        with pytest.raises((RetriesExceededError, ManagersRetriesExceededError)) as caught:
            download(reader, s3, way, target)
        errors.append(type(caught.value))
        s3.server._scripts.clear()
    assert errors[0] == errors[1]
    assert_untouched(target)


@pytest.mark.parametrize("size", SIZES)
def test_requests_may_be_refused_once(s3: StrictWorld, target: Path, size: int) -> None:
    """Botocore repeats what S3 was too busy for."""
    client = stored(s3, size)
    s3.server.script(refusal(503, "SlowDown"), method="HEAD")
    s3.server.script(refusal(503, "SlowDown"), method="GET", times=2)
    client.download_file(s3.bucket, KEY, str(target))
    assert target.read_bytes() == DATA[:size]


REFUSED: dict[str, tuple[str, int, str]] = {
    "missing": ("HEAD", 404, "NoSuchKey"),
    "forbidden": ("HEAD", 403, "AccessDenied"),
    "forbidden-content": ("GET", 403, "AccessDenied"),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("refused", REFUSED)
def test_refusal_is_raised_as_by_boto3(s3: StrictWorld, target: Path, refused: str, size: int) -> None:
    """ER-02: the same exception with the same words."""
    method, status, code = REFUSED[refused]
    errors = []
    for reader in (s3.plain, stored(s3, size)):
        s3.server.script(refusal(status, code), method=method, times=PERMANENTLY)
        with pytest.raises(ClientError) as caught:
            reader.download_file(s3.bucket, KEY, str(target))
        errors.append((type(caught.value), str(caught.value)))
        s3.server._scripts.clear()
    assert errors[0] == errors[1]
    assert_untouched(target)


# --- the caller -------------------------------------------------------------------------------------------------------


class BrokenTarget:
    """A file-like object that is full."""

    def write(self, data: bytes) -> int:
        raise OSError("no space left")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
def test_dl_04_error_of_the_target_comes_through(s3: StrictWorld, size: int, mode: str) -> None:
    """DL-04: what writing raises is raised."""
    with pytest.raises(OSError, match="no space left"):
        stored(s3, size, **MODES[mode]).download_fileobj(s3.bucket, KEY, BrokenTarget())


@broken_off
@pytest.mark.parametrize("size", SIZES)
def test_error_of_the_callback_comes_through(s3: StrictWorld, target: Path, size: int) -> None:
    """As with boto3, a Callback that raises ends the download; the target is untouched."""

    def callback(amount: int) -> None:
        raise RuntimeError("enough")

    for reader in (s3.plain, stored(s3, size)):
        with pytest.raises(RuntimeError, match="enough"):
            reader.download_file(s3.bucket, KEY, str(target), Callback=callback)
        assert_untouched(target)


def test_dl_04_er_05_interruption_leaves_the_target_untouched(s3: StrictWorld, target: Path) -> None:
    """DL-04: Ctrl-C in the middle comes through, and nothing is left behind (ER-05)."""

    def callback(amount: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored(s3, 1000).download_file(s3.bucket, KEY, str(target), Callback=callback)
    assert_untouched(target)


WRONG_CALLS: dict[str, Callable[[Any, Path], None]] = {
    "missing-directory": lambda client, target: client.download_file("bucket", KEY, str(target / "missing" / "target")),
    "directory": lambda client, target: client.download_file("bucket", KEY, str(target.parent)),
    "number": lambda client, target: client.download_file("bucket", KEY, 5),
    "no-fileobj": lambda client, target: client.download_fileobj("bucket", KEY, object()),
    "file-name": lambda client, target: client.download_fileobj("bucket", KEY, str(target)),
    "extra-argument": lambda client, target: client.download_file("bucket", KEY, str(target), {"Nonsense": 1}),
    "condition": lambda client, target: client.download_file("bucket", KEY, str(target), {"IfMatch": "x"}),
    "object-lambda": lambda client, target: client.download_file(
        "arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint:x", KEY, str(target)
    ),
}


@pytest.mark.parametrize("call", WRONG_CALLS)
def test_wrong_call_is_answered_as_by_boto3(s3: StrictWorld, target: Path, call: str) -> None:
    """The same class of exception, with the same words where these don't name a temporary file."""
    errors = []
    for client in (s3.plain, stored(s3, 1000)):
        with pytest.raises((ValueError, OSError)) as caught:
            WRONG_CALLS[call](client, target)
        errors.append((type(caught.value), str(caught.value) if type(caught.value) is ValueError else ""))
        assert not isinstance(caught.value, S3EncryptionClientError)
        assert_untouched(target)
    assert errors[0] == errors[1]
