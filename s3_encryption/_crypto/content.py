"""How content is encrypted: the algorithm suites, the key of one object's content, and the commitment policies.

A ``ContentKey`` makes contexts (``contexts``). A decrypting one releases nothing before the whole object was verified,
unless it was made with ``release_unverified=True``. A suite is a record of its lengths, and of the mode that makes its
contexts: another one is another record.

Source: Amazon S3 Encryption Client specification (algorithm suites 0x0070, 0x0072, 0x0073).
"""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ..exceptions import ConfigurationError, DecryptionError, PolicyError
from . import engine
from .contexts import (
    GCM_MAX_PLAINTEXT_BYTES,
    CbcDecryptor,
    CbcEncryptor,
    CbcMiddleDecryptor,
    CipherContext,
    CtrCipher,
    GcmDecryptor,
    GcmEncryptor,
    VerifyFirst,
    at_once,
)
from .primitives import AES_BLOCK_BYTES, GCM_TAG_BYTES, Buffer

DATA_KEY_BYTES = 32
COMMITTING_SUITE_ID = b"\x00\x73"
MESSAGE_ID_BYTES = 28
COMMITMENT_BYTES = 28


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode of AES: what makes its contexts from a content key.

    ``encryptor`` is None for a mode that is read only. ``decryptor`` also takes the length in bytes that the plaintext
    must turn out to have, or None. ``from_offset`` makes a context between plaintext and ciphertext from a byte offset
    on. ``pads`` says whether the ciphertext is filled up to whole blocks, so that its length hides the plaintext's.
    """

    encryptor: Callable[[ContentKey], CipherContext] | None
    decryptor: Callable[[ContentKey, int | None], CipherContext]
    from_offset: Callable[[ContentKey, int], CipherContext]
    pads: bool = False


def _gcm_from_offset(key: ContentKey, offset: int) -> CipherContext:
    """GCM encrypts with CTR, the counter starting at two behind the IV (NIST SP 800-38D, sections 7.1 and 6.5)."""
    first_block, skip_bytes = divmod(offset, AES_BLOCK_BYTES)
    # No engine knows that GCM's counter has 32 bits and must not wrap: the limit is kept here.
    room = GCM_MAX_PLAINTEXT_BYTES - offset
    if offset < 0 or room <= 0:
        raise DecryptionError
    counter_block = key.iv + (2 + first_block).to_bytes(4, "big")
    return CtrCipher(engine.active.ctr(key.key, counter_block), skip_bytes, room)


def _ctr_from_offset(key: ContentKey, offset: int) -> CipherContext:
    first_block, skip_bytes = divmod(offset, AES_BLOCK_BYTES)
    start = (int.from_bytes(key.iv, "big") + first_block) % 2**128
    return CtrCipher(engine.active.ctr(key.key, start.to_bytes(AES_BLOCK_BYTES, "big")), skip_bytes)


def _no_offset(key: ContentKey, offset: int) -> CipherContext:
    raise ConfigurationError(f"{key.suite.name} content has no keystream.")


def _gcm_encryptor(key: ContentKey) -> CipherContext:
    return GcmEncryptor(engine.active.gcm_encryption(key.key, key.iv, key.suite.aad))


def _gcm_decryptor(key: ContentKey, plaintext_length: int | None) -> CipherContext:
    return GcmDecryptor(engine.active.gcm_decryption(key.key, key.iv, key.suite.aad))


def _cbc_encryptor(key: ContentKey) -> CipherContext:
    return CbcEncryptor(engine.active.cbc_encryption(key.key, key.iv))


def _cbc_decryptor(key: ContentKey, plaintext_length: int | None) -> CipherContext:
    return CbcDecryptor(engine.active.cbc_decryption(key.key, key.iv), plaintext_length)


def _ctr_decryptor(key: ContentKey, plaintext_length: int | None) -> CipherContext:
    return _ctr_from_offset(key, 0)


GCM = Mode(_gcm_encryptor, _gcm_decryptor, _gcm_from_offset)
CBC = Mode(_cbc_encryptor, _cbc_decryptor, _no_offset, pads=True)
CTR = Mode(None, _ctr_decryptor, _ctr_from_offset)


@dataclass(frozen=True, slots=True)
class Suite:
    """How the content of an object is encrypted.

    ``name`` is what ``x-amz-cek-alg`` (V1, V2) or ``x-amz-c`` (V3) says, and what the wrapping algorithms bind to.
    ``key_bytes`` is the length of data key and content key, ``iv_bytes`` that of the IV that the envelope stores.
    ``tag_bytes`` is 0 where nothing detects a change. ``fixed_iv`` and ``aad`` are constants of the suite.
    """

    name: str
    mode: Mode
    key_bytes: int
    iv_bytes: int
    tag_bytes: int
    committing: bool = False
    fixed_iv: bytes = b""
    aad: bytes = b""
    authenticated: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "authenticated", self.tag_bytes > 0)

    def ciphertext_length(self, plaintext_length: int) -> int:
        """Return the length in bytes of the stored body of an object."""
        if self.mode.pads:
            return (plaintext_length // AES_BLOCK_BYTES + 1) * AES_BLOCK_BYTES
        return plaintext_length + self.tag_bytes

    def plaintext_length(self, ciphertext_length: int) -> int | None:
        """Return the plaintext length in bytes for a stored length; None where the padding hides it.

        Raises:
            DecryptionError: No ciphertext of the suite has that length.
        """
        if self.mode.pads:
            if ciphertext_length <= 0 or ciphertext_length % AES_BLOCK_BYTES:
                raise DecryptionError
            return None
        plaintext_length = ciphertext_length - self.tag_bytes
        if plaintext_length < 0 or (self.mode is GCM and plaintext_length > GCM_MAX_PLAINTEXT_BYTES):
            raise DecryptionError
        return plaintext_length


# The IV of the committing suite is constant because the encryption key is derived afresh for each message id, hence
# used for one message only. For AES the two names of the CBC padding mean the same bytes; a wrapping algorithm binds to
# the name that is stored.
_KEY = DATA_KEY_BYTES
# fmt: off
AES_GCM =            Suite("AES/GCM/NoPadding",    GCM, _KEY, iv_bytes=12, tag_bytes=GCM_TAG_BYTES)
AES_GCM_COMMITTING = Suite("115",                  GCM, _KEY, iv_bytes=12, tag_bytes=GCM_TAG_BYTES,
                           committing=True, fixed_iv=b"\x01" * 12, aad=COMMITTING_SUITE_ID)
AES_CBC =            Suite("AES/CBC/PKCS5Padding", CBC, _KEY, iv_bytes=16, tag_bytes=0)
AES_CBC_PKCS7 =      Suite("AES/CBC/PKCS7Padding", CBC, _KEY, iv_bytes=16, tag_bytes=0)
AES_CTR =            Suite("AES/CTR/NoPadding",    CTR, _KEY, iv_bytes=16, tag_bytes=0)
# fmt: on

CONTENT_ALGORITHMS = {suite.name: suite for suite in (AES_GCM, AES_CBC, AES_CBC_PKCS7, AES_CTR)}
# Those that can be asked for by name; key commitment is a matter of the policy.
WRITABLE_CONTENT_ALGORITHMS = {suite.name: suite for suite in (AES_GCM, AES_CBC)}
_KEY_BYTES = {suite.name: suite.key_bytes for suite in (*CONTENT_ALGORITHMS.values(), AES_GCM_COMMITTING)}


def data_key_bytes(content_algorithm: str) -> int:
    """Return the length in bytes of data keys for a content algorithm."""
    return _KEY_BYTES.get(content_algorithm, DATA_KEY_BYTES)


@dataclass(frozen=True, slots=True)
class ContentKey:
    """The secret of one object's content: a key, its IV, and the suite that they are for."""

    suite: Suite
    key: bytes = field(repr=False)
    iv: bytes = field(repr=False)

    def encryptor(self) -> CipherContext:
        """Return a context from plaintext to the body that is stored, tag or padding included.

        Each context of one ContentKey makes the same keystream: give it the same plaintext, or never use the output.
        """
        encryptor = self.suite.mode.encryptor
        if encryptor is None:
            raise ConfigurationError(f"Objects with {self.suite.name} content can be read, and not written.")
        return encryptor(self)

    def encrypt(self, plaintext: Buffer) -> bytes:
        """Return the body that is stored for a plaintext held in memory."""
        if self.suite.mode is GCM:
            return engine.active.gcm_seal(self.key, self.iv, plaintext, self.suite.aad)
        return at_once(self.encryptor(), plaintext)

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
        inner = self.suite.mode.decryptor(self, plaintext_length)
        return inner if release_unverified else VerifyFirst(inner, ciphertext_length or 0)

    def decrypt(self, body: bytes, plaintext_length: int | None = None) -> bytes:
        """Return the verified plaintext of a stored body held in memory.

        Args:
            body: All of it.
            plaintext_length: The length in bytes that a CBC object must turn out to have; None when unknown.

        Raises:
            DecryptionError: The object is not what was encrypted.
        """
        if self.suite.mode is GCM:
            try:
                return engine.active.gcm_open(self.key, self.iv, body, self.suite.aad)
            except DecryptionError:
                pass
            # Anew: the frames of the failure hold the key.
            raise DecryptionError
        return at_once(self.decryptor(plaintext_length=plaintext_length, ciphertext_length=len(body)), body)

    def ctr_context(self, offset: int) -> CipherContext:
        """Return a context between plaintext and ciphertext from a byte ``offset`` of a GCM or CTR object on.

        It works in both directions, and neither makes a tag nor verifies one. GCM encrypts with CTR, the counter
        starting at two behind the IV (NIST SP 800-38D, sections 7.1 and 6.5).

        Raises:
            DecryptionError: Nothing is encrypted there.
        """
        return self.suite.mode.from_offset(self, offset)

    def cbc_range_decryptor(self, previous_block: bytes, *, last: bool) -> CipherContext:
        """Return a context for whole CBC blocks that follow ``previous_block`` (the IV before the first one).

        Args:
            previous_block: The 16 bytes of ciphertext that stand before the blocks.
            last: Whether the blocks reach the end of the object, so that padding is to be checked and removed.
        """
        blocks = engine.active.cbc_decryption(self.key, previous_block)
        return CbcDecryptor(blocks) if last else CbcMiddleDecryptor(blocks)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A content key can't be pickled or copied: it would leave the process.")


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

    def check_decrypt(self, suite: Suite) -> None:
        """Check that the policy allows an object of this suite to be read.

        Raises:
            PolicyError: The object has no key commitment and the policy demands one.
        """
        if self is CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT and not suite.committing:
            raise PolicyError(
                f"The object was written without key commitment ({suite.name}), and commitment_policy="
                "REQUIRE_ENCRYPT_REQUIRE_DECRYPT refuses it. REQUIRE_ENCRYPT_ALLOW_DECRYPT reads such objects."
            )
