"""put_object of bodies over 1 MiB, which are encrypted while botocore reads them, as often as it does."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.meddler import Meddler, Mischief, cut_after, refuse_at_once
from support.opened import stored_plaintext
from support.servers import HANG_UP, Answer, Fault, Request, make_certificate, refusal
from support.sources import BrokenSource, ChangingSource, ShortReads, Unseekable, pipe_with
from support.strict_s3 import StrictS3
from support.worlds import KEY, StrictWorld, served_by

from s3_encryption import BodyChangedError, BodyMismatchError, CommitmentPolicy, ConfigurationTypeError, KmsKeyring

PLAINTEXT = random.Random("large bodies").randbytes(2 * 2**20 + 1001)
OTHER = random.Random("other").randbytes(len(PLAINTEXT))
AHEAD = random.Random("ahead").randbytes(5 * 2**20 + 17)

CONFIGS = {
    "when_supported": Config(request_checksum_calculation="when_supported"),
    "when_required": Config(request_checksum_calculation="when_required"),
}
configs = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


class PatientS3(StrictS3):
    """A strict S3 whose clients may break off in the middle of a chunk."""

    def reset(self) -> None:
        self.broken.clear()
        super().reset()


@pytest.fixture(params=["http", "https"])
def breaking_wire(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StrictWorld]:
    """Return the same for tests in which a body fails while it is sent."""
    certificate = None if request.param == "http" else make_certificate(tmp_path)
    with served_by(PatientS3(certificate)) as world:
        yield world


def at_an_offset(content: bytes) -> io.BytesIO:
    """Return a source in memory of which the first bytes are not to be sent."""
    body = io.BytesIO(b"not this" + content)
    body.seek(8)
    return body


def file_at_an_offset(directory: Path, content: bytes) -> Any:
    """Return the same as a file."""
    (directory / "source").write_bytes(b"not this" + content)
    file = (directory / "source").open("rb")
    file.seek(8)
    return file


BODIES: dict[str, Callable[[Path, bytes], Any]] = {
    "bytes": lambda directory, content: content,
    "bytearray": lambda directory, content: bytearray(content),
    "BytesIO-at-an-offset": lambda directory, content: at_an_offset(content),
    "file-at-an-offset": file_at_an_offset,
    "short-reads": lambda directory, content: ShortReads(content, 99_999),
    "read-once": lambda directory, content: Unseekable(content),
    "pipe": lambda directory, content: pipe_with(content),
}


def closed(body: Any) -> None:
    """Close a body, where that is possible."""
    getattr(body, "close", lambda: None)()


# --- what is stored ---------------------------------------------------------------------------------------------------


@configs
@pytest.mark.parametrize("kind", BODIES)
def test_large_body_is_stored_as_one_encryption_makes_it(
    wire: StrictWorld, tmp_path: Path, kind: str, config: Config
) -> None:
    """Whatever the body is, and however often botocore reads it, S3 gets length, checksums and tag right."""
    body = BODIES[kind](tmp_path, PLAINTEXT)
    wire.new_client(config=config).put_object(**wire.object_at(), Body=body)
    closed(body)
    assert stored_plaintext(wire) == PLAINTEXT
    assert len(wire.server.of("PUT")) == 1


@pytest.mark.parametrize("policy", CommitmentPolicy, ids=lambda policy: policy.name)
@pytest.mark.parametrize("size", [2**20, 2**20 + 1, 2**20 + 16, 3 * 2**19, 4 * 2**20 - 1, 4 * 2**20])
def test_large_body_of_any_size_round_trips(s3: StrictWorld, size: int, policy: CommitmentPolicy) -> None:
    """Sizes around the limits of the ways to send, and of blocks, make no difference (CT-11)."""
    client = s3.client(commitment_policy=policy)
    client.put_object(**s3.object_at(), Body=io.BytesIO(AHEAD[:size]))
    assert stored_plaintext(s3) == AHEAD[:size]
    assert client.get_object(**s3.object_at())["Body"].read() == AHEAD[:size]


@pytest.mark.parametrize("kind", ["bytes", "BytesIO-at-an-offset", "file-at-an-offset", "read-once"])
def test_body_that_is_read_ahead_is_stored_right(wire: StrictWorld, tmp_path: Path, kind: str) -> None:
    """Large files are encrypted by a second thread, which changes nothing of what is stored."""
    body = BODIES[kind](tmp_path, AHEAD)
    wire.client().put_object(**wire.object_at(), Body=body)
    closed(body)
    assert stored_plaintext(wire) == AHEAD


def test_large_file_is_announced_as_by_boto3(wire: StrictWorld) -> None:
    """A file asks the server for leave before it is sent ("Expect"), in chunks over HTTPS, with its true length."""
    for client in (wire.plain, wire.client()):
        client.put_object(**wire.object_at(), Body=io.BytesIO(PLAINTEXT))
    plain, ours = (request.headers for request in wire.requests)
    assert ours["expect"] == plain["expect"] == "100-continue"
    for name in ("content-encoding", "x-amz-trailer", "x-amz-content-sha256"):
        assert (name in ours) == (name in plain)
    name = "x-amz-decoded-content-length" if wire.server.scheme == "https" else "content-length"
    assert int(ours[name]) == int(plain[name]) + 16


# --- retries ----------------------------------------------------------------------------------------------------------

REDIRECT = b"<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message><Bucket>bucket</Bucket></Error>"
FAULTS: dict[str, tuple[Fault, int]] = {
    "503-twice": (refusal(503, "SlowDown"), 2),
    "500": (refusal(500, "InternalError"), 1),
    "hang-up": (HANG_UP, 1),
    "redirect": (Fault(lambda answer: Answer(301, {"x-amz-bucket-region": "eu-west-1"}, REDIRECT), False), 1),
}


def puts_of(wire: StrictWorld) -> list[Request]:
    """Return the requests that carried the body."""
    return [request for request in wire.server.of("PUT") if request.path.endswith(KEY)]


@configs
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["bytes", "file-at-an-offset", "read-once"])
def test_rt_01_rt_13_every_attempt_sends_the_same_bytes(
    wire: StrictWorld, tmp_path: Path, kind: str, fault: str, config: Config
) -> None:
    """RT-01, RT-13: the same ciphertext under the same envelope, after refusals, broken connections and redirects."""
    misbehaviour, times = FAULTS[fault]
    wire.server.script(misbehaviour, method="PUT", times=times)
    body = BODIES[kind](tmp_path, PLAINTEXT)
    wire.new_client(config=config).put_object(**wire.object_at(), Body=body)
    closed(body)
    assert len(puts_of(wire)) == times + 1
    assert len({request.body for request in puts_of(wire)}) == 1
    assert all(request.metadata == puts_of(wire)[0].metadata for request in puts_of(wire))
    assert stored_plaintext(wire) == PLAINTEXT


@configs
@pytest.mark.parametrize("kind", ["bytes", "file-at-an-offset", "read-once"])
@pytest.mark.parametrize(
    "mischief",
    [cut_after(1), cut_after(700_000), cut_after(2 * 2**20), refuse_at_once],
    ids=["cut-at-once", "cut-in-the-middle", "cut-near-the-end", "503-before-the-body"],
)
def test_rt_14_body_survives_a_broken_connection(
    s3: StrictWorld, tmp_path: Path, mischief: Mischief, kind: str, config: Config
) -> None:
    """RT-14: where botocore breaks off and starts again, the object is stored whole."""
    body = BODIES[kind](tmp_path, PLAINTEXT)
    with Meddler(s3.url, mischief) as network:
        client = s3.new_client(endpoint_url=network.url, config=config)
        client.put_object(**s3.object_at(), Body=body)
        client.close()
        assert network.is_done
    closed(body)
    assert stored_plaintext(s3) == PLAINTEXT


def test_kms_is_asked_once_however_often_s3_is(s3: StrictWorld, kms: FakeKms) -> None:
    """All attempts are under one data key."""
    s3.server.script(refusal(503, "SlowDown"), method="PUT", times=2)
    s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN)).put_object(**s3.object_at(), Body=io.BytesIO(PLAINTEXT))
    assert kms.count("generate_data_key") == 1


# --- a source that changes --------------------------------------------------------------------------------------------

CHANGES: dict[str, bytes] = {
    "other": OTHER,
    "last-byte": PLAINTEXT[:-1] + bytes([PLAINTEXT[-1] ^ 1]),
    "shorter": PLAINTEXT[:-1],
    "empty": b"",
}


@configs
@pytest.mark.parametrize("change", CHANGES)
def test_rt_02_file_that_is_rewritten_between_attempts_is_refused(
    breaking_wire: StrictWorld, tmp_path: Path, change: str, config: Config
) -> None:
    """RT-02: the error is this library's own, the first attempt was the only whole one, and nothing is stored."""
    path = tmp_path / "source"
    path.write_bytes(PLAINTEXT)

    def rewritten(answer: Answer) -> Answer:
        path.write_bytes(CHANGES[change])
        return Answer(503)

    breaking_wire.server.script(Fault(rewritten, carried_out=False), method="PUT")
    with path.open("rb") as file, pytest.raises(BodyChangedError) as caught:
        breaking_wire.new_client(config=config).put_object(**breaking_wire.object_at(), Body=file)
    first = breaking_wire.requests[0].body
    assert (caught.value.bucket, caught.value.key, breaking_wire.server.objects) == ("bucket", KEY, {})
    assert all(first.startswith(request.body) for request in breaking_wire.requests)
    assert [request for request in breaking_wire.requests[1:] if len(request.body) >= len(first)] == []


@pytest.mark.parametrize("reads_before", [3, 6], ids=["second-pass", "third-pass"])
def test_rt_04_change_between_two_passes_of_one_attempt_is_refused_before_it_is_sent(reads_before: int) -> None:
    """RT-04: over HTTP botocore reads a body for its checksum, for its signature, and for sending it."""
    source = ChangingSource(PLAINTEXT, {reads_before: OTHER})
    # A server for this alone: it may notice late that headers came, and nothing behind them.
    with served_by(PatientS3()) as world:
        with pytest.raises(BodyChangedError):
            world.client().put_object(**world.object_at(), Body=source)
        assert b"".join(request.raw_body for request in world.requests) == b""
        assert world.server.objects == {}


def test_source_that_grows_is_stored_as_it_was(wire: StrictWorld) -> None:
    """A log file may go on being written: what was there when the call began is stored."""
    source = ChangingSource(PLAINTEXT, {1: PLAINTEXT + b"more"})
    wire.client().put_object(**wire.object_at(), Body=source)
    assert stored_plaintext(wire) == PLAINTEXT


# --- what the caller declares -----------------------------------------------------------------------------------------


def base64_of(digest: bytes) -> str:
    """Return a digest as S3's parameters have it."""
    return base64.b64encode(digest).decode()


DECLARATIONS: dict[str, Callable[[bytes], Any]] = {
    "ContentLength": len,
    "ContentMD5": lambda body: base64_of(hashlib.md5(body, usedforsecurity=False).digest()),
    "ChecksumCRC32": lambda body: base64_of(zlib.crc32(body).to_bytes(4, "big")),
    "ChecksumSHA1": lambda body: base64_of(hashlib.sha1(body, usedforsecurity=False).digest()),
    "ChecksumSHA256": lambda body: base64_of(hashlib.sha256(body).digest()),
    "ChecksumSHA512": lambda body: base64_of(hashlib.sha512(body).digest()),
}


@pytest.mark.parametrize("kind", ["BytesIO-at-an-offset", "read-once"])
@pytest.mark.parametrize("name", DECLARATIONS)
def test_up_07_up_08_true_declaration_of_a_large_body_is_accepted(
    wire: StrictWorld, tmp_path: Path, name: str, kind: str
) -> None:
    """UP-07, UP-08: what describes the plaintext is compared here and never sent."""
    declared = DECLARATIONS[name](PLAINTEXT)
    wire.client().put_object(**wire.object_at(), Body=BODIES[kind](tmp_path, PLAINTEXT), **{name: declared})
    (request,) = wire.requests
    assert str(declared) not in {*request.headers.values(), *request.trailers.values()}
    assert stored_plaintext(wire) == PLAINTEXT


@pytest.mark.parametrize("kind", ["bytes", "read-once"])
@pytest.mark.parametrize("name", DECLARATIONS)
def test_up_08_false_declaration_of_a_large_body_is_refused(
    breaking_wire: StrictWorld, tmp_path: Path, name: str, kind: str
) -> None:
    """UP-08: the end of the body is not sent, so that S3 stores nothing, and the error is this library's own."""
    body = BODIES[kind](tmp_path, PLAINTEXT)
    false = DECLARATIONS[name](OTHER[:-1])
    with pytest.raises(BodyMismatchError, match=name):
        breaking_wire.client().put_object(**breaking_wire.object_at(), Body=body, **{name: false})
    assert breaking_wire.server.objects == {}


# --- a source that fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_read", [0, 1, 3])
def test_al_20_error_of_the_source_is_raised_as_by_boto3(s3: StrictWorld, at_read: int) -> None:
    """What reading the source raises comes through as it does with plain boto3, and nothing is stored (AL-20)."""
    failure = OSError("the disk is gone")
    with pytest.raises(OSError, match="the disk is gone") as caught:
        s3.client().put_object(**s3.object_at(), Body=BrokenSource(PLAINTEXT, failure, at_read))
    assert caught.value is failure
    assert s3.server.objects == {}


def test_source_that_turns_out_to_be_text_is_refused(breaking_wire: StrictWorld) -> None:
    """The error is this library's own, also from within a request."""

    class Text(io.BytesIO):
        def read(self, size: int | None = -1) -> Any:
            return "text"

    with pytest.raises(ConfigurationTypeError, match="str") as caught:
        breaking_wire.client().put_object(**breaking_wire.object_at(), Body=Text(PLAINTEXT))
    assert (caught.value.key, breaking_wire.server.objects) == (KEY, {})
