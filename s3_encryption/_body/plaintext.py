"""The plaintext that a caller gives as Body, whatever it is, and what the caller claims of it.

What a Body may be, how long it is, whether it can be read twice and by another thread, and its plaintext in blocks. The
claims, its length and digests, are compared with the plaintext, and never sent: S3 gets the ciphertext, of which they
say nothing; and a digest of the plaintext would tell S3 something about it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .._checks import checked_read
from .._crypto.contexts import GCM_MAX_PLAINTEXT_BYTES
from .._crypto.primitives import Buffer
from ..exceptions import BodyChangedError, BodyMismatchError, ConfigurationError, ConfigurationTypeError
from .raw_stream import read_full
from .sizes import AHEAD_BYTES, IO_BLOCK_BYTES, SMALL_BODY_BYTES

# What s3transfer says to its bodies, and how its older S3Transfer does.
_OLDER_SIGNALS = {"signal_transferring": "enable_callback", "signal_not_transferring": "disable_callback"}


class PlaintextSource:
    """A caller's Body, from the position at which it was given.

    Raises:
        ConfigurationTypeError: It is not what boto3 takes as a Body, or it is a text stream.
        ConfigurationError: It is positioned behind its end.
    """

    def __init__(self, body: Any) -> None:
        if isinstance(body, str):
            body = body.encode("utf-8")
        # Bytes need not be copied to be read.
        self._content = memoryview(body) if isinstance(body, bytes) else None
        if isinstance(body, (bytes, bytearray)):
            body = io.BytesIO(body)
        if not callable(getattr(body, "read", None)):
            raise ConfigurationTypeError(f"Body must be bytes or a binary file-like object, not {type(body).__name__}.")
        if isinstance(body, io.TextIOBase):
            raise ConfigurationTypeError("Body must be a file opened in binary mode ('rb'), not a text stream.")
        self.body = body
        self._base = _position(body)
        # The length in bytes; None when only reading to the end can tell.
        self.length = None if self._base is None else self._measure(self._base)
        self._left = self.length
        # What was read ahead, to see whether the source is small.
        self._ahead = b""
        if self.length == 0:
            # Otherwise nothing would be read of a file that was opened for writing, and nobody told.
            self._read(0)

    @property
    def can_be_read_ahead(self) -> bool:
        """Whether a second thread may read it, and is worth it: other objects than files may belong to their thread."""
        return self._is_plain_file and self.length is not None and self.length >= AHEAD_BYTES

    @property
    def _is_plain_file(self) -> bool:
        # Not a subclass of one, nor a buffer over one: it may do other things.
        body = self.body.raw if type(self.body) is io.BufferedReader else self.body
        return type(body) in (io.BytesIO, io.FileIO)

    def _measure(self, base: int) -> int | None:
        end = _end(self.body)
        self.body.seek(base)
        if end is None:
            return None
        if end < base:
            raise ConfigurationError(f"Body is positioned at {base}, behind its end at {end}. Seek to where it starts.")
        return end - base

    def rewind(self) -> None:
        """Go back to where the body was given. Not to its start: that is not part of what was given."""
        self.body.seek(self._base)
        self._left = self.length

    def __enter__(self) -> PlaintextSource:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """After an error, go back to where the body was given: the caller's own retry must not store what is left."""
        if error is not None and self._base is not None:
            # A body that can't go back, or was closed meanwhile, must not hide the error.
            with contextlib.suppress(Exception):
                self.signal("signal_not_transferring")
                self.rewind()

    def take_small(self) -> bytes | None:
        """Return all of a source of at most SMALL_BODY_BYTES; None for a longer one, which stays as it was."""
        if self.length is not None and self.length > SMALL_BODY_BYTES:
            return None
        if self._content is not None:
            self._ahead = bytes(self._next_of_content())
            return self._ahead
        self.signal("signal_transferring")
        self._ahead = b"".join(self._read_until(SMALL_BODY_BYTES + 1 if self.length is None else self.length))
        if len(self._ahead) > SMALL_BODY_BYTES:
            return None
        self.check_end()
        return self._ahead

    def _read_until(self, size: int) -> Iterator[bytes]:
        while size > 0 and (block := self._block(min(size, IO_BLOCK_BYTES))):
            size -= len(block)
            yield block

    def blocks(self) -> Iterator[Buffer]:
        """Yield what is left, in blocks of IO_BLOCK_BYTES; what a source grows by after it was given is not part of it.

        A block is good until the next one is asked for.
        """
        ahead, self._ahead = self._ahead, b""
        if ahead:
            yield ahead
        if self._content is not None:
            next_block: Callable[[], Buffer] = self._next_of_content
        elif self._is_plain_file and self._left is not None:
            next_block = partial(self._next_of_file, memoryview(bytearray(min(IO_BLOCK_BYTES, self._left))))
        else:
            next_block = partial(self._block, IO_BLOCK_BYTES)
        while block := next_block():
            yield block

    def checked_blocks(self, claims: PlaintextClaims) -> Iterator[Buffer]:
        """Yield the same, and come to the end only if all that was there was read, and is what was claimed.

        Raises:
            BodyChangedError: It has become shorter.
            BodyMismatchError: It is not what was claimed.
        """
        check = claims.new_check()
        for block in self.blocks():
            check.update(block)
            yield block
        self.check_end()
        check.finish()

    def _next_of_content(self) -> memoryview:
        assert self._content is not None  # checked by who calls
        assert self._left is not None  # bytes have a length
        start = len(self._content) - self._left
        block = self._content[start : start + IO_BLOCK_BYTES]
        self._left -= len(block)
        return block

    def _next_of_file(self, memory: memoryview) -> memoryview:
        """Return the next block of a file, read into memory that is there: fresh memory costs more than the cipher."""
        assert self._left is not None  # a file with a position has a length
        wanted = min(len(memory), self._left)
        filled = 0
        while filled < wanted and (size := self.body.readinto(memory[filled:wanted])):
            filled += size
        self._left -= filled
        return memory[:filled]

    def check_end(self) -> None:
        """Check that all that the source held when it was given has been read.

        Raises:
            BodyChangedError: It has become shorter.
        """
        if self._left:
            raise BodyChangedError(
                f"The source of the upload has become shorter than the {self.length} bytes that it had. "
                "Nothing was stored."
            )

    def _block(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end, however short the source's own reads are."""
        if self._left is not None:
            size = min(size, self._left)
        block = read_full(self._read, size)
        if self._left is not None:
            self._left -= len(block)
        return block

    def _read(self, size: int) -> bytes:
        return checked_read(self.body.read(size), size)

    def signal(self, name: str) -> None:
        """Pass on what s3transfer says to its bodies, where this is one of them."""
        receiver = getattr(self.body, name, getattr(self.body, _OLDER_SIGNALS[name], None))
        if receiver is not None:
            receiver()

    def raise_if_cancelled(self) -> None:
        """Raise what a read would, without reading: the bodies of a cancelled s3transfer upload raise its error."""
        # Whatever comes is part of it all the same.
        self._ahead += checked_read(self.body.read(0))


def _position(body: Any) -> int | None:
    """Return the current position of a body; None if it can't be read twice."""
    try:
        seekable = getattr(body, "seekable", True)
        if not (seekable() if callable(seekable) else seekable):
            return None
        position = int(body.tell())
        body.seek(position)
    except (AttributeError, OSError, ValueError):
        return None
    return position


def _end(body: Any) -> int | None:
    """Return the position of a body's end; None if only reading can tell it."""
    # Bodies of older transfer classes, and some others, can go to a place, and tell their length, but not go to their
    # end.
    with contextlib.suppress(TypeError, OSError, ValueError):
        body.seek(0, io.SEEK_END)
        return int(body.tell())
    with contextlib.suppress(TypeError):
        return len(body)
    return None


def check_length(source: PlaintextSource, claims: PlaintextClaims) -> None:
    """Check that a source has the claimed length, as far as it can tell, and not more than can be encrypted.

    Raises:
        BodyMismatchError: It has another length.
        ConfigurationError: It is too long for one key and IV.
    """
    if source.length is None:
        return
    if claims.length is not None and claims.length != source.length:
        raise wrong_length(claims.length, source.length)
    if source.length > GCM_MAX_PLAINTEXT_BYTES:
        raise ConfigurationError(
            f"The body has {source.length} bytes; AES-GCM encrypts {GCM_MAX_PLAINTEXT_BYTES} (64 GiB) at most."
        )


# --- claims -----------------------------------------------------------------------------------------------------------


class Crc32:
    """zlib's CRC-32 with the face of a hashlib object."""

    def __init__(self) -> None:
        self.value = 0

    def update(self, data: Buffer) -> None:
        """Take in the next bytes."""
        self.value = zlib.crc32(data, self.value)

    def digest(self) -> bytes:
        """Return the checksum of all bytes so far."""
        return self.value.to_bytes(4, "big")


def crc32_of(data: Buffer) -> str:
    """Return the CRC-32 of some bytes as S3's headers have it."""
    return crc32_header(zlib.crc32(data))


def crc32_header(crc32: int) -> str:
    return base64.b64encode(crc32.to_bytes(4, "big")).decode()


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


# The parameters by which a caller declares a digest of the body, and the algorithm that S3 is then asked to use: by
# default none for Content-MD5, which servers understand that know no other checksum.
_DIGESTS: dict[str, tuple[Callable[[], Any], str | None]] = {
    "ContentMD5": (_md5, None),
    "ChecksumCRC32": (Crc32, "CRC32"),
    "ChecksumSHA1": (lambda: hashlib.sha1(usedforsecurity=False), "SHA1"),
    "ChecksumSHA256": (hashlib.sha256, "SHA256"),
    "ChecksumSHA512": (hashlib.sha512, "SHA512"),
    # Botocore does not compute checksums by this one.
    "ChecksumMD5": (_md5, "CRC32"),
}
_NOT_DIGESTS = frozenset({"ChecksumAlgorithm", "ChecksumMode", "ChecksumType"})


def with_crc32(params: dict[str, Any], default: str | None) -> dict[str, Any]:
    """Return the parameters of a request with a small body, with its CRC-32, where botocore would send one.

    Botocore would put it behind the body, in chunks; here it goes into a header. Others are left to botocore.

    Args:
        params: The parameters, to which event handlers add no more: they may name another algorithm.
        default: The algorithm of the checksum that botocore adds where none is asked for.
    """
    is_given = any(is_digest_name(name) and name != "ContentMD5" for name in params)
    if is_given or params.get("ChecksumAlgorithm", default) != "CRC32":
        return params
    return {**params, "ChecksumAlgorithm": "CRC32", "ChecksumCRC32": crc32_of(params["Body"].getbuffer())}


def digest_field(name: str, blocks: Iterable[Buffer]) -> dict[str, str]:
    """Return a digest of some bytes as the parameter of its name; nothing where it can't be computed here."""
    if name not in _DIGESTS:
        return {}
    digest = _DIGESTS[name][0]()
    for block in blocks:
        digest.update(block)
    return {name: base64.b64encode(digest.digest()).decode()}


def take_claims(params: dict[str, Any]) -> PlaintextClaims:
    """Take out of request parameters what the caller declared of the plaintext.

    S3 gets the ciphertext, so a length or digest of the plaintext must not reach it. Where a checksum was given, S3 is
    asked to keep one of the ciphertext by the same algorithm.

    Raises:
        ConfigurationError: A checksum is of an algorithm that can't be computed here.
    """
    digests = {}
    for name in [name for name in params if is_digest_name(name)]:
        if name not in _DIGESTS:
            raise ConfigurationError(
                f"{name} can't be verified before encryption. Leave it out; pass ChecksumAlgorithm instead."
            )
        digests[name] = params.pop(name)
        algorithm = _DIGESTS[name][1]
        if algorithm is None:
            continue
        if name == f"Checksum{params.get('ChecksumAlgorithm', algorithm)}":
            params["ChecksumAlgorithm"] = algorithm
        params.setdefault("ChecksumAlgorithm", algorithm)
    return PlaintextClaims(params.pop("ContentLength", None), digests)


@dataclass(frozen=True, slots=True)
class PlaintextClaims:
    """What a caller declared of the plaintext: its length in bytes, and digests of it by parameter name."""

    length: int | None = None
    digests: dict[str, str] = field(default_factory=dict)
    # Learns the plaintext's CRC-32 and length, where what is declared is that of a larger whole.
    on_crc32: Callable[[int, int], object] | None = None

    @property
    def has_md5(self) -> bool:
        """Whether the body's Content-MD5 was declared, so that its request is to have one, or a better checksum."""
        return "ContentMD5" in self.digests

    def check_all(self, plaintext: Buffer) -> None:
        """Check that a plaintext held in memory is what was declared."""
        check = self.new_check()
        check.update(plaintext)
        check.finish()

    def new_check(self) -> ClaimCheck:
        """Return an object that compares a plaintext with the declaration."""
        return ClaimCheck(self)


def wrong_length(expected: int, actual: int) -> BodyMismatchError:
    """Return the error that says so."""
    return BodyMismatchError(f"ContentLength says {expected} bytes, but the body has {actual}.")


class ClaimCheck:
    """Compares one pass over a plaintext with what was declared of it."""

    def __init__(self, claims: PlaintextClaims) -> None:
        self._claims = claims
        self._digests = {name: _DIGESTS[name][0]() for name in claims.digests}
        self._length = 0
        self._crc32 = None if claims.on_crc32 is None else Crc32()

    def update(self, block: Buffer) -> None:
        """Take in the next piece of the plaintext."""
        self._length += len(block)
        for digest in self._digests.values():
            digest.update(block)
        if self._crc32 is not None:
            self._crc32.update(block)

    def finish(self) -> None:
        """Check that all of the plaintext is what was declared.

        Raises:
            BodyMismatchError: It is not.
        """
        claims = self._claims
        if claims.length is not None and claims.length != self._length:
            raise wrong_length(claims.length, self._length)
        for name, digest in self._digests.items():
            if base64.b64encode(digest.digest()).decode() != claims.digests[name]:
                raise wrong_digest(name)
        if claims.on_crc32 is not None and self._crc32 is not None:
            claims.on_crc32(self._crc32.value, self._length)


def wrong_digest(name: str) -> BodyMismatchError:
    """Return the error that says so."""
    return BodyMismatchError(f"The body does not have the declared {name}.")


def is_digest_name(name: str) -> bool:
    """Return whether a parameter of a request, or a field of a response, is a digest of a body."""
    return name == "ContentMD5" or (name.startswith("Checksum") and name not in _NOT_DIGESTS)
