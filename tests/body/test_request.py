"""EncryptingReader: the same ciphertext in every pass, and never a second plaintext under its keystream."""

from __future__ import annotations

import gc
import io
import itertools
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.content_keys import body_of, content_key
from support.sources import BrokenSource, ChangingSource, ShortReads, Signalled, SlowSource, Unseekable

from s3_encryption._body.plaintext import PlaintextClaims, PlaintextSource
from s3_encryption._body.request import EncryptingReader, encrypted_in_spool
from s3_encryption._body.sizes import IO_BLOCK_BYTES
from s3_encryption._crypto.content import AES_GCM, AES_GCM_COMMITTING, Suite
from s3_encryption._crypto.ghash import Ghash
from s3_encryption._crypto.keystream import KeystreamSegment
from s3_encryption.exceptions import BodyChangedError, BodyMismatchError

DATA = random.Random("reader").randbytes(3 * IO_BLOCK_BYTES + 1001)
OTHER = random.Random("other").randbytes(len(DATA))
SUITES = {"V2": AES_GCM, "V3": AES_GCM_COMMITTING}
suites = pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)


def whole(suite: Suite = AES_GCM) -> KeystreamSegment:
    """Return the segment that is a whole object."""
    return KeystreamSegment(Ghash(content_key(suite)), is_whole=True)


def reader_of(
    body: Any, suite: Suite = AES_GCM, segment: KeystreamSegment | None = None, *, ahead: bool = False
) -> EncryptingReader:
    """Return a reader of a body, as put_object makes it."""
    source = PlaintextSource(body)
    return EncryptingReader(source, segment or whole(suite), PlaintextClaims(source.length), ahead=ahead)


def exactly(reader: EncryptingReader, size: int) -> bytes:
    """Return so many bytes, fewer only at the end: a single read may return less."""
    pieces = []
    while size > 0 and (piece := reader.read(size)):
        assert len(piece) <= size
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def drained(reader: EncryptingReader, size: int) -> tuple[bytes, Exception | None]:
    """Return all that a reader emits in pieces of a size, and the error that ended it."""
    pieces = []
    try:
        while piece := reader.read(size):
            pieces.append(piece)
    except Exception as error:
        return b"".join(pieces), error
    return b"".join(pieces), None


def changed_at(position: int) -> bytes:
    """Return the data with one flipped bit."""
    changed = bytearray(DATA)
    changed[position] ^= 1
    return bytes(changed)


# --- as a file of ciphertext ------------------------------------------------------------------------------------------

LENGTHS = [0, 1, 15, 16, 17, 65535, 65536, 65537, IO_BLOCK_BYTES - 1, IO_BLOCK_BYTES, IO_BLOCK_BYTES + 1, len(DATA)]


@suites
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("size", [16 * 1024, 2**20, -1, None], ids=str)
def test_passes_are_what_one_encryption_makes(suite: Suite, length: int, size: Any) -> None:
    """Every pass gives the bytes of one-shot AES-GCM, whatever the sizes of the reads."""
    reader = reader_of(io.BytesIO(DATA[:length]), suite)
    for _ in range(3):
        assert drained(reader, size) == (body_of(DATA[:length], suite), None)
        assert (reader.read(size), reader.tell()) == (b"", length + 16)
        assert reader.seek(0) == 0


@suites
def test_single_bytes_are_what_one_encryption_makes(suite: Suite) -> None:
    """Reads of one byte change nothing."""
    assert drained(reader_of(DATA[:5000], suite), 1) == (body_of(DATA[:5000], suite), None)


@pytest.mark.parametrize("make", [lambda data: ShortReads(data, 999), lambda data: io.BufferedReader(io.BytesIO(data))])
def test_sources_of_any_kind_give_the_same_bytes(make: Callable[[bytes], Any]) -> None:
    """Short reads of the source don't show."""
    assert reader_of(make(DATA)).read() == body_of(DATA)


def test_pass_starts_where_the_source_was_given(tmp_path: Path) -> None:
    """A file that was given at an offset is rewound to the offset, not to its start."""
    (tmp_path / "source").write_bytes(b"before" + DATA)
    with (tmp_path / "source").open("rb") as file:
        file.seek(6)
        reader = reader_of(file)
        for _ in range(2):
            assert reader.read() == body_of(DATA)
            reader.seek(0)


def test_reader_is_a_file_of_known_length() -> None:
    """Botocore finds the length in every way in which it looks for one."""
    reader = reader_of(DATA)
    assert (len(reader), reader.readable(), reader.seekable(), reader.writable()) == (len(DATA) + 16, True, True, False)
    assert (reader.seek(0, io.SEEK_END), reader.tell()) == (len(reader), len(reader))
    assert reader.seek(0) == 0
    assert (reader.read(10), reader.tell(), reader.read(0)) == (body_of(DATA)[:10], 10, b"")


def test_reads_and_seeks_are_those_of_a_file() -> None:
    """Random reads and seeks give what they give on a file with the ciphertext."""
    reader, file, chance = reader_of(DATA), io.BytesIO(body_of(DATA)), random.Random("seeks")
    for _ in range(150):
        whence = chance.choice([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])
        low = {io.SEEK_SET: 0, io.SEEK_CUR: -file.tell(), io.SEEK_END: -len(reader)}[whence]
        offset = chance.randint(low, low + len(reader) + 1000)
        assert reader.seek(offset, whence) == file.seek(offset, whence)
        size = chance.choice([0, 1, 1000, 70_000, IO_BLOCK_BYTES, len(reader)])
        assert exactly(reader, size) == file.read(size)
        assert reader.tell() == file.tell()


def test_buffer_is_filled_as_by_a_file() -> None:
    """readinto, and the buffers of the standard library that use it, see the same bytes."""
    buffer = bytearray(1000)
    reader = reader_of(DATA)
    assert (reader.readinto(buffer), bytes(buffer)) == (1000, body_of(DATA)[:1000])
    assert io.BufferedReader(reader_of(DATA), 4096).read() == body_of(DATA)


def test_closing_the_reader_leaves_the_source_open() -> None:
    """The source is the caller's, who may go on with it."""
    source = io.BytesIO(DATA)
    with reader_of(source) as reader:
        reader.read(10)
    assert not source.closed


def test_signals_reach_the_source() -> None:
    """What s3transfer and botocore say to the body that they send is passed on to the caller's own."""
    source = Signalled(DATA)
    reader = reader_of(source)
    reader.signal_transferring()
    reader.signal_not_transferring()
    reader.enable_callback()
    reader.disable_callback()
    assert source.signals == ["transferring", "not transferring"] * 2


def test_rewinding_reaches_the_source_at_once() -> None:
    """s3transfer counts a seek of its body as progress taken back: it must come before what is read next."""
    source = io.BytesIO(DATA)
    reader = reader_of(source)
    reader.read()
    reader.seek(0)
    assert source.tell() == 0


# --- a source that changes --------------------------------------------------------------------------------------------

POSITIONS = [0, IO_BLOCK_BYTES - 1, IO_BLOCK_BYTES, 2 * IO_BLOCK_BYTES + 5, 3 * IO_BLOCK_BYTES, len(DATA) - 1]


def assert_refused(reader: EncryptingReader, sent: bytes, kind: type[Exception] = BodyChangedError) -> None:
    """Read a reader from its start: it must fail for good, and emit nothing but the start of what was sent."""
    reader.seek(0)
    emitted, error = drained(reader, 64 * 1024)
    assert type(error) is kind
    assert emitted == sent[: len(emitted)]
    assert len(emitted) < len(sent)
    for _ in range(2):
        reader.seek(0)
        with pytest.raises(kind) as caught:
            reader.read(1)
        assert caught.value is error


@suites
@pytest.mark.parametrize("position", POSITIONS)
def test_rt_05_changed_source_is_refused(suite: Suite, position: int) -> None:
    """RT-05: of a second plaintext no byte goes out, so that no two ciphertexts have their plaintexts' difference."""
    source = ChangingSource(DATA)
    reader = reader_of(source, suite)
    sent = reader.read()
    source.content = changed_at(position)
    assert_refused(reader, sent)


@pytest.mark.parametrize("position", POSITIONS)
def test_nothing_is_emitted_from_the_changed_block_on(position: int) -> None:
    """The error comes with the read that would emit the first byte of the changed block, at the latest."""
    source = ChangingSource(DATA)
    reader = reader_of(source)
    reader.read()
    source.content = changed_at(position)
    reader.seek(0)
    emitted, _ = drained(reader, 1000)
    assert len(emitted) <= position // IO_BLOCK_BYTES * IO_BLOCK_BYTES


@suites
def test_rt_04_difference_of_what_went_out_tells_nothing(suite: Suite) -> None:
    """RT-04: a naive reader would send P1 xor K and P2 xor K; here the XOR of the attempts is zero."""
    source = ChangingSource(DATA)
    reader = reader_of(source, suite)
    first = reader.read()
    source.content = DATA[: 2 * IO_BLOCK_BYTES] + OTHER[2 * IO_BLOCK_BYTES :]
    reader.seek(0)
    second, _ = drained(reader, 100_000)
    assert not any(a ^ b for a, b in zip(first, second, strict=False))


@pytest.mark.parametrize("length", [0, 1, IO_BLOCK_BYTES, IO_BLOCK_BYTES + 1, 3 * IO_BLOCK_BYTES, len(DATA) - 1])
def test_source_that_shrank_is_refused(length: int) -> None:
    """A shorter source is another plaintext, also when what is left ends with a block."""
    source = ChangingSource(DATA)
    reader = reader_of(source)
    sent = reader.read()
    source.content = DATA[:length]
    assert_refused(reader, sent)


def test_source_that_grew_is_sent_as_it_was() -> None:
    """Bytes that came after the body was given, as to a log file, are not part of it."""
    source = ChangingSource(DATA)
    reader = reader_of(source)
    sent = reader.read()
    source.content = DATA + OTHER
    reader.seek(0)
    assert reader.read() == sent


def test_change_and_back_is_refused_for_good() -> None:
    """Once a change was seen, nothing goes out any more, whatever the source has now."""
    source = ChangingSource(DATA)
    reader = reader_of(source)
    reader.read()
    source.content = OTHER
    reader.seek(0)
    _, error = drained(reader, 1000)
    source.content = DATA
    reader.seek(0)
    with pytest.raises(BodyChangedError) as caught:
        reader.read(1)
    assert caught.value is error


def test_source_that_shrinks_in_its_first_pass_is_refused() -> None:
    """The length that the source had at first was announced: a shorter one must not end as a whole object."""
    for reads, length in itertools.product((0, 1, 3), (0, IO_BLOCK_BYTES, len(DATA) - 1)):
        reader = reader_of(ChangingSource(DATA, {reads: DATA[:length]}))
        emitted, error = drained(reader, 64 * 1024)
        assert type(error) is BodyChangedError
        assert len(emitted) < len(DATA)


def test_change_of_what_was_never_read_makes_no_harm() -> None:
    """After a first pass that was cut off, what it did not get to may still be anything: it goes out once only."""
    source = ChangingSource(DATA)
    reader = reader_of(source)
    first = exactly(reader, 1000)
    source.content = DATA[: 2 * IO_BLOCK_BYTES] + OTHER[2 * IO_BLOCK_BYTES :]
    reader.seek(0)
    second = reader.read()
    assert second == body_of(source.content)
    assert second[:1000] == first


@suites
@pytest.mark.parametrize("size", [1000, IO_BLOCK_BYTES, 2 * IO_BLOCK_BYTES + 17, len(DATA), len(DATA) + 16])
def test_passes_may_end_anywhere(suite: Suite, size: int) -> None:
    """A connection may break at any byte: the next pass gives the same bytes, and the whole."""
    reader = reader_of(DATA, suite)
    for _ in range(2):
        assert exactly(reader, size) == body_of(DATA, suite)[:size]
        reader.seek(0)
    assert reader.read() == body_of(DATA, suite)


def test_segment_is_shared_by_all_readers_of_a_keystream() -> None:
    """A second reader under the same keystream refuses what the first one did not encrypt."""
    segment = whole()
    sent = reader_of(DATA, segment=segment).read()
    assert reader_of(DATA, segment=segment).read() == sent
    with pytest.raises(BodyChangedError):
        reader_of(OTHER, segment=segment).read(1)


# --- large files, which a second thread reads ahead ------------------------------------------------------------------

LARGE = random.Random("large").randbytes(5 * 2**20 + 77)


@suites
@pytest.mark.parametrize("size", [100_000, 2**20, -1])
def test_passes_over_a_large_file_are_what_one_encryption_makes(suite: Suite, size: int) -> None:
    """Reading ahead changes nothing, also where a pass ends early."""
    reader = reader_of(io.BytesIO(LARGE), suite, ahead=True)
    for part in (1, 3 * 2**20, len(reader)):
        assert exactly(reader, part) == body_of(LARGE, suite)[:part]
        reader.seek(0)
    assert drained(reader, size) == (body_of(LARGE, suite), None)


@pytest.mark.parametrize("position", [0, 2 * 2**20, len(LARGE) - 1])
def test_large_file_that_changed_is_refused(tmp_path: Path, position: int) -> None:
    """RT-02: a file that was rewritten between two attempts is refused, although it is read ahead."""
    (tmp_path / "source").write_bytes(LARGE)
    with (tmp_path / "source").open("rb") as file, (tmp_path / "source").open("r+b") as writer:
        reader = reader_of(file, ahead=True)
        sent = reader.read()
        writer.seek(position)
        writer.write(bytes([LARGE[position] ^ 1]))
        writer.flush()
        assert_refused(reader, sent)


def test_reader_that_is_dropped_leaves_no_thread() -> None:
    """A transfer that ends early, by an error of the network, say, does not leave its second thread behind."""
    before = set(threading.enumerate())
    reader = reader_of(io.BytesIO(LARGE), ahead=True)
    reader.read(1)
    reader.seek(0)
    reader.read(1)
    del reader
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def reading_ahead(source: SlowSource) -> EncryptingReader:
    """Return a reader whose second thread waits for its source."""
    reader = reader_of(source, ahead=True)
    reader.read(1)
    assert source.reading.wait(5)
    return reader


def test_garbage_collector_does_not_wait_for_the_second_thread() -> None:
    """It may come when the interpreter holds the lock that threads need to end: it would wait for good."""
    source = SlowSource(LARGE, 2)
    reader: Any = reading_ahead(source)
    reader.itself = reader
    del reader
    gc.collect()
    assert source.reading.is_set()
    source.go_on.set()


@pytest.mark.parametrize("end", ["exit", "rewind"])
def test_nobody_reads_the_source_after_the_end_of_a_pass(end: str) -> None:
    """Whoever gave it may go on with it as soon as the call is over, and the next pass starts alone."""
    source = SlowSource(LARGE, 2)
    reader = reading_ahead(source)
    threading.Timer(0.05, source.go_on.set).start()
    {"exit": reader.__exit__, "rewind": reader.rewind}[end]()
    assert not source.reading.is_set()


def test_closed_reader_is_not_read() -> None:
    """When the call is over, what was its body is a closed file, as any other, and no source that has changed."""
    with reader_of(DATA) as reader:
        reader.read()
    with pytest.raises(ValueError, match="closed"):
        reader.read(1)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_read", [0, 1, 3])
def test_error_of_the_source_comes_through_for_good(at_read: int) -> None:
    """What reading the source raises is raised by every later read as well, and the end is never emitted."""
    failure = OSError("the disk is gone")
    reader = reader_of(BrokenSource(DATA, failure, at_read))
    for _ in range(3):
        _, error = drained(reader, 100_000)
        assert error is failure
        reader.seek(0)


def test_false_declaration_withholds_the_end() -> None:
    """A digest can be compared at the end only: then the last bytes are kept back, so that S3 stores nothing."""
    declared = PlaintextClaims(len(DATA), {"ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    reader = EncryptingReader(PlaintextSource(DATA), whole(), declared)
    emitted, error = drained(reader, 1000)
    assert isinstance(error, BodyMismatchError)
    assert len(emitted) <= len(DATA) - 1001


# --- spools -----------------------------------------------------------------------------------------------------------


@suites
@pytest.mark.parametrize("length", [0, 1, IO_BLOCK_BYTES, len(DATA)])
def test_spool_holds_what_one_encryption_makes(suite: Suite, length: int) -> None:
    """A source that can be read once is encrypted into a file: ciphertext only (DL-11), and positioned at its start."""
    source = PlaintextSource(Unseekable(DATA[:length]))
    with encrypted_in_spool(source, whole(suite).new_context(), PlaintextClaims()) as spool:
        assert spool.tell() == 0
        assert spool.read() == body_of(DATA[:length], suite)


@pytest.mark.parametrize(
    ("declared", "guarded", "error"),
    [
        (PlaintextClaims(len(DATA) + 1), DATA, BodyMismatchError),
        (PlaintextClaims(None, {"ContentMD5": "AAAA"}), DATA, BodyMismatchError),
        (PlaintextClaims(), OTHER, BodyChangedError),
    ],
    ids=["length", "digest", "changed"],
)
def test_spool_checks_what_a_reader_checks(declared: PlaintextClaims, guarded: bytes, error: type[Exception]) -> None:
    """A plaintext that was declared otherwise, or that another one has used the keystream of, gets no file."""
    segment = whole()
    reader_of(guarded, segment=segment).read()
    with pytest.raises(error):
        encrypted_in_spool(PlaintextSource(Unseekable(DATA)), segment.new_context(), declared)
