"""AES and RSA by OpenSSL, through the ``cryptography`` package: several times faster, and an extra.

Its exceptions leave from here as ours: raised outside of the handlers, so that they carry no frames with keys.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar

from ..exceptions import as_decryption_error
from . import _pycryptodome
from .primitives import AES_BLOCK_BYTES, Buffer

_OLDEST = (45, 0)
_INSTALL = "pip install --upgrade 's3-encryption-client[openssl]'"

try:
    import cryptography
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives import hashes, keywrap
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except (KeyboardInterrupt, SystemExit):
    raise
except BaseException as error:  # an OpenSSL that can't be loaded ends in exceptions of its own, or in a panic of Rust's
    raise ImportError(
        f"The OpenSSL engine can't load the cryptography package ({type(error).__name__}): {_INSTALL}"
    ) from None

if tuple(map(int, re.findall(r"\d+", cryptography.__version__)[:2])) < _OLDEST:
    raise ImportError(
        f"The OpenSSL engine needs cryptography {'.'.join(map(str, _OLDEST))} or newer, "
        f"not {cryptography.__version__}: {_INSTALL}"
    )

_OAEP_PADDINGS = {
    "SHA-1": OAEP(MGF1(hashes.SHA1()), hashes.SHA1(), None),  # noqa: S303 - the format's
    "SHA-256": OAEP(MGF1(hashes.SHA1()), hashes.SHA256(), None),  # noqa: S303 - the format's
}

_T = TypeVar("_T")


class _Gcm:
    def __init__(self, context: Any) -> None:
        self._context = context
        self.update_into = context.update_into

    def tag(self) -> bytes:
        return _tag(self._context)

    def verify(self, tag: Buffer) -> None:
        _as_decryption_error(lambda: self._context.finalize_with_tag(bytes(tag)))


class _Gmac:
    def __init__(self, context: Any) -> None:
        self._context = context
        self.update = context.authenticate_additional_data

    def digest(self) -> bytes:
        return _tag(self._context)


class _Cbc:
    def __init__(self, context: Any) -> None:
        self._context = context

    def update_into(self, data: Buffer, output: memoryview) -> None:
        # The library wants almost a block of room behind a block mode's output: the last block leaves by a copy.
        blocks = memoryview(data)
        last = max(0, len(blocks) - AES_BLOCK_BYTES)
        if last:
            self._context.update_into(blocks[:last], output)
        output[last : len(blocks)] = self._context.update(blocks[last:])


class OpenSslRsaKey(_pycryptodome.PycryptodomeRsaKey):
    """OAEP is OpenSSL's. PKCS #1 v1.5 stays pycryptodome's, which promises implicit rejection: OpenSSL before 3.2 and
    its relatives answer wrong padding by an error, newer ones by bytes of any length.
    """

    @functools.cached_property
    def _public(self) -> Any:
        return rsa.RSAPublicNumbers(self.exponent, self.modulus).public_key()

    @functools.cached_property
    def _private(self) -> Any:
        p, q, d = int(self._key.p), int(self._key.q), int(self._key.d)
        public = rsa.RSAPublicNumbers(self.exponent, self.modulus)
        numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q), public)
        # That the numbers belong together was checked by the library that loaded them.
        return numbers.private_key(unsafe_skip_rsa_key_validation=True)

    def oaep_encrypt(self, digest: str, data: bytes) -> bytes:
        return bytes(self._public.encrypt(data, _OAEP_PADDINGS[digest]))

    def oaep_decrypt(self, digest: str, encrypted: bytes) -> bytes:
        return _as_decryption_error(lambda: bytes(self._private.decrypt(encrypted, _OAEP_PADDINGS[digest])))


class OpenSsl:
    """The engine's calls, as ``primitives.Engine`` describes them.

    Raises:
        ImportError: This OpenSSL lacks a mode, as builds for a FIPS provider may.
    """

    name = "openssl"

    def __init__(self) -> None:
        key, iv, block = bytes(range(32)), bytes(12), bytes(AES_BLOCK_BYTES)
        try:
            sealed = self.gcm_seal(key, iv, block, b"")
            usable = self.gcm_open(key, iv, sealed, b"") == block and self.ecb_encrypt(key, block) != block
            self.gmac(key, iv).digest()
            for transform in (self.ctr(key, block), self.cbc_encryption(key, block), self.cbc_decryption(key, block)):
                transform.update_into(block, memoryview(bytearray(block)))
            for padding in _OAEP_PADDINGS.values():
                rsa.RSAPublicNumbers(65537, 2**2047 + 1).public_key().encrypt(key, padding)
        except Exception as error:  # whatever a build of OpenSSL answers to what it does not have
            usable, reason = False, type(error).__name__
        else:
            reason = "wrong results"
        if not usable:
            raise ImportError(
                f"This OpenSSL can't do AES in GCM, CTR, CBC and ECB mode, and RSA-OAEP ({reason}). "
                "Use S3_ENCRYPTION_CRYPTO_ENGINE=pycryptodome."
            )

    def gcm_seal(self, key: bytes, iv: bytes, plaintext: Buffer, aad: bytes) -> bytes:
        return AESGCM(key).encrypt(iv, memoryview(plaintext).cast("B"), aad)

    def gcm_open(self, key: bytes, iv: bytes, body: Buffer, aad: bytes) -> bytes:
        return _as_decryption_error(lambda: AESGCM(key).decrypt(iv, body, aad))

    def gcm_encryption(self, key: bytes, iv: bytes, aad: bytes) -> _Gcm:
        return _Gcm(_with_aad(Cipher(algorithms.AES(key), modes.GCM(iv)).encryptor(), aad))

    def gcm_decryption(self, key: bytes, iv: bytes, aad: bytes) -> _Gcm:
        return _Gcm(_with_aad(Cipher(algorithms.AES(key), modes.GCM(iv)).decryptor(), aad))

    def gmac(self, key: bytes, iv: bytes) -> _Gmac:
        return _Gmac(Cipher(algorithms.AES(key), modes.GCM(iv)).encryptor())

    def ctr(self, key: bytes, counter_block: bytes) -> Any:
        return Cipher(algorithms.AES(key), modes.CTR(counter_block)).encryptor()

    def cbc_encryption(self, key: bytes, iv: bytes) -> _Cbc:
        return _Cbc(Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor())

    def cbc_decryption(self, key: bytes, iv: bytes) -> _Cbc:
        return _Cbc(Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor())

    def ecb_encrypt(self, key: bytes, blocks: bytes) -> bytes:
        context = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - for H, and wraps of V1
        return context.update(blocks) + context.finalize()

    def ecb_decrypt(self, key: bytes, blocks: bytes) -> bytes:
        context = Cipher(algorithms.AES(key), modes.ECB()).decryptor()  # noqa: S305 - wraps of V1
        return _as_decryption_error(lambda: context.update(blocks) + context.finalize())

    def wrap_key(self, key: bytes, data_key: bytes) -> bytes:
        return keywrap.aes_key_wrap(key, data_key)

    def unwrap_key(self, key: bytes, wrapped: bytes) -> bytes:
        return _as_decryption_error(lambda: keywrap.aes_key_unwrap(key, wrapped))

    def rsa_key(self, key: object, passphrase: str | None) -> OpenSslRsaKey:
        # Loaded by the other library, so that both engines take the same keys.
        return OpenSslRsaKey(_pycryptodome.load_rsa_key(key, passphrase))


def _with_aad(context: Any, aad: bytes) -> Any:
    if aad:
        context.authenticate_additional_data(aad)
    return context


def _tag(context: Any) -> bytes:
    context.finalize()
    return bytes(context.tag)


def _as_decryption_error(step: Callable[[], _T]) -> _T:
    return as_decryption_error(step, (ValueError, InvalidTag, keywrap.InvalidUnwrap))
