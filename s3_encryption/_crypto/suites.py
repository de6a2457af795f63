"""Content algorithm suites, and the commitment policies that choose among them. Pure data and pure checks.

Source: Amazon S3 Encryption Client specification (algorithm suites 0x0070, 0x0072, 0x0073); AES-GCM limits from
NIST SP 800-38D, section 5.2.1.1.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..exceptions import DecryptionError, PolicyError

AES_BLOCK_BYTES = 16
DATA_KEY_BYTES = 32
# 2^39 - 256 bits: the longest plaintext under one key and IV; the 32-bit block counter would wrap after it.
GCM_MAX_PLAINTEXT_BYTES = 2**36 - 32

COMMITTING_SUITE_ID = b"\x00\x73"
MESSAGE_ID_BYTES = 28
COMMITMENT_BYTES = 28


@dataclass(frozen=True, slots=True)
class AlgorithmSuite:
    """How the content of an object is encrypted.

    ``name`` is what ``x-amz-cek-alg`` (V1, V2) or ``x-amz-c`` (V3) says, and what the wrapping algorithms bind to.
    ``iv_bytes`` is the length of the IV that the envelope stores. ``fixed_iv`` and ``aad`` are constants of the suite.
    """

    name: str
    mode: str
    iv_bytes: int
    tag_bytes: int
    committing: bool = False
    fixed_iv: bytes = b""
    aad: bytes = b""

    @property
    def authenticated(self) -> bool:
        """Whether a changed ciphertext is always detected."""
        return self.tag_bytes > 0

    def ciphertext_length(self, plaintext_length: int) -> int:
        """Return the length in bytes of the stored body of an object."""
        if self.mode == "CBC":
            return (plaintext_length // AES_BLOCK_BYTES + 1) * AES_BLOCK_BYTES
        return plaintext_length + self.tag_bytes

    def plaintext_length(self, ciphertext_length: int) -> int | None:
        """Return the plaintext length in bytes for a stored length; None where the padding hides it (CBC).

        Raises:
            DecryptionError: No ciphertext of the suite can be that short.
        """
        if self.mode == "CBC":
            return None
        if ciphertext_length < self.tag_bytes:
            raise DecryptionError
        return ciphertext_length - self.tag_bytes


AES_GCM = AlgorithmSuite("AES/GCM/NoPadding", "GCM", iv_bytes=12, tag_bytes=16)
# The IV is constant because the encryption key is derived afresh for each message id, hence used for one message only.
AES_GCM_COMMITTING = AlgorithmSuite(
    "115",
    "GCM",
    iv_bytes=12,
    tag_bytes=16,
    committing=True,
    fixed_iv=b"\x01" * 12,
    aad=COMMITTING_SUITE_ID,
)
AES_CBC = AlgorithmSuite("AES/CBC/PKCS5Padding", "CBC", iv_bytes=16, tag_bytes=0)
# For AES the two names of the padding mean the same bytes; a wrapping algorithm binds to the name that is stored.
AES_CBC_PKCS7 = AlgorithmSuite("AES/CBC/PKCS7Padding", "CBC", iv_bytes=16, tag_bytes=0)
AES_CTR = AlgorithmSuite("AES/CTR/NoPadding", "CTR", iv_bytes=16, tag_bytes=0)

CONTENT_ALGORITHMS = {suite.name: suite for suite in (AES_GCM, AES_CBC, AES_CBC_PKCS7, AES_CTR)}
# Those that can be asked for by name; key commitment is a matter of the policy.
WRITABLE_CONTENT_ALGORITHMS = {suite.name: suite for suite in (AES_GCM, AES_CBC)}


class CommitmentPolicy(enum.Enum):
    """Whether objects are written, and must have been written, with key commitment (V3).

    Every deployed reader knows what FORBID_ENCRYPT_ALLOW_DECRYPT writes (V2, AES-GCM). Where all readers know V3,
    prefer REQUIRE_ENCRYPT_ALLOW_DECRYPT, and once no older objects are left REQUIRE_ENCRYPT_REQUIRE_DECRYPT.
    """

    FORBID_ENCRYPT_ALLOW_DECRYPT = "FORBID_ENCRYPT_ALLOW_DECRYPT"
    REQUIRE_ENCRYPT_ALLOW_DECRYPT = "REQUIRE_ENCRYPT_ALLOW_DECRYPT"
    REQUIRE_ENCRYPT_REQUIRE_DECRYPT = "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"

    @property
    def commits_on_encrypt(self) -> bool:
        """Whether objects are written with key commitment."""
        return self is not CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT

    def check_decrypt(self, suite: AlgorithmSuite) -> None:
        """Check that the policy allows an object of this suite to be read.

        Raises:
            PolicyError: The object has no key commitment and the policy demands one.
        """
        if self is CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT and not suite.committing:
            raise PolicyError(
                f"The object was written without key commitment ({suite.name}), and commitment_policy="
                "REQUIRE_ENCRYPT_REQUIRE_DECRYPT refuses it. REQUIRE_ENCRYPT_ALLOW_DECRYPT reads such objects."
            )
