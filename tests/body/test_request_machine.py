"""EncryptingReader as a state machine: reads, seeks, a source that changes. One keystream, one plaintext."""

from __future__ import annotations

import io
import random

import pytest
from Crypto.Cipher import AES
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.properties import reproducible
from support.sources import ChangingSource

from s3_encryption._body.plaintext import PlaintextClaims, PlaintextSource
from s3_encryption._body.request import EncryptingReader
from s3_encryption._body.sizes import IO_BLOCK_BYTES
from s3_encryption._crypto.content import AES_GCM, AES_GCM_COMMITTING, ContentKey, Suite
from s3_encryption._crypto.ghash import Ghash
from s3_encryption._crypto.keystream import KeystreamSegment
from s3_encryption.exceptions import BodyChangedError, BodyMismatchError

KEY = bytes(range(32))
ORIGINAL = random.Random("machine").randbytes(2 * IO_BLOCK_BYTES + 1000)
LENGTH = len(ORIGINAL) + 16

sizes = st.sampled_from([0, 1, 1000, 100_000, IO_BLOCK_BYTES, IO_BLOCK_BYTES + 1, LENGTH, -1])
positions = st.sampled_from(
    [0, 1, 999, IO_BLOCK_BYTES - 1, IO_BLOCK_BYTES, 2 * IO_BLOCK_BYTES - 1, 2 * IO_BLOCK_BYTES, len(ORIGINAL) - 1]
)


def flipped(content: bytes, position: int) -> bytes:
    """Return the content with one bit changed, if it reaches that far."""
    changed = bytearray(content)
    if position < len(changed):
        changed[position] ^= 1
    return bytes(changed)


class BrokenSourceError(OSError):
    """What a source raises."""


class BrokenSource(ChangingSource):
    """A source of which some reads fail, besides."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.breaks_at: set[int] = set()

    def read(self, size: int | None = -1) -> bytes:
        if self.reads in self.breaks_at:
            self.reads += 1
            raise BrokenSourceError
        return super().read(size)


class Wire:
    """All that went out under one keystream, by position."""

    def __init__(self) -> None:
        self.sent = bytearray(LENGTH)
        self.known = bytearray(LENGTH)

    def note(self, position: int, data: bytes) -> None:
        """Take in what went out; at no position may it differ from what went out there before."""
        stop = position + len(data)
        known = int.from_bytes(self.known[position:stop], "big")
        difference = int.from_bytes(self.sent[position:stop], "big") ^ int.from_bytes(data, "big")
        assert not difference & known
        self.sent[position:stop] = data
        self.known[position:stop] = b"\xff" * len(data)

    @property
    def is_whole(self) -> bool:
        """Whether every byte went out."""
        return 0 not in self.known


class ReaderMachine(RuleBasedStateMachine):
    """What botocore may do to a body, and what may happen to the file beneath it."""

    @initialize(suite=st.sampled_from([AES_GCM, AES_GCM_COMMITTING]), ahead=st.booleans())
    def start(self, suite: Suite, ahead: bool) -> None:
        """Give a source to be uploaded, perhaps read by a second thread."""
        self.key = ContentKey(suite, KEY, suite.fixed_iv or bytes(12))
        self.source = BrokenSource(ORIGINAL)
        source = PlaintextSource(self.source)
        segment = KeystreamSegment(Ghash(self.key), is_whole=True)
        declared = PlaintextClaims(source.length)
        self.reader = EncryptingReader(source, segment, declared, ahead=ahead)
        self.wire = Wire()
        self.failure: Exception | None = None

    @rule(size=sizes)
    def read(self, size: int) -> None:
        """Read on; after a refusal, be refused again."""
        position = self.reader.tell()
        try:
            data = self.reader.read(size)
        except (BodyChangedError, BodyMismatchError, BrokenSourceError) as error:
            self.refused(error)
            return
        assert self.failure is None
        self.wire.note(position, data)

    @rule(size=sizes.filter(lambda size: size > 0))
    def readinto(self, size: int) -> None:
        """Read on into a buffer."""
        position, buffer = self.reader.tell(), bytearray(size)
        try:
            length = self.reader.readinto(buffer)
        except (BodyChangedError, BodyMismatchError, BrokenSourceError) as error:
            self.refused(error)
            return
        assert self.failure is None
        assert self.reader.tell() == position + length
        self.wire.note(position, bytes(buffer[:length]))

    def refused(self, error: Exception) -> None:
        """Note the first refusal; every later one is the same."""
        assert self.failure in (None, error)
        self.failure = error

    @rule()
    def rewind(self) -> None:
        """Start another attempt."""
        self.reader.seek(0)

    @rule(position=positions)
    def seek(self, position: int) -> None:
        """Go anywhere."""
        assert self.reader.seek(position) == position

    @rule(distance=st.sampled_from([-LENGTH, -IO_BLOCK_BYTES, -1, 1, IO_BLOCK_BYTES]))
    def seek_from_here(self, distance: int) -> None:
        """Go back, or on, from the current position."""
        position = self.reader.tell()
        assert self.reader.seek(distance, io.SEEK_CUR) == max(0, position + distance)

    @rule(reads=st.integers(0, 3))
    def break_soon(self, reads: int) -> None:
        """Let a later read of the source fail."""
        self.source.breaks_at.add(self.source.reads + reads)

    @rule(position=positions)
    def flip(self, position: int) -> None:
        """Change the source."""
        self.source.content = flipped(self.source.content, position)

    @rule(position=positions)
    def truncate(self, position: int) -> None:
        """Cut the source."""
        self.source.content = self.source.content[:position]

    @rule()
    def grow(self) -> None:
        """Append to the source."""
        self.source.content += b"more"

    @rule()
    def restore(self) -> None:
        """Bring the source back to what it was at first."""
        self.source.content = ORIGINAL

    @rule(reads=st.integers(0, 3), position=positions)
    def change_soon(self, reads: int, position: int) -> None:
        """Change the source in the midst of a later read."""
        self.source.changes[self.source.reads + reads] = flipped(ORIGINAL, position)

    @invariant()
    def what_went_out_whole_is_one_object(self) -> None:
        """If every byte went out, all of them together are one plaintext under one tag."""
        if not hasattr(self, "wire") or not self.wire.is_whole:
            return
        cipher = AES.new(KEY, AES.MODE_GCM, nonce=self.key.iv)
        cipher.update(self.key.suite.aad)
        cipher.decrypt_and_verify(self.wire.sent[:-16], self.wire.sent[-16:])


@pytest.mark.parametrize("steps", [5, 30])
def test_kv_07_no_two_plaintexts_go_out_under_one_keystream(steps: int) -> None:
    """KV-07: whatever botocore reads and whatever happens to the source, a keystream byte meets one plaintext byte."""
    run_state_machine_as_test(
        ReaderMachine, settings=settings(reproducible, max_examples=150, stateful_step_count=steps)
    )
