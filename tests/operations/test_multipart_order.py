"""Parts in any order, from many threads, sent again, cancelled: against an S3 that is a function, without a network."""

from __future__ import annotations

import io
import itertools
import os
import random
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from support.opened import stored_plaintext
from support.sources import BrokenSource, ChangingSource, Huge, Unseekable
from support.uploads import DATA, MIB, MIN_PART_BYTES, MemoryS3, Upload, policies
from support.worlds import StrictWorld

from s3_encryption import BodyChangedError, CipherStateError, ConfigurationError, UnsupportedOperationError
from s3_encryption._body.sizes import IO_BLOCK_BYTES
from s3_encryption._crypto.content import CommitmentPolicy
from s3_encryption._crypto.contexts import GCM_MAX_PLAINTEXT_BYTES
from s3_encryption._operations import multipart
from s3_encryption._operations import upload as upload_module

# With the minimum of a part lowered, small parts do.
MINIMUM = 1000
SIZES = [1000, 1001, 4096, 1015, 3000, 17]
BOUNDED_SECONDS = 5.0


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts be small."""
    monkeypatch.setattr(multipart, "MIN_PART_BYTES", MINIMUM)


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a part not wait for those before it."""
    monkeypatch.setattr(upload_module, "PART_ORDER_TIMEOUT_SECONDS", 0.0)


def cut(sizes: list[int]) -> list[bytes]:
    """Return parts of these sizes."""
    edges = [0, *itertools.accumulate(sizes)]
    return [DATA[start:stop] for start, stop in itertools.pairwise(edges)]


def state_of(upload: Upload) -> Any:
    """Return what the client knows of an upload."""
    return upload.client.encryption.uploads._uploads[upload.named["UploadId"]]


def wait_until_known(upload: Upload, *numbers: int) -> None:
    """Wait until these parts have been announced."""
    deadline = time.monotonic() + BOUNDED_SECONDS
    while not state_of(upload).parts.keys() >= set(numbers):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def result_of(call: Future[Any]) -> Any:
    """Return the result of a call in another thread, soon."""
    return call.result(BOUNDED_SECONDS)


# --- order ------------------------------------------------------------------------------------------------------------


@policies
@pytest.mark.usefixtures("small_parts")
def test_parts_in_any_order_make_the_same_object(policy: CommitmentPolicy) -> None:
    """Whichever part comes first, the object is what one encryption makes (UP-19)."""
    parts = cut(SIZES[:4])
    for order in itertools.permutations(range(1, 5)):
        s3 = MemoryS3(commitment_policy=policy)
        upload = Upload(s3)
        with ThreadPoolExecutor(4) as pool:
            calls = []
            for number in order:
                calls.append(pool.submit(upload.send, number, parts[number - 1]))
                wait_until_known(upload, number)
            for call in calls:
                result_of(call)
        upload.complete()
        assert s3.plaintext() == b"".join(parts)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("workers", [2, 3, 10])
def test_up_19_many_threads_make_the_same_object(workers: int) -> None:
    """CO-02: parts of odd sizes, seekable or not, three passes over each, from few threads or many."""
    chance = random.Random(workers)
    parts = cut([chance.randint(MINIMUM, 9000) for _ in range(40)] + [5])
    s3 = MemoryS3(passes=3)
    upload = Upload(s3)
    with ThreadPoolExecutor(workers) as pool:
        bodies = (io.BytesIO(part) if chance.random() < 0.7 else Unseekable(part) for part in parts)
        calls = [pool.submit(upload.send, number, body) for number, body in enumerate(bodies, start=1)]
        for call in calls:
            result_of(call)
    upload.complete()
    assert s3.plaintext() == b"".join(parts)


def test_up_19_threads_upload_real_parts_over_http(s3: StrictWorld) -> None:
    """The same with parts of S3's size, each sent by a thread of its own, the last one first."""
    parts = [DATA[:MIN_PART_BYTES], DATA[MIN_PART_BYTES : 2 * MIN_PART_BYTES + 1], DATA[-777:]]
    upload = Upload(s3.client())
    with ThreadPoolExecutor(3) as pool:
        for call in [pool.submit(upload.send, number, parts[number - 1]) for number in (3, 2, 1)]:
            result_of(call)
    upload.complete()
    assert stored_plaintext(s3) == b"".join(parts)


@pytest.mark.usefixtures("small_parts")
def test_part_waits_for_the_sizes_before_it_and_not_for_their_bytes() -> None:
    """While part 1 is on its way, however long that takes, part 2 is sent."""
    s3, first_may_end = MemoryS3(), threading.Event()
    s3.before_part = lambda number, body: None if number != 1 else _true(first_may_end.wait(BOUNDED_SECONDS))
    upload = Upload(s3)
    first, second = cut(SIZES[:2])
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(upload.send, 1, first)
        wait_until_known(upload, 1)
        upload.send(2, second)
        assert not call.done()
        first_may_end.set()
        result_of(call)
    upload.complete()
    assert s3.plaintext() == first + second


def _true(value: bool) -> None:
    assert value


@pytest.mark.usefixtures("small_parts", "no_patience")
@pytest.mark.parametrize(("sent", "tried", "missing"), [((), 2, 1), ((1,), 3, 2), ((1, 2), 10_000, 3)], ids=str)
def test_part_that_comes_too_early_says_what_is_missing(sent: tuple[int, ...], tried: int, missing: int) -> None:
    """With one thread, parts out of order or with gaps can't be: the message names the part that is waited for."""
    upload = Upload(MemoryS3())
    for number in sent:
        upload.send(number, DATA[:MINIMUM])
    with pytest.raises(UnsupportedOperationError, match=rf"Part {tried} .*part {missing} did not come.*in order"):
        upload.send(tried, DATA[:MINIMUM])


@pytest.mark.usefixtures("small_parts", "no_patience")
def test_gap_can_still_be_filled() -> None:
    """After a part came too early, the missing one can be sent, and then the early one again."""
    s3 = MemoryS3()
    upload = Upload(s3)
    first, second, third = cut(SIZES[:3])
    upload.send(1, first)
    with pytest.raises(UnsupportedOperationError):
        upload.send(3, third)
    with pytest.raises(UnsupportedOperationError):
        upload.complete()
    upload.send(2, second)
    upload.send(3, third)
    upload.complete()
    assert s3.plaintext() == first + second + third


@pytest.mark.usefixtures("small_parts", "no_patience")
def test_part_that_came_too_early_has_used_nothing() -> None:
    """Nothing of it was encrypted, so another content may take its place."""
    s3 = MemoryS3()
    upload = Upload(s3)
    first, second = cut([1000, 2000])
    with pytest.raises(UnsupportedOperationError):
        upload.send(2, bytes(2000))
    upload.send(1, first)
    upload.send(2, second)
    upload.complete()
    assert s3.plaintext() == first + second


# --- waiting that ends ------------------------------------------------------------------------------------------------


def test_abort_wakes_the_parts_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """An aborted upload lets go of every thread at once, not after a poll."""
    monkeypatch.setattr(upload_module, "_POLL_SECONDS", 2 * BOUNDED_SECONDS)
    upload = Upload(MemoryS3())
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(upload.send, number, b"waits") for number in (2, 3, 4)]
        wait_until_known(upload, 2, 3, 4)
        upload.abort()
        for call in calls:
            with pytest.raises(UnsupportedOperationError, match="aborted"):
                result_of(call)


def test_cancelled_body_ends_its_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bodies of s3transfer raise when their transfer was cancelled: a part that waits asks its body."""
    monkeypatch.setattr(upload_module, "_POLL_SECONDS", 0.001)
    failure = RuntimeError("cancelled")
    with pytest.raises(RuntimeError) as caught:
        Upload(MemoryS3()).send(2, BrokenSource(b"waits", failure))
    assert caught.value is failure


# --- parts that are sent again ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("again", [1, 2, 3])
@pytest.mark.parametrize("kind", [io.BytesIO, Unseekable], ids=["seekable", "read-once"])
def test_rt_08_rt_11_part_that_is_sent_again_has_the_same_bytes(kind: Any, again: int) -> None:
    """RT-08, RT-11: also after later parts went out, and from another kind of source."""
    s3 = MemoryS3(passes=2)
    upload = Upload(s3)
    parts = cut([1000, 2000, 50])
    for number, part in enumerate(parts, start=1):
        upload.send(number, part)
    upload.send(again, kind(parts[again - 1]))
    upload.complete()
    assert all(len({body for number, body in s3.wire if number == each}) == 1 for each in (1, 2, 3))
    assert s3.plaintext() == b"".join(parts)


OTHERS = {
    "content": bytes(2000),
    "first-byte": bytes([DATA[1000] ^ 1]) + DATA[1001:3000],
    "last-byte": DATA[1000:2999] + bytes([DATA[2999] ^ 1]),
    "shorter": DATA[1000:2999],
    "longer": DATA[1000:3001],
    "empty": b"",
}


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("kind", [io.BytesIO, Unseekable], ids=["seekable", "read-once"])
@pytest.mark.parametrize("other", OTHERS)
def test_rt_10_rt_11_part_with_another_content_is_refused(other: str, kind: Any) -> None:
    """RT-10: two plaintexts never go out under one keystream, and the object stays what it was."""
    s3 = MemoryS3()
    upload = Upload(s3)
    parts = cut([1000, 2000, 50])
    for number, part in enumerate(parts, start=1):
        upload.send(number, part)
    before = list(s3.wire)
    with pytest.raises(BodyChangedError):
        upload.send(2, kind(OTHERS[other]))
    assert s3.wire == before
    upload.complete()
    assert s3.plaintext() == b"".join(parts)


@pytest.mark.parametrize("at_read", [0, 1])
def test_part_whose_source_failed_can_be_sent_again(at_read: int) -> None:
    """A read error in one part does not poison the others: later parts went out, and the object is right."""
    s3 = MemoryS3()
    upload = Upload(s3)
    first, second = DATA[: MIN_PART_BYTES + 1], DATA[MIN_PART_BYTES + 1 : MIN_PART_BYTES + 100]
    failure = OSError("the disk is gone")
    with pytest.raises(OSError, match="the disk is gone") as caught:
        upload.send(1, BrokenSource(first, failure, at_read))
    assert caught.value is failure
    upload.send(2, second)
    with pytest.raises(UnsupportedOperationError, match="given: 1"):
        upload.complete()
    upload.send(1, first)
    upload.complete()
    assert s3.plaintext() == first + second


def test_rt_05_part_that_changes_between_two_passes_is_refused() -> None:
    """RT-05: of the second content nothing is read to its end."""
    s3 = MemoryS3(passes=2)
    upload = Upload(s3)
    reads_of_a_pass = -(-MIN_PART_BYTES // IO_BLOCK_BYTES)
    with pytest.raises(BodyChangedError):
        upload.send(1, ChangingSource(DATA[:MIN_PART_BYTES], {reads_of_a_pass + 1: bytes(MIN_PART_BYTES)}))
    assert len(s3.wire) == 1
    upload.send(1, DATA[:MIN_PART_BYTES])
    upload.complete()
    assert s3.plaintext() == DATA[:MIN_PART_BYTES]


@pytest.mark.usefixtures("small_parts")
def test_co_02_threads_that_race_for_one_part_send_the_same_bytes() -> None:
    """CO-02: eight threads with the same part make one ciphertext; those with another content are refused."""
    s3 = MemoryS3(passes=2)
    upload = Upload(s3)
    contents = [DATA[:3000], bytes(3000)] * 4
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(upload.send, 1, content) for content in contents]
        errors = [call.exception(BOUNDED_SECONDS) for call in calls]
    assert {type(error) for error in errors} == {type(None), BodyChangedError}
    assert sum(error is None for error in errors) == 4
    assert len({body for _, body in s3.wire}) == 1


# --- limits -----------------------------------------------------------------------------------------------------------


class NotReading(MemoryS3):
    """An S3 that takes every part without looking at it."""

    def _part(self, number: int, body: Any) -> dict[str, Any]:
        self.wire.append((number, b""))
        return {"ETag": "x"}


def test_mp_08_parts_beyond_what_gcm_encrypts_are_refused() -> None:
    """The running total is compared before a part is sent; 64 GiB - 32 bytes is the last that fits."""
    s3 = NotReading()
    upload = Upload(s3)
    for number in range(1, 13):
        upload.send(number, Huge(5 * 1024 * MIB))
    room = GCM_MAX_PLAINTEXT_BYTES - 60 * 1024 * MIB
    with pytest.raises(ConfigurationError, match="64 GiB") as caught:
        upload.send(13, Huge(room + 1))
    assert type(caught.value) is ConfigurationError
    assert len(s3.wire) == 12
    upload.send(13, Huge(room))


def test_mp_08_part_beyond_what_gcm_encrypts_is_refused_however_it_comes() -> None:
    """Parts that came too early count as well."""
    s3 = NotReading()
    upload = Upload(s3)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(upload.send, 2, Huge(GCM_MAX_PLAINTEXT_BYTES))
        wait_until_known(upload, 2)
        with pytest.raises(ConfigurationError, match="64 GiB"):
            upload.send(1, Huge(5 * MIB))
        upload.abort()
        assert isinstance(call.exception(BOUNDED_SECONDS), UnsupportedOperationError)
    assert s3.wire == []


def test_upload_of_ten_thousand_parts_has_its_tag_in_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 has no part 10001: the last part is held back, whatever its size, and sent with the tag."""
    monkeypatch.setattr(multipart, "MIN_PART_BYTES", 16)
    s3 = MemoryS3()
    upload = Upload(s3)
    for number in range(1, 10_001):
        upload.send(number, DATA[16 * number : 16 * number + 16])
    assert len(s3.wire) == 9_999
    upload.complete()
    assert (s3.wire[-1][0], len(s3.wire[-1][1])) == (10_000, 32)
    assert s3.plaintext() == DATA[16 : 16 * 10_001]


def test_tag_of_part_9999_has_a_part_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """One part before the last possible one, the tag still has room for itself."""
    monkeypatch.setattr(multipart, "MAX_PARTS", 4)
    monkeypatch.setattr(multipart, "MIN_PART_BYTES", 16)
    s3 = MemoryS3()
    upload = Upload(s3)
    for number in (1, 2, 3):
        upload.send(number, DATA[:16])
    upload.complete()
    assert [(number, len(body)) for number, body in s3.wire] == [(1, 16), (2, 16), (3, 16), (4, 16)]


# --- another process --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_parts")
def test_co_04_forked_process_can_not_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parent and child would both use the keystream; the child is refused, and the parent goes on."""
    s3 = MemoryS3()
    upload = Upload(s3)
    upload.send(1, DATA[:2000])
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        with pytest.raises(CipherStateError, match="fork"):
            upload.send(2, b"child's")
        with pytest.raises(CipherStateError, match="fork"):
            upload.complete()
    upload.send(2, b"parent's")
    upload.complete()
    assert s3.plaintext() == DATA[:2000] + b"parent's"
