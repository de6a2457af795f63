"""Calls of one upload that come at the same time, fail, or contradict each other: what is sent stays one object.

Whatever happens, no byte of the object goes out in two forms, and what is completed is what was accepted.
"""

from __future__ import annotations

import io
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.sources import BrokenSource, Unseekable
from support.uploads import DATA, MemoryS3, Upload

from s3_encryption import BodyChangedError, UnsupportedOperationError
from s3_encryption._body.request import EncryptingReader
from s3_encryption._operations import upload as upload_module

MINIMUM = 1000
FIRST, SECOND, THIRD = DATA[:1000], DATA[1000:2000], DATA[2000:3000]
SHORT = DATA[3000:3500]
BOUNDED_SECONDS = 10.0


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts be small, and wait for nobody."""
    monkeypatch.setattr(upload_module, "MIN_PART_BYTES", MINIMUM)
    monkeypatch.setattr(upload_module, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(upload_module, "PATIENCE_WITH_OTHERS_SECONDS", 0.0)


class WatchedS3(MemoryS3):
    """An S3 that notes each byte of the object that goes out by its place, and fails or waits where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: defaultdict[int, set[int]] = defaultdict(set)
        self.fails: Callable[[int], str] = lambda number: ""
        self.gates: dict[int, tuple[threading.Event, threading.Event]] = {}

    def gate(self, number: int) -> tuple[threading.Event, threading.Event]:
        """Let the next request for a part wait; return what says that it came, and what lets it go on."""
        self.gates[number] = threading.Event(), threading.Event()
        return self.gates[number]

    def _part(self, number: int, body: Any) -> dict[str, Any]:
        came, may_go = self.gates.pop(number, (None, None))
        if came is not None and may_go is not None:
            came.set()
            assert may_go.wait(BOUNDED_SECONDS)
        fault = self.fails(number)
        if fault == "before":
            raise ConnectionError
        content = bytes(body.read(700) if fault == "within" else body.read())
        if isinstance(body, EncryptingReader):
            segment = body._segment
            for place, byte in enumerate(content[: segment.length], start=segment.offset):
                self.seen[place].add(byte)
        if fault == "within":
            raise ConnectionError
        answer = self.keep(number, content)
        self.wire.append((number, content))
        if fault == "after":
            raise ConnectionError
        return answer

    def check_no_byte_went_out_twice(self) -> None:
        """Check that at each place of the object one ciphertext was seen."""
        assert all(len(forms) == 1 for forms in self.seen.values())


@pytest.fixture
def s3() -> Iterator[WatchedS3]:
    """Return an S3; at the end, no byte has gone out in two forms."""
    made = WatchedS3()
    yield made
    made.check_no_byte_went_out_twice()


def sent(s3: WatchedS3, *parts: bytes) -> Upload:
    """Return an upload to which these parts were sent, in order."""
    upload = Upload(s3)
    for number, part in enumerate(parts, start=1):
        upload.send(number, part)
    return upload


def test_parked_part_does_not_take_the_place_of_one_that_went_out_and_is_left_out(s3: WatchedS3) -> None:
    """It would be encrypted with the same keystream; nothing of it goes out, and the whole list completes."""
    upload = sent(s3, FIRST, SECOND, THIRD, SHORT)
    with pytest.raises(UnsupportedOperationError, match=r"Part 3 is not in the list.*went out"):
        upload.complete([upload.parts[number] for number in (1, 2, 4)])
    upload.complete()
    assert s3.plaintext() == FIRST + SECOND + THIRD + SHORT


def test_parked_part_does_not_take_the_place_of_one_that_broke_off(s3: WatchedS3) -> None:
    """A half that went out has used its keystream, although nobody accepted it; sent again, it is listed."""
    upload = sent(s3, FIRST)
    s3.fails = lambda number: "within" if number == 2 else ""
    with pytest.raises(ConnectionError):
        upload.send(2, SECOND)
    s3.fails = lambda number: ""
    upload.send(3, SHORT)
    with pytest.raises(UnsupportedOperationError, match="Part 2 is not in the list"):
        upload.complete()
    with pytest.raises(BodyChangedError):
        upload.send(2, THIRD)
    upload.send(2, SECOND)
    upload.complete()
    assert s3.plaintext() == FIRST + SECOND + SHORT


def test_last_part_that_is_on_its_way_without_the_tag_is_waited_for(s3: WatchedS3) -> None:
    """Complete does not think that the tag follows a part that another call sends without it."""
    upload = sent(s3, FIRST, SHORT)
    came, may_go = s3.gate(2)
    with ThreadPoolExecutor(2) as pool:
        third = pool.submit(upload.send, 3, THIRD)
        assert came.wait(BOUNDED_SECONDS)
        completed = pool.submit(upload.complete, upload.listed()[:2])
        may_go.set()
        third.result(BOUNDED_SECONDS)
        with pytest.raises(UnsupportedOperationError, match="can't be the last one any more"):
            completed.result(BOUNDED_SECONDS)
    upload.complete()
    assert s3.plaintext() == FIRST + SHORT + THIRD


def test_part_that_another_thread_failed_to_send_is_not_lost(s3: WatchedS3) -> None:
    """Of two threads with one part, one fails while the other waits for it: the other's part is the upload's."""
    upload = Upload(s3)
    came, may_go = s3.gate(1)
    faults = ["", "before"]
    s3.fails = lambda number: faults.pop() if faults else ""
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(upload.send, 1, FIRST)
        assert came.wait(BOUNDED_SECONDS)
        second = pool.submit(upload.send, 1, FIRST)
        may_go.set()
        with pytest.raises(ConnectionError):
            first.result(BOUNDED_SECONDS)
        second.result(BOUNDED_SECONDS)
    upload.complete()
    assert s3.plaintext() == FIRST


def test_etag_of_a_content_that_was_replaced_completes_nothing(s3: WatchedS3) -> None:
    """Also where the other content went out at once, because its place was known by then."""
    upload = Upload(s3)
    old = upload.send(2, SECOND)["ETag"]
    came, may_go = s3.gate(1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(upload.send, 1, FIRST)
        assert came.wait(BOUNDED_SECONDS)
        upload.send(2, THIRD)
        may_go.set()
        first.result(BOUNDED_SECONDS)
    with pytest.raises(ClientError, match="InvalidPart"):
        upload.complete([upload.parts[1], {"PartNumber": 2, "ETag": old}])
    upload.complete()
    assert s3.plaintext() == FIRST + THIRD


def test_empty_part_that_went_out_stays_empty(s3: WatchedS3) -> None:
    """Nothing was encrypted for it, but S3 has it, and so has the caller its ETag."""
    upload = sent(s3, FIRST, b"", SHORT)
    with pytest.raises(BodyChangedError):
        upload.send(2, SECOND)


def test_failed_replacement_of_another_length_can_be_repeated(s3: WatchedS3) -> None:
    """Once a later part went out behind the new length, the old content is gone, and the new one is taken."""
    upload = Upload(s3)
    upload.send(2, SECOND)
    longer = SECOND + SHORT
    source = BrokenSource(longer, OSError("the disk is gone"), 0)
    with pytest.raises(OSError, match="the disk is gone"):
        upload.send(2, source)
    upload.send(2, longer)
    upload.send(1, FIRST)
    upload.complete()
    assert s3.plaintext() == FIRST + longer


def test_abort_while_a_part_is_sent_leaves_s3s_own_error(s3: WatchedS3) -> None:
    """What went wrong on the way is told, not that nothing is known of the part any more."""
    upload = Upload(s3)
    came, may_go = s3.gate(1)
    s3.fails = lambda number: "before"
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(upload.send, 1, FIRST)
        assert came.wait(BOUNDED_SECONDS)
        upload.abort()
        may_go.set()
        with pytest.raises(ConnectionError):
            first.result(BOUNDED_SECONDS)


def test_parameters_of_an_attempt_that_failed_are_not_those_of_the_tag(s3: WatchedS3) -> None:
    """The part of the tag is sent as the part before it was when S3 took it."""
    upload = sent(s3, FIRST, SECOND)
    s3.fails = lambda number: "before"
    with pytest.raises(ConnectionError):
        upload.send(2, SECOND, ExpectedBucketOwner="wrong")
    s3.fails = lambda number: ""
    assert "ExpectedBucketOwner" not in upload.state.parts[2].params
    upload.complete()


def test_attempts_of_unknown_length_that_fail_give_their_room_back(s3: WatchedS3) -> None:
    """However often a stream is tried, what waits in the temporary file is what waits in fact."""
    upload = sent(s3, FIRST)
    s3.fails = lambda number: "before"
    for _ in range(5):
        with pytest.raises(ConnectionError):
            upload.send(2, Unseekable(SECOND))
    assert upload.state.space._end <= 2 * (len(SECOND) + 16)


def test_small_part_that_went_out_is_refused_as_the_last_before_the_list_is_settled(s3: WatchedS3) -> None:
    """S3 would refuse it with the tag behind it in another part; the whole list still completes."""
    upload = sent(s3, FIRST, SHORT, THIRD)
    with pytest.raises(UnsupportedOperationError, match="Part 2 can't be the last one"):
        upload.complete(upload.listed()[:2])
    upload.complete()
    assert s3.plaintext() == FIRST + SHORT + THIRD


# --- at random --------------------------------------------------------------------------------------------------------


def one_upload(seed: int) -> None:
    """Send, replace, fail and complete at random from some threads, and check what comes of it."""
    chance = random.Random(seed)
    s3 = WatchedS3()
    upload, lock = Upload(s3), threading.Lock()
    known: defaultdict[int, dict[str, bytes]] = defaultdict(dict)
    rate = chance.choice([0, 0, 0.2, 0.5])
    s3.fails = lambda number: chance.choice(["before", "within", "after"]) if chance.random() < rate else ""
    sizes = [chance.choice([0, 1, 500, 984, 990, 1000, 1000, 1000, 1016, 1700]) for _ in range(chance.randint(1, 5))]
    contents = [chance.randbytes(size) for size in sizes]
    jobs = [
        (number, content) for number, content in enumerate(contents, start=1) for _ in range(chance.choice([1, 1, 2]))
    ]
    jobs += [
        (chance.randint(1, len(sizes)), chance.randbytes(chance.choice([1000, 700])))
        for _ in range(chance.choice([0, 1]))
    ]
    chance.shuffle(jobs)

    def work() -> None:
        while jobs:
            try:
                number, content = jobs.pop()
            except IndexError:
                return
            for _ in range(6):
                body = Unseekable(content) if chance.random() < 0.3 else io.BytesIO(content)
                try:
                    etag = s3.upload_part(**upload.named, PartNumber=number, Body=body)["ETag"]
                except ConnectionError:
                    continue
                except (BodyChangedError, UnsupportedOperationError, ClientError):
                    break
                with lock:
                    known[number][etag] = content
                    upload.parts[number] = {"PartNumber": number, "ETag": etag}
                break

    def complete() -> list[bytes] | None:
        listed = [entry for entry in upload.listed() if chance.random() < 0.9]
        try:
            upload.complete(listed)
        except (ConnectionError, UnsupportedOperationError, BodyChangedError, ClientError):
            return None
        return [known[entry["PartNumber"]][entry["ETag"]] for entry in listed]

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(work) for _ in range(chance.randint(1, 3))]
        early = pool.submit(complete) if chance.random() < 0.3 else None
        for call in calls:
            call.result(BOUNDED_SECONDS)
    rate = 0
    outcomes = [early.result()] if early is not None else []
    outcomes += [complete() for _ in range(3)]
    completed = [outcome for outcome in outcomes if outcome is not None]
    s3.check_no_byte_went_out_twice()
    if completed:
        assert s3.plaintext() == b"".join(completed[0])
    else:
        upload.abort()


def test_kv_07_whatever_threads_do_no_byte_goes_out_twice_and_what_completes_is_what_was_accepted() -> None:
    """KV-07: several hundred uploads with failures, replacements and early Completes, from up to three threads."""
    for seed in range(300):
        one_upload(seed)
