"""One part of a multipart upload, and its states.

PART_TRANSITIONS says which event leads from which state to which::

    new --park--> parked --send--> sent
     | <---drop--- |  ^             |  ^
     |             park             send
     +--------------send------------^

What is parked waits, encrypted under a key of the upload's own, and may be replaced.
"""

from __future__ import annotations

import contextlib
import enum
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from .._body.parking import ParkedBody
from .._crypto.keystream import KeystreamSegment
from ..exceptions import BodyChangedError, CipherStateError


class PartState(enum.Enum):
    """What has become of a part so far."""

    NEW = "nothing of it is kept, or known to be at S3"
    PARKED = "it waits until it can be sent, and may be replaced"
    SENT = "S3 has it"


class PartEvent(enum.Enum):
    """What can happen to a part."""

    PARK = "it came, and can't be sent yet"
    SEND = "S3 has taken it"
    DROP = "another content took its place, and failed to be sent"


_S, _E = PartState, PartEvent
PART_TRANSITIONS: Mapping[PartState, Mapping[PartEvent, PartState]] = {
    _S.NEW: {_E.PARK: _S.PARKED, _E.SEND: _S.SENT},
    _S.PARKED: {_E.PARK: _S.PARKED, _E.SEND: _S.SENT, _E.DROP: _S.NEW},
    _S.SENT: {_E.SEND: _S.SENT},
}


class Part:
    """One part of an upload.

    ``length`` is None until it is known; ``params`` are those of the last attempt to send it. ``etag`` is what the
    caller got last, ``etags`` all that he got for the same content; ``answer`` is what S3 said, or stands for that.
    ``segment`` is its place, if it has one; ``changed`` tells when it came into its state.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.params: dict[str, Any] = {}
        self.state = PartState.NEW
        # Whether the caller declared a Content-MD5 in that attempt.
        self.has_md5 = False
        self.length: int | None = None
        self.changed = datetime.now(timezone.utc)
        self.etag = ""
        self.etags: set[str] = set()
        self.answer: Mapping[str, Any] = {}
        # CRC-32 and length of its plaintext, where a checksum of the whole will be given.
        self.crc32: tuple[int, int] | None = None
        self.segment: KeystreamSegment | None = None
        # Whether somebody is about to encrypt it for its place; and how many calls are about to bring it.
        self.is_under_way = False
        self.calls = 0
        self.parked: ParkedBody | None = None
        # Held by whoever encrypts and sends it: one pass over its keystream at a time.
        self._lock = threading.Lock()
        self._held_by: int | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether something may have gone out, or may go out any time, under its keystream."""
        return self.is_under_way or self.state is PartState.SENT or self.is_used

    @property
    def is_used(self) -> bool:
        """Whether something was encrypted with its keystream."""
        return self.segment is not None and self.segment.is_used

    def note_crc32(self, crc32: int, length: int) -> None:
        """Remember what the part adds to the checksum of the whole plaintext."""
        self.crc32 = crc32, length

    def go_on(self, event: PartEvent, parked: ParkedBody | None = None) -> None:
        """Let something happen to it; what was parked of it gives its space back.

        Raises:
            BodyChangedError: It can't happen to a part in this state.
        """
        following = PART_TRANSITIONS[self.state].get(event)
        if following is None:
            raise part_changed(self.number)
        self.state, self.changed = following, datetime.now(timezone.utc)
        if self.parked is not None:
            self.parked.leave()
        self.parked = parked

    @contextlib.contextmanager
    def held(self, *, wait: bool = True) -> Iterator[bool]:
        """Have the part for oneself; yield whether that is so, which without ``wait`` it need not be.

        Raises:
            CipherStateError: The same thread has it, in the body that it reads to send the part.
        """
        if self._held_by == threading.get_ident():
            if not wait:
                yield False
                return
            raise CipherStateError(f"Part {self.number} was sent from inside the body of the same part.")
        has_it = self._lock.acquire(blocking=wait)
        try:
            if has_it:
                self._held_by = threading.get_ident()
            yield has_it
        finally:
            if has_it:
                self._held_by = None
                self._lock.release()


def part_changed(number: int) -> BodyChangedError:
    """Return the error that says that a part came again with other bytes."""
    return BodyChangedError(
        f"Part {number} was sent before with other content. A part can be sent again only as it was: its keystream is "
        "used. Abort the upload and start again."
    )
