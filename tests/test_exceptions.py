"""The error tree: what a caller can catch by which class, and what a message may hold."""

from __future__ import annotations

import pickle

import pytest

from s3_encryption import exceptions
from s3_encryption.exceptions import (
    ConfigurationError,
    ConfigurationTypeError,
    DecryptionError,
    KeyCommitmentError,
    PolicyError,
    S3EncryptionClientError,
    S3EncryptionClientSecurityError,
    as_decryption_error,
    quoted,
)

ERRORS = [
    value
    for value in vars(exceptions).values()
    if isinstance(value, type) and issubclass(value, S3EncryptionClientError)
]
TAMPERING = {
    "DecryptionError",
    "EncryptionContextMismatchError",
    "InvalidEnvelopeError",
    "KeyCommitmentError",
    "NotEncryptedError",
    "S3EncryptionClientSecurityError",
}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_er_07_error_has_its_place_in_the_tree(error: type[Exception]) -> None:
    """ER-01: one base for all, one below it for all that smells of tampering, and each class says what it means."""
    assert issubclass(error, S3EncryptionClientSecurityError) == (error.__name__ in TAMPERING)
    assert error.__doc__
    assert not issubclass(error, (OSError, KeyError, AssertionError))


def test_mistakes_of_the_caller_are_pythons_own_errors_too() -> None:
    """Who catches ValueError or TypeError, as with plain boto3, catches wrong options."""
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(ConfigurationTypeError, (ConfigurationError, TypeError))


def test_er_01_er_04_failed_decryption_has_one_text() -> None:
    """ER-04: whatever failed, the text is the same."""
    assert str(DecryptionError()) == str(KeyCommitmentError()) == DecryptionError.MESSAGE


def test_error_names_the_object() -> None:
    """Bucket and key are told, in attributes and in the text; the first note wins, and without one there is none."""
    error = PolicyError("Refused.")
    assert str(error) == "Refused."
    assert error.about("bucket", "key").about("other", "other") is error
    assert (error.bucket, error.key) == ("bucket", "key")
    assert str(error) == "Refused. [bucket 'bucket', key 'key']"


@pytest.mark.parametrize(("bucket", "key"), [(None, "key"), (5, "key"), (b"bucket", None)])
def test_error_without_a_bucket_names_nothing(bucket: object, key: object) -> None:
    """What is no text can't be a bucket: the parameters were wrong, which another error says."""
    assert str(PolicyError("Refused.").about(bucket, key)) == "Refused."


@pytest.mark.parametrize(
    "error", [S3EncryptionClientError("x"), PolicyError("x"), DecryptionError(), KeyCommitmentError()]
)
def test_error_can_be_pickled(error: S3EncryptionClientError) -> None:
    """Errors pass from worker processes to their parent, with the object that they are about."""
    passed = pickle.loads(pickle.dumps(error.about("bucket", "key")))  # noqa: S301
    assert (type(passed), str(passed), passed.bucket, passed.key) == (type(error), str(error), "bucket", "key")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("AES/GCM", "'AES/GCM'"),
        ("a\nb\x1b[31m", "'a\\nb\\x1b[31m'"),
        ("Köln €", "'K\\xf6ln \\u20ac'"),
        ("\u202eevil", "'\\u202eevil'"),
        (None, "'None'"),
    ],
)
def test_foreign_text_is_escaped(text: object, escaped: str) -> None:
    """Text from outside can't break a line of a log, colour a terminal or turn the reading direction."""
    assert quoted(text) == escaped


@pytest.mark.parametrize("text", ["x" * 10**6, "\u20ac" * 10**6, "\n" * 300])
def test_foreign_text_is_cut(text: str) -> None:
    """However long it is, it takes a bounded place in a message."""
    assert len(quoted(text)) <= 210
    assert quoted(text).endswith("...'")


def test_cryptographic_failure_loses_its_cause() -> None:
    """CB-02: a ValueError becomes the uniform error without a trace; anything else passes, and so do results."""

    def fail() -> None:
        raise ValueError("why it failed")

    with pytest.raises(DecryptionError) as caught:
        as_decryption_error(fail)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    with pytest.raises(ZeroDivisionError):
        as_decryption_error(lambda: 1 // 0)
    assert as_decryption_error(lambda: 5) == 5
