"""Errors as a program sees them: by which class it catches what, and what comes through as it is."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from support.encoder import V1_AES, V2_AES, V3_AES, V3_KMS
from support.fake_kms import KMS_KEY_ARN
from support.sources import BrokenSource

import s3_encryption
from s3_encryption import DecryptionError, KmsKeyring, S3EncryptionClient, S3EncryptionClientError, exceptions
from s3_encryption._crypto import engine
from s3_encryption.exceptions import ConfigurationError, PolicyError, S3EncryptionClientSecurityError

from .bucket import Bucket, spoilt_objects
from .witness import MARKER


@spoilt_objects
def test_er_01_er_04_failed_verification_is_one_class_with_one_text(spoilt: str, bucket: Bucket) -> None:
    """Tag, commitment, padding, data key: ``except DecryptionError`` catches all, and none is about configuration."""
    kind = bucket.write_spoilt(spoilt)
    error = bucket.refused(bucket.client(kind), DecryptionError, kms_calls=kind.key_type == "kms")
    assert error.args == (DecryptionError.MESSAGE,)
    assert isinstance(error, S3EncryptionClientSecurityError)
    assert not isinstance(error, (ConfigurationError, PolicyError))


def test_er_01_refusals_of_the_configuration_are_other_classes(bucket: Bucket) -> None:
    """What a switch or an option would change is no sign of tampering."""
    bucket.write(V1_AES)
    error = bucket.refused(bucket.client(V1_AES, enable_legacy_wrapping_algorithms=False), PolicyError)
    assert not isinstance(error, S3EncryptionClientSecurityError)
    with pytest.raises(ConfigurationError) as caught:
        S3EncryptionClient(bucket.world.plain)
    assert not isinstance(caught.value, S3EncryptionClientSecurityError)


@pytest.mark.parametrize("name", [name for name in dir(exceptions) if name.endswith("Error") and name[0] != "_"])
def test_er_07_every_error_is_this_librarys_and_not_botocores(name: str) -> None:
    """One base class catches all; botocore's own are for what botocore raises, and come through as they are.

    Deriving from botocore's as well would make handlers for S3's answers catch signs of tampering.
    """
    error = getattr(exceptions, name)
    assert issubclass(error, S3EncryptionClientError)
    assert not issubclass(error, (ClientError, BotoCoreError))
    assert getattr(s3_encryption, name) is error


FOREIGN = [MemoryError("none left"), RecursionError("too deep"), KeyboardInterrupt(), SystemExit(3), OSError("gone")]
foreign = pytest.mark.parametrize("failure", FOREIGN, ids=lambda failure: type(failure).__name__)


@foreign
@pytest.mark.parametrize(("size", "at_read"), [(100, 0), (2_000_000, 0), (2_000_000, 2)])
def test_er_05_al_20_what_a_source_raises_comes_through(
    failure: BaseException, size: int, at_read: int, bucket: Bucket
) -> None:
    """Nothing of it is mapped, and nothing is stored."""
    source = BrokenSource(bytes(size), failure, at_read)
    with pytest.raises(type(failure)) as caught:
        bucket.writer(V2_AES).put_object(**bucket.world.object_at(), Body=source)
    assert caught.value is failure
    assert bucket.world.server.objects == {}


class FailingKms:
    """A KMS client whose every call fails."""

    def __init__(self, failure: BaseException) -> None:
        self._failure = failure

    def generate_data_key(self, **request: Any) -> Any:
        raise self._failure

    decrypt = generate_data_key


@foreign
def test_er_05_what_a_keyring_raises_comes_through(failure: BaseException, bucket: Bucket) -> None:
    """On writing and on reading."""
    bucket.write(V3_KMS)
    client = bucket.client(V3_KMS, keyring=KmsKeyring(FailingKms(failure), KMS_KEY_ARN))
    for call in (lambda: bucket.read(client), lambda: client.put_object(**bucket.world.object_at("new"), Body=MARKER)):
        with pytest.raises(type(failure)) as caught:
            call()
        assert caught.value is failure
    assert bucket.world.stored_keys() == ["folder/name.txt"]


@foreign
def test_er_05_failure_while_encrypting_stores_nothing(
    failure: BaseException, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the cipher itself gives up, what it raises comes through, too (AL-20)."""

    def fail(*arguments: object, **options: object) -> Any:
        raise failure

    client = bucket.writer(V3_AES)
    monkeypatch.setattr(type(engine.active), "gcm_seal", fail)
    with pytest.raises(type(failure)) as caught:
        client.put_object(**bucket.world.object_at(), Body=MARKER)
    assert caught.value is failure
    assert bucket.world.server.objects == {}
