"""Interop peer: AWS's own Python client, amazon-s3-encryption-client-python 4.0.0.

It writes KMS formats in object metadata and reads envelopes from metadata and instruction files.
The package ships a KMS keyring only. The two raw keyrings below let its reader open objects with
raw AES and RSA wrapping keys: the unwrapping is this program's, and everything else (metadata,
instruction file, key derivation, commitment, content) is the client's. Its writer always states
`kms+context`, so raw keyrings can't write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

import boto3
from attrs import define
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_der_private_key
from peer_protocol import ENDPOINT, Keys, Request, cells, load_keys, serve, versions
from s3_encryption.materials.keyring import S3Keyring

from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig
from s3_encryption.materials import AlgorithmSuite, CommitmentPolicy, EncryptedDataKey, KmsKeyring
from s3_encryption.materials.materials import DecryptionMaterials, EncryptionMaterials

KEYS = load_keys()
AES_GCM_NONCE_BYTES = 12

Unwrap = Callable[[bytes, bytes], bytes]
"""Takes the encrypted data key and the name of the content algorithm that it may be bound to."""


@define
class RawKeyring(S3Keyring):
    """A read-only keyring: one unwrapping function for each stated wrap algorithm."""

    unwraps: Mapping[str | None, Unwrap]

    def on_encrypt(self, enc_materials: EncryptionMaterials) -> EncryptionMaterials:
        """Refuse: the client would state another wrap algorithm than this keyring's."""
        raise NotImplementedError("the client writes KMS envelopes only")

    def on_decrypt(
        self,
        dec_materials: DecryptionMaterials,
        encrypted_data_keys: list[EncryptedDataKey] | None = None,
    ) -> DecryptionMaterials:
        """Fill in the data key."""
        materials = super().on_decrypt(dec_materials, encrypted_data_keys)
        (wrapped,) = encrypted_data_keys or materials.encrypted_data_keys
        unwrap = self.unwraps.get(wrapped.key_provider_info)
        if unwrap is None:
            raise ValueError(f"no raw key for the wrap algorithm {wrapped.key_provider_info!r}")
        # The suite is not known here yet, but only V3 objects come without an IV.
        bound_name = b"115" if materials.iv is None else b"AES/GCM/NoPadding"
        materials.plaintext_data_key = unwrap(wrapped.encrypted_data_key, bound_name)
        return materials


def aes_keyring(keys: Keys) -> RawKeyring:
    """Return the keyring of the raw AES key; V1 objects state no wrap algorithm at all."""

    def ecb(wrapped: bytes, bound_name: bytes) -> bytes:
        decryptor = Cipher(AES(keys.aes), ECB()).decryptor()  # noqa: S305 - this is how V1 wraps
        unpadder = PKCS7(AES.block_size).unpadder()
        padded = decryptor.update(wrapped) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()

    def gcm(wrapped: bytes, bound_name: bytes) -> bytes:
        nonce, sealed = wrapped[:AES_GCM_NONCE_BYTES], wrapped[AES_GCM_NONCE_BYTES:]
        return AESGCM(keys.aes).decrypt(nonce, sealed, bound_name)

    def rfc3394(wrapped: bytes, bound_name: bytes) -> bytes:
        return aes_key_unwrap(keys.aes, wrapped)

    return RawKeyring({None: ecb, "AES/GCM": gcm, "AESWrap": rfc3394})


def rsa_keyring(keys: Keys) -> RawKeyring:
    """Return the keyring of the RSA private key."""
    private_key = load_der_private_key(keys.rsa_private_der, password=None)
    assert isinstance(private_key, RSAPrivateKey)

    def decrypt(wrapped: bytes, digest: hashes.HashAlgorithm) -> bytes:
        # The mask generation is over SHA-1 whatever the digest, as in Java's transformation.
        mask = padding.MGF1(hashes.SHA1())  # noqa: S303 - the format says so
        return private_key.decrypt(wrapped, padding.OAEP(mask, digest, label=None))

    def oaep_sha1(wrapped: bytes, bound_name: bytes) -> bytes:
        payload = decrypt(wrapped, hashes.SHA1())  # noqa: S303 - the format says so
        data_key, name = payload[1 : 1 + payload[0]], payload[1 + payload[0] :]
        if name != bound_name:
            raise ValueError("the data key is bound to another content algorithm")
        return data_key

    def oaep_sha256(wrapped: bytes, bound_name: bytes) -> bytes:
        return decrypt(wrapped, hashes.SHA256())

    def pkcs1(wrapped: bytes, bound_name: bytes) -> bytes:
        return private_key.decrypt(wrapped, padding.PKCS1v15())

    return RawKeyring(
        {
            None: pkcs1,
            "RSA-OAEP-SHA1": oaep_sha1,
            "RSA/ECB/OAEPWithSHA-256AndMGF1Padding": oaep_sha256,
        }
    )


def kms_keyring(keys: Keys, *, legacy: bool = False) -> KmsKeyring:
    """Return the client's own keyring."""
    return KmsKeyring(
        kms_client=boto3.client("kms", endpoint_url=ENDPOINT),
        kms_key_id=keys.kms_key_id,
        enable_legacy_wrapping_algorithms=legacy,
    )


legacy_kms_keyring = partial(kms_keyring, legacy=True)

Suite = tuple[AlgorithmSuite, CommitmentPolicy]
V2: Suite = (
    AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF,
    CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
)
V3: Suite = (
    AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
)
# format: keyring, suite and policy, the switch for legacy content
READERS: dict[str, tuple[Callable[[Keys], S3Keyring], Suite, bool]] = {
    "v1-aes": (aes_keyring, V2, True),
    "v1-rsa": (rsa_keyring, V2, True),
    "v2-kms-cbc": (legacy_kms_keyring, V2, True),
    "v2-kms-gcm": (legacy_kms_keyring, V2, False),
    "v2-kms_context": (kms_keyring, V2, False),
    "v2-aeswrap-cbc": (aes_keyring, V2, True),
    "v2-aeswrap-gcm": (aes_keyring, V2, False),
    "v2-rsa_oaep_sha256-gcm": (rsa_keyring, V2, False),
    "v2-aes_gcm": (aes_keyring, V2, False),
    "v2-rsa_oaep_sha1": (rsa_keyring, V2, False),
    "v3-kms_context": (kms_keyring, V3, False),
    "v3-aes_gcm": (aes_keyring, V3, False),
    "v3-rsa_oaep_sha1": (rsa_keyring, V3, False),
}
WITH_CONTEXT = ("v2-kms_context", "v3-kms_context")


@cache
def client(format: str) -> S3EncryptionClient:
    """Return the client for a format, on a boto3 client of its own: wrapping changes that one."""
    keyring, (suite, policy), legacy_content = READERS[format]
    config = S3EncryptionClientConfig(
        keyring=keyring(KEYS),
        encryption_algorithm=suite,
        commitment_policy=policy,
        enable_legacy_unauthenticated_modes=legacy_content,
    )
    return S3EncryptionClient(boto3.client("s3", endpoint_url=ENDPOINT), config)


def context_of(request: Request) -> dict[str, str]:
    """Return the caller's context where the client takes one; it refuses any for `kms`."""
    return request.context if request.format in WITH_CONTEXT else {}


def put(request: Request) -> None:
    """Store the body encrypted."""
    client(request.format).put_object(
        Bucket=request.bucket,
        Key=request.key,
        Body=request.body,
        EncryptionContext=context_of(request),
    )


def get(request: Request) -> bytes:
    """Return the decrypted object."""
    response = client(request.format).get_object(
        Bucket=request.bucket, Key=request.key, EncryptionContext=context_of(request)
    )
    return bytes(response["Body"].read())


if __name__ == "__main__":
    serve(
        peer="aws_python",
        version=versions("amazon-s3-encryption-client-python", "boto3", "cryptography"),
        writes=cells(WITH_CONTEXT),
        reads=cells(READERS, "metadata", "instruction_file"),
        put=put,
        get=get,
    )
