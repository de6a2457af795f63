"""Segments of an AES-GCM object: each encrypted by itself, as often as need be, and never with a second plaintext.

A whole object is one segment, a part of a multipart upload another. A segment is encrypted in counter mode at its own
offset, and its ciphertext is hashed block by block (``ghash``): the hashes make the object's tag, and they tell
whether a second pass makes the same ciphertext as the first.
"""

from __future__ import annotations

from collections.abc import Callable

from ..exceptions import BodyChangedError
from .contexts import CipherContext, update_to_memory
from .ghash import Ghash, HashedSegment, SegmentHash, empty_segment
from .primitives import Buffer


class KeystreamSegment:
    """One segment of a GCM object, and what was encrypted with its piece of the keystream.

    Two plaintexts under one keystream give away their difference to whoever saw both ciphertexts. So the digest of each
    block that was encrypted is kept, and no other ciphertext is let out in its place. The digest is GHASH under the
    object's own key, which nobody else knows, and is shown to nobody: such a universal hash collides with a probability
    of 2^-112 for blocks of 1 MiB, whoever chose them.

    Args:
        ghash: GHASH under the object's content key.
        offset: Where the segment starts in the object, in bytes.
        length: How many bytes it has; None when that is not known before they are read.
        is_whole: Whether it is the whole object, so that the tag follows it.
    """

    def __init__(
        self,
        ghash: Ghash,
        offset: int = 0,
        *,
        length: int | None = None,
        is_whole: bool = False,
    ) -> None:
        self.ghash = ghash
        self.offset = offset
        self.length = length
        self._is_whole = is_whole
        self._trailer: Callable[[], bytes] | None = None
        self._trailer_bytes = ghash.key.suite.tag_bytes if is_whole else 0
        # Known after one whole pass: what the segment adds to the tag.
        self.hashed: HashedSegment | None = empty_segment(offset) if length == 0 else None
        self._digests: list[bytes] = []

    @property
    def is_used(self) -> bool:
        """Whether something was encrypted with its keystream."""
        return bool(self._digests)

    def let_follow(self, trailer: Callable[[], bytes], size: int) -> None:
        """Let so many bytes follow the segment in what is made of it; they are asked for when it has been hashed."""
        self._trailer, self._trailer_bytes = trailer, size

    def ciphertext_length(self, plaintext_length: int) -> int:
        """Return how many bytes a context makes of so many."""
        return plaintext_length + self._trailer_bytes

    def new_context(self) -> CipherContext:
        """Return a context that encrypts the segment, for one more pass. One at a time may be in use.

        Raises:
            BodyChangedError: From the context, at a block that is not what an earlier pass encrypted.
            DecryptionError: From the context, at more than GCM encrypts.
        """
        return _SegmentEncryptor(self)

    def check(self, index: int, end: int, digest: bytes) -> None:
        """Check that this is the first block with its index, or the same as the first.

        Raises:
            BodyChangedError: It is another, or its ``end`` is behind the segment's.
        """
        if self.length is not None and end > self.offset + self.length:
            raise _changed()
        if index == len(self._digests) and self.hashed is None:
            self._digests.append(digest)
        elif index >= len(self._digests) or self._digests[index] != digest:
            raise _changed()

    def finish(self, end: int, hashed: HashedSegment) -> bytes:
        """Note what the segment adds to the tag, after a pass that ended there, and return what follows it.

        Raises:
            BodyChangedError: An earlier pass ended elsewhere.
        """
        length = end - self.offset
        if self.length not in (None, length):
            raise _changed()
        self.length = length
        self.hashed = self.hashed or hashed
        if self._is_whole:
            return self.ghash.tag([self.hashed], length)
        return b"" if self._trailer is None else self._trailer()


class _SegmentEncryptor:
    """Encrypts a segment, and lets out what is the same as in earlier passes."""

    def __init__(self, segment: KeystreamSegment) -> None:
        self._segment = segment
        self._cipher = segment.ghash.key.ctr_context(segment.offset)
        self._position = segment.offset
        self._blocks = 0
        self._hashed = empty_segment(segment.offset)

    def output_size(self, size: int) -> int:
        return self._cipher.output_size(size)

    def update_into(self, data: Buffer, output: memoryview) -> int:
        made = self._cipher.update_into(data, output)
        self._take(output[:made])
        return made

    def update(self, data: Buffer) -> bytes:
        return bytes(update_to_memory(self, data))

    def finalize(self) -> bytes:
        rest = self._cipher.finalize()
        self._take(rest)
        return rest + self._segment.finish(self._position, self._hashed)

    def _take(self, ciphertext: Buffer) -> None:
        if not ciphertext:
            return
        ghash, hash = self._segment.ghash, SegmentHash(self._segment.ghash, self._position)
        hash.update(ciphertext)
        self._position += len(ciphertext)
        self._segment.check(self._blocks, self._position, hash.digest())
        self._blocks += 1
        if self._segment.hashed is None:
            self._hashed = ghash.joined(self._hashed, hash.finish())


def _changed() -> BodyChangedError:
    return BodyChangedError(
        "The source of the upload changed while it was being sent. Nothing was stored; start the upload again."
    )
