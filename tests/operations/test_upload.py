"""The states of parts and uploads: the tables are total, every transition happens, and the others are refused."""

from __future__ import annotations

import io
from typing import Any

import pytest
from support.vectors import AES_KEYS

from s3_encryption import BodyChangedError, UnsupportedOperationError
from s3_encryption._crypto.content import AES_GCM, ContentKey
from s3_encryption._operations.upload import (
    PART_TRANSITIONS,
    UPLOAD_TRANSITIONS,
    OpenUploads,
    Part,
    PartEvent,
    PartState,
    Upload,
    UploadEvent,
    UploadState,
)

KEY = ContentKey(AES_GCM, AES_KEYS["aes256"], bytes(12))
ANSWER = {"ETag": '"from S3"'}
# How a part comes into each state.
PATHS: dict[PartState, list[PartEvent]] = {
    PartState.ANNOUNCED: [],
    PartState.PLACED: [PartEvent.PLACE],
    PartState.HELD: [PartEvent.PLACE, PartEvent.HOLD],
    PartState.SENT: [PartEvent.PLACE, PartEvent.SEND],
    PartState.LISTED: [PartEvent.PLACE, PartEvent.SEND, PartEvent.LIST],
}


def new_upload() -> Upload:
    """Return an upload of which no part has come."""
    return Upload(KEY, {}, finish=lambda send: None)


def happen(part: Part, event: PartEvent, upload: Upload) -> None:
    """Let something happen to a part."""
    steps: dict[PartEvent, Any] = {
        PartEvent.PLACE: lambda: upload.wait_for_place(part, lambda: None),
        PartEvent.HOLD: lambda: part.hold(io.BytesIO(b"ciphertext"), '"held"'),
        PartEvent.SEND: lambda: part.note_sent(ANSWER),
        PartEvent.LIST: lambda: part.enlist(lambda held, spool: ANSWER),
    }
    steps[event]()


def part_in(state: PartState, upload: Upload) -> Part:
    """Return the first part of an upload, in a state."""
    part = upload.part(1, {})
    for event in PATHS[state]:
        happen(part, event, upload)
    assert part.state is state
    return part


@pytest.mark.parametrize("event", PartEvent)
@pytest.mark.parametrize("state", PartState)
def test_part_goes_where_the_table_says(state: PartState, event: PartEvent) -> None:
    """In each state each event leads to the state in the table, or is refused, and leaves the part where it was."""
    upload = new_upload()
    part = part_in(state, upload)
    expected = PART_TRANSITIONS[state].get(event)
    if expected is None:
        with pytest.raises((BodyChangedError, UnsupportedOperationError), match="Part 1"):
            happen(part, event, upload)
    else:
        happen(part, event, upload)
    assert part.state is (expected or state)


def test_tables_are_total_over_states() -> None:
    """Each state of parts and uploads has its row, and each but the last of them leads on."""
    assert PART_TRANSITIONS.keys() == set(PartState)
    assert UPLOAD_TRANSITIONS.keys() == set(UploadState)
    reached = {state for row in PART_TRANSITIONS.values() for state in row.values()}
    assert reached == set(PartState) - {PartState.ANNOUNCED}
    ends = {state for row in UPLOAD_TRANSITIONS.values() for state in row.values()}
    assert ends == set(UploadState) - {UploadState.OPEN}


def test_held_part_is_sent_once_when_it_is_listed() -> None:
    """However often Complete is called, what was held back goes out once, and the list has S3's answer."""
    upload, sent = new_upload(), []
    part = part_in(PartState.HELD, upload)

    def send(held: Part, spool: Any) -> Any:
        sent.append(spool.read())
        return ANSWER

    assert [part.enlist(send), part.enlist(send)] == [ANSWER, ANSWER]
    assert sent == [b"ciphertext"]
    assert part.etag == '"held"'


def test_part_that_failed_to_be_sent_when_listed_stays_held() -> None:
    """A failure of S3 leaves the part for the next Complete."""
    part = part_in(PartState.HELD, new_upload())

    def fail(held: Part, spool: Any) -> Any:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        part.enlist(fail)
    assert part.state is PartState.HELD


def test_held_bytes_are_closed_when_others_take_their_place() -> None:
    """No file is left behind by a part that is sent again, nor by an upload that ends."""
    upload = new_upload()
    part = part_in(PartState.HELD, upload)
    first = part.spool
    part.hold(io.BytesIO(b"ciphertext"), '"other"')
    assert first is not None
    assert first.closed
    assert part.etag == '"held"'
    upload.close()
    assert part.spool is not None
    assert part.spool.closed


def test_upload_that_is_aborted_makes_no_tag_and_places_no_part() -> None:
    """ABORTED is the end: whoever asks for a place or the tag is refused."""
    upload = new_upload()
    part = upload.part(1, {})
    upload.abort()
    upload.abort()
    assert upload.state is UploadState.ABORTED
    with pytest.raises(UnsupportedOperationError, match="aborted"):
        upload.wait_for_place(part, lambda: None)
    with pytest.raises(UnsupportedOperationError, match="aborted"):
        upload.tag(0)
    upload.complete(ANSWER)
    assert upload.state is UploadState.ABORTED


@pytest.mark.parametrize("event", UploadEvent)
@pytest.mark.parametrize("state", UploadState)
def test_upload_goes_where_the_table_says(state: UploadState, event: UploadEvent) -> None:
    """In each state each event leads to the state in the table, or changes nothing."""
    upload = new_upload()
    steps: dict[UploadEvent, Any] = {
        UploadEvent.TAG: lambda: upload.tag(0),
        UploadEvent.COMPLETE: lambda: upload.complete(ANSWER),
        UploadEvent.ABORT: upload.abort,
    }
    paths = {
        UploadState.OPEN: [],
        UploadState.TAGGED: [UploadEvent.TAG],
        UploadState.COMPLETED: [UploadEvent.TAG, UploadEvent.COMPLETE],
        UploadState.ABORTED: [UploadEvent.ABORT],
    }
    for step in paths[state]:
        steps[step]()
    assert upload.state is state
    expected = UPLOAD_TRANSITIONS[state].get(event)
    if expected is None and event is UploadEvent.TAG:
        with pytest.raises(UnsupportedOperationError):
            steps[event]()
    else:
        steps[event]()
    assert upload.state is (expected or state)


def test_no_part_is_added_once_the_tag_is_made() -> None:
    """Another tag under the same key and IV would give the key away; parts that are there may come again."""
    upload = new_upload()
    part = part_in(PartState.ANNOUNCED, upload)
    upload.set_length(part, 0)
    spooled = part.segment.new_context()
    spooled.finalize()
    part.hold(io.BytesIO(), '"held"')
    assert len(upload.tag(1)) == 16
    assert upload.part(1, {}) is part
    with pytest.raises(UnsupportedOperationError, match="no part can be added"):
        upload.part(2, {})


def test_open_uploads_are_found_by_their_ids() -> None:
    """What was added is found until it is forgotten; anything else never."""
    uploads, upload = OpenUploads(), new_upload()
    uploads.add("id", upload)
    assert uploads.find("id") is upload
    assert uploads.find(None) is None
    uploads.forget("id")
    uploads.forget("id")
    assert uploads.find("id") is None
