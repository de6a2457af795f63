"""Multipart uploads as a state machine: parts sent, sent again, failed, completed, aborted, in any sequence."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from support.properties import reproducible
from support.sources import Unseekable
from support.uploads import DATA, POLICIES, MemoryS3, Upload

from s3_encryption import BodyChangedError, UnsupportedOperationError
from s3_encryption._operations import multipart
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

    def raw_call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        fault, self.fault = self.fault, "" if operation != "UploadPart" else self.fault
        if operation == "CompleteMultipartUpload" and fault:
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
        # What was accepted under each number; and the numbers under which something may have been encrypted.
        self.accepted: dict[int, bytes] = {}
        self.touched: set[int] = set()
        # Parts that came too early, and their lengths if they told them.
        self.early: dict[int, int | None] = {}
        self.tagged = False
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
        number = max(1, max(self.touched | self.early.keys(), default=0) + 1 - again)
        content = CONTENTS[name]
        self.s3.fault = fault
        try:
            self.upload.send(number, io.BytesIO(content) if seekable else Unseekable(content))
        except (FaultError, BodyChangedError, UnsupportedOperationError) as error:
            self.refused(number, content, seekable, error)
        else:
            assert self.accepted.setdefault(number, content) == content
            self.touched.add(number)
        self.s3.fault = ""

    def refused(self, number: int, content: bytes, seekable: bool, error: Exception) -> None:
        """Check that there was a reason for refusing a part."""
        if isinstance(error, UnsupportedOperationError):
            assert number not in self.touched
            if not self.tagged:
                assert not self.touched.issuperset(range(1, number))
                length = len(content) if seekable else None
                self.early[number] = length if self.early.get(number) is None else self.early[number]
            return
        if isinstance(error, BodyChangedError):
            assert number in self.touched or self.early[number] not in (None, len(content))
            assert self.accepted.get(number) != content
            return
        self.touched.add(number)

    @property
    def is_whole(self) -> bool:
        """Whether every part that was ever tried was sent."""
        return self.accepted.keys() == self.touched | self.early.keys()

    @precondition(lambda self: self.goes_on and self.is_whole)
    @rule(fault=st.sampled_from(["", "before", "within", "after"]))
    def complete(self, fault: str) -> None:
        """Complete the upload; if it has a part, only S3 can prevent that."""
        self.s3.fault = fault
        try:
            self.upload.complete()
        except FaultError:
            self.tagged = True
        except UnsupportedOperationError:
            self.no_parts()
        else:
            self.ended = True
            assert self.s3.plaintext() == b"".join(self.accepted[number] for number in sorted(self.accepted))
        self.s3.fault = ""

    def no_parts(self) -> None:
        """Check that there was nothing to complete."""
        assert not self.accepted

    @precondition(lambda self: self.goes_on and not self.is_whole)
    @rule()
    def complete_too_early(self) -> None:
        """Parts that failed are part of the upload: it can't be completed without them."""
        with pytest.raises(UnsupportedOperationError):
            self.upload.complete()

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
        with pytest.raises(UnsupportedOperationError):
            self.upload.send(1, CONTENTS[name])
        with pytest.raises(UnsupportedOperationError):
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
    monkeypatch.setattr(multipart, "MIN_PART_BYTES", MINIMUM)
    monkeypatch.setattr(upload_module, "PART_ORDER_TIMEOUT_SECONDS", 0.0)
    options = settings(reproducible, max_examples=200, stateful_step_count=steps)
    run_state_machine_as_test(UploadMachine, settings=options)
