"""What an engine does: the calls by which AES and RSA come into the package, whichever library they come from."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from ..exceptions import DecryptionError

Buffer: TypeAlias = "bytes | bytearray | memoryview"

AES_BLOCK_BYTES = 16
GCM_TAG_BYTES = 16


class Transform(Protocol):
    """Turns bytes into as many other bytes, in order. A block mode takes whole blocks only."""

    def update_into(self, data: Buffer, output: memoryview) -> object:
        """Write what the next bytes become into the first ``len(data)`` bytes of ``output``."""


class GcmEncryption(Transform, Protocol):
    """One message that AES-GCM encrypts."""

    def tag(self) -> bytes:
        """Return the tag, and end the message."""


class GcmDecryption(Transform, Protocol):
    """One message that AES-GCM decrypts."""

    def verify(self, tag: Buffer) -> None:
        """End the message.

        Raises:
            DecryptionError: The tag is another.
        """


class Gmac(Protocol):
    """AES-GCM over associated data only (NIST SP 800-38D, section 3)."""

    def update(self, data: Buffer) -> object:
        """Take in the next bytes."""

    def digest(self) -> bytes:
        """Return the tag, and end the message."""


class RsaKey(Protocol):
    """A public or private RSA key. What can't be decrypted is a DecryptionError.

    OAEP generates its mask by SHA-1 whatever the digest: what Java's transformations mean, and all clients write.
    """

    @property
    def bits(self) -> int:
        """How long the modulus is."""

    @property
    def modulus(self) -> int:
        """The public modulus."""

    @property
    def exponent(self) -> int:
        """The public exponent."""

    @property
    def is_private(self) -> bool:
        """Whether the key can decrypt."""

    @property
    def identity(self) -> object:
        """What is the same for the same key pair only."""

    def oaep_encrypt(self, digest: str, data: bytes) -> bytes:
        """Return bytes encrypted by RSAES-OAEP (RFC 8017, section 7.1) with "SHA-1" or "SHA-256"."""

    def oaep_decrypt(self, digest: str, encrypted: bytes) -> bytes:
        """Return what was encrypted by ``oaep_encrypt``."""

    def pkcs1_v1_5_encrypt(self, data: bytes) -> bytes:
        """Return bytes encrypted by RSAES-PKCS1-v1_5 (RFC 8017, section 7.2)."""

    def pkcs1_v1_5_decrypt(self, encrypted: bytes, size: int) -> bytes:
        """Return the ``size`` bytes that were encrypted, or as many pseudo-random ones if the padding is wrong.

        So wrong padding looks like any other wrong key (implicit rejection): there is no padding oracle.
        """


class Engine(Protocol):
    """A library's AES and RSA. AES keys have 16, 24 or 32 bytes; what can't be decrypted is a DecryptionError."""

    @property
    def name(self) -> str:
        """What the engine is called."""

    def gcm_seal(self, key: bytes, iv: bytes, plaintext: Buffer, aad: bytes) -> bytes:
        """Return ciphertext and tag of a whole message."""

    def gcm_open(self, key: bytes, iv: bytes, body: Buffer, aad: bytes) -> bytes:
        """Return the plaintext of a ciphertext and the tag behind it."""

    def gcm_encryption(self, key: bytes, iv: bytes, aad: bytes) -> GcmEncryption:
        """Return a message to encrypt piece by piece."""

    def gcm_decryption(self, key: bytes, iv: bytes, aad: bytes) -> GcmDecryption:
        """Return a message to decrypt piece by piece; what comes out of it is not verified before its end."""

    def gmac(self, key: bytes, iv: bytes) -> Gmac:
        """Return a message of associated data only."""

    def ctr(self, key: bytes, counter_block: bytes) -> Transform:
        """Return AES-CTR from a block of 16 bytes on, which counts up as one number."""

    def cbc_encryption(self, key: bytes, iv: bytes) -> Transform:
        """Return AES-CBC in the one direction, without padding."""

    def cbc_decryption(self, key: bytes, iv: bytes) -> Transform:
        """Return AES-CBC in the other direction, padding and all."""

    def ecb_encrypt(self, key: bytes, blocks: bytes) -> bytes:
        """Return whole blocks, each encrypted by itself."""

    def ecb_decrypt(self, key: bytes, blocks: bytes) -> bytes:
        """Return whole blocks, each decrypted by itself."""

    def wrap_key(self, key: bytes, data_key: bytes) -> bytes:
        """Return a key wrapped by AES Key Wrap (RFC 3394)."""

    def unwrap_key(self, key: bytes, wrapped: bytes) -> bytes:
        """Return a key that was wrapped by AES Key Wrap."""

    def rsa_key(self, key: object, passphrase: str | None) -> RsaKey:
        """Return an RSA key from PEM or DER (str or bytes), or from a ``Crypto.PublicKey.RSA`` key.

        Raises:
            TypeError: It is of another type.
            ValueError: It can't be read or used; the message may quote the key.
        """


def pad(data: Buffer) -> bytes:
    """Return the last bytes of a message, filled up to whole blocks (PKCS #7; RFC 5652, section 6.3)."""
    missing = AES_BLOCK_BYTES - len(data) % AES_BLOCK_BYTES
    return bytes(data) + bytes([missing]) * missing


def unpad(data: bytes) -> bytes:
    """Return the last bytes of a message without what they were filled up with.

    Raises:
        DecryptionError: They aren't whole blocks that end in such a padding.
    """
    missing = data[-1] if data and len(data) % AES_BLOCK_BYTES == 0 else 0
    if not 1 <= missing <= AES_BLOCK_BYTES or data[-missing:] != bytes([missing]) * missing:
        raise DecryptionError
    return data[:-missing]
