"""The states of a part: the table is total, every transition happens, and the others are refused."""

from __future__ import annotations

import pytest
from support.parts import happen, new_upload, part_in

from s3_encryption import BodyChangedError, CipherStateError
from s3_encryption._operations.part import PART_TRANSITIONS, Part, PartEvent, PartState


def test_table_is_total_over_states() -> None:
    """Each state has its row, and each is led to."""
    assert PART_TRANSITIONS.keys() == set(PartState)
    assert {state for row in PART_TRANSITIONS.values() for state in row.values()} == set(PartState)


@pytest.mark.parametrize("event", PartEvent)
@pytest.mark.parametrize("state", PartState)
def test_part_goes_where_the_table_says(state: PartState, event: PartEvent) -> None:
    """In each state each event leads to the state in the table, or is refused, and leaves the part where it was."""
    upload = new_upload()
    part = part_in(state, upload)
    expected = PART_TRANSITIONS[state].get(event)
    if expected is None:
        with pytest.raises(BodyChangedError, match="Part 1"):
            happen(part, event, upload)
    else:
        happen(part, event, upload)
    assert part.state is (expected or state)


@pytest.mark.parametrize("event", PartEvent)
def test_parked_bytes_leave_when_others_take_their_place(event: PartEvent) -> None:
    """What was parked can't be read any more once it was replaced or sent, and its room is used again."""
    upload = new_upload()
    part = part_in(PartState.PARKED, upload)
    parked = part.parked
    assert parked is not None
    assert parked.read() == b"plaintext"
    happen(part, event, upload)
    assert parked.closed


def test_part_has_one_sender_at_a_time_and_none_within_itself() -> None:
    """A body that sends the part that it is the body of would wait for itself; another one may be told not to wait."""
    part = Part(1)
    with part.held() as is_ours:
        assert is_ours
        with part.held(wait=False) as again:
            assert not again
        with pytest.raises(CipherStateError, match="inside the body"), part.held():
            pass
    with part.held() as is_ours:
        assert is_ours
