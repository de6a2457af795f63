"""Content ciphers over pycryptodome: AES-GCM, AES-CBC, AES-CTR from any byte offset, and V3 key derivation.

A ``ContentKey`` makes contexts. A context has ``update(data) -> bytes`` and ``finalize() -> bytes``, serves one object
once, works in blocks of at least 64 KiB however small the pieces are that it gets, and keeps failing after a failure.
A decrypting context releases nothing before the whole object was verified, unless it was made with
``release_unverified=True``.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol, TypeAlias, TypeVar

from Crypto.Cipher import AES
from Crypto.Util.Padding import pad, unpad
from Crypto.Util.strxor import strxor

from ..exceptions import CipherStateError, ConfigurationError, DecryptionError, as_decryption_error
from .buffers import fresh_memory
from .suites import (
    AES_BLOCK_BYTES,
    COMMITMENT_BYTES,
    COMMITTING_SUITE_ID,
    DATA_KEY_BYTES,
    GCM_MAX_PLAINTEXT_BYTES,
    AlgorithmSuite,
)

Buffer: TypeAlias = "bytes | bytearray | memoryview"

# A cipher call costs microseconds whatever its size; below 64 KiB that overhead shows, above 1 MiB fresh pages do.
MIN_CALL_BYTES = 64 * 1024
MAX_CALL_BYTES = 1024 * 1024
_TAG_BYTES = 16
# What an authenticated decryption holds back: the tag, and a block of plaintext before it, so that the end of the
# plaintext is never released before the tag held.
HOLDBACK_BYTES = _TAG_BYTES + AES_BLOCK_BYTES
# How much memory an announced length may claim before anything has come.
_FIRST_BUFFER_BYTES = 64 * 1024 * 1024

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
        memory: Returns room for so many bytes.
    """
    output = memory(context.output_size(len(data)))
    return output[: context.update_into(data, output)]


class NotCopyable:
    """What has a key, or a cipher's state, and stays in its process."""

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A cipher can't be pickled or copied: its key would leave the process.")


class _BlockContext(NotCopyable):
    """The state that all contexts share: pending input, the end, a failure, and who may use the object.

    Subclasses say how many trailing bytes must wait for the end (``holdback_bytes``), transform whole AES blocks
    (``_transform``), and deal with what is left (``_finish``).
    """

    holdback_bytes = 0
    # Above this many input bytes the counter of GCM would wrap; other modes have no such limit.
    max_input_bytes: int | None = None

    def __init__(self) -> None:
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

    def _transformed(self, blocks: memoryview) -> bytes:
        output = bytearray(len(blocks))
        self._transform(blocks, memoryview(output))
        return bytes(output)

    def _transform(self, blocks: memoryview, output: memoryview) -> None:
        raise NotImplementedError

    def _finish(self, rest: memoryview) -> bytes:
        raise NotImplementedError

    def _too_long(self) -> NoReturn:
        raise DecryptionError


class _GcmEncryptor(_BlockContext):
    max_input_bytes = GCM_MAX_PLAINTEXT_BYTES

    def __init__(self, key: ContentKey) -> None:
        super().__init__()
        self._cipher = _gcm(key)

    def _transform(self, blocks: memoryview, output: memoryview) -> None:
        self._cipher.encrypt(blocks, output=output)

    def _finish(self, rest: memoryview) -> bytes:
        return bytes(self._cipher.encrypt(rest) + self._cipher.digest())

    def _too_long(self) -> NoReturn:
        raise ConfigurationError(
            f"The body is longer than AES-GCM can encrypt under one key: {GCM_MAX_PLAINTEXT_BYTES} bytes (64 GiB)."
        )


class _GcmDecryptor(_BlockContext):
    holdback_bytes = HOLDBACK_BYTES
    max_input_bytes = GCM_MAX_PLAINTEXT_BYTES + _TAG_BYTES

    def __init__(self, key: ContentKey) -> None:
        super().__init__()
        self._cipher = _gcm(key)

    def _transform(self, blocks: memoryview, output: memoryview) -> None:
        self._cipher.decrypt(blocks, output=output)

    def _finish(self, rest: memoryview) -> bytes:
        ciphertext, tag = rest[:-_TAG_BYTES], rest[-_TAG_BYTES:]
        if len(tag) < _TAG_BYTES:
            raise DecryptionError
        plaintext: bytes = self._cipher.decrypt(ciphertext)
        as_decryption_error(lambda: self._cipher.verify(tag))
        return plaintext


class _CbcEncryptor(_BlockContext):
    def __init__(self, key: ContentKey) -> None:
        super().__init__()
        self._cipher = AES.new(key.key, AES.MODE_CBC, iv=key.iv)

    def _transform(self, blocks: memoryview, output: memoryview) -> None:
        self._cipher.encrypt(blocks, output=output)

    def _finish(self, rest: memoryview) -> bytes:
        return bytes(self._cipher.encrypt(pad(bytes(rest), AES_BLOCK_BYTES)))


class _CbcDecryptor(_BlockContext):
    """CBC decryption as ECB decryption of all blocks, then XOR with the ciphertext one block earlier.

    The same bytes as MODE_CBC (NIST SP 800-38A, section 6.2), several times faster because no block waits for another.
    """

    holdback_bytes = AES_BLOCK_BYTES

    def __init__(self, key: ContentKey, plaintext_length: int | None) -> None:
        super().__init__()
        self._cipher = AES.new(key.key, AES.MODE_ECB)
        self._previous_block = key.iv
        self._expected_length = plaintext_length

    def _transform(self, blocks: memoryview, output: memoryview) -> None:
        self._cipher.decrypt(blocks, output=output)
        first, others = output[:AES_BLOCK_BYTES], output[AES_BLOCK_BYTES:]
        strxor(first, self._previous_block, output=first)
        if others:
            strxor(others, blocks[:-AES_BLOCK_BYTES], output=others)
        self._previous_block = bytes(blocks[-AES_BLOCK_BYTES:])

    def _finish(self, rest: memoryview) -> bytes:
        plaintext: bytes = as_decryption_error(lambda: unpad(self._transformed(rest), AES_BLOCK_BYTES))
        total = self._input_bytes - len(rest) + len(plaintext)
        if self._expected_length is not None and total != self._expected_length:
            raise DecryptionError
        return plaintext


class _CtrCipher(_BlockContext):
    """AES-CTR from any byte of the keystream; the same operation in both directions."""

    def __init__(self, cipher: Any, skip_bytes: int, max_input_bytes: int | None = None) -> None:
        super().__init__()
        self._cipher = cipher
        self._cipher.encrypt(bytes(skip_bytes))
        self.max_input_bytes = max_input_bytes

    def _transform(self, blocks: memoryview, output: memoryview) -> None:
        self._cipher.encrypt(blocks, output=output)

    def _finish(self, rest: memoryview) -> bytes:
        return bytes(self._cipher.encrypt(rest))


class _GrowingBuffer:
    """Memory for an output whose length is announced but not trusted: it grows with what is really written."""

    def __init__(self, announced_bytes: int) -> None:
        self._announced = announced_bytes
        self._capacity = max(0, min(announced_bytes, _FIRST_BUFFER_BYTES))
        # Zeroed pages are not touched before they are written, and getvalue() shares them: nothing is copied.
        self._file = io.BytesIO(bytes(self._capacity))
        self._written = 0

    def write_from(self, context: CipherContext, data: Buffer) -> None:
        """Write what a context makes of one more piece of input."""
        self._reserve(context.output_size(len(data)))
        with self._file.getbuffer() as room:
            self._written += context.update_into(data, room[self._written :])

    def write(self, data: bytes) -> None:
        """Write bytes."""
        self._file.seek(self._written)
        self._file.write(data)
        self._written += len(data)

    def getvalue(self) -> bytes:
        """Return all that was written."""
        self._file.truncate(self._written)
        return self._file.getvalue()

    def _reserve(self, size: int) -> None:
        needed = self._written + size
        if needed > self._capacity:
            self._capacity = max(needed, min(self._announced, 2 * self._capacity))
            self._file.seek(self._capacity - 1)
            self._file.write(b"\0")


class VerifyFirst(NotCopyable):
    """A context that releases nothing until the one inside has come to its end, and so has verified all of it.

    Args:
        inner: Makes the output.
        announced_bytes: How much it will be, as far as one may believe it; saves memory from growing step by step.
    """

    def __init__(self, inner: CipherContext, announced_bytes: int) -> None:
        self._inner = inner
        self._plaintext: _GrowingBuffer | None = _GrowingBuffer(announced_bytes)

    def output_size(self, size: int) -> int:
        return 0

    def update_into(self, data: Buffer, output: memoryview) -> int:
        if self._plaintext is None:
            self._inner.update(data)
        else:
            self._plaintext.write_from(self._inner, data)
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


@dataclass(frozen=True, slots=True)
class ContentKey:
    """The secret of one object's content: a key, its IV, and the suite that they are for."""

    suite: AlgorithmSuite
    key: bytes = field(repr=False)
    iv: bytes = field(repr=False)

    def encryptor(self) -> CipherContext:
        """Return a context from plaintext to the body that is stored, tag or padding included.

        Each context of one ContentKey makes the same keystream: give it the same plaintext, or never use the output.
        """
        makers = {"GCM": _GcmEncryptor, "CBC": _CbcEncryptor}
        if self.suite.mode not in makers:
            raise ConfigurationError(f"Objects with {self.suite.name} content can be read, and not written.")
        return makers[self.suite.mode](self)

    def encrypt(self, plaintext: Buffer) -> bytes:
        """Return the body that is stored for a plaintext held in memory."""
        if self.suite.mode == "GCM":
            return b"".join(_gcm(self).encrypt_and_digest(memoryview(plaintext).cast("B")))
        encryptor = self.encryptor()
        return b"".join((encryptor.update(plaintext), encryptor.finalize()))

    def decryptor(
        self,
        *,
        release_unverified: bool = False,
        plaintext_length: int | None = None,
        ciphertext_length: int | None = None,
    ) -> CipherContext:
        """Return a context from the stored body to the plaintext.

        Args:
            release_unverified: Whether ``update`` may return plaintext that is not verified yet. ``finalize`` then
                withholds the last bytes until the verification is done.
            plaintext_length: The length in bytes that a CBC object must turn out to have; None when unknown.
            ciphertext_length: The announced length of the body in bytes: saves memory from growing step by step.
        """
        makers: dict[str, Callable[[], CipherContext]] = {
            "GCM": lambda: _GcmDecryptor(self),
            "CBC": lambda: _CbcDecryptor(self, plaintext_length),
            "CTR": lambda: self.ctr_context(0),
        }
        inner = makers[self.suite.mode]()
        return inner if release_unverified else VerifyFirst(inner, ciphertext_length or 0)

    def ctr_context(self, offset: int) -> CipherContext:
        """Return a context between plaintext and ciphertext from a byte ``offset`` of a GCM or CTR object on.

        It works in both directions, and neither makes a tag nor verifies one. GCM encrypts with CTR, the counter
        starting at two behind the IV (NIST SP 800-38D, sections 7.1 and 6.5).

        Raises:
            DecryptionError: GCM encrypts nothing there.
        """
        first_block, skip_bytes = divmod(offset, AES_BLOCK_BYTES)
        if self.suite.mode == "GCM":
            # pycryptodome would let the 32-bit counter wrap, and so repeat the keystream: the limit is kept here.
            room = GCM_MAX_PLAINTEXT_BYTES - offset
            if offset < 0 or room <= 0:
                raise DecryptionError
            cipher = AES.new(self.key, AES.MODE_CTR, nonce=self.iv, initial_value=2 + first_block)
            return _CtrCipher(cipher, skip_bytes, room)
        start = (int.from_bytes(self.iv, "big") + first_block) % 2**128
        return _CtrCipher(AES.new(self.key, AES.MODE_CTR, nonce=b"", initial_value=start), skip_bytes)

    def cbc_range_decryptor(self, previous_block: bytes, *, last: bool) -> CipherContext:
        """Return a context for whole CBC blocks that follow ``previous_block`` (the IV before the first one).

        Args:
            previous_block: The 16 bytes of ciphertext that stand before the blocks.
            last: Whether the blocks reach the end of the object, so that padding is to be checked and removed.
        """
        key = ContentKey(self.suite, self.key, previous_block)
        return _CbcDecryptor(key, None) if last else _CbcMiddleDecryptor(key)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A content key can't be pickled or copied: it would leave the process.")


class _CbcMiddleDecryptor(_CbcDecryptor):
    """CBC blocks from inside an object: no padding follows."""

    holdback_bytes = 0

    def __init__(self, key: ContentKey) -> None:
        super().__init__(key, None)

    def _finish(self, rest: memoryview) -> bytes:
        if len(rest) % AES_BLOCK_BYTES:
            raise DecryptionError
        return self._transformed(rest) if rest else b""


def _gcm(key: ContentKey) -> Any:
    cipher = AES.new(key.key, AES.MODE_GCM, nonce=key.iv, mac_len=key.suite.tag_bytes)
    if key.suite.aad:
        cipher.update(key.suite.aad)
    return cipher


def derive_committing_key(data_key: bytes, message_id: bytes) -> tuple[bytes, bytes]:
    """Return the encryption key (32 bytes) and the commitment (28 bytes) of a V3 object.

    HKDF with SHA-512 (RFC 5869): the salt is the message id, the two infos are the suite id and a label.
    """
    pseudorandom_key = hmac.digest(message_id, data_key, hashlib.sha512)
    return (
        _hkdf_expand(pseudorandom_key, COMMITTING_SUITE_ID + b"DERIVEKEY", DATA_KEY_BYTES),
        _hkdf_expand(pseudorandom_key, COMMITTING_SUITE_ID + b"COMMITKEY", COMMITMENT_BYTES),
    )


def _hkdf_expand(pseudorandom_key: bytes, info: bytes, length: int) -> bytes:
    # RFC 5869, section 2.3; one round suffices, since no output is longer than one SHA-512 digest.
    return hmac.digest(pseudorandom_key, info + b"\x01", hashlib.sha512)[:length]
