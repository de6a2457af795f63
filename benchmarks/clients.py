"""The clients that are compared. Each is made in a process of its own, some in an environment of its own."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

BUCKET = "benchmark"
KMS_KEY_ID = "arn:aws:kms:us-east-1:000000000000:key/benchmark"
# This library, with each of its engines.
OURS = ("openssl", "pycryptodome")
# A wrapping key for measurements without a key service.
_AES_KEY = bytes(range(32))


@dataclass(frozen=True)
class ClientOptions:
    """What a case asks of a client.

    ``delayed_authentication`` and ``ranges`` allow a read to release what is not verified (yet); ``committing`` writes
    V3 in the place of V2; ``kms`` takes data keys from the key service instead of making them in the process.
    """

    delayed_authentication: bool = False
    ranges: bool = False
    committing: bool = False
    kms: bool = False
    max_pool_connections: int = 10


DEFAULT_OPTIONS = ClientOptions()


@dataclass(frozen=True)
class Client:
    """One client under measurement, and a plain one to look at what it has stored."""

    kind: str
    s3: Any
    plain: Any = field(repr=False)

    @property
    def encrypts(self) -> bool:
        """Whether what it stores must be something else than what it was given."""
        return self.kind != "plain"


def _config(options: ClientOptions) -> Config:
    return Config(max_pool_connections=options.max_pool_connections)


def _plain(endpoint: str, options: ClientOptions) -> Any:
    return boto3.client("s3", endpoint_url=endpoint, config=_config(options))


def _ours(endpoint: str, options: ClientOptions) -> Any:
    library = importlib.import_module("s3_encryption")
    kms = boto3.client("kms", endpoint_url=endpoint, config=_config(options)) if options.kms else None
    return library.S3EncryptionClient(
        keyring=library.KmsKeyring(kms, KMS_KEY_ID) if kms else library.AesKeyring(_AES_KEY),
        enable_delayed_authentication=options.delayed_authentication,
        enable_unauthenticated_ranges=options.ranges,
        commitment_policy=_policy(library, options),
        endpoint_url=endpoint,
        config=_config(options),
    )


def _policy(library: Any, options: ClientOptions) -> Any:
    """Return a library's member for what is written: V2, which this library writes by default, or V3."""
    policy = library.CommitmentPolicy
    return policy.REQUIRE_ENCRYPT_ALLOW_DECRYPT if options.committing else policy.FORBID_ENCRYPT_ALLOW_DECRYPT


def _aws(endpoint: str, options: ClientOptions) -> Any:
    # The same import name as this library's: it comes from the environment that the process was started in.
    library = importlib.import_module("s3_encryption")
    if options.kms:
        kms = boto3.client("kms", endpoint_url=endpoint, config=_config(options))
        keyring = importlib.import_module("s3_encryption.materials.kms_keyring").KmsKeyring(kms, KMS_KEY_ID)
    else:
        keyring = _local_keyring_of_aws()
    materials = importlib.import_module("s3_encryption.materials")
    suite = "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY" if options.committing else "ALG_AES_256_GCM_IV12_TAG16_NO_KDF"
    config = library.S3EncryptionClientConfig(
        keyring=keyring,
        encryption_algorithm=materials.AlgorithmSuite[suite],
        commitment_policy=_policy(materials, options),
        enable_delayed_authentication=options.delayed_authentication,
    )
    return library.S3EncryptionClient(_plain(endpoint, options), config)


def _local_keyring_of_aws() -> Any:
    """Return a keyring for AWS's client that needs no key service: the client has none, but can be given one.

    It wraps data keys by AES-GCM under a key of the process, as this library's AesKeyring does, so that the two differ
    in what they do with an object and not in how many services they ask.
    """
    base: Any = importlib.import_module("s3_encryption.materials.keyring").S3Keyring
    data_key_class = importlib.import_module("s3_encryption.materials.encrypted_data_key").EncryptedDataKey
    aes = importlib.import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM(_AES_KEY)

    def on_encrypt(self: Any, materials: Any) -> Any:
        materials = base.on_encrypt(self, materials)
        materials.encryption_context["aws:x-amz-cek-alg"] = materials.encryption_algorithm.cipher_name
        nonce, key = os.urandom(12), os.urandom(32)
        materials.encrypted_data_key = data_key_class(
            key_provider_id=b"S3Keyring",
            key_provider_info="kms+context",
            encrypted_data_key=nonce + aes.encrypt(nonce, key, None),
        )
        materials.plaintext_data_key = key
        return materials

    def on_decrypt(self: Any, materials: Any, encrypted_data_keys: Any = None) -> Any:
        materials = base.on_decrypt(self, materials, encrypted_data_keys)
        (wrapped,) = encrypted_data_keys or materials.encrypted_data_keys
        blob = wrapped.encrypted_data_key
        materials.plaintext_data_key = aes.decrypt(blob[:12], blob[12:], None)
        return materials

    return type("LocalKeyring", (base,), {"on_encrypt": on_encrypt, "on_decrypt": on_decrypt})()


_MAKERS: Mapping[str, Callable[[str, ClientOptions], Any]] = {
    "plain": _plain,
    "openssl": _ours,
    "pycryptodome": _ours,
    "aws": _aws,
}

# In the order in which they take turns, with what the report calls them.
TITLES: Mapping[str, str] = {
    "plain": "plain boto3",
    "openssl": "s3_encryption, OpenSSL",
    "pycryptodome": "s3_encryption, pycryptodome",
    "aws": "AWS's client",
}


def make_client(kind: str, endpoint: str, options: ClientOptions) -> Client:
    """Return a client of a kind. The engine of ours is set by the environment of the process."""
    return Client(kind, _MAKERS[kind](endpoint, options), _plain(endpoint, DEFAULT_OPTIONS))
