"""The states of an upload, its list of parts, and where its tag goes."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from support.parts import ANSWER, happen, new_upload, part_in

from s3_encryption import (
    CipherStateError,
    UnsupportedOperationError,
)
from s3_encryption._operations.part import PartEvent, PartState
from s3_encryption._operations.upload import MIN_PART_BYTES
from s3_encryption._operations.upload_states import UPLOAD_TRANSITIONS, UploadEvent, UploadState

FIVE_MIB = MIN_PART_BYTES


def test_table_is_total_over_states() -> None:
    """Each state has its row, and each but the first is led to."""
    assert UPLOAD_TRANSITIONS.keys() == set(UploadState)
    ends = {state for row in UPLOAD_TRANSITIONS.values() for state in row.values()}
    assert ends == set(UploadState) - {UploadState.OPEN}


@pytest.mark.parametrize("end", [UploadState.ABORTED, UploadState.COMPLETED])
def test_upload_that_has_ended_makes_no_tag_and_places_no_part(end: UploadState) -> None:
    """Whoever asks for a part, a place or the list is refused, and told why."""
    upload = new_upload()
    part = part_in(PartState.PARKED, upload)
    upload.announce(part, 9)
    if end is UploadState.ABORTED:
        upload.abort()
        upload.abort()
    else:
        upload.settle([1])
        upload.complete(ANSWER)
    refused = pytest.raises(UnsupportedOperationError, match=end.name.lower())
    with refused:
        upload.part(2)
    with refused:
        upload.may_be_sent(part, lambda: None)
    with refused:
        upload.settle([1])
    if end is UploadState.ABORTED:
        upload.complete(ANSWER)
    assert upload.state is end


@pytest.mark.parametrize("event", UploadEvent)
@pytest.mark.parametrize("state", UploadState)
def test_upload_goes_where_the_table_says(state: UploadState, event: UploadEvent) -> None:
    """In each state each event leads to the state in the table, or changes nothing."""
    upload = new_upload()
    upload.announce(part_in(PartState.PARKED, upload), 9)
    steps: dict[UploadEvent, Any] = {
        UploadEvent.TAG: lambda: upload.settle([1]),
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
    if event is UploadEvent.TAG and state in (UploadState.COMPLETED, UploadState.ABORTED):
        with pytest.raises(UnsupportedOperationError):
            steps[event]()
    else:
        steps[event]()
    assert upload.state is (expected or state)


def test_no_part_is_added_once_the_list_is_settled() -> None:
    """Another tag under the same key and IV would give the key away; parts that are there may come again."""
    upload = new_upload()
    part = part_in(PartState.PARKED, upload)
    upload.announce(part, 9)
    assert upload.settle([1]) == [part]
    assert upload.part(1) is part
    with pytest.raises(UnsupportedOperationError, match="no part can be added"):
        upload.part(2)
    upload.announce(part, 9)
    with pytest.raises(UnsupportedOperationError, match="another list"):
        upload.settle([1, 2])


def test_tag_is_not_made_before_all_is_encrypted() -> None:
    """A tag over a part of the ciphertext would be one for another object."""
    upload = new_upload()
    upload.announce(part_in(PartState.PARKED, upload), 9)
    upload.settle([1])
    with pytest.raises(CipherStateError, match="not encrypted"):
        upload.tag()


@pytest.mark.parametrize(
    ("first", "last", "behind"),
    [
        (FIVE_MIB, 0, 16),
        (FIVE_MIB, 100, 16),
        (FIVE_MIB, FIVE_MIB - 16, 16),
        (FIVE_MIB, FIVE_MIB - 15, 15),
        (FIVE_MIB, FIVE_MIB - 1, 1),
        (2 * FIVE_MIB, 2 * FIVE_MIB - 17, 16),
        (2 * FIVE_MIB, 2 * FIVE_MIB - 3, 3),
        (100, 200, 16),
    ],
)
def test_tag_makes_no_part_longer_than_the_first(first: int, last: int, behind: int) -> None:
    """The last part has as much of the tag behind it as fits, so that stores which want equal parts take every size."""
    upload = new_upload()
    for number, length in enumerate((first, last), start=1):
        part = upload.part(number)
        happen(part, PartEvent.PARK, upload)
        upload.announce(part, length)
    upload.settle([1, 2])
    assert upload.tag_bytes_behind_last == behind


def test_nothing_holds_an_upload_that_was_closed() -> None:
    """Its key goes with it at once, not when the garbage collector comes."""
    gc.disable()
    try:
        upload = new_upload()
        upload.announce(part_in(PartState.PARKED, upload), 9)
        upload.settle([1])
        reference = weakref.ref(upload)
        upload.close()
        del upload
        assert reference() is None
    finally:
        gc.enable()
