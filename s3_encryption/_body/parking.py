"""Plaintext that can't be sent yet: kept encrypted, in memory while there is little, then in one unlinked file."""

from __future__ import annotations

import bisect
import hashlib
import io
import itertools
import os
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO

from .._crypto import engine
from .._crypto.primitives import GCM_TAG_BYTES, Buffer
from ..exceptions import BodyChangedError, DecryptionError, UnsupportedOperationError
from .raw_stream import RawStream
from .sizes import SPOOL_MEMORY_BYTES


@dataclass(frozen=True, slots=True)
class _Block:
    """Where a block of plaintext is kept, how long it is, and the IV that it was encrypted with."""

    offset: int
    size: int
    iv: bytes


class ParkingSpace:
    """Room for what waits, each block of it encrypted by itself under a key that is nowhere else.

    A temporary file outlives the process that is killed, so it never holds plaintext; and what waits may still be
    replaced, so it must not be encrypted with the keystream of the object either. Space that was left is used again.
    """

    def __init__(self) -> None:
        self._key, self._digest_key = os.urandom(32), os.urandom(32)
        self._blocks = 0
        self._file: IO[bytes] = io.BytesIO()
        self._end = 0
        # By size: the offsets of blocks that nobody needs any more.
        self._free: defaultdict[int, list[int]] = defaultdict(list)
        self._lock = threading.Lock()

    def park(self, blocks: Iterable[Buffer]) -> ParkedBody:
        """Take in a plaintext block by block, and return the body that it can be read from."""
        parked: list[_Block] = []
        digest = hashlib.blake2b(key=self._digest_key, digest_size=16)
        try:
            for block in blocks:
                if block:
                    digest.update(block)
                    parked.append(self._write(block))
        except BaseException:
            self.leave(parked)
            raise
        return ParkedBody(self, parked, digest.hexdigest())

    def _write(self, block: Buffer) -> _Block:
        with self._lock:
            self._blocks += 1
            iv = self._blocks.to_bytes(12, "big")
            sealed = engine.active.gcm_seal(self._key, iv, block, b"")
            free = self._free[len(block)]
            offset = free[-1] if free else self._end
            self._make_room(offset + len(sealed))
            self._file.seek(offset)
            self._file.write(sealed)
            self._end = max(self._end, offset + len(sealed))
            if free:
                free.pop()
            return _Block(offset, len(block), iv)

    def _make_room(self, size: int) -> None:
        self._check_open()
        if size <= SPOOL_MEMORY_BYTES or not isinstance(self._file, io.BytesIO):
            return
        # What is in memory goes only when all of it is in the file.
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        try:
            file.write(self._file.getbuffer())
        except BaseException:
            file.close()
            raise
        self._file = file

    def _check_open(self) -> None:
        if self._file.closed:
            raise UnsupportedOperationError("The multipart upload has ended: it was completed or aborted.")

    def read(self, block: _Block) -> bytes:
        """Return the plaintext of a block.

        Raises:
            BodyChangedError: The temporary file was changed.
        """
        with self._lock:
            self._check_open()
            self._file.seek(block.offset)
            sealed = self._file.read(block.size + GCM_TAG_BYTES)
        try:
            return engine.active.gcm_open(self._key, block.iv, sealed, b"")
        except DecryptionError:
            pass
        raise BodyChangedError("The temporary file in which a part of the upload waits was changed. Nothing was sent.")

    def leave(self, blocks: Iterable[_Block]) -> None:
        """Let the space of some blocks be used again."""
        with self._lock:
            for block in blocks:
                self._free[block.size].append(block.offset)

    def close(self) -> None:
        """Drop all that waits."""
        self._file.close()


class ParkedBody(RawStream):
    """A plaintext that waits; it can be read as often as need be, until it leaves.

    ``digest`` is the same for the same plaintext in the same space, and tells nothing about it without the space's key.
    """

    def __init__(
        self, space: ParkingSpace, blocks: list[_Block], digest: str, span: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.digest = digest
        self._space = space
        self._blocks = blocks
        self._ends = list(itertools.accumulate(block.size for block in blocks))
        self._start, self._stop = span or (0, self._ends[-1] if blocks else 0)
        self.length = self._stop - self._start

    def section(self, start: int, stop: int) -> ParkedBody:
        """Return a span of it as a body of its own, which is good until the whole leaves."""
        return ParkedBody(self._space, self._blocks, self.digest, (start, stop))

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = max(0, self._sought(offset, whence, self.length))
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return at most ``size`` bytes: what is left of a block. All that is left for None or a negative size."""
        self._check_usable()
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(self.length), b""))
        position = self._start + self._position
        stop = min(position + size, self._stop)
        if position >= stop:
            return b""
        index = bisect.bisect_right(self._ends, position)
        block = self._blocks[index]
        offset = self._ends[index] - block.size
        piece = self._space.read(block)[position - offset : stop - offset]
        self._position += len(piece)
        return piece

    def leave(self) -> None:
        """Give the space back; nothing can be read any more."""
        if not self.closed:
            self.close()
            self._space.leave(self._blocks)
