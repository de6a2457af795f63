"""Multipart uploads without a client: parts in each of their states."""

from __future__ import annotations

from typing import Any

from s3_encryption._crypto.content import AES_GCM, ContentKey
from s3_encryption._operations.part import Part, PartEvent, PartState
from s3_encryption._operations.upload import Upload

from .vectors import AES_KEYS

KEY = ContentKey(AES_GCM, AES_KEYS["aes256"], bytes(12))
ANSWER = {"ETag": '"from S3"'}
# How a part comes into each state.
PATHS: dict[PartState, list[PartEvent]] = {
    PartState.NEW: [],
    PartState.PARKED: [PartEvent.PARK],
    PartState.SENT: [PartEvent.SEND],
}


def new_upload() -> Upload:
    """Return an upload of which no part has come."""
    return Upload(KEY, {}, finish=lambda send: None)


def happen(part: Part, event: PartEvent, upload: Upload) -> None:
    """Let something happen to a part."""
    steps: dict[PartEvent, Any] = {
        PartEvent.PARK: lambda: upload.park(part, upload.space.park([b"plaintext"])),
        PartEvent.DROP: lambda: part.go_on(PartEvent.DROP),
        PartEvent.SEND: lambda: upload.note_sent(part, ANSWER, ANSWER["ETag"]),
    }
    steps[event]()


def part_in(state: PartState, upload: Upload) -> Part:
    """Return the first part of an upload, in a state."""
    part = upload.part(1)
    for event in PATHS[state]:
        happen(part, event, upload)
    assert part.state is state
    return part
