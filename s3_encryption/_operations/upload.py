"""One multipart upload: its parts and their states, where in the object each is, and the tag. No request is made here.

A part gets its place, for good, when it or a later one is sent: from then on its length can't change, and once its
keystream is used, its bytes can't (``part``).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .._body.parking import ParkedBody, ParkingSpace
from .._crypto.content import ContentKey
from .._crypto.contexts import GCM_MAX_PLAINTEXT_BYTES
from .._crypto.ghash import Ghash
from .._crypto.keystream import KeystreamSegment
from ..exceptions import CipherStateError, ConfigurationError, UnsupportedOperationError
from .part import Part, PartEvent, PartState, part_changed
from .upload_states import UPLOAD_TRANSITIONS, UploadEvent, UploadState

MIN_PART_BYTES = 5 * 1024 * 1024
MAX_PARTS = 10_000
# How long a part waits for the sizes of the parts before it: alone, and while others are under way. Then it is parked.
PATIENCE_SECONDS = 0.02
PATIENCE_WITH_OTHERS_SECONDS = 1.0
_POLL_SECONDS = 0.05


class Upload:
    """One multipart upload.

    Args:
        key: The key of the object's content.
        params: Those that the upload was created with.
        finish: Stores what belongs beside the object, for the call that completes the upload.
    """

    def __init__(self, key: ContentKey, params: dict[str, Any], finish: Callable[[Any], object]) -> None:
        self.parts: dict[int, Part] = {}
        self._parked: dict[int, Part] = {}
        self.space = ParkingSpace()
        # Sources of parts that are copies, by what was asked for: the plaintext and its version.
        self.sources: dict[object, tuple[ParkedBody, str | None]] = {}
        self.reading_source = threading.Lock()
        self.ghash = Ghash(key)
        self.params = params
        # What S3 said when it was created.
        self.created: Mapping[str, Any] = {}
        self.finish = finish
        # The algorithm of the digests that Complete lists, if any.
        self.listed_checksum: str | None = None
        self.state = UploadState.OPEN
        # Held by whoever completes it.
        self.completing = threading.Lock()
        # S3's answer; from COMPLETED on.
        self.answer: Any = None
        self._process_id = os.getpid()
        self._changed = threading.Condition()
        # From TAGGED on: the numbers of the object's parts, and how many bytes of the tag go out behind the last one.
        # Another tag under the same key and IV would give the key away.
        self._listed: tuple[int, ...] = ()
        self.tag_bytes_behind_last = 0
        # The parts up to here have their places, and make that many bytes.
        self._placed_parts = 0
        self._placed_bytes = 0
        self._all_bytes = 0
        self._highest = 0
        self._calls = 0
        self._waiting = 0

    @property
    def checksum_is_of_the_whole(self) -> bool:
        """Whether the caller may claim a CRC-32 of the whole plaintext at the end."""
        return (self.params.get("ChecksumType"), self.params.get("ChecksumAlgorithm")) == ("FULL_OBJECT", "CRC32")

    @property
    def checksum(self) -> dict[str, Any]:
        """What every part's request says of checksums: S3 wants one of each if the upload was created with one."""
        name = "ChecksumAlgorithm"
        return {name: self.params[name]} if name in self.params else {}

    def check_process(self) -> None:
        """Refuse to go on in a forked process, where the same keystream would be used twice."""
        if os.getpid() != self._process_id:
            raise CipherStateError("A multipart upload can't go on in a process forked after it was started.")

    # --- parts --------------------------------------------------------------------------------------------------------

    def part(self, number: int) -> Part:
        """Return the part of a number, which is new or is sent again.

        Raises:
            UnsupportedOperationError: It is no part of an upload whose list is settled, or that was aborted.
        """
        with self._changed:
            self._check_open()
            if self._listed and number not in self._listed:
                raise UnsupportedOperationError(
                    "The upload's tag is made, because complete_multipart_upload was called. Call it again; "
                    "no part can be added. Or abort the upload and start again."
                )
            self._highest = max(self._highest, number)
            return self.parts.setdefault(number, Part(number))

    @contextlib.contextmanager
    def call_for(self, part: Part) -> Iterator[None]:
        """Count a call that brings a part; if it fails, and nothing has gone out, the part is as it was before."""
        with self._changed:
            self._calls += 1
            part.calls += 1
            was_used = part.is_used
        failed = True
        try:
            yield
            failed = False
        finally:
            with self._changed:
                part.is_under_way = False
                part.calls -= 1
                self._calls -= 1
                if failed and self.state in (UploadState.OPEN, UploadState.TAGGED):
                    self._restore(part, was_used)
                self._changed.notify_all()

    def _restore(self, part: Part, was_used: bool) -> None:
        if part.state is PartState.SENT:
            return
        before = part.parked.length if part.parked is not None else None
        if part.length != before and self._take_back_place(part):
            self._set_length(part, before)
        if part.parked is not None and (part.length != before or part.is_used is not was_used):
            # It can't be sent any more: its place has another length, or another content has used the keystream.
            part.go_on(PartEvent.DROP)
            part.etags = set()
            self._parked.pop(part.number, None)
        there = (number for number, each in self.parts.items() if each.length is not None or each.calls)
        self._highest = max(there, default=0)

    def _take_back_place(self, part: Part) -> bool:
        """Take the places of a part and those behind it back, if nothing is encrypted for them; else return False."""
        if part.segment is None:
            return True
        placed = [self.parts[number] for number in range(part.number, self._placed_parts + 1)]
        if self._listed or any(each.is_fixed for each in placed):
            return False
        for each in placed:
            each.segment = None
            self._placed_bytes -= each.length or 0
        self._placed_parts = part.number - 1
        return True

    def announce(self, part: Part, length: int) -> None:
        """Note the length of a part, for the places of those that follow.

        Raises:
            BodyChangedError: The part has its place already, with another length.
            ConfigurationError: The object grows beyond what GCM can encrypt.
        """
        with self._changed:
            self._check_open()
            if part.length != length:
                if not self._take_back_place(part):
                    raise part_changed(part.number)
                if self._all_bytes + length - (part.length or 0) > GCM_MAX_PLAINTEXT_BYTES:
                    raise ConfigurationError(
                        f"The parts make more than AES-GCM encrypts under one key: "
                        f"{GCM_MAX_PLAINTEXT_BYTES} bytes (64 GiB)."
                    )
                self._set_length(part, length)
            self._changed.notify_all()

    def _set_length(self, part: Part, length: int | None) -> None:
        self._all_bytes += (length or 0) - (part.length or 0)
        part.length = length

    def may_be_sent(self, part: Part, raise_if_cancelled: Callable[[], object]) -> bool:
        """Give a part its place, and return whether it may go out now.

        Not if it may be the last one, and have the tag behind it; and not before the sizes of all parts before it are
        known, for which it waits a moment, if they are on their way.

        Args:
            part: The part.
            raise_if_cancelled: Called from time to time; ends the waiting by an error.

        Raises:
            UnsupportedOperationError: The upload has ended.
        """
        start = time.monotonic()
        with self._changed:
            self._waiting += 1
        try:
            while True:
                with self._changed:
                    self._check_open()
                    if self._may_be_last(part):
                        return False
                    if self._place_up_to(part):
                        part.is_under_way = True
                        return True
                    others = self._calls > self._waiting
                    left = PATIENCE_WITH_OTHERS_SECONDS if others else PATIENCE_SECONDS
                    left -= time.monotonic() - start
                    if left <= 0:
                        return False
                    self._changed.wait(min(left, _POLL_SECONDS))
                raise_if_cancelled()
        finally:
            with self._changed:
                self._waiting -= 1

    def _may_be_last(self, part: Part) -> bool:
        if self._listed or part.state is PartState.SENT:
            return part.state is not PartState.SENT
        if part.is_used:
            return False  # it was on its way before, without the tag
        if part.number == MAX_PARTS or part.length is None:
            return True
        # Some stores want equal parts: what is shorter than the first is taken for the last, too.
        first = self.parts.get(1)
        least = MIN_PART_BYTES if first is None or first.length is None else max(MIN_PART_BYTES, first.length)
        return part.length < least and self._highest == part.number

    def _place_up_to(self, part: Part) -> bool:
        """Give a part, and those before it, their places for good, if the sizes of all are known."""
        if part.segment is not None:
            return True
        known: list[Part] = []
        for number in range(self._placed_parts + 1, part.number + 1):
            each = self.parts.get(number)
            if each is None or each.length is None:
                return False
            known.append(each)
        for each in known:
            assert each.length is not None  # they are known
            if each.segment is None:
                each.segment = KeystreamSegment(self.ghash, self._placed_bytes, length=each.length)
            self._placed_parts += 1
            self._placed_bytes += each.length
        return part.segment is not None

    def park(self, part: Part, body: ParkedBody) -> None:
        """Let a part's plaintext wait; the caller gets an ETag that stands for S3's own: the same for the same content.

        Raises:
            BodyChangedError: S3 has the part already, or a piece of another content of it may have gone out.
        """
        with self._changed:
            self._check_open()
            if part.is_used and (part.parked is None or part.parked.digest != body.digest):
                raise part_changed(part.number)
            part.go_on(PartEvent.PARK, body)
            part.etag = f'"{body.digest}"'
            part.etags = {part.etag}
            self._parked[part.number] = part

    def note_sent(self, part: Part, answer: Mapping[str, Any], etag: str) -> None:
        """Remember what S3 said when it took a part, and the ETag by which the caller knows it."""
        with self._changed:
            is_the_same = part.state is PartState.SENT or etag in part.etags
            part.go_on(PartEvent.SEND)
            part.answer, part.etag = answer, etag
            part.etags = {*(part.etags if is_the_same else ()), etag}
            self._parked.pop(part.number, None)

    @contextlib.contextmanager
    def sending_parked(self) -> Iterator[Part | None]:
        """Yield the first part that is parked and may be sent by now, at its place, for oneself; None if none is."""
        with contextlib.ExitStack() as holding:
            part = self._first_sendable(holding)
            try:
                yield part
            finally:
                if part is not None:
                    with self._changed:
                        part.is_under_way = False

    def _first_sendable(self, holding: contextlib.ExitStack) -> Part | None:
        with self._changed:
            for number in sorted(self._parked):
                part = self._parked[number]
                if self._may_be_last(part):
                    continue
                if not self._place_up_to(part):
                    break  # nor has any part behind it
                if holding.enter_context(part.held(wait=False)):
                    part.is_under_way = True
                    return part
        return None

    # --- the end ------------------------------------------------------------------------------------------------------

    def settle(self, numbers: Sequence[int]) -> list[Part]:
        """Return the parts of the object, each at its place; from then on none can be added.

        Raises:
            UnsupportedOperationError: A part that was left out has its place before one that is at S3 already; the list
                is another than in an earlier call; or the upload was aborted.
        """
        with self._changed:
            self._check_open()
            if self._listed and self._listed != tuple(numbers):
                raise UnsupportedOperationError(
                    "complete_multipart_upload was called with another list of parts before, and the upload's tag is "
                    "made for that. Call it with the same list, or abort the upload and start again."
                )
            parts = [self.parts[number] for number in numbers]
            self._check_places(parts)
            self._check_end(parts[-1])
            offset = 0
            for part in parts:
                assert part.length is not None  # what is parked or sent has one
                if part.segment is None or part.segment.offset != offset:
                    part.segment = KeystreamSegment(self.ghash, offset, length=part.length)
                offset += part.length
            self._listed = tuple(numbers)
            last = parts[-1]
            if last.state is PartState.PARKED:
                self.tag_bytes_behind_last = self._room_behind(last, parts[0])
                last.segment.let_follow(self._start_of_tag, self.tag_bytes_behind_last)  # type: ignore[union-attr]
            self.state = UPLOAD_TRANSITIONS[self.state][UploadEvent.TAG]
            return parts

    def _check_places(self, parts: Sequence[Part]) -> None:
        offset = 0
        for part in parts:
            if part.is_fixed and part.segment is not None and part.segment.offset != offset:
                raise UnsupportedOperationError(
                    f"Part {part.number} is encrypted for its place behind all parts that had come before it. One of "
                    "those is not in the list, or has come since. List every part before it, or abort the upload and "
                    "start again."
                )
            offset += part.length or 0
        left_out = self.parts.keys() - {part.number for part in parts}
        for other in sorted(left_out):
            segment = self.parts[other].segment
            if self.parts[other].is_fixed and segment is not None and segment.length and segment.offset < offset:
                # The listed parts would be encrypted with the same keystream.
                raise UnsupportedOperationError(
                    f"Part {other} is not in the list, and it, or a piece of it, went out already for a place before "
                    "the end of the object. Send it again as it was and list it, or abort the upload and start again."
                )

    def _check_end(self, last: Part) -> None:
        if not self._listed and last.state is PartState.SENT and (last.length or 0) < MIN_PART_BYTES:
            raise UnsupportedOperationError(
                f"Part {last.number} can't be the last one any more: it is below {MIN_PART_BYTES} bytes and went out "
                "without the object's tag, because a higher part had come. List that too, or abort the upload and "
                "start again."
            )

    def _room_behind(self, last: Part, first: Part) -> int:
        """Return how many bytes of the tag go out with the last part.

        All, where that makes no part longer than the first: some stores refuse that. Otherwise what makes it as long as
        the first, and the rest has a part of its own.
        """
        tag_bytes = self.ghash.key.suite.tag_bytes
        length, room = last.length or 0, (first.length or 0) - (last.length or 0)
        is_alone = last is first or last.number == MAX_PARTS
        return tag_bytes if is_alone or room >= tag_bytes or length + room < MIN_PART_BYTES else max(0, room)

    def _start_of_tag(self) -> bytes:
        return self.tag()[: self.tag_bytes_behind_last]

    def tag(self) -> bytes:
        """Return the tag of the whole object.

        Raises:
            UnsupportedOperationError: The upload has ended.
            CipherStateError: A part of it was not encrypted to its end.
        """
        with self._changed:
            self._check_open()
            parts = [self.parts[number] for number in self._listed]
        hashed = [part.segment.hashed for part in parts if part.segment is not None]
        whole = [segment for segment in hashed if segment is not None]
        if len(whole) != len(parts):
            raise CipherStateError("A part of the upload was not encrypted to its end.")
        return self.ghash.tag(whole, sum(part.length or 0 for part in parts))

    def complete(self, answer: Any) -> None:
        """Remember S3's answer to the request that completed it."""
        with self._changed:
            self.answer = answer
            # An abort that came meanwhile stays one.
            self.state = UPLOAD_TRANSITIONS[self.state].get(UploadEvent.COMPLETE, self.state)

    def abort(self) -> None:
        """Wake whoever waits, and let nobody go on."""
        with self._changed:
            self.state = UPLOAD_TRANSITIONS[self.state][UploadEvent.ABORT]
            self._changed.notify_all()

    def _check_open(self) -> None:
        if self.state in (UploadState.ABORTED, UploadState.COMPLETED):
            raise UnsupportedOperationError(f"The multipart upload was {self.state.name.lower()}.")

    def __del__(self) -> None:
        # An upload that is forgotten before it has ended.
        self.close()

    def close(self) -> None:
        """Drop what is parked, and all that is known of parts."""
        if hasattr(self, "space"):  # otherwise its construction has failed
            self.parts.clear()
            self._parked.clear()
            self.sources.clear()
            self.space.close()
