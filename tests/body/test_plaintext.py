"""Sources, guards and declarations: what is read of a caller's Body, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.sources import Answers, BrokenSource, ChangingSource, Huge, ShortReads, Signalled, Unseekable, pipe_with

from s3_encryption._body.plaintext import PlaintextClaims, PlaintextSource, check_length, take_claims
from s3_encryption._body.sizes import IO_BLOCK_BYTES, SMALL_BODY_BYTES
from s3_encryption.exceptions import (
    BodyMismatchError,
    ConfigurationError,
    ConfigurationTypeError,
)

DATA = random.Random("bodies").randbytes(2 * 2**20 + 100_003)
PREFIX = b"not part of the body"


def not_seekable() -> int:
    """Fail as the position of a socket does."""
    raise io.UnsupportedOperation("tell")


def opened(directory: Path, offset: int = 0) -> io.BufferedReader:
    """Return a file whose content starts at an offset, and which is positioned there."""
    path = directory / "source"
    path.write_bytes(PREFIX[:offset] + DATA)
    file = path.open("rb")
    file.seek(offset)
    return file


def at_an_offset() -> io.BytesIO:
    """Return a source in memory that was read up to the body."""
    body = io.BytesIO(PREFIX + DATA)
    assert body.read(len(PREFIX)) == PREFIX
    return body


class SaysSo(io.BytesIO):
    """A source whose ``seekable`` is an attribute."""

    seekable = True  # type: ignore[assignment]


class NoWayToTheEnd(io.BytesIO):
    """A source that can go to a place, but not to its end."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("seek to the end")
        return super().seek(offset, whence)


class KnowsItsLength(NoWayToTheEnd):
    """The same, and it tells its length."""

    def __len__(self) -> int:
        return len(self.getvalue())


SEEKABLE: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda directory: DATA,
    "bytearray": lambda directory: bytearray(DATA),
    "BytesIO": lambda directory: io.BytesIO(DATA),
    "BytesIO-at-an-offset": lambda directory: at_an_offset(),
    "BufferedReader": lambda directory: io.BufferedReader(io.BytesIO(DATA)),
    "BufferedRandom": lambda directory: io.BufferedRandom(io.BytesIO(DATA)),  # type: ignore[arg-type]
    "file": lambda directory: opened(directory),
    "file-at-an-offset": lambda directory: opened(directory, len(PREFIX)),
    "short-reads": lambda directory: ShortReads(DATA, 7777),
    "attribute": lambda directory: SaysSo(DATA),
    "len": lambda directory: KnowsItsLength(DATA),
}
READ_ONCE: dict[str, Callable[[Path], Any]] = {
    "no-tell": lambda directory: Unseekable(DATA),
    "tell-fails": lambda directory: Unseekable(DATA, tell=not_seekable),
    "says-so": lambda directory: Unseekable(DATA, tell=lambda: 0, seekable=False),
    "no-seek": lambda directory: Unseekable(DATA, tell=lambda: 0),
    "no-end": lambda directory: NoWayToTheEnd(DATA),
    "pipe": lambda directory: pipe_with(DATA),
}


def closed(body: Any) -> None:
    """Close a body, where that is possible."""
    getattr(body, "close", lambda: None)()


# --- sources ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SEEKABLE)
def test_source_yields_the_body_from_where_it_was_given(tmp_path: Path, kind: str) -> None:
    """A body is what is left of it when it is given (UP-01); its length is known, and it can be read again."""
    body = SEEKABLE[kind](tmp_path)
    source = PlaintextSource(body)
    assert source.length == len(DATA)
    for _ in range(3):
        assert b"".join(map(bytes, source.blocks())) == DATA
        source.rewind()
    closed(body)


@pytest.mark.parametrize("kind", READ_ONCE)
def test_source_that_cannot_be_rewound_has_no_length(tmp_path: Path, kind: str) -> None:
    """What can be read once only, or can't tell its end, is read to its end, whatever made it so."""
    body = READ_ONCE[kind](tmp_path)
    source = PlaintextSource(body)
    assert source.length is None
    assert b"".join(map(bytes, source.blocks())) == DATA
    closed(body)


@pytest.mark.parametrize("kind", [*SEEKABLE, *READ_ONCE])
def test_blocks_are_full_however_short_the_reads(tmp_path: Path, kind: str) -> None:
    """Every block but the last has the same size, because the guard compares block by block."""
    body = {**SEEKABLE, **READ_ONCE}[kind](tmp_path)
    lengths = [len(block) for block in PlaintextSource(body).blocks()]
    assert set(lengths[:-1]) == {IO_BLOCK_BYTES}
    assert sum(lengths) == len(DATA)
    closed(body)


def test_only_true_files_are_read_by_another_thread(tmp_path: Path) -> None:
    """Other objects, also behind a buffer, may belong to the thread that made them, as a SQLite blob does."""

    class OfItsThread(io.FileIO):
        pass

    path = tmp_path / "source"
    path.write_bytes(bytes(5 * 2**20))
    for raw, expected in ((io.FileIO(path), True), (OfItsThread(path), False)):
        with io.BufferedReader(raw) as body:
            assert PlaintextSource(body).can_be_read_ahead is expected


def test_text_is_read_as_utf8() -> None:
    """A str stands for its UTF-8 bytes, as in boto3."""
    source = PlaintextSource("Grüße")
    assert (source.length, list(source.blocks())) == (7, ["Grüße".encode()])


def test_position_behind_the_end_is_refused() -> None:
    """A file that was cut off after it was read is no empty body."""
    body = io.BytesIO(b"abc")
    body.seek(10)
    with pytest.raises(ConfigurationError, match="at 10, behind its end at 3"):
        PlaintextSource(body)


def test_what_a_source_grows_by_is_not_part_of_it() -> None:
    """The body is what it was when it was given, also in the second pass."""
    body = ChangingSource(DATA, {1: DATA + b"more"})
    source = PlaintextSource(body)
    assert b"".join(map(bytes, source.blocks())) == DATA
    source.rewind()
    assert b"".join(map(bytes, source.blocks())) == DATA


NO_BODIES = [None, 5, 1.5, [b"a"], iter([b"a"]), memoryview(b"abc"), {"a": b"b"}, object()]


@pytest.mark.parametrize("body", NO_BODIES, ids=lambda body: type(body).__name__)
def test_body_that_boto3_does_not_take_is_refused(body: Any) -> None:
    """The type is named (UP-02)."""
    with pytest.raises(ConfigurationTypeError, match=type(body).__name__):
        PlaintextSource(body)


@pytest.mark.parametrize(
    "body",
    [io.StringIO("abc"), io.StringIO(""), io.TextIOWrapper(io.BytesIO(b"abc"))],
    ids=["text", "empty", "wrapped"],
)
def test_text_stream_is_refused(body: Any) -> None:
    """The message says how a file is to be opened, also for an empty one (UP-02)."""
    with pytest.raises(ConfigurationTypeError, match="'rb'"):
        PlaintextSource(body)


@pytest.mark.parametrize(
    "answer", ["abc", "", None, 5, [1], object()], ids=["str", "empty", "None", "int", "list", "object"]
)
@pytest.mark.parametrize("before", [(), (b"abc",)], ids=["first", "later"])
def test_read_that_returns_no_bytes_is_refused(before: tuple[bytes, ...], answer: Any) -> None:
    """A body whose reads are no bytes, at once or later, is no body (UP-02)."""
    with pytest.raises(ConfigurationTypeError, match=type(answer).__name__):
        list(PlaintextSource(Answers(*before, answer)).blocks())


@pytest.mark.parametrize("view", [bytearray, memoryview])
def test_read_may_return_any_buffer(view: Callable[[bytearray], Any]) -> None:
    """What a read returns is copied: a source that uses its buffer again does no harm."""
    buffer = bytearray(b"abc")
    (block,) = PlaintextSource(Answers(view(buffer))).blocks()
    buffer[:] = b"xyz"
    assert (type(block), block) == (bytes, b"abc")


def test_read_that_returns_too_much_is_refused() -> None:
    """More than was asked for would be sent twice, or not at all (UP-02)."""
    with pytest.raises(ConfigurationError, match="more than it was asked for") as caught:
        list(PlaintextSource(Answers(bytes(IO_BLOCK_BYTES + 1))).blocks())
    assert type(caught.value) is ConfigurationError


# --- small bodies -----------------------------------------------------------------------------------------------------

SIZES = [0, 1, SMALL_BODY_BYTES // 2, SMALL_BODY_BYTES // 2 + 1, SMALL_BODY_BYTES - 1, SMALL_BODY_BYTES]


@pytest.mark.parametrize("body", [io.BytesIO, Unseekable], ids=["seekable", "read-once"])
@pytest.mark.parametrize("size", SIZES)
def test_small_body_is_taken_at_once(size: int, body: Callable[[bytes], Any]) -> None:
    """Up to 1 MiB, a body is held in memory."""
    assert PlaintextSource(body(DATA[:size])).take_small() == DATA[:size]


@pytest.mark.parametrize("body", [io.BytesIO, Unseekable], ids=["seekable", "read-once"])
@pytest.mark.parametrize("size", [SMALL_BODY_BYTES + 1, SMALL_BODY_BYTES + IO_BLOCK_BYTES, len(DATA)])
def test_large_body_is_left_as_it_was(size: int, body: Callable[[bytes], Any]) -> None:
    """What was read to see that a body is large is not lost."""
    source = PlaintextSource(body(DATA[:size]))
    assert source.take_small() is None
    assert b"".join(map(bytes, source.blocks())) == DATA[:size]


def test_taking_a_small_body_counts_as_transferring() -> None:
    """s3transfer counts what is read after the signal, and a small body is read once, here."""
    body = Signalled(b"abc")
    PlaintextSource(body).take_small()
    assert body.signals == ["transferring"]


# --- what s3transfer says to its bodies -------------------------------------------------------------------------------


def test_signals_reach_the_body() -> None:
    """The two signals are passed on to a body that has them; others need none."""
    body = Signalled()
    for source in (PlaintextSource(body), PlaintextSource(io.BytesIO())):
        source.signal("signal_transferring")
        source.signal("signal_not_transferring")
    assert body.signals == ["transferring", "not transferring"]


def test_cancelled_body_raises_without_being_read() -> None:
    """While nothing is to be read yet, the body is asked whether its transfer still goes on."""
    failure = RuntimeError("cancelled")
    with pytest.raises(RuntimeError) as caught:
        PlaintextSource(BrokenSource(b"abc", failure)).raise_if_cancelled()
    assert caught.value is failure


def test_asking_for_cancellation_loses_nothing() -> None:
    """A body whose read(0) does return something keeps it."""
    source = PlaintextSource(Answers(b"abc", b"", b"def"))
    source.raise_if_cancelled()
    source.raise_if_cancelled()
    assert b"".join(map(bytes, source.blocks())) == b"abcdef"


# --- declarations -----------------------------------------------------------------------------------------------------


def base64_of(digest: bytes) -> str:
    """Return a digest as S3's parameters have it."""
    return base64.b64encode(digest).decode()


DIGESTS: dict[str, Callable[[bytes], str]] = {
    "ContentMD5": lambda body: base64_of(hashlib.md5(body, usedforsecurity=False).digest()),
    "ChecksumMD5": lambda body: base64_of(hashlib.md5(body, usedforsecurity=False).digest()),
    "ChecksumCRC32": lambda body: base64_of(zlib.crc32(body).to_bytes(4, "big")),
    "ChecksumSHA1": lambda body: base64_of(hashlib.sha1(body, usedforsecurity=False).digest()),
    "ChecksumSHA256": lambda body: base64_of(hashlib.sha256(body).digest()),
    "ChecksumSHA512": lambda body: base64_of(hashlib.sha512(body).digest()),
}


def check_in_pieces(declared: PlaintextClaims, body: bytes, size: int) -> None:
    """Compare a body with a declaration, piece by piece."""
    check = declared.new_check()
    for start in range(0, len(body), size):
        check.update(body[start : start + size])
    check.finish()


@pytest.mark.parametrize("name", DIGESTS)
@pytest.mark.parametrize("size", [1000, IO_BLOCK_BYTES, len(DATA)])
def test_true_digest_passes_in_any_pieces(name: str, size: int) -> None:
    """A body that is what was declared passes (UP-08)."""
    check_in_pieces(PlaintextClaims(len(DATA), {name: DIGESTS[name](DATA)}), DATA, size)


@pytest.mark.parametrize("name", DIGESTS)
@pytest.mark.parametrize("change", ["less", "more", "other", "nothing"])
def test_false_digest_is_refused(name: str, change: str) -> None:
    """A body that is not what was declared is refused, and the declaration named (UP-08)."""
    body = {"less": DATA[:-1], "more": DATA + b"x", "other": b"x" + DATA[1:], "nothing": b""}[change]
    with pytest.raises(BodyMismatchError, match=name):
        check_in_pieces(PlaintextClaims(None, {name: DIGESTS[name](DATA)}), body, IO_BLOCK_BYTES)


@pytest.mark.parametrize("length", [0, len(DATA) - 1, len(DATA) + 1])
def test_false_length_is_refused(length: int) -> None:
    """Both lengths are in the message (UP-07)."""
    with pytest.raises(BodyMismatchError, match=rf"{length} bytes.*{len(DATA)}"):
        check_in_pieces(PlaintextClaims(length), DATA, IO_BLOCK_BYTES)


def test_every_digest_is_compared() -> None:
    """One false digest among true ones is found."""
    for false in DIGESTS:
        digests = {name: digest(DATA if name != false else b"") for name, digest in DIGESTS.items()}
        with pytest.raises(BodyMismatchError, match=false):
            PlaintextClaims(None, digests).check_all(DATA)


def test_declarations_are_taken_out_of_the_parameters() -> None:
    """What describes the plaintext does not go on; what asks for a checksum of the ciphertext does (UP-08)."""
    digests = {name: digest(b"hello") for name, digest in DIGESTS.items()}
    params = {"Key": "k", "ContentLength": 5, "ChecksumAlgorithm": "SHA256", **digests}
    declared = take_claims(params)
    assert params == {"Key": "k", "ChecksumAlgorithm": "SHA256"}
    assert declared == PlaintextClaims(5, digests)


def test_length_of_the_source_is_compared_before_it_is_read() -> None:
    """A declared length that can't be true is refused at once; a source that tells no length is taken at its word."""
    body = ChangingSource(DATA)
    with pytest.raises(BodyMismatchError):
        check_length(PlaintextSource(body), PlaintextClaims(5))
    check_length(PlaintextSource(body), PlaintextClaims(len(DATA)))
    check_length(PlaintextSource(Unseekable(DATA)), PlaintextClaims(5))
    assert body.reads == 0


def test_mp_08_source_longer_than_gcm_encrypts_is_refused() -> None:
    """The limit of 2^39 - 256 bits is kept, to the byte, before anything is read."""
    longest, too_long = Huge(2**36 - 32), Huge(2**36 - 31)
    check_length(PlaintextSource(longest), PlaintextClaims())
    with pytest.raises(ConfigurationError, match="64 GiB"):
        check_length(PlaintextSource(too_long), PlaintextClaims())
