"""An encrypted object as a seekable, read-only file: for zipfile, tarfile, pandas, pyarrow, and whatever else seeks.

The data key is unwrapped once for a file. Where unauthenticated ranges are allowed, only what is read is fetched.
Otherwise the whole ciphertext is fetched at the first read, verified, and kept (in memory, or in an unlinked temporary
file), and reads decrypt from there.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial

from .._body.ranges import ByteRange, parse_content_range
from .._body.raw_stream import RawStream
from .._body.response import close_body, closing_body, processed
from .._body.sizes import READ_AHEAD_BYTES, READ_BYTES
from .._body.spool import VerifiedSpool
from .._crypto.content import ContentKey
from .._crypto.contexts import VerifyFirst
from .._operations.call import Call
from .._operations.get import get_object
from .._operations.stored_object import StoredObject
from ..exceptions import DecryptionError, UnsupportedOperationError

# Returns the bytes in a span.
ReadSpan = Callable[[int, int], bytes]


class SeekableObject(RawStream):
    """The raw file under the buffer: every read asks for what it needs."""

    def __init__(self, length: int, read_span: ReadSpan, close: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._length = length
        self._read_span = read_span
        self._close = close

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        position = self._sought(offset, whence, self._length)
        if position < 0:
            raise ValueError(f"negative seek value {position}")
        self._position = position
        return position

    def read(self, size: int | None = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end; all that is left for None or a negative size."""
        return self.readall() if size is None or size < 0 else self._read_to(self._position + size)

    def readall(self) -> bytes:
        """Return all that is left. Without this, it would be asked for in pieces of 8 KiB."""
        return self._read_to(self._length)

    def _read_to(self, stop: int) -> bytes:
        # Also nothing is read: that there is nothing is to be verified, too.
        data = self._read_span(self._position, max(self._position, min(stop, self._length)))
        self._position += len(data)
        return data

    def _drop(self) -> None:
        self._close()


def open_object(call: Call) -> io.BufferedReader:
    """Return an object as a seekable binary file.

    Raises:
        UnsupportedOperationError: The object is legacy CBC and too long to be held in memory, or the parameters select
            a part.
        S3EncryptionClientError: As for get_object.
    """
    if not call.params.keys().isdisjoint(("Range", "PartNumber")):
        raise UnsupportedOperationError("A file is the whole object: seek and read, in place of Range and PartNumber.")
    stored = _stored(call)
    settings = call.encryption.settings
    ranges = RangeSource(stored)
    if stored.envelope is None:
        return io.BufferedReader(SeekableObject(stored.ciphertext_length or 0, ranges.read_span), READ_AHEAD_BYTES)
    length = stored.plaintext_length
    if length is None:
        return _cbc_file(stored)
    key = stored.content_key()
    if settings.enable_unauthenticated_ranges:
        raw = SeekableObject(length, _decrypted(key, ranges.read_span))
    else:
        spool = _SpooledObject(stored, key)
        raw = SeekableObject(length, _decrypted(key, spool.read_span), spool.close)
    return io.BufferedReader(raw, READ_AHEAD_BYTES)


def _stored(call: Call) -> StoredObject:
    """Return the object that a call is about, its length known.

    Raises:
        UnsupportedOperationError: Nobody tells the length.
    """
    stored = StoredObject.of(call, call.send("HeadObject", dict(call.params)))
    if stored.ciphertext_length is None:
        # There are proxies that take it out of the answer to a head; that to a range has it twice.
        response = stored.get(ByteRange(0, 1))
        close_body(response["Body"])
        stored = StoredObject.of(call, response)
    if stored.ciphertext_length is None:
        raise UnsupportedOperationError("S3 does not tell how long the object is. Read it with get_object.")
    return stored


def _decrypted(key: ContentKey, read_span: ReadSpan) -> ReadSpan:
    """Return what reads the plaintext of an object whose ciphertext is read so."""

    def read(start: int, stop: int) -> bytes:
        ciphertext = read_span(start, stop)
        if len(ciphertext) != stop - start:
            raise DecryptionError
        if not ciphertext:
            return b""
        context = VerifyFirst(key.ctr_context(start), stop - start)
        context.update(ciphertext)
        return context.finalize()

    return read


class _SpooledObject:
    """The ciphertext of an object, fetched and verified at the first read."""

    def __init__(self, stored: StoredObject, key: ContentKey) -> None:
        self._stored = stored
        self._key = key
        self._spool: VerifiedSpool | None = None

    def read_span(self, start: int, stop: int) -> bytes:
        """Return a span of the ciphertext, after all of it was verified."""
        if self._spool is None:
            self._spool = self._verified()
        return self._spool.read_span(start, stop)

    def close(self) -> None:
        """Drop the ciphertext."""
        if self._spool is not None:
            self._spool.close()

    def _verified(self) -> VerifiedSpool:
        spool = VerifiedSpool(self._stored.call.encryption.settings.buffer_size)
        context = self._key.decryptor(release_unverified=True)
        with closing_body(self._stored.get()["Body"]) as body:
            spool.fill(iter(partial(body.read, READ_BYTES), b""), lambda data: processed(data, context))
        if spool.length != self._stored.ciphertext_length:
            # HEAD told of another object: where this one's plaintext ends would be anybody's guess.
            spool.close()
            raise DecryptionError
        return spool


class RangeSource:
    """What S3 holds, fetched piece by piece, and never verified."""

    def __init__(self, stored: StoredObject) -> None:
        self._stored = stored

    def read_span(self, start: int, stop: int) -> bytes:
        """Return a span of it."""
        if start == stop:
            return b""
        response = self._stored.get(ByteRange(start, stop))
        with closing_body(response["Body"]) as body:
            received = parse_content_range(response.get("ContentRange"))
            if received != (start, stop, self._stored.ciphertext_length):
                raise DecryptionError
            return bytes(body.read())


def _cbc_file(stored: StoredObject) -> io.BufferedReader:
    buffer_size = stored.call.encryption.settings.buffer_size
    if (stored.ciphertext_length or 0) > buffer_size:
        raise UnsupportedOperationError(
            f"A legacy CBC object of {stored.ciphertext_length} bytes can't be opened as a file: its plaintext "
            "would have to be held in memory. Raise buffer_size, or read it with get_object."
        )
    with closing(get_object(replace(stored.call, params=stored.pinned))["Body"]) as body:
        return io.BufferedReader(io.BytesIO(body.read()))
