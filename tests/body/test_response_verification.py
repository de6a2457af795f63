"""When plaintext is released: never before the whole object was verified, unless the caller has opted out."""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from support.encoders import AUTHENTICATED, ENCODERS
from support.ways_to_read import BINARY, MODES, RELEASES, VERIFIED_MODES, Sink
from support.worlds import StrictWorld

from s3_encryption import DecryptionError

SMALL = bytes(range(100, 161))
LARGE = BINARY * 4
_CBC = ENCODERS["V2-CBC"].options


def store(s3: StrictWorld, format: str, plaintext: bytes) -> bytes:
    """Store an object as another client has written it, and return its body."""
    encoded = ENCODERS[format].encode(plaintext)
    s3.store(encoded.body, encoded.metadata)
    return encoded.body


def body_of(s3: StrictWorld, mode: str, **options: Any) -> Any:
    """Return the Body of a read in one of the modes."""
    return s3.client(**MODES[mode], **options).get_object(**s3.object_at())["Body"]


def flipped(body: bytes, position: int, bit: int = 1) -> bytes:
    """Return the body with one bit changed."""
    return body[:position] + bytes([body[position] ^ bit]) + body[position + 1 :]


def released(body: Any, release: str) -> bytes:
    """Return what a body releases on one of the ways, whatever error ends it."""
    sink = Sink()
    with pytest.raises(DecryptionError) as caught:
        sink.drain(RELEASES[release](body))
    assert type(caught.value) is DecryptionError
    assert str(caught.value).startswith(DecryptionError.MESSAGE)
    return sink.content


# --- tampering --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["first", "middle", "last-of-ciphertext", "tag"])
@pytest.mark.parametrize("mode", VERIFIED_MODES)
@pytest.mark.parametrize("release", RELEASES)
def test_tampered_object_releases_nothing_verified(s3: StrictWorld, release: str, mode: str, place: str) -> None:
    """However it is read, a large tampered object never yields a byte in the verified modes (CT-02)."""
    store(s3, "V3", LARGE)
    position = {"first": 0, "middle": len(LARGE) // 2, "last-of-ciphertext": len(LARGE) - 1, "tag": len(LARGE)}[place]
    s3.change_body(lambda body: flipped(body, position))
    assert released(body_of(s3, mode), release) == b""


@pytest.mark.parametrize("mode", VERIFIED_MODES)
def test_cb_02_cb_04_wrong_padding_is_one_error(s3: StrictWorld, mode: str) -> None:
    """Whatever is wrong about the padding or length of CBC content, the error tells nothing of it (CB-02, CB-04)."""
    original = store(s3, "V2-CBC", SMALL)
    variants = [flipped(original, len(original) - 17, change) for change in (*range(1, 20), 128, 255)]
    variants += [original[:length] for length in (0, 1, 15, 17, 31, 33, 48)]
    variants += [original[:-16], original[:-16] + bytes(16)]
    client = s3.client(**_CBC, **MODES[mode])
    fingerprints = set()
    for variant in variants:
        s3.change_body(lambda _, variant=variant: variant)  # type: ignore[misc]
        with pytest.raises(DecryptionError) as caught:
            client.get_object(**s3.object_at())["Body"].read()
        error = caught.value
        fingerprints.add((type(error), str(error), error.args, repr(error.__cause__), repr(error.__context__)))
    assert len(fingerprints) == 1


@pytest.mark.parametrize("mode", VERIFIED_MODES)
def test_cb_07_cbc_object_cut_at_a_block_is_detected_by_its_noted_length(s3: StrictWorld, mode: str) -> None:
    """Where the writer noted the length, content that unpads to another one is refused (CB-07)."""
    plaintext = b"\x01" * 64
    store(s3, "V2-CBC", plaintext)
    s3.change_body(lambda body: body[:-16])
    with pytest.raises(DecryptionError):
        body_of(s3, mode, **_CBC).read()
    s3.change_metadata(x_amz_unencrypted_content_length=None)
    assert body_of(s3, mode, **_CBC).read() == plaintext[:-1]


# --- errors stay ------------------------------------------------------------------------------------------------------


class Interruption(BaseException):
    """What a signal handler may raise in the middle of anything."""


class InterruptedOnce:
    """A response body whose first read after ``bytes_before`` bytes is interrupted."""

    def __init__(self, body: Any, bytes_before: int) -> None:
        self._body = body
        self._left: int | None = bytes_before

    def read(self, size: int | None = None) -> bytes:
        if self._left is not None and self._left <= 0:
            self._left = None
            raise Interruption
        data: bytes = self._body.read(size)
        if self._left is not None:
            self._left -= len(data)
        return data

    def close(self) -> None:
        self._body.close()


@pytest.mark.parametrize("bytes_before", [0, 1])
@pytest.mark.parametrize("format", ["V2", "V2-CBC"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("release", ["read()", "read(65536)"])
def test_er_05_interrupted_read_never_looks_like_the_end(
    s3: StrictWorld, release: str, mode: str, format: str, bytes_before: int
) -> None:
    """Whoever survives an interruption and reads on gets the rest or an error, and never an early end (ER-05)."""

    def interrupt(parsed: dict[str, Any], **event: Any) -> None:
        parsed["Body"] = InterruptedOnce(parsed["Body"], bytes_before)

    store(s3, format, LARGE)
    client = s3.new_client(**ENCODERS[format].options, **MODES[mode])
    client.meta.events.register("after-call.s3.GetObject", interrupt)
    sink = Sink()
    with contextlib.closing(client.get_object(**s3.object_at())["Body"]) as body:
        with pytest.raises(Interruption):
            sink.drain(RELEASES[release](body))
        try:
            sink.drain(RELEASES["read(65536)"](body))
        except (Exception, Interruption):
            return
    assert sink.content == LARGE


# --- delayed authentication -------------------------------------------------------------------------------------------

PIECE = 64 * 1024


@pytest.mark.parametrize("format", AUTHENTICATED)
def test_delayed_mode_releases_early_and_fails_at_the_end(s3: StrictWorld, format: str) -> None:
    """By opting in, the caller gets bytes before they are verified, and the error with the last of them."""
    store(s3, format, LARGE)
    s3.change_body(lambda body: flipped(body, len(body) - 1))
    early = released(body_of(s3, "delayed"), "read(65536)")
    assert 0 < len(early) < len(LARGE)
    assert LARGE.startswith(early)


@pytest.mark.parametrize(
    "size", [1, 61, PIECE, 2 * PIECE, 3 * PIECE, 4 * PIECE, 4 * PIECE + 1, 6 * PIECE, 300_000, 16 * PIECE]
)
@pytest.mark.parametrize("way", ["at-once", "in-pieces"])
def test_delayed_mode_withholds_the_last_bytes(s3: StrictWorld, size: int, way: str) -> None:
    """Whoever reads exactly ContentLength bytes, and never asks for more, still learns that they are wrong."""
    store(s3, "V2", (BINARY * 6)[:size])
    s3.change_body(lambda body: flipped(body, 0))
    answer = s3.client(enable_delayed_authentication=True).get_object(**s3.object_at())
    assert answer["ContentLength"] == size
    with pytest.raises(DecryptionError):
        read_exactly(answer["Body"], size, size if way == "at-once" else 50_000)


def read_exactly(body: Any, size: int, step: int) -> None:
    """Read as many bytes as are announced, in steps, and not the end of the file."""
    while size > 0:
        size -= len(body.read(min(step, size)))


@pytest.mark.parametrize("format", ENCODERS)
def test_delayed_mode_reads_intact_objects(s3: StrictWorld, format: str) -> None:
    """What is intact comes out whole, in whatever steps."""
    store(s3, format, LARGE)
    body = body_of(s3, "delayed", **ENCODERS[format].options)
    assert b"".join((body.read(1), body.read(100_000), body.read())) == LARGE


def test_st_04_delayed_body_can_be_left_early(s3: StrictWorld) -> None:
    """Closing before the end raises nothing: what was read so far is unverified, as documented (ST-04)."""
    store(s3, "V2", LARGE)
    s3.change_body(lambda body: flipped(body, len(body) - 1))
    with body_of(s3, "delayed") as stream:
        assert stream.read(10) == LARGE[:10]


# --- the spool --------------------------------------------------------------------------------------------------------


@pytest.fixture
def spools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[IO[bytes]]]:
    """Return the temporary files that are made during the test, all in one directory."""
    made: list[IO[bytes]] = []
    make = tempfile.TemporaryFile

    def noted(*args: Any, **options: Any) -> IO[bytes]:
        made.append(make(*args, **options))
        return made[-1]

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "TemporaryFile", noted)
    yield made
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ENCODERS)
def test_dl_11_spool_holds_ciphertext_only_and_has_no_name(
    s3: StrictWorld, spools: list[IO[bytes]], format: str
) -> None:
    """What goes to the disk is what S3 has, in a file that no other process can open (DL-11)."""
    stored = store(s3, format, LARGE)
    body = body_of(s3, "spool", **ENCODERS[format].options)
    assert body.read(1) == LARGE[:1]
    (spool,) = spools
    assert os.fstat(spool.fileno()).st_nlink == 0
    assert os.pread(spool.fileno(), len(stored) + 1, 0) == stored
    body.close()


@pytest.mark.parametrize("ending", ["end", "close", "error", "dropped"])
def test_dl_11_spool_is_closed_in_the_end(s3: StrictWorld, spools: list[IO[bytes]], ending: str) -> None:
    """The temporary file goes with the last byte, with close(), with an error, or with the body itself (DL-11)."""
    store(s3, "V2", LARGE)
    if ending == "error":
        s3.change_body(lambda body: flipped(body, 0))
    body = body_of(s3, "spool")
    if ending == "error":
        with pytest.raises(DecryptionError):
            body.read(1)
    else:
        body.read(1)
        assert not spools[0].closed
    if ending == "end":
        assert len(list(body.iter_chunks(100_000))) == 9
    elif ending == "close":
        body.close()
    del body
    gc.collect()
    assert spools[0].closed


@pytest.mark.parametrize("size", [0, 1, 1000, 99_984, 99_985, 200_000])
def test_spool_is_used_above_the_buffer_size_only(s3: StrictWorld, spools: list[IO[bytes]], size: int) -> None:
    """Objects whose ciphertext fits in ``buffer_size`` are verified in memory."""
    store(s3, "V2", LARGE[:size])
    body = s3.client(buffer_size=100_000).get_object(**s3.object_at())["Body"]
    assert b"".join(iter(lambda: body.read(10_000), b"")) == LARGE[:size]
    assert len(spools) == (size + 16 > 100_000)


def test_read_of_everything_needs_no_spool(s3: StrictWorld, spools: list[IO[bytes]]) -> None:
    """Whoever asks for the whole content in one bytes object has the memory for it."""
    store(s3, "V2", LARGE)
    assert body_of(s3, "spool").read() == LARGE
    assert spools == []


def test_spool_that_is_changed_on_the_disk_is_detected(s3: StrictWorld, spools: list[IO[bytes]]) -> None:
    """What is decrypted from the spool is verified a second time, at its end."""
    plaintext = LARGE * 5
    store(s3, "V2", plaintext)
    body = body_of(s3, "spool")
    body.read(1)
    os.pwrite(spools[0].fileno(), b"changed", len(plaintext) - 50)
    with pytest.raises(DecryptionError):
        list(body.iter_chunks(100_000))


# --- resources --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_st_05_body_that_nobody_reads_makes_no_noise(s3: StrictWorld, mode: str) -> None:
    """Dropping a Body gives its connection back without a warning (ST-05)."""
    store(s3, "V2", LARGE)
    client = s3.client(**MODES[mode])
    for _ in range(5):
        client.get_object(**s3.object_at())
    gc.collect()
    assert client.get_object(**s3.object_at())["Body"].read() == LARGE


@pytest.mark.parametrize("mode", MODES)
def test_connection_is_used_again_after_a_full_read(s3: StrictWorld, mode: str) -> None:
    """Reading to the end lets the next request have the connection."""
    store(s3, "V2", LARGE)
    client = s3.new_client(**MODES[mode])
    for _ in range(5):
        assert b"".join(client.get_object(**s3.object_at())["Body"].iter_chunks(100_000)) == LARGE
    pools = client._endpoint.http_session._manager.pools
    assert [pools[key].num_connections for key in list(pools.keys())] == [1]
