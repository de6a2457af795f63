"""What a caller declares of a body: its length and digests. They are compared with the plaintext, and never sent.

S3 gets the ciphertext, of which they say nothing; and a digest of the plaintext would tell S3 something about it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._crypto.contexts import Buffer
from .._crypto.gf2 import BinaryField
from .._envelope.encoding import encode_base64
from ..exceptions import BodyMismatchError, ConfigurationError

# The CRC-32 of S3, zlib and Ethernet (RFC 1952, section 8), its bits reflected.
_CRC32 = BinaryField(32, 0xEDB88320)
_X_TO_THE_8 = 1 << 23


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
    return _as_header(zlib.crc32(data))


def _as_header(crc32: int) -> str:
    return encode_base64(crc32.to_bytes(4, "big"))


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


def digest_field(name: str, blocks: Iterable[Buffer]) -> dict[str, str]:
    """Return a digest of some bytes as the parameter of its name; nothing where it can't be computed here."""
    if name not in _DIGESTS:
        return {}
    digest = _DIGESTS[name][0]()
    for block in blocks:
        digest.update(block)
    return {name: encode_base64(digest.digest())}


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
            if encode_base64(digest.digest()) != claims.digests[name]:
                raise wrong_digest(name)
        if claims.on_crc32 is not None and self._crc32 is not None:
            claims.on_crc32(self._crc32.value, self._length)


def wrong_digest(name: str) -> BodyMismatchError:
    """Return the error that says so."""
    return BodyMismatchError(f"The body does not have the declared {name}.")


# --- what is declared of a whole that comes in parts ------------------------------------------------------------------


def check_whole(params: Mapping[str, Any], parts: Sequence[tuple[int, int] | None]) -> None:
    """Check that what a request declares of an object fits its parts.

    Args:
        params: The parameters of CompleteMultipartUpload.
        parts: CRC-32 and length of each part's plaintext, in order; None for a part of which they are not known.

    Raises:
        BodyMismatchError: It does not fit.
        ConfigurationError: It can't be compared.
    """
    for name in [name for name in params if is_digest_name(name)]:
        known = [part for part in parts if part is not None] if name == "ChecksumCRC32" else []
        if len(known) != len(parts) or not known:
            raise ConfigurationError(
                f"{name} of a multipart upload can't be compared with the plaintext. Leave it out, or declare "
                'ChecksumCRC32, after create_multipart_upload(ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT").'
            )
        if params[name] != _as_header(combined_crc32(known)):
            raise wrong_digest(name)


def combined_crc32(parts: Iterable[tuple[int, int]]) -> int:
    """Return the CRC-32 of parts one behind the other, from the CRC-32 and the length of each.

    To append n bytes is to multiply by x^8n, modulo the polynomial.
    """
    total = 0
    for crc32, length in parts:
        total = _CRC32.multiply(_CRC32.power(_X_TO_THE_8, length), total) ^ crc32
    return total


def is_digest_name(name: str) -> bool:
    """Return whether a parameter of a request, or a field of a response, is a digest of a body."""
    return name == "ContentMD5" or (name.startswith("Checksum") and name not in _NOT_DIGESTS)
