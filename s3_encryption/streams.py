"""Bodies on the wire: what becomes of a request's Body, and the decrypting stream under a response's Body."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import tempfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

from .ciphers import Buffer, Filter
from .exceptions import BodyMismatchError, ConfigurationError, ConfigurationTypeError

# What is asked of the network, or of the spool, at a time: big enough for the cipher, small enough to be reused.
READ_BYTES = 256 * 1024


class DecryptingStream(io.RawIOBase):
    """The raw stream of a decrypted response: botocore's StreamingBody reads it as it would read the socket.

    Plaintext is released when the whole object was verified: ``read()`` of everything verifies in memory, and so does
    any read of an object of at most ``buffer_size`` bytes; a longer one is spooled, as ciphertext, to an unlinked
    temporary file, verified, and decrypted while it is read. With ``release_unverified`` plaintext comes as it arrives,
    and the error comes at the end. After an error every later read fails in the same way.

    Args:
        body: The ciphertext: a botocore StreamingBody, so that its length and checksum are checked and botocore's own
            errors come out of it.
        new_filter: Makes a decrypting filter; its argument is ``release_unverified``.
        ciphertext_length: The length of the body in bytes; None when the server did not say.
        buffer_size: How many bytes may be held in memory.
        release_unverified: Whether plaintext may be released before it is verified.
        on_error: Called with every error before it is raised.
    """

    def __init__(
        self,
        body: Any,
        new_filter: Callable[[bool], Filter],
        *,
        ciphertext_length: int | None,
        buffer_size: int,
        release_unverified: bool,
        on_error: Callable[[Exception], None],
    ) -> None:
        super().__init__()
        self._body = body
        self._new_filter = new_filter
        self._ciphertext_length = ciphertext_length
        self._buffer_size = buffer_size
        self._release_unverified = release_unverified
        self._on_error = on_error
        self._pieces: Iterator[bytes] | None = None
        self._piece = memoryview(b"")
        self._position = 0
        self._spool: IO[bytes] | None = None
        self._failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end; everything that is left for None or a negative size."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if self._failure is not None:
            raise self._failure
        try:
            data = self._read_all() if size is None or size < 0 else self._read_exactly(size)
        except Exception as error:
            self._failure = error
            self._on_error(error)
            self._release()
            raise
        self._position += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._release()
            self._body.close()
        super().close()

    @property
    def _fp(self) -> Any:
        # Where botocore's set_socket_timeout looks for the socket.
        return self._body._raw_stream._fp

    # --- what is left, and what is next -------------------------------------------------------------------------------

    def _read_all(self) -> bytes:
        if self._pieces is None and not self._release_unverified:
            # The caller wants it all in memory anyway, so no spool is needed.
            self._pieces = iter(())
            return self._verified_in_memory()
        return b"".join((self._take(), *self._started()))

    def _read_exactly(self, size: int) -> bytes:
        parts = []
        while size > 0 and self._fill():
            part = self._piece[:size]
            self._piece = self._piece[size:]
            size -= len(part)
            parts.append(part)
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    def _take(self) -> memoryview:
        rest, self._piece = self._piece, memoryview(b"")
        return rest

    def _fill(self) -> bool:
        """Have a non-empty piece ready; False at the end."""
        while not self._piece:
            piece = next(self._started(), None)
            if piece is None:
                return False
            self._piece = memoryview(piece)
        return True

    def _started(self) -> Iterator[bytes]:
        if self._pieces is None:
            self._pieces = self._start()
        return self._pieces

    def _start(self) -> Iterator[bytes]:
        if self._release_unverified:
            return _filtered(self._ciphertext(), self._new_filter(True))
        if self._ciphertext_length is not None and self._ciphertext_length <= self._buffer_size:
            return iter((self._verified_in_memory(),))
        return self._verified_in_spool()

    # --- verification -------------------------------------------------------------------------------------------------

    def _verified_in_memory(self) -> bytes:
        return b"".join(_filtered(self._ciphertext(), self._new_filter(False)))

    def _verified_in_spool(self) -> Iterator[bytes]:
        """Yield plaintext in a second pass over the ciphertext, after a first one has verified it."""
        # Closed at the end, on an error, or with the stream: not within this function.
        spool = self._spool = tempfile.SpooledTemporaryFile(max_size=self._buffer_size)  # noqa: SIM115
        if self._ciphertext_length is not None:
            spool.rollover()
        for _ in _filtered(self._spooled(spool), self._new_filter(True)):
            pass
        spool.seek(0)
        # The second pass verifies again at its end, so that a changed temporary file does not go unnoticed.
        yield from _filtered(iter(lambda: spool.read(READ_BYTES), b""), self._new_filter(True))
        self._release()

    def _spooled(self, spool: IO[bytes]) -> Iterator[bytes]:
        for data in self._ciphertext():
            spool.write(data)
            yield data

    def _ciphertext(self) -> Iterator[bytes]:
        # The last, empty read makes botocore compare length and checksum before the filter's end releases anything.
        return iter(lambda: self._body.read(READ_BYTES), b"")

    def _release(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None


def _filtered(data: Iterator[bytes], filter: Filter) -> Iterator[bytes]:
    for piece in data:
        yield filter.update(piece)
    yield filter.finalize()


# --- request bodies ---------------------------------------------------------------------------------------------------


def read_body(body: Any) -> Buffer:
    """Return the plaintext of a request body, from its current position to its end.

    Raises:
        ConfigurationTypeError: It is not what boto3 takes as a Body, or it is a text stream.
    """
    if isinstance(body, str):
        return body.encode("utf-8")
    if isinstance(body, (bytes, bytearray)):
        return body
    if not callable(getattr(body, "read", None)):
        raise ConfigurationTypeError(f"Body must be bytes or a binary file-like object, not {type(body).__name__}.")
    buffer = io.BytesIO()
    while piece := body.read(READ_BYTES):
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise ConfigurationTypeError(
                f"Body.read() must return bytes, not {type(piece).__name__}: open files in binary mode ('rb')."
            )
        buffer.write(piece)
    if piece is None:
        raise ConfigurationTypeError("Body.read() returned None: a non-blocking stream can't be uploaded.")
    return buffer.getbuffer()


class _Crc32:
    """zlib's CRC-32 with the face of a hashlib object."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Buffer) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


# The parameters by which a caller declares a digest of the body, and the algorithm that S3 is then asked to use.
_DECLARED_DIGESTS: dict[str, tuple[Callable[[], Any], str | None]] = {
    "ContentMD5": (_md5, None),
    "ChecksumCRC32": (_Crc32, "CRC32"),
    "ChecksumSHA1": (lambda: hashlib.sha1(usedforsecurity=False), "SHA1"),
    "ChecksumSHA256": (hashlib.sha256, "SHA256"),
    "ChecksumSHA512": (hashlib.sha512, "SHA512"),
    "ChecksumMD5": (_md5, "MD5"),
}


def without_declarations(params: dict[str, Any], plaintext: Buffer) -> dict[str, Any]:
    """Return request parameters without what the caller declared of the plaintext, after having checked it.

    S3 gets the ciphertext, so a declared length or digest of the plaintext must not reach it. Where a checksum was
    given, S3 is asked to keep one of the ciphertext, by the same algorithm.

    Raises:
        BodyMismatchError: The body is not what was declared.
        ConfigurationError: A checksum is of an algorithm that can't be computed here.
    """
    kept = dict(params)
    declared_length = kept.pop("ContentLength", None)
    if declared_length is not None and declared_length != len(plaintext):
        raise BodyMismatchError(f"ContentLength is {declared_length}, but the body has {len(plaintext)} bytes.")
    for name in [name for name in kept if _declares_digest(name)]:
        declared = kept.pop(name)
        if name not in _DECLARED_DIGESTS:
            raise ConfigurationError(
                f"{name} can't be verified before encryption. Leave it out; pass ChecksumAlgorithm instead."
            )
        new_digest, algorithm = _DECLARED_DIGESTS[name]
        digest = new_digest()
        digest.update(plaintext)
        if base64.b64encode(digest.digest()).decode() != declared:
            raise BodyMismatchError(f"The body does not have the declared {name}.")
        if algorithm is not None:
            kept.setdefault("ChecksumAlgorithm", algorithm)
    return kept


def _declares_digest(name: str) -> bool:
    return name == "ContentMD5" or (
        name.startswith("Checksum") and name not in ("ChecksumAlgorithm", "ChecksumMode", "ChecksumType")
    )


def read_bounded(body: Any, limit: int) -> bytes:
    """Return at most ``limit`` + 1 bytes of a response body and close it; the one too many tells of excess."""
    with contextlib.closing(body):
        return bytes(body.read(limit + 1))
