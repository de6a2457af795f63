"""Client-side encryption for Amazon S3: a drop-in for ``boto3.client("s3")`` that encrypts before S3 sees a byte."""

from __future__ import annotations

from . import _conflicts as _conflicts
from ._compat.aws import AlgorithmSuite, InstructionFileConfig, S3EncryptionClientConfig
from ._crypto.content import CommitmentPolicy
from ._crypto.engine import crypto_engine
from ._keys.keyring import DataKey, Keyring, WrappedDataKey
from ._keys.kms import KmsKeyring
from ._keys.multi import MultiKeyring
from ._keys.raw import AesKeyring, RsaKeyring
from ._version import __version__
from .client import S3EncryptionClient
from .exceptions import (
    BodyChangedError,
    BodyMismatchError,
    CipherStateError,
    ClientClosedError,
    ConfigurationError,
    ConfigurationTypeError,
    DecryptionError,
    EncryptionContextMismatchError,
    InvalidEnvelopeError,
    KeyCommitmentError,
    KeyringAnswerError,
    KeyringMismatchError,
    LegacyWriteWarning,
    MetadataTooLargeError,
    NotEncryptedError,
    PolicyError,
    S3EncryptionClientError,
    S3EncryptionClientSecurityError,
    UnsupportedOperationError,
)
from .session import S3EncryptionSession

__all__ = [
    "AesKeyring",
    "AlgorithmSuite",
    "BodyChangedError",
    "BodyMismatchError",
    "CipherStateError",
    "ClientClosedError",
    "CommitmentPolicy",
    "ConfigurationError",
    "ConfigurationTypeError",
    "DataKey",
    "DecryptionError",
    "EncryptionContextMismatchError",
    "InstructionFileConfig",
    "InvalidEnvelopeError",
    "KeyCommitmentError",
    "Keyring",
    "KeyringAnswerError",
    "KeyringMismatchError",
    "KmsKeyring",
    "LegacyWriteWarning",
    "MetadataTooLargeError",
    "MultiKeyring",
    "NotEncryptedError",
    "PolicyError",
    "RsaKeyring",
    "S3EncryptionClient",
    "S3EncryptionClientConfig",
    "S3EncryptionClientError",
    "S3EncryptionClientSecurityError",
    "S3EncryptionSession",
    "UnsupportedOperationError",
    "WrappedDataKey",
    "__version__",
    "crypto_engine",
]
