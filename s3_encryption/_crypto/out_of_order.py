"""A GCM object that is downloaded in parts, many at a time: decrypted as they come, and verified at the end."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from ..exceptions import DecryptionError
from .buffers import BufferRing
from .content import ContentKey
from .contexts import CipherContext, update_to_memory
from .ghash import Ghash, HashedSegment, SegmentHash
from .primitives import Buffer


@dataclass(slots=True)
class _Part:
    """A part of which the bytes up to ``end`` have come; they are decrypted up to ``decrypted``."""

    end: int
    decrypted: int
    hash: SegmentHash
    cipher: CipherContext


class OutOfOrderDecryptor:
    """Decrypts the parts of a GCM object, whose pieces come in any order, and verifies the whole when all have come.

    The pieces of one part come in order. When its first one comes again, the part starts anew.

    Args:
        key: The object's content key.
        ciphertext_length: The length of the stored body in bytes, tag included.
        part_bytes: The length of each part of the stored body but the last.
        write: Gets plaintext, none of which is verified before ``verify`` has returned, and its position in bytes; the
            memory is used again. None if the object is to be verified only.

    Raises:
        DecryptionError: The body is too short for a tag.
    """

    def __init__(
        self,
        key: ContentKey,
        ciphertext_length: int,
        part_bytes: int,
        write: Callable[[int, Buffer], object] | None = None,
    ) -> None:
        self._ghash = Ghash(key)
        self._length = ciphertext_length
        self._tag_start = ciphertext_length - key.suite.tag_bytes
        if self._tag_start < 0:
            raise DecryptionError
        self._tag = bytearray(key.suite.tag_bytes)
        self._part_bytes = part_bytes
        # By their starts: the parts that are under way, and what those that have come add to the tag.
        self._parts: dict[int, _Part] = {}
        self._hashed: dict[int, HashedSegment] = {}
        self._write = write
        self._memory = BufferRing()

    def update(self, offset: int, data: Buffer) -> None:
        """Take in the piece of the stored body at an offset, in bytes.

        Raises:
            DecryptionError: It is not what follows in its part, or what the part starts with, or it is too long.
        """
        start = offset // self._part_bytes * self._part_bytes
        if offset == start:
            self._hashed.pop(start, None)
            self._parts[start] = self._new_part(start)
        part = self._parts.get(start)
        end = offset + len(data)
        if part is None or part.end != offset or end > self._end(start):
            raise DecryptionError
        part.end = end
        content = memoryview(data)[: max(0, self._tag_start - offset)]
        part.hash.update(content)
        self._decrypt(part, content)
        if end > self._tag_start:
            first = max(offset, self._tag_start)
            self._tag[first - self._tag_start : end - self._tag_start] = memoryview(data)[first - offset :]
        if end == self._end(start):
            self._emit(part, part.cipher.finalize())
            self._hashed[start] = self._parts.pop(start).hash.finish()

    def _end(self, start: int) -> int:
        return min(start + self._part_bytes, self._length)

    def _new_part(self, start: int) -> _Part:
        content_start = min(start, self._tag_start)
        cipher = self._ghash.key.ctr_context(content_start)
        return _Part(start, content_start, SegmentHash(self._ghash, content_start), cipher)

    def _decrypt(self, part: _Part, content: memoryview) -> None:
        if self._write is None:
            return
        self._emit(part, update_to_memory(part.cipher, content, self._memory))

    def _emit(self, part: _Part, plaintext: Buffer) -> None:
        if plaintext and self._write is not None:
            self._write(part.decrypted, plaintext)
            part.decrypted += len(plaintext)

    def verify(self) -> None:
        """Check that all has come, and is what was encrypted.

        Raises:
            DecryptionError: Something is missing, or not genuine.
        """
        if self._hashed.keys() != set(range(0, self._length, self._part_bytes)):
            raise DecryptionError
        if not hmac.compare_digest(self._ghash.tag(self._hashed.values(), self._tag_start), self._tag):
            raise DecryptionError
