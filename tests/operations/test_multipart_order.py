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
from botocore.exceptions import ClientError
from support.opened import stored_plaintext
from support.sources import BrokenSource, ChangingSource, Huge, Unseekable
from support.uploads import DATA, MIB, MIN_PART_BYTES, MemoryS3, Upload, policies
from support.worlds import StrictWorld

from s3_encryption import BodyChangedError, CipherStateError, ConfigurationError, UnsupportedOperationError
from s3_encryption._body.sizes import IO_BLOCK_BYTES
from s3_encryption._crypto.content import CommitmentPolicy
from s3_encryption._crypto.contexts import GCM_MAX_PLAINTEXT_BYTES
from s3_encryption._operations import upload as upload_module

# With the minimum of a part lowered, small parts do.
MINIMUM = 1000
SIZES = [1000, 1001, 4096, 1015, 3000, 17]
BOUNDED_SECONDS = 5.0


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts be small."""
    monkeypatch.setattr(upload_module, "MIN_PART_BYTES", MINIMUM)


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a part not wait for those before it."""
    monkeypatch.setattr(upload_module, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(upload_module, "PATIENCE_WITH_OTHERS_SECONDS", 0.0)


def cut(sizes: list[int]) -> list[bytes]:
    """Return parts of these sizes."""
    edges = [0, *itertools.accumulate(sizes)]
    return [DATA[start:stop] for start, stop in itertools.pairwise(edges)]


def wait_until_known(upload: Upload, *numbers: int) -> None:
    """Wait until these parts have been announced."""
    deadline = time.monotonic() + BOUNDED_SECONDS
    while not upload.state.parts.keys() >= set(numbers):
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
@pytest.mark.parametrize("kind", [io.BytesIO, Unseekable], ids=["seekable", "read-once"])
@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3, 4))), ids=str)
def test_one_thread_may_send_parts_in_any_order(order: tuple[int, ...], kind: Any) -> None:
    """What comes before its place is known waits, and goes out when it is: each part once."""
    s3, parts = MemoryS3(), cut([1000, 1001, 4096, 30])
    upload = Upload(s3)
    for number in order:
        upload.send(number, kind(parts[number - 1]))
    upload.complete()
    assert s3.plaintext() == b"".join(parts)
    assert sorted(number for number, _ in s3.wire) == [1, 2, 3, 4]


@pytest.mark.usefixtures("small_parts", "no_patience")
@pytest.mark.parametrize("workers", [1, 2])
def test_pool_that_is_smaller_than_the_gap_does_not_wait_for_itself(workers: int) -> None:
    """All threads may be busy with parts whose places depend on one that no thread is left for."""
    s3, parts = MemoryS3(), cut([1000] * 8)
    upload = Upload(s3)
    with ThreadPoolExecutor(workers) as pool:
        for call in [pool.submit(upload.send, number, parts[number - 1]) for number in range(8, 0, -1)]:
            result_of(call)
    upload.complete()
    assert s3.plaintext() == b"".join(parts)


@pytest.mark.usefixtures("small_parts", "no_patience")
@pytest.mark.parametrize("numbers", [(1, 2, 10_000), (2, 3, 4), (5, 10, 15), (10_000,)], ids=str)
def test_numbers_may_have_gaps(numbers: tuple[int, ...]) -> None:
    """The list at the end says which parts there are; what comes behind a gap waits for it."""
    s3, parts = MemoryS3(), cut([1000, 2000, 3000])
    upload = Upload(s3)
    for number, part in zip(numbers, parts, strict=False):
        upload.send(number, part)
    upload.complete()
    assert s3.plaintext() == b"".join(parts[: len(numbers)])


@pytest.mark.usefixtures("small_parts", "no_patience")
def test_part_that_waits_may_be_replaced() -> None:
    """Nothing of it was sent, so another content, of another length, may take its place; only that goes out."""
    s3 = MemoryS3()
    upload = Upload(s3)
    first, second, third = cut([1000, 2000, 100])
    upload.send(2, bytes(1500))
    upload.send(2, second)
    upload.send(3, b"another end")
    upload.send(3, third)
    upload.send(1, first)
    upload.complete()
    assert s3.plaintext() == first + second + third
    assert len(s3.wire) == 3


@pytest.mark.usefixtures("small_parts", "no_patience")
@pytest.mark.parametrize("early", [1, 2, 3])
def test_every_etag_of_the_same_content_completes_the_upload(early: int) -> None:
    """As on S3: a part that is sent again as it was has the ETag that it had, whether it waited meanwhile or not."""
    s3, parts = MemoryS3(), cut([1000, 2000, 30])
    upload = Upload(s3)
    listed = {}
    for number in sorted((1, 2, 3), key=lambda number: number != early):
        upload.send(number, parts[number - 1])
        listed[number] = upload.parts[number]
    for number, part in enumerate(parts, start=1):
        upload.send(number, part)
    upload.complete([listed[number] for number in (1, 2, 3)])
    assert s3.plaintext() == b"".join(parts)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("left", [1, 2], ids=["the last", "the last two"])
def test_parts_at_the_end_may_be_left_out(left: int) -> None:
    """S3 drops what is not in the list, also what went out already; the object ends before it."""
    s3, parts = MemoryS3(), cut([1000, 1000, 1000, 1000])
    upload = Upload(s3)
    for number, part in enumerate(parts, start=1):
        upload.send(number, part)
    upload.complete(upload.listed()[:-left])
    assert s3.plaintext() == b"".join(parts[:-left])


@pytest.mark.usefixtures("small_parts")
def test_part_before_one_that_went_out_can_not_be_left_out() -> None:
    """The later one is encrypted for its place behind it; the error says so, and the whole list still completes."""
    s3, parts = MemoryS3(), cut([1000, 1000, 1000])
    upload = Upload(s3)
    for number, part in enumerate(parts, start=1):
        upload.send(number, part)
    with pytest.raises(UnsupportedOperationError, match=r"Part 3 .*not in the list"):
        upload.complete([upload.parts[1], upload.parts[3]])
    upload.complete()
    assert s3.plaintext() == b"".join(parts)


@pytest.mark.usefixtures("small_parts")
def test_small_parts_with_others_behind_them_do_not_gather() -> None:
    """A part below S3's minimum waits only while it may be the last one."""
    s3, parts = MemoryS3(), cut([999] * 20)
    upload = Upload(s3)
    for number, part in enumerate(parts, start=1):
        upload.send(number, part)
        assert [sent for sent, _ in s3.wire] == list(range(1, number))
    upload.complete()
    assert s3.plaintext() == b"".join(parts)


@pytest.mark.parametrize("sizes", [(0,), (0, 0), (MIN_PART_BYTES, 0), (0, MIN_PART_BYTES), (0, 0, 5)], ids=str)
def test_parts_may_be_empty(sizes: tuple[int, ...]) -> None:
    """What S3 makes of an empty part before others is its business; the tag counts each."""
    s3, parts = MemoryS3(), cut(list(sizes))
    upload = Upload(s3)
    for number, part in enumerate(parts, start=1):
        upload.send(number, part)
    upload.complete()
    assert s3.plaintext() == b"".join(parts)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("last", [2000, 1999, 1985, 1984, 1001, 1])
def test_store_that_wants_equal_parts_takes_every_size(last: int) -> None:
    """All parts but the last have one length, and the last is not longer (Cloudflare R2's rule), with the tag."""
    s3, parts = MemoryS3(), cut([2000, 2000, last])
    upload = Upload(s3)
    for number, part in enumerate(parts, start=1):
        upload.send(number, part)
    upload.complete()
    sizes = [len(body) for _, body in s3.wire]
    assert set(sizes[:-1]) == {2000}
    assert sizes[-1] <= 2000
    assert s3.plaintext() == b"".join(parts)


@pytest.mark.usefixtures("small_parts")
def test_part_sent_from_inside_its_own_body_is_an_error() -> None:
    """It would wait for itself for ever."""
    s3 = MemoryS3()
    upload = Upload(s3)

    class Recursive(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            upload.send(1, b"inner")
            return super().read(size)

    with pytest.raises(CipherStateError, match="inside the body"):
        upload.send(1, Recursive(DATA[:2000]))


@pytest.mark.usefixtures("small_parts", "no_patience")
def test_part_that_can_not_be_sent_from_where_it_waits_is_sent_by_complete() -> None:
    """The call that brings another part does not fail for it."""
    s3, parts = MemoryS3(), cut([1000, 2000])
    upload = Upload(s3)
    upload.send(2, parts[1])

    def refuse(number: int, body: Any) -> None:
        if number == 2:
            raise ClientError({"Error": {"Code": "SlowDown"}}, "UploadPart")

    s3.before_part = refuse
    upload.send(1, parts[0])
    with pytest.raises(ClientError, match="SlowDown"):
        upload.complete()
    s3.before_part = lambda number, body: None
    upload.complete()
    assert s3.plaintext() == b"".join(parts)


@pytest.mark.usefixtures("no_patience")
def test_what_waits_is_not_readable_in_the_temporary_file() -> None:
    """Beyond a little memory it goes to one file without a name, encrypted under a key that is nowhere else."""
    s3, text = MemoryS3(), b"a secret text " * 600_000
    upload = Upload(s3)
    upload.send(2, text)
    space = upload.state.space._file
    assert not isinstance(space, io.BytesIO)
    space.seek(0)
    assert text[:100] not in space.read()
    space.seek(70)
    space.write(b"changed")
    upload.send(1, DATA[:MIN_PART_BYTES])
    with pytest.raises(BodyChangedError, match="temporary file"):
        upload.complete()


# --- waiting that ends ------------------------------------------------------------------------------------------------


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a part wait for those before it as long as it takes."""
    monkeypatch.setattr(upload_module, "PATIENCE_SECONDS", 2 * BOUNDED_SECONDS)
    monkeypatch.setattr(upload_module, "PATIENCE_WITH_OTHERS_SECONDS", 2 * BOUNDED_SECONDS)


@pytest.mark.usefixtures("small_parts", "patience")
def test_abort_wakes_the_parts_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """An aborted upload lets go of every thread at once, not after a poll."""
    monkeypatch.setattr(upload_module, "_POLL_SECONDS", 2 * BOUNDED_SECONDS)
    upload = Upload(MemoryS3())
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(upload.send, number, DATA[:MINIMUM]) for number in (2, 3, 4)]
        wait_until_known(upload, 2, 3, 4)
        upload.abort()
        for call in calls:
            with pytest.raises(UnsupportedOperationError, match="aborted"):
                result_of(call)


@pytest.mark.usefixtures("small_parts", "patience")
def test_cancelled_body_ends_its_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bodies of s3transfer raise when their transfer was cancelled: a part that waits asks its body."""
    monkeypatch.setattr(upload_module, "_POLL_SECONDS", 0.001)
    failure = RuntimeError("cancelled")
    with pytest.raises(RuntimeError) as caught:
        Upload(MemoryS3()).send(2, BrokenSource(DATA[:MINIMUM], failure))
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
    upload.send(1, first)
    upload.complete()
    assert s3.plaintext() == first + second


@pytest.mark.parametrize("at_read", [0, 1])
def test_part_whose_source_failed_need_not_come_again(at_read: int) -> None:
    """An upload can be completed without the last part that failed, as on plain S3."""
    s3 = MemoryS3()
    upload = Upload(s3)
    upload.send(1, DATA[:MIN_PART_BYTES])
    with pytest.raises(OSError, match="the disk is gone"):
        upload.send(2, BrokenSource(DATA[:MIN_PART_BYTES], OSError("the disk is gone"), at_read))
    upload.complete()
    assert s3.plaintext() == DATA[:MIN_PART_BYTES]


def test_part_whose_source_failed_before_anything_went_out_may_become_another() -> None:
    """Its keystream is not used, so neither its bytes nor its length are settled."""
    s3 = MemoryS3()
    upload = Upload(s3)
    with pytest.raises(OSError, match="the disk is gone"):
        upload.send(1, BrokenSource(DATA[:MIN_PART_BYTES], OSError("the disk is gone")))
    upload.send(1, DATA[1 : MIN_PART_BYTES + 2])
    upload.complete()
    assert s3.plaintext() == DATA[1 : MIN_PART_BYTES + 2]


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
    for number, size in enumerate([5 * MIB, *[5 * 1024 * MIB] * 12], start=1):
        upload.send(number, Huge(size))
    room = GCM_MAX_PLAINTEXT_BYTES - 60 * 1024 * MIB - 5 * MIB
    with pytest.raises(ConfigurationError, match="64 GiB") as caught:
        upload.send(14, Huge(room + 1))
    assert type(caught.value) is ConfigurationError
    assert len(s3.wire) == 13
    upload.send(14, Huge(room))


@pytest.mark.usefixtures("patience")
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
    monkeypatch.setattr(upload_module, "MIN_PART_BYTES", 16)
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
    monkeypatch.setattr(upload_module, "MAX_PARTS", 4)
    monkeypatch.setattr(upload_module, "MIN_PART_BYTES", 16)
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
