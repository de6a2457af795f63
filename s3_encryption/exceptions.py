"""Every error and warning that this library raises by itself.

Botocore's own exceptions (``NoSuchKey``, ``ClientError``, ``ParamValidationError`` ...) are never wrapped: what plain
boto3 raises, the encrypting client raises too. The classes here are for what only an encrypting client can meet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_SHOWN_CHARACTERS = 200


def quoted(text: object) -> str:
    """Return text from outside as it may stand in a message: escaped, in quotes, and cut to a bounded length."""
    quoted = ascii(str(text)[: _SHOWN_CHARACTERS + 1])
    return quoted if len(quoted) <= _SHOWN_CHARACTERS else quoted[:_SHOWN_CHARACTERS] + "...'"


class S3EncryptionClientError(Exception):
    """The base of every error of this library.

    ``bucket`` and ``key`` name the object that the failed call was about, where there was one.
    """

    bucket: str | None = None
    key: str | None = None

    def about(self, bucket: object, key: object) -> S3EncryptionClientError:
        """Note which object the error is about (the innermost note wins) and return the error itself."""
        if self.bucket is None and isinstance(bucket, str):
            self.bucket = bucket
            self.key = key if isinstance(key, str) else None
        return self

    def __str__(self) -> str:
        message = super().__str__()
        if self.bucket is None:
            return message
        return f"{message} [bucket {quoted(self.bucket)}, key {quoted(self.key)}]"


class ConfigurationError(S3EncryptionClientError, ValueError):
    """An option or argument has a value that can't be used. Nothing was stored."""


class ConfigurationTypeError(ConfigurationError, TypeError):
    """An option or argument has the wrong type. Nothing was stored."""


class UnsupportedOperationError(S3EncryptionClientError):
    """The call would store plaintext or hand out ciphertext, so the client refuses it."""


class ClientClosedError(S3EncryptionClientError, RuntimeError):
    """The client was closed before the call, and has let go of its keys. Nothing was sent."""

    MESSAGE = (
        "The client was closed, and has let go of its keys. Nothing was sent. Close a client after its last use, or "
        "make a new S3EncryptionClient."
    )

    def __init__(self, message: str = MESSAGE) -> None:
        super().__init__(message)


class PolicyError(S3EncryptionClientError):
    """The object is of a format that the client's commitment policy or its legacy switches don't allow to be read."""


class KeyringMismatchError(S3EncryptionClientError):
    """The data key was wrapped by an algorithm that the configured keyring can't unwrap."""


class KeyringAnswerError(S3EncryptionClientError):
    """A keyring, or the KMS client under it, answered something else than was asked for. Nothing was stored."""


class MetadataTooLargeError(S3EncryptionClientError):
    """User metadata and envelope together exceed what S3 stores with an object (2 KB)."""


class BodyMismatchError(S3EncryptionClientError):
    """The body differs from the ContentLength, ContentMD5 or checksum that the caller declared for it."""


class BodyChangedError(S3EncryptionClientError):
    """The source of an upload changed between two attempts; sending it again would reuse a keystream."""


class CipherStateError(S3EncryptionClientError, RuntimeError):
    """A cipher was used after its end, by two threads at once, or in another process than the one that made it."""


class S3EncryptionClientSecurityError(S3EncryptionClientError):
    """The base of everything that looks like tampering: nothing of such an object was released as verified."""


class NotEncryptedError(S3EncryptionClientSecurityError):
    """The object carries no envelope: it was stored without client-side encryption, or somebody removed it."""


class InvalidEnvelopeError(S3EncryptionClientSecurityError):
    """The encryption metadata of the object is incomplete, malformed or contradictory."""


class EncryptionContextMismatchError(S3EncryptionClientSecurityError):
    """The caller's EncryptionContext is not the one that the object was written with."""


class DecryptionError(S3EncryptionClientSecurityError):
    """The data key can't be unwrapped, or the body is not what was encrypted under it.

    All such failures share one class and one text, so that they tell an attacker nothing.
    """

    MESSAGE = (
        "The object can't be decrypted: its data key or its content failed verification. "
        "It was changed in storage or in transit, or it was written under another key."
    )

    def __init__(self, message: str = MESSAGE) -> None:
        super().__init__(message)


_T = TypeVar("_T")


def as_decryption_error(step: Callable[[], _T], refusals: tuple[type[Exception], ...] = (ValueError,)) -> _T:
    """Return what a cryptographic step returns; let it fail in one way only, whatever its reason.

    The error is raised outside of the handler, so that it carries no cause, no context, none of the step's frames: a
    difference between failures would be an oracle, and the frames hold keys.

    Raises:
        DecryptionError: The step raised one of the ``refusals``: ValueError is pycryptodome's word for a wrong tag,
            padding or length.
    """
    try:
        return step()
    except refusals:
        pass
    raise DecryptionError


class KeyCommitmentError(DecryptionError):
    """The data key is not the one that the object committed to."""


class LegacyWriteWarning(UserWarning):
    """Objects are written in an old format that protects less than the default one."""
