"""One multipart upload: its parts and their states, where in the object each is, and the tag. No request is made here.

A part goes through these states; PART_TRANSITIONS says which event leads from which to which::

    announced --place--> placed --hold--> held --list--> listed
                            |                              ^
                            +----send---> sent ----list----+

A part that is sent again stays in its state: its bytes can't change any more, because its keystream is used.
"""

from __future__ import annotations

import enum
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from .._crypto.content import ContentKey
from .._crypto.contexts import GCM_MAX_PLAINTEXT_BYTES
from .._crypto.ghash import Ghash
from .._crypto.keystream import KeystreamSegment
from ..exceptions import BodyChangedError, CipherStateError, ConfigurationError, UnsupportedOperationError

# How long a part waits to learn the sizes of the parts before it, and how often it looks whether its transfer was
# cancelled.
PART_ORDER_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.5
# Uploads that are neither completed nor aborted keep their keys here; the oldest go when there are more.
MAX_OPEN_UPLOADS = 10_000


class PartState(enum.Enum):
    """What has become of a part so far."""

    ANNOUNCED = "it waits for the sizes of the parts before it"
    PLACED = "its place in the object is known, and its keystream may be used"
    HELD = "its ciphertext is held back: it may be the last part"
    SENT = "S3 has it"
    LISTED = "the tag is made, and S3 has it: it is in the list that completes the upload"


class PartEvent(enum.Enum):
    """What can happen to a part."""

    PLACE = "the sizes of all parts before it are known"
    HOLD = "it was encrypted, and is too small to be sent before the others"
    SEND = "S3 has taken it"
    LIST = "the upload is being completed"


_S, _E = PartState, PartEvent
PART_TRANSITIONS: Mapping[PartState, Mapping[PartEvent, PartState]] = {
    _S.ANNOUNCED: {_E.PLACE: _S.PLACED},
    _S.PLACED: {_E.PLACE: _S.PLACED, _E.HOLD: _S.HELD, _E.SEND: _S.SENT},
    _S.HELD: {_E.PLACE: _S.HELD, _E.HOLD: _S.HELD, _E.LIST: _S.LISTED},
    _S.SENT: {_E.PLACE: _S.SENT, _E.SEND: _S.SENT, _E.LIST: _S.LISTED},
    _S.LISTED: {_E.PLACE: _S.LISTED, _E.HOLD: _S.LISTED, _E.SEND: _S.LISTED, _E.LIST: _S.LISTED},
}


class UploadState(enum.Enum):
    """What has become of an upload so far."""

    OPEN = "parts come in"
    TAGGED = "the tag is made: no part can be added"
    COMPLETED = "S3 has made the object; its instruction file may be missing"
    ABORTED = "nobody may go on"


class UploadEvent(enum.Enum):
    """What can happen to an upload."""

    TAG = "its tag is asked for"
    COMPLETE = "S3 has completed it"
    ABORT = "it is aborted"


_U, _V = UploadState, UploadEvent
UPLOAD_TRANSITIONS: Mapping[UploadState, Mapping[UploadEvent, UploadState]] = {
    _U.OPEN: {_V.TAG: _U.TAGGED, _V.ABORT: _U.ABORTED},
    _U.TAGGED: {_V.TAG: _U.TAGGED, _V.COMPLETE: _U.COMPLETED, _V.ABORT: _U.ABORTED},
    _U.COMPLETED: {_V.TAG: _U.COMPLETED, _V.COMPLETE: _U.COMPLETED, _V.ABORT: _U.ABORTED},
    _U.ABORTED: {_V.ABORT: _U.ABORTED},
}


class Part:
    """One part of an upload.

    ``length`` is None until it is known; ``params`` are those of the last attempt to send it. ``etag`` is what the
    caller got, ``answer`` what S3 said.
    """

    def __init__(self, number: int, params: dict[str, Any]) -> None:
        self.number = number
        self.params = params
        self.state = PartState.ANNOUNCED
        # Held by whoever encrypts and sends it: one pass over its keystream at a time.
        self.lock = threading.Lock()
        self.length: int | None = None
        self.etag = ""
        self.answer: Mapping[str, Any] = {}
        # CRC-32 and length of its plaintext, where a checksum of the whole will be given.
        self.crc32: tuple[int, int] | None = None
        self._segment: KeystreamSegment | None = None
        self._spool: IO[bytes] | None = None

    @property
    def segment(self) -> KeystreamSegment:
        """Where it is in the object; from PLACED on."""
        assert self._segment is not None
        return self._segment

    @property
    def spool(self) -> IO[bytes] | None:
        """Its ciphertext, in a file, if it was held back."""
        return self._spool

    @property
    def is_uploaded(self) -> bool:
        """Whether all of it was encrypted, and is held or sent."""
        has_bytes = self.state in (PartState.HELD, PartState.SENT, PartState.LISTED)
        return has_bytes and self.segment.hashed is not None

    def note_crc32(self, crc32: int, length: int) -> None:
        """Remember what the part adds to the checksum of the whole plaintext."""
        self.crc32 = crc32, length

    def place(self, segment: Callable[[], KeystreamSegment]) -> None:
        """Give it its place in the object, if it has none yet."""
        if self._segment is None:
            self._segment = segment()
        self._go_on(PartEvent.PLACE)

    def hold(self, spool: IO[bytes], etag: str) -> None:
        """Hold its ciphertext back; the caller gets an ETag that stands for S3's own."""
        self._go_on(PartEvent.HOLD)
        self.close()
        self._spool = spool
        self.etag = self.etag or etag

    def note_sent(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Remember, and return, what S3 said when it took the part."""
        self._go_on(PartEvent.SEND)
        self.answer, self.etag = answer, answer["ETag"]
        return answer

    def enlist(self, send_held: Callable[[Part, IO[bytes]], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return what S3 said of it; what was held back is sent now, once."""
        if self.state is PartState.HELD:
            assert self._spool is not None
            self.answer = send_held(self, self._spool)
        self._go_on(PartEvent.LIST)
        return self.answer

    def close(self) -> None:
        """Drop what was held back."""
        if self._spool is not None:
            self._spool.close()

    def _go_on(self, event: PartEvent) -> None:
        following = PART_TRANSITIONS[self.state].get(event)
        if following is None:
            raise part_changed(self.number) if event in (PartEvent.HOLD, PartEvent.SEND) else not_uploaded(self.number)
        self.state = following


class Upload:
    """One multipart upload.

    Args:
        key: The key of the object's content.
        params: Those that the upload was created with.
        finish: Stores what belongs beside the object, by a function that sends requests.
    """

    def __init__(self, key: ContentKey, params: dict[str, Any], finish: Callable[[Any], object]) -> None:
        self.ghash = Ghash(key)
        self.params = params
        self.finish = finish
        self.parts: dict[int, Part] = {}
        self.state = UploadState.OPEN
        # Held by whoever completes it.
        self.completing = threading.Lock()
        # S3's answer; from COMPLETED on.
        self.answer: Any = None
        self._process_id = os.getpid()
        self._changed = threading.Condition()
        # From TAGGED on. The plaintext is what it is then: another tag under the same key and IV would give the key
        # away.
        self._tag = b""
        # The parts up to here have known sizes, and make that many bytes.
        self._known_parts = 0
        self._known_bytes = 0
        self._all_bytes = 0

    @property
    def checksum_is_of_the_whole(self) -> bool:
        """Whether the caller may claim a CRC-32 of the whole plaintext at the end."""
        return (self.params.get("ChecksumType"), self.params.get("ChecksumAlgorithm")) == ("FULL_OBJECT", "CRC32")

    @property
    def checksum(self) -> dict[str, Any]:
        """What every part's request says of checksums: S3 wants one of each if the upload was created with one."""
        name = "ChecksumAlgorithm"
        return {name: self.params[name]} if name in self.params else {}

    @property
    def last(self) -> Part:
        """The last part."""
        return self.parts[len(self.parts)]

    def check_process(self) -> None:
        """Refuse to go on in a forked process, where the same keystream would be used twice."""
        if os.getpid() != self._process_id:
            raise CipherStateError("A multipart upload can't go on in a process forked after it was started.")

    def part(self, number: int, params: dict[str, Any]) -> Part:
        """Return the part of a number, which is new or is sent again.

        Raises:
            UnsupportedOperationError: It is new, and the upload is complete but for S3's consent.
        """
        with self._changed:
            if number not in self.parts and self._tag:
                raise UnsupportedOperationError(
                    "The upload's tag is made, because complete_multipart_upload was called. Call it again; "
                    "no part can be added. Or abort the upload and start again."
                )
            return self.parts.setdefault(number, Part(number, params))

    def set_length(self, part: Part, length: int) -> None:
        """Note the length of a part, and with it the places of those that follow.

        Raises:
            BodyChangedError: The part was sent before, with another length.
            ConfigurationError: The object grows beyond what GCM can encrypt.
        """
        with self._changed:
            if part.length not in (None, length):
                raise part_changed(part.number)
            if part.length is None:
                if self._all_bytes + length > GCM_MAX_PLAINTEXT_BYTES:
                    raise ConfigurationError(
                        f"The parts make more than AES-GCM encrypts under one key: "
                        f"{GCM_MAX_PLAINTEXT_BYTES} bytes (64 GiB)."
                    )
                part.length = length
                self._all_bytes += length
            for following, following_length in self._newly_known():
                following.place(lambda length=following_length: self._segment_here(length))  # type: ignore[misc]
                self._known_parts += 1
                self._known_bytes += following_length
            self._changed.notify_all()

    def _newly_known(self) -> Iterator[tuple[Part, int]]:
        while (part := self.parts.get(self._known_parts + 1)) is not None and part.length is not None:
            yield part, part.length

    def _segment_here(self, length: int | None) -> KeystreamSegment:
        return KeystreamSegment(self.ghash, self._known_bytes, length=length)

    def wait_for_place(self, part: Part, raise_if_cancelled: Callable[[], object]) -> KeystreamSegment:
        """Wait until the sizes of all parts before this one are known, and return where in the object it is.

        Args:
            part: The part.
            raise_if_cancelled: Called from time to time; ends the waiting by an error.

        Raises:
            UnsupportedOperationError: They did not come in time, or the upload was aborted.
        """
        deadline = time.monotonic() + PART_ORDER_TIMEOUT_SECONDS
        while True:
            with self._changed:
                if self.state is UploadState.ABORTED:
                    raise _aborted()
                if self._known_parts >= part.number - 1:
                    part.place(lambda: self._segment_here(None))
                    return part.segment
                if time.monotonic() >= deadline:
                    self._forget_length(part)
                    raise UnsupportedOperationError(
                        f"Part {part.number} can't be encrypted before the sizes of all parts before it are known, and "
                        f"part {self._known_parts + 1} did not come in {PART_ORDER_TIMEOUT_SECONDS:.0f} seconds. "
                        "Upload parts in order, or from as many threads as parts are under way."
                    )
                self._changed.wait(_POLL_SECONDS)
            raise_if_cancelled()

    def _forget_length(self, part: Part) -> None:
        # Nothing is encrypted yet, so the part may come again with another length.
        if part.length is not None:
            self._all_bytes -= part.length
            part.length = None

    def check_listed(self, given: list[dict[str, Any]]) -> None:
        """Check that a caller completes the upload with exactly the parts that were encrypted for it.

        Raises:
            UnsupportedOperationError: A part is missing, is of another upload, or is not uploaded yet.
        """
        numbers = [entry.get("PartNumber") for entry in given]
        expected = list(range(1, len(self.parts) + 1))
        if not expected:
            raise UnsupportedOperationError(
                "The multipart upload has no parts: an object, even an empty one, needs one."
            )
        if numbers != expected or sorted(self.parts) != expected:
            raise UnsupportedOperationError(
                f"An encrypted object has all parts that were uploaded, in order, without gaps. Uploaded: "
                f"{len(self.parts)}, highest number {max(self.parts)}; given: {len(numbers)}."
            )
        for entry in given:
            part = self.parts[entry["PartNumber"]]
            if not part.is_uploaded or not part.etag or str(entry.get("ETag", "")).strip('"') != part.etag.strip('"'):
                raise not_uploaded(part.number)

    def tag(self, parts: int) -> bytes:
        """Return the tag of the whole object, which has that many parts; from then on none can be added.

        Raises:
            UnsupportedOperationError: The upload was aborted, or another part is on its way.
        """
        with self._changed:
            if UploadEvent.TAG not in UPLOAD_TRANSITIONS[self.state]:
                raise _aborted()
            if not self._tag:
                hashed = [part.segment.hashed for part in self.parts.values() if part.is_uploaded]
                segments = [segment for segment in hashed if segment is not None]
                if (len(segments), len(self.parts)) != (parts, parts):
                    raise UnsupportedOperationError("A part is still on its way; complete the upload after it.")
                self._tag = self.ghash.tag(segments, self._known_bytes)
            self.state = UPLOAD_TRANSITIONS[self.state][UploadEvent.TAG]
            return self._tag

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

    def __del__(self) -> None:
        # A client that is dropped with an upload under way.
        self.close()

    def close(self) -> None:
        """Drop what was held back."""
        for part in self.parts.values():
            part.close()


class OpenUploads:
    """The encrypted multipart uploads of one client that are under way, by their ids."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uploads: OrderedDict[str, Upload] = OrderedDict()

    def add(self, upload_id: str, upload: Upload) -> None:
        """Add one; of too many the oldest go."""
        with self._lock:
            self._uploads[upload_id] = upload
            while len(self._uploads) > MAX_OPEN_UPLOADS:
                self._uploads.popitem(last=False)[1].close()

    def find(self, upload_id: object) -> Upload | None:
        """Return the upload of an id; None for one that was not started here, or has ended."""
        return self._uploads.get(upload_id)  # type: ignore[call-overload, no-any-return]

    def forget(self, upload_id: str) -> None:
        """Forget one, and its key."""
        with self._lock:
            self._uploads.pop(upload_id, None)


def part_changed(number: int) -> BodyChangedError:
    """Return the error that says that a part came again with other bytes."""
    return BodyChangedError(
        f"Part {number} was sent before with other content. A part can be sent again only as it was: its keystream is "
        "used. Abort the upload and start again."
    )


def not_uploaded(number: int) -> UnsupportedOperationError:
    """Return the error that says that a part can't be listed."""
    return UnsupportedOperationError(f"Part {number} is not uploaded, or its ETag is not the one returned.")


def _aborted() -> UnsupportedOperationError:
    return UnsupportedOperationError("The multipart upload was aborted.")
