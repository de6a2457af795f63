"""django-anymail, which was written for AWS's own Python client, receives the mail that SES has stored encrypted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from django.conf import settings
from django.test import RequestFactory, override_settings
from support.encoder import GCM, Encoder, Kind, to_base64
from support.worlds import World

if not settings.configured:
    settings.configure()

from anymail.exceptions import AnymailAPIError
from anymail.signals import inbound
from anymail.webhooks.amazon_ses import AmazonSESInboundWebhookView
from botocore.exceptions import ClientError

from s3_encryption.exceptions import S3EncryptionClientError, S3EncryptionClientSecurityError

KEY = "mail/o3vrnil0e2ic28tr"
CONTENT = "for our eyes only\r\n" * 5000
MAIL = f"From: somebody@example.org\r\nTo: us@example.com\r\nSubject: the subject\r\n\r\n{CONTENT}".encode()
# What SES writes into the material description; the content algorithm is not bound, nor the key's id noted.
SES_CONTEXT = {
    "aws:ses:message-id": "o3vrnil0e2ic28tr",
    "aws:ses:rule-name": "rule",
    "aws:ses:source-account": "123456789012",
}


@pytest.fixture
def mailbox(moto: World, kms_key_id: str) -> World:
    """Return a bucket with one mail, as SES stores it: V2, AES-GCM, the data key from KMS by the older wrap."""
    kms = boto3.client("kms")
    made = kms.generate_data_key(KeyId=kms_key_id, NumberOfBytes=32, EncryptionContext=SES_CONTEXT)
    kms.close()
    stored = Encoder().write(Kind("V2", "kms", GCM), MAIL, data_key=made["Plaintext"], edk=made["CiphertextBlob"])
    own = {"x-amz-matdesc": json.dumps(SES_CONTEXT), "x-amz-unencrypted-content-length": str(len(MAIL))}
    moto.store(stored.body, {**stored.metadata, **own}, KEY)
    return moto


@pytest.fixture
def received() -> Iterator[list[Any]]:
    """Return the mails that anymail has received, as they come."""
    events: list[Any] = []

    def keep(event: Any, **others: Any) -> None:
        events.append(event)

    inbound.connect(keep)
    yield events
    inbound.disconnect(keep)


def notify(world: World, kms_key_id: str) -> Any:
    """Tell anymail's webhook, as SNS does, that a mail has come."""
    action = {"type": "S3", "bucketName": world.bucket, "objectKey": KEY}
    event = {
        "notificationType": "Received",
        "receipt": {"recipients": ["us@example.com"], "action": action},
        "mail": {"messageId": "o3vrnil0e2ic28tr", "source": "somebody@example.org"},
    }
    message = {"Type": "Notification", "MessageId": "1", "Message": json.dumps(event)}
    request = RequestFactory(
        headers={"X-Amz-Sns-Message-Type": "Notification", "X-Amz-Sns-Message-Id": "1", "Authorization": "Basic eDp5"}
    ).post("/", json.dumps(message), content_type="application/json")
    with override_settings(
        ALLOWED_HOSTS=["testserver"],
        ANYMAIL={"AMAZON_SES_INBOUND_KMS_KEY_ID": kms_key_id, "WEBHOOK_SECRET": "x:y"},
    ):
        return AmazonSESInboundWebhookView.as_view()(request)


@pytest.fixture(autouse=True)
def _endpoints(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)


def test_mail_arrives(mailbox: World, kms_key_id: str, received: list[Any]) -> None:
    """The mail that SES has encrypted arrives in the clear, through anymail's own code."""
    assert b"for our eyes only" not in mailbox.body_stored(KEY)
    assert notify(mailbox, kms_key_id).status_code == 200
    (event,) = received
    assert event.message.subject == "the subject"
    assert event.message.text.splitlines() == CONTENT.splitlines()


def changed_at(position: int) -> Callable[[World], None]:
    """Return what changes the stored body at a position."""

    def change(world: World) -> None:
        def flip(body: bytes) -> bytes:
            altered = bytearray(body)
            altered[position] ^= 1
            return bytes(altered)

        world.change_body(flip, KEY)

    return change


TAMPERING: dict[str, Callable[[World], None]] = {
    "tag": changed_at(-1),
    "content": changed_at(0),
    "truncated": lambda world: world.change_body(lambda body: body[:-100], KEY),
    "no-data-key": lambda world: world.change_metadata(KEY, x_amz_key_v2=None),
    "in-the-clear": lambda world: world.store(MAIL, {}, KEY),
}


@pytest.mark.parametrize("tamper", TAMPERING.values(), ids=TAMPERING)
def test_changed_mail_is_reported_as_such(
    mailbox: World, kms_key_id: str, received: list[Any], tamper: Callable[[World], None]
) -> None:
    """Anymail's clause for security errors fires: its own error comes out, and no mail arrives."""
    tamper(mailbox)
    with pytest.raises(AnymailAPIError, match="failed decrypting") as caught:
        notify(mailbox, kms_key_id)
    assert isinstance(caught.value, S3EncryptionClientSecurityError)
    assert isinstance(caught.value, S3EncryptionClientError)
    assert received == []


FAILURES: dict[str, tuple[Callable[[World], Any], str]] = {
    "E1-no-object": (lambda world: world.plain.delete_object(**world.object_at(KEY)), "GetObject"),
    "E3-other-data-key": (
        lambda world: world.change_metadata(KEY, x_amz_key_v2=to_base64(b"not of this KMS" * 10)),
        "Decrypt",
    ),
    "E3-other-context": (
        lambda world: world.change_metadata(KEY, x_amz_matdesc='{"aws:ses:rule-name":"another"}'),
        "Decrypt",
    ),
}


@pytest.mark.parametrize(("fail", "operation"), FAILURES.values(), ids=FAILURES)
def test_refusals_of_aws_are_reported_as_such(
    mailbox: World, kms_key_id: str, received: list[Any], fail: Callable[[World], Any], operation: str
) -> None:
    """Anymail's clause for ClientError fires, for S3's refusals and for KMS's."""
    fail(mailbox)
    with pytest.raises(AnymailAPIError, match="couldn't download") as caught:
        notify(mailbox, kms_key_id)
    assert isinstance(caught.value, ClientError)
    assert caught.value.operation_name == operation
    assert received == []
