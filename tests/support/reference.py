"""The primitives of the formats, written again from their specifications, as an oracle for tests.

Slow and not constant-time: for tests only. AES blocks, GCM and HKDF come straight from pycryptodome.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from Crypto.Cipher import AES
from Crypto.Hash import SHA512
from Crypto.Protocol.KDF import HKDF
from Crypto.PublicKey.RSA import RsaKey

COMMITTING_AAD = b"\x00\x73"
COMMITTING_IV = b"\x01" * 12


def pkcs7_pad(data: bytes) -> bytes:
    """Return the data with the padding of RFC 5652, section 6.3, to whole AES blocks."""
    missing = 16 - len(data) % 16
    return data + bytes([missing]) * missing


def cbc_encrypt(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """Return AES-CBC of the padded plaintext."""
    return cbc_encrypt_blocks(key, iv, pkcs7_pad(plaintext))


def cbc_encrypt_blocks(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    """Return AES-CBC of whole blocks, whatever their padding."""
    return bytes(AES.new(key, AES.MODE_CBC, iv=iv).encrypt(blocks))


def gcm_encrypt(key: bytes, iv: bytes, plaintext: bytes, aad: bytes = b"") -> bytes:
    """Return AES-GCM ciphertext and tag."""
    cipher = AES.new(key, AES.MODE_GCM, nonce=iv)
    cipher.update(aad)
    return b"".join(cipher.encrypt_and_digest(plaintext))


def ctr_encrypt(key: bytes, initial_block: bytes, plaintext: bytes) -> bytes:
    """Return AES-CTR from a whole initial counter block of 16 bytes."""
    cipher = AES.new(key, AES.MODE_CTR, nonce=b"", initial_value=int.from_bytes(initial_block, "big"))
    return bytes(cipher.encrypt(plaintext))


def committing_keys(data_key: bytes, message_id: bytes) -> tuple[bytes, bytes]:
    """Return the encryption key and the commitment of a V3 object."""
    return hkdf(data_key, message_id, b"\x00\x73DERIVEKEY", 32), hkdf(data_key, message_id, b"\x00\x73COMMITKEY", 28)


def hkdf(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """Return HKDF-SHA-512 (RFC 5869)."""
    output = HKDF(key, length, salt, SHA512, context=info)
    assert isinstance(output, bytes)
    return output


def aes_key_wrap(key: bytes, data: bytes) -> bytes:
    """Return the AES key wrap of RFC 3394, section 2.2.1."""
    cipher = AES.new(key, AES.MODE_ECB)
    check = b"\xa6" * 8
    registers = [data[i : i + 8] for i in range(0, len(data), 8)]
    for step in range(6 * len(registers)):
        position = step % len(registers)
        block = cipher.encrypt(check + registers[position])
        check = (int.from_bytes(block[:8], "big") ^ (step + 1)).to_bytes(8, "big")
        registers[position] = block[8:]
    return check + b"".join(registers)


def rsa_encrypt_block(key: RsaKey, block: bytes) -> bytes:
    """Return the RSA primitive on a block of the modulus's length, padding included."""
    size = key.size_in_bytes()
    assert len(block) == size
    return pow(int.from_bytes(block, "big"), key.e, key.n).to_bytes(size, "big")


def rsa_decrypt_block(key: RsaKey, ciphertext: bytes) -> bytes:
    """Return the block under the RSA primitive, padding included (RFC 8017, section 5.1.2, by the two primes)."""
    number = int.from_bytes(ciphertext, "big")
    p, q = int(key.p), int(key.q)
    low = pow(number, key.d % (q - 1), q)
    high = (pow(number, key.d % (p - 1), p) - low) * pow(q, -1, p) % p
    return (low + q * high).to_bytes(key.size_in_bytes(), "big")


def mgf1_sha1(seed: bytes, length: int) -> bytes:
    """Return the mask of RFC 8017, appendix B.2.1, over SHA-1."""
    digests = (hashlib.sha1(seed + i.to_bytes(4, "big")).digest() for i in range(-(-length // 20)))  # noqa: S324
    return b"".join(digests)[:length]


def oaep_block(message: bytes, size: int, hash_name: str, seed: bytes, first_byte: int = 0) -> bytes:
    """Return the OAEP block of RFC 8017, section 7.1.1, with an empty label and MGF1 over SHA-1."""
    label_hash = hashlib.new(hash_name, b"").digest()
    padding = bytes(size - len(message) - 2 * len(label_hash) - 2)
    return oaep_mask(label_hash + padding + b"\x01" + message, seed[: len(label_hash)], first_byte)


def oaep_mask(data_block: bytes, seed: bytes, first_byte: int = 0) -> bytes:
    """Return the OAEP block of any data block, well-formed or not."""
    masked = _xor(data_block, mgf1_sha1(seed, len(data_block)))
    return bytes([first_byte]) + _xor(seed, mgf1_sha1(masked, len(seed))) + masked


def oaep_message(block: bytes, hash_name: str) -> bytes:
    """Return the message in a well-formed OAEP block with an empty label and MGF1 over SHA-1."""
    label_hash = hashlib.new(hash_name, b"").digest()
    seed, masked = block[1 : 1 + len(label_hash)], block[1 + len(label_hash) :]
    seed = _xor(seed, mgf1_sha1(masked, len(seed)))
    data_block = _xor(masked, mgf1_sha1(seed, len(masked)))
    assert block[0] == 0
    assert data_block.startswith(label_hash)
    padding, separator, message = data_block[len(label_hash) :].partition(b"\x01")
    assert separator
    assert not any(padding)
    return message


def pkcs1_block(message: bytes, size: int, random_byte: Callable[[], int]) -> bytes:
    """Return the block of RFC 8017, section 7.2.1 (RSAES-PKCS1-v1_5)."""
    padding = bytes(random_byte() for _ in range(size - len(message) - 3))
    assert all(padding)
    return b"\x00\x02" + padding + b"\x00" + message


def implicit_rejection(key: RsaKey, ciphertext: bytes) -> tuple[bytes, int]:
    """Return the alternative message and its length for wrong PKCS#1 v1.5 padding.

    Source: draft-irtf-cfrg-rsa-guidance, section 7. The message is as long as the modulus; its last bytes are used.
    """
    size = key.size_in_bytes()
    secret = hashlib.sha256(key.d.to_bytes(size, "big")).digest()
    derived = hmac.digest(secret, ciphertext, "sha256")
    lengths = _rejection_bytes(derived, b"length", 256)
    limit = size - 10
    mask = (1 << limit.bit_length()) - 1
    chosen = 0
    for i in range(0, 256, 2):
        candidate = int.from_bytes(lengths[i : i + 2], "big") & mask
        if candidate < limit:
            chosen = candidate
    return _rejection_bytes(derived, b"message", size), chosen


def _rejection_bytes(key: bytes, label: bytes, length: int) -> bytes:
    suffix = label + (length * 8).to_bytes(2, "big")
    digests = (hmac.digest(key, i.to_bytes(2, "big") + suffix, "sha256") for i in range(-(-length // 32)))
    return b"".join(digests)[:length]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
