"""How to test code of your own that uses the client: with moto, no AWS account is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from s3_encryption import DecryptionError, S3EncryptionClient


def save_invoice(s3: Any, number: int, text: str) -> None:
    """Code of your own that is to be tested."""
    s3.put_object(Bucket="invoices", Key=f"{number}.txt", Body=text.encode())


def load_invoice(s3: Any, number: int) -> str:
    """Code of your own that is to be tested."""
    text: bytes = s3.get_object(Bucket="invoices", Key=f"{number}.txt")["Body"].read()
    return text.decode()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return an encrypting client over an S3 and a KMS that are in memory."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        kms_key_id = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
        client = S3EncryptionClient(kms_key_id=kms_key_id)
        client.create_bucket(Bucket="invoices")
        yield client


def test_invoice_comes_back(s3: Any) -> None:
    """What was saved is loaded."""
    save_invoice(s3, 1, "Ada owes 5")
    assert load_invoice(s3, 1) == "Ada owes 5"


def test_invoice_is_stored_encrypted(s3: Any) -> None:
    """A plain client shows what S3 has."""
    save_invoice(s3, 1, "Ada owes 5")
    assert b"Ada" not in boto3.client("s3").get_object(Bucket="invoices", Key="1.txt")["Body"].read()


def test_changed_invoice_is_refused(s3: Any) -> None:
    """What your code does with a changed object is worth a test, too."""
    save_invoice(s3, 1, "Ada owes 5")
    plain = boto3.client("s3")
    stored = plain.get_object(Bucket="invoices", Key="1.txt")
    changed = stored["Body"].read()[:-1] + b"!"
    plain.put_object(Bucket="invoices", Key="1.txt", Body=changed, Metadata=stored["Metadata"])
    with pytest.raises(DecryptionError):
        load_invoice(s3, 1)
