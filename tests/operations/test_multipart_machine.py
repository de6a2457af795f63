"""Multipart uploads as a state machine: parts sent, sent again, failed, completed, aborted, in any sequence."""

from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from support.properties import reproducible
from support.sources import Unseekable
from support.uploads import DATA, POLICIES, MemoryS3, Upload

from s3_encryption import BodyChangedError, UnsupportedOperationError
from s3_encryption._operations import upload as upload_module

MINIMUM = 1000
# Contents by name; some differ in one byte, some in length only.
CONTENTS = {
    "large": DATA[:3000],
    "large-changed": DATA[:2999] + bytes([DATA[2999] ^ 1]),
    "large-cut": DATA[:2999],
    "minimal": DATA[5000 : 5000 + MINIMUM],
    "held": DATA[7000 : 7000 + MINIMUM - 8],
    "held-changed": bytes(MINIMUM - 8),
    "empty": b"",
}
names = st.sampled_from(sorted(CONTENTS))


class FaultError(Exception):
    """What the scripted S3 raises."""


class FaultyS3(MemoryS3):
    """An S3 that fails where it is told to, and remembers every byte that left for it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(passes=2, **options)
        self.fault = ""
        # The longest body that went out under each part number.
        self.longest: dict[int, bytes] = {}
        # The number under which the tag goes out, which may take the place of a part that was left out.
        self.tag_number = 0

    def raw_call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        if operation == "CompleteMultipartUpload" and self.fault:
            raise FaultError
        return super().raw_call(operation, params)

    def _part(self, number: int, body: Any) -> dict[str, Any]:
        fault, self.fault = self.fault, ""
        if fault == "before":
            raise FaultError
        if fault == "within" and not isinstance(body, bytearray):
            self.went_out(number, body.read(700))
            body.seek(0)
            raise FaultError
        answer = super()._part(number, body)
        self.went_out(number, self.stored[number][1])
        if fault == "after":
            raise FaultError
        return answer

    def went_out(self, number: int, body: bytes) -> None:
        """Note what left; at no place may it differ from what left there before."""
        if number == self.tag_number:
            return
        before = self.longest.get(number, b"")
        common = min(len(before), len(body))
        assert before[:common] == body[:common]
        self.longest[number] = max(before, body, key=len)


class UploadMachine(RuleBasedStateMachine):
    """One thread's view of an upload."""

    @initialize(policy=st.sampled_from(sorted(POLICIES)))
    def start(self, policy: str) -> None:
        """Start an upload."""
        self.s3 = FaultyS3(commitment_policy=POLICIES[policy])
        self.upload = Upload(self.s3)
        # What was accepted last under each number; and the numbers under which something may have gone out.
        self.accepted: dict[int, bytes] = {}
        self.touched: set[int] = set()
        # The list with which Complete was called, if it came as far as to the tag.
        self.listed: list[int] = []
        self.ended = False

    @property
    def goes_on(self) -> bool:
        """Whether the upload takes calls."""
        return not self.ended

    @precondition(lambda self: self.goes_on)
    @rule(
        name=names,
        seekable=st.booleans(),
        again=st.sampled_from([0, 0, 0, 1, 2, 3, 0, 0, 0, 1, 2, -1, -2]),
        fault=st.sampled_from(["", "", "", "before", "within", "after"]),
    )
    def send(self, name: str, seekable: bool, again: int, fault: str) -> None:
        """Send the next part, one of the last ones again, or one that is not due yet."""
        number = max(1, max(self.touched | self.accepted.keys(), default=0) + 1 - again)
        content = CONTENTS[name]
        self.s3.fault = fault
        try:
            answer = self.upload.send(number, io.BytesIO(content) if seekable else Unseekable(content))
        except FaultError:
            self.touched.add(number)
        except BodyChangedError:
            # Something went out under its number, or behind it.
            assert self.accepted.get(number) != content
            assert self.listed or max(self.s3.longest) >= number
        except UnsupportedOperationError:
            assert self.listed
            assert number not in self.listed
        else:
            self.accepted[number] = content
            assert answer["ETag"]
        self.s3.fault = ""

    @precondition(lambda self: self.goes_on)
    @rule(fault=st.sampled_from(["", "before", "within", "after"]), left_out=st.sampled_from([0, 0, 0, 1, 2]))
    def complete(self, fault: str, left_out: int) -> None:
        """Complete the upload with the parts that were accepted, or without the last of them."""
        self.s3.fault = fault
        numbers = sorted(self.accepted)[: len(self.accepted) - left_out]
        self.s3.tag_number = max(numbers, default=0) + 1
        try:
            self.upload.complete([self.upload.parts[number] for number in numbers])
        except FaultError:
            self.listed = self.listed or numbers
        except ClientError:
            assert not numbers
        except UnsupportedOperationError:
            # A part that failed, or was left out, has its place before one that went out; or the list was another.
            gaps = set(range(1, max(numbers) + 1)) - set(numbers)
            # Or the last one went out without the tag, below the minimum.
            is_small = len(self.accepted[numbers[-1]]) < MINIMUM
            assert gaps or (self.listed and self.listed != numbers) or is_small
        else:
            self.ended = True
            assert self.s3.plaintext() == b"".join(self.accepted[number] for number in numbers)
        self.s3.fault, self.s3.tag_number = "", 0

    @precondition(lambda self: self.goes_on)
    @rule()
    def abort(self) -> None:
        """Abort the upload."""
        self.upload.abort()
        self.ended = True

    @precondition(lambda self: self.ended)
    @rule(name=names)
    def go_on_after_the_end(self, name: str) -> None:
        """What is completed or aborted takes no part, and can't be completed again."""
        with pytest.raises(ClientError, match="NoSuchUpload"):
            self.upload.send(1, CONTENTS[name])
        with pytest.raises(ClientError, match="NoSuchUpload"):
            self.upload.complete()

    @precondition(lambda self: self.ended)
    @rule(policy=st.sampled_from(sorted(POLICIES)))
    def start_anew(self, policy: str) -> None:
        """After an upload comes another."""
        self.start(policy)

    def teardown(self) -> None:
        """Leave nothing open."""
        if hasattr(self, "upload") and self.goes_on:
            self.upload.abort()


@pytest.mark.parametrize("steps", [6, 15])
def test_kv_07_no_two_plaintexts_go_out_under_one_upload(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """KV-07: whatever fails and is repeated, each byte of the object goes out in one form only, and it opens."""
    monkeypatch.setattr(upload_module, "MIN_PART_BYTES", MINIMUM)
    monkeypatch.setattr(upload_module, "PATIENCE_SECONDS", 0.0)
    options = settings(reproducible, max_examples=200, stateful_step_count=steps)
    run_state_machine_as_test(UploadMachine, settings=options)
