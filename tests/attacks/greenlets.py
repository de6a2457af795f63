"""What the test of greenlets does in a process of its own: threads and sockets are gevent's here."""

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402 - patched first, imported then
from typing import Any

import gevent
from support.fake_kms import KMS_KEY_ARN, FakeKms

from s3_encryption import KmsKeyring, S3EncryptionClient

BUCKET = "bucket"


def put_and_get(url: str, count: int) -> list[bool]:
    """Put and get objects with contexts of their own from many greenlets; return whether each got its own."""
    client: Any = S3EncryptionClient(keyring=KmsKeyring(FakeKms(), KMS_KEY_ARN), endpoint_url=url)

    def both(number: int) -> bool:
        named: dict[str, Any] = {"Bucket": BUCKET, "Key": str(number), "EncryptionContext": {"of": str(number)}}
        client.put_object(**named, Body=str(number))
        gevent.sleep(0)
        content: bytes = client.get_object(**named)["Body"].read()
        return content == str(number).encode()

    return [job.get() for job in gevent.joinall([gevent.spawn(both, number) for number in range(count)])]
