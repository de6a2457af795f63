"""Programs whose tests run with moto's ``mock_aws``, which answers in the process itself, go on with them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from support.servers import moto_in_process
from support.worlds import AES_KEY, BUCKET, KEY

from s3_encryption import S3EncryptionClient

WRITES: dict[str, Callable[[Any, bytes], Any]] = {
    "put_object-bytes": lambda client, content: client.put_object(Bucket=BUCKET, Key=KEY, Body=content),
    "put_object-file": lambda client, content: client.put_object(Bucket=BUCKET, Key=KEY, Body=io.BytesIO(content)),
    "upload_fileobj": lambda client, content: client.upload_fileobj(io.BytesIO(content), BUCKET, KEY),
}


@pytest.fixture
def mocked() -> Iterator[Any]:
    """Return an encrypting client for S3 as moto imitates it in this process."""
    with moto_in_process():
        client: Any = S3EncryptionClient(aes_key=AES_KEY)
        client.create_bucket(Bucket=BUCKET)
        yield client
        client.delete_object(Bucket=BUCKET, Key=KEY)
        client.delete_bucket(Bucket=BUCKET)
        client.close()


@pytest.mark.parametrize("size", [100, 12_000_000], ids=["small", "large"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_writes_and_reads(mocked: Any, write: Callable[[Any, bytes], Any], size: int) -> None:
    """What is written is encrypted and can be read back."""
    content = bytes(size)
    write(mocked, content)
    assert mocked.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == content
    plain = boto3.client("s3")
    assert plain.head_object(Bucket=BUCKET, Key=KEY)["ContentLength"] == size + 16
    assert bytes(50) not in plain.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
    plain.close()
