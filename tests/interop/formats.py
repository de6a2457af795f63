"""The formats of the matrix, and what a participant of it can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

CBC = "AES/CBC/PKCS5Padding"
GCM = "AES/GCM/NoPadding"
LOCATIONS = ("metadata", "instruction_file")


@dataclass(frozen=True)
class Format:
    """One format: its key, the wrap as our keyrings name it, and which switches it needs."""

    name: str
    master_key: str
    wrapping_algorithm: str
    version: int = 2
    legacy_wrap: bool = False
    cbc: bool = False

    @property
    def is_kms(self) -> bool:
        """Tell whether an encryption context takes part."""
        return self.master_key == "kms"

    @property
    def may_drop_context(self) -> bool:
        """Tell whether a writer may lack a way to take the caller's context: with `kms` only."""
        return self.wrapping_algorithm == "kms"


OAEP_SHA256 = "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"

FORMATS = {
    format.name: format
    for format in (
        Format("v1-aes", "aes", "AES/ECB", version=1, legacy_wrap=True, cbc=True),
        Format("v1-rsa", "rsa", "RSA/ECB/PKCS1Padding", version=1, legacy_wrap=True, cbc=True),
        Format("v2-kms-cbc", "kms", "kms", legacy_wrap=True, cbc=True),
        Format("v2-kms-gcm", "kms", "kms", legacy_wrap=True),
        Format("v2-kms_context", "kms", "kms+context"),
        Format("v2-aeswrap-cbc", "aes", "AESWrap", legacy_wrap=True, cbc=True),
        Format("v2-aeswrap-gcm", "aes", "AESWrap", legacy_wrap=True),
        Format("v2-rsa_oaep_sha256-gcm", "rsa", OAEP_SHA256, legacy_wrap=True),
        Format("v2-aes_gcm", "aes", "AES/GCM"),
        Format("v2-rsa_oaep_sha1", "rsa", "RSA-OAEP-SHA1"),
        Format("v3-kms_context", "kms", "kms+context", version=3),
        Format("v3-aes_gcm", "aes", "AES/GCM", version=3),
        Format("v3-rsa_oaep_sha1", "rsa", "RSA-OAEP-SHA1", version=3),
    )
}


class Cell(NamedTuple):
    """A format together with the place of its envelope: one row of the matrix."""

    format: Format
    location: str

    @classmethod
    def parse(cls, text: str) -> Cell:
        """Return the cell of `format@location`."""
        name, _, location = text.partition("@")
        if name not in FORMATS or location not in LOCATIONS:
            raise ValueError(f"no such cell: {text}")
        return cls(FORMATS[name], location)

    def __str__(self) -> str:
        """Return `format@location`."""
        return f"{self.format.name}@{self.location}"


ALL_CELLS = tuple(Cell(format, location) for format in FORMATS.values() for location in LOCATIONS)


class Participant(Protocol):
    """A client under comparison: ours, or a peer in a process of its own."""

    @property
    def name(self) -> str:
        """The name in the matrix and in failures."""

    @property
    def version(self) -> str:
        """The exact version of what is tested."""

    @property
    def writes(self) -> frozenset[Cell]:
        """The cells it can write."""

    @property
    def reads(self) -> frozenset[Cell]:
        """The cells it can read."""

    def put(self, cell: Cell, key: str, body: bytes, context: dict[str, str]) -> None:
        """Write the body as an object of the cell's format."""

    def get(self, cell: Cell, key: str, context: dict[str, str]) -> bytes:
        """Read such an object."""
