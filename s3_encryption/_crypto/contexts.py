"""Ciphers as contexts: ``update`` and ``finalize``, for AES-GCM, AES-CBC and AES-CTR. They know nothing of formats.

A context has ``update(data) -> bytes`` and ``finalize() -> bytes``, serves one object once, works in blocks of at least
64 KiB however small the pieces are that it gets, and keeps failing after a failure.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, NoReturn, Protocol, TypeVar

from ..exceptions import CipherStateError, ConfigurationError, DecryptionError
from .buffers import GrowingBuffer, fresh_memory
from .primitives import AES_BLOCK_BYTES, GCM_TAG_BYTES, Buffer, GcmDecryption, GcmEncryption, Transform, pad, unpad

# A cipher call costs microseconds whatever its size; below 64 KiB that overhead shows, above 1 MiB fresh pages do.
MIN_CALL_BYTES = 64 * 1024
MAX_CALL_BYTES = 1024 * 1024
# 2^39 - 256 bits (NIST SP 800-38D, section 5.2.1.1): the longest plaintext under one key and IV; the 32-bit block
# counter would wrap after it.
GCM_MAX_PLAINTEXT_BYTES = 2**36 - 32
# What an authenticated decryption holds back: the tag, and a block of plaintext before it, so that the end of the
# plaintext is never released before the tag held.
HOLDBACK_BYTES = GCM_TAG_BYTES + AES_BLOCK_BYTES

_T = TypeVar("_T")


class CipherContext(Protocol):
    """What turns the bytes of one object into other bytes, piece by piece."""

    def output_size(self, size: int) -> int:
        """Return how many bytes of output there will be for the next ``size`` bytes of input."""

    def update_into(self, data: Buffer, output: memoryview) -> int:
        """Take in one more piece of input, write the output that is ready, and return its length."""

    def update(self, data: Buffer) -> bytes:
        """Return the output that is ready after one more piece of input."""

    def finalize(self) -> bytes:
        """Return the rest of the output.

        Raises:
            DecryptionError: The object is not what was encrypted.
        """


def update_to_memory(
    context: CipherContext, data: Buffer, memory: Callable[[int], memoryview] = fresh_memory
) -> memoryview:
    """Return the output that is ready after one more piece of input, without a copy that ``bytes`` would cost.

    Args:
        context: What makes it.
        data: The piece.
        memory: Returns room for that many bytes.
    """
    output = memory(context.output_size(len(data)))
    return output[: context.update_into(data, output)]


def at_once(context: CipherContext, data: Buffer) -> bytes:
    """Return all output for an input that is there as a whole.

    Raises:
        DecryptionError: The object is not what was encrypted.
    """
    return context.update(data) + context.finalize()


class NotCopyable:
    """What has a key, or a cipher's state, and stays in its process."""

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A cipher can't be pickled or copied: its key would leave the process.")


class _BlockContext(NotCopyable):
    """The state that all contexts share: pending input, the end, a failure, and who may use the object.

    Subclasses say how many trailing bytes must wait for the end (``holdback_bytes``), and deal with what is left
    (``_finish``).

    Args:
        transform: What the engine makes of whole AES blocks.
    """

    holdback_bytes = 0
    # Above this many input bytes the counter of GCM would wrap; other modes have no such limit.
    max_input_bytes: int | None = None

    def __init__(self, transform: Transform) -> None:
        self._transform = transform.update_into
        self._pending = bytearray()
        self._input_bytes = 0
        self._finalized = False
        self._failure: Exception | None = None
        self._process_id = os.getpid()
        self._in_use = threading.Lock()

    def output_size(self, size: int) -> int:
        waiting = len(self._pending) + size - self.holdback_bytes
        return 0 if waiting < MIN_CALL_BYTES else waiting // AES_BLOCK_BYTES * AES_BLOCK_BYTES

    def update_into(self, data: Buffer, output: memoryview) -> int:
        return self._guarded(lambda: self._feed(memoryview(data).cast("B"), output))

    def update(self, data: Buffer) -> bytes:
        return bytes(update_to_memory(self, data))

    def finalize(self) -> bytes:
        return self._guarded(self._end)

    def _guarded(self, step: Callable[[], _T]) -> _T:
        if self._failure is not None:
            raise self._failure
        if os.getpid() != self._process_id:
            raise CipherStateError("A cipher can't be used in a process forked after it was made.")
        if not self._in_use.acquire(blocking=False):
            raise CipherStateError("A cipher can't be used by two threads at once.")
        try:
            if self._finalized:
                raise CipherStateError("The cipher was already finalized.")
            return step()
        except BaseException as error:
            # After an interrupt it is unknown what the cipher has taken in: going on would make a body for nobody.
            interrupted = CipherStateError("The cipher was interrupted and can't go on.")
            self._failure = error if isinstance(error, Exception) else interrupted
            raise
        finally:
            self._in_use.release()

    def _feed(self, data: memoryview, output: memoryview) -> int:
        self._input_bytes += len(data)
        if self.max_input_bytes is not None and self._input_bytes > self.max_input_bytes:
            self._too_long()
        ready = self.output_size(len(data))
        made = 0
        if ready and self._pending:
            # What waited goes first, filled up to whole blocks; the rest needs no copy.
            missing = min(-len(self._pending) % AES_BLOCK_BYTES, len(data))
            self._pending += data[:missing]
            data = data[missing:]
            made = min(ready, len(self._pending) // AES_BLOCK_BYTES * AES_BLOCK_BYTES)
            self._transform(memoryview(self._pending[:made]), output[:made])
            del self._pending[:made]
        for start in range(0, ready - made, MAX_CALL_BYTES):
            stop = min(start + MAX_CALL_BYTES, ready - made)
            self._transform(data[start:stop], output[made + start : made + stop])
        self._pending += data[ready - made :]
        return ready

    def _end(self) -> bytes:
        rest = self._finish(memoryview(self._pending))
        self._finalized = True
        return rest

    def _transformed(self, data: Buffer) -> bytes:
        output = bytearray(len(data))
        self._transform(data, memoryview(output))
        return bytes(output)

    def _finish(self, rest: memoryview) -> bytes:
        raise NotImplementedError

    def _too_long(self) -> NoReturn:
        raise DecryptionError


class GcmEncryptor(_BlockContext):
    max_input_bytes = GCM_MAX_PLAINTEXT_BYTES

    def __init__(self, message: GcmEncryption) -> None:
        super().__init__(message)
        self._message = message

    def _finish(self, rest: memoryview) -> bytes:
        return self._transformed(rest) + self._message.tag()

    def _too_long(self) -> NoReturn:
        raise ConfigurationError(
            f"The body is longer than AES-GCM can encrypt under one key: {GCM_MAX_PLAINTEXT_BYTES} bytes (64 GiB)."
        )


class GcmDecryptor(_BlockContext):
    holdback_bytes = HOLDBACK_BYTES
    max_input_bytes = GCM_MAX_PLAINTEXT_BYTES + GCM_TAG_BYTES

    def __init__(self, message: GcmDecryption) -> None:
        super().__init__(message)
        self._message = message

    def _finish(self, rest: memoryview) -> bytes:
        ciphertext, tag = rest[:-GCM_TAG_BYTES], rest[-GCM_TAG_BYTES:]
        if len(tag) < GCM_TAG_BYTES:
            raise DecryptionError
        plaintext = self._transformed(ciphertext)
        self._message.verify(tag)
        return plaintext


class CbcEncryptor(_BlockContext):
    def _finish(self, rest: memoryview) -> bytes:
        return self._transformed(pad(rest))


class CbcDecryptor(_BlockContext):
    holdback_bytes = AES_BLOCK_BYTES

    def __init__(self, transform: Transform, plaintext_length: int | None = None) -> None:
        super().__init__(transform)
        self._expected_length = plaintext_length

    def _finish(self, rest: memoryview) -> bytes:
        if len(rest) % AES_BLOCK_BYTES:
            raise DecryptionError
        plaintext = unpad(self._transformed(rest))
        total = self._input_bytes - len(rest) + len(plaintext)
        if self._expected_length is not None and total != self._expected_length:
            raise DecryptionError
        return plaintext


class CtrCipher(_BlockContext):
    """AES-CTR from any byte of the keystream; the same operation in both directions."""

    def __init__(self, transform: Transform, skip_bytes: int, max_input_bytes: int | None = None) -> None:
        super().__init__(transform)
        self._transformed(bytes(skip_bytes))
        self.max_input_bytes = max_input_bytes

    def _finish(self, rest: memoryview) -> bytes:
        return self._transformed(rest)


class VerifyFirst(NotCopyable):
    """A context that releases nothing until the one inside has come to its end, and so has verified all of it.

    Args:
        inner: Makes the output.
        announced_bytes: How much it will be, as far as one may believe it; saves memory from growing step by step.
    """

    def __init__(self, inner: CipherContext, announced_bytes: int) -> None:
        self._inner = inner
        self._plaintext: GrowingBuffer | None = GrowingBuffer(announced_bytes)

    def output_size(self, size: int) -> int:
        return 0

    def update_into(self, data: Buffer, output: memoryview) -> int:
        if self._plaintext is None:
            self._inner.update(data)
        else:
            size = self._inner.output_size(len(data))
            self._plaintext.fill(size, lambda room: self._inner.update_into(data, room))
        return 0

    def update(self, data: Buffer) -> bytes:
        return bytes(update_to_memory(self, data))

    def finalize(self) -> bytes:
        # Taken out first, so that an error leaves nothing behind to be read.
        plaintext, self._plaintext = self._plaintext, None
        rest = self._inner.finalize()
        assert plaintext is not None  # the context inside refuses a second end
        plaintext.write(rest)
        return plaintext.getvalue()


class CbcMiddleDecryptor(CbcDecryptor):
    """CBC blocks from inside an object: no padding follows."""

    holdback_bytes = 0

    def _finish(self, rest: memoryview) -> bytes:
        if len(rest) % AES_BLOCK_BYTES:
            raise DecryptionError
        return self._transformed(rest) if rest else b""
