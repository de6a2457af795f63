"""What close() and the end of a ``with`` release, what goes on, and what a closed client says."""

from __future__ import annotations

import gc
import io
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.fake_kms import FakeKms
from support.uploads import Upload
from support.vectors import RSA_KEY_DER
from support.worlds import AES_KEY, BUCKET, KEY, StrictWorld

from s3_encryption import (
    AesKeyring,
    ClientClosedError,
    KmsKeyring,
    S3EncryptionClient,
    S3EncryptionClientConfig,
    S3EncryptionSession,
)

AT = {"Bucket": BUCKET, "Key": KEY}
# Beyond what is decrypted in one call.
DATA = bytes(range(256)) * 12 * 1024
SOURCE = {"Bucket": BUCKET, "Key": KEY}

CALLS: Mapping[str, Callable[[Any], object]] = {
    "put_object": lambda s3: s3.put_object(**AT, Body=b"content"),
    "get_object": lambda s3: s3.get_object(**AT),
    "head_object": lambda s3: s3.head_object(**AT),
    "copy_object": lambda s3: s3.copy_object(**AT, CopySource=SOURCE),
    "delete_object": lambda s3: s3.delete_object(**AT),
    "delete_objects": lambda s3: s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": KEY}]}),
    "get_object_tagging": lambda s3: s3.get_object_tagging(**AT),
    "list_objects_v2": lambda s3: s3.list_objects_v2(Bucket=BUCKET),
    "list_buckets": lambda s3: s3.list_buckets(),
    "create_multipart_upload": lambda s3: s3.create_multipart_upload(**AT),
    "paginator": lambda s3: list(s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)),
    "waiter": lambda s3: s3.get_waiter("object_exists").wait(**AT),
    "upload_file": lambda s3: s3.upload_file(__file__, **AT),
    "upload_fileobj": lambda s3: s3.upload_fileobj(io.BytesIO(b"content"), **AT),
    "upload_fileobj with arguments": lambda s3: s3.upload_fileobj(
        io.BytesIO(), BUCKET, KEY, {"EncryptionContext": {"tenant": "7"}}
    ),
    "download_file": lambda s3: s3.download_file(BUCKET, KEY, "never-written"),
    "download_fileobj": lambda s3: s3.download_fileobj(BUCKET, KEY, io.BytesIO()),
    "open": lambda s3: s3.open(**AT),
    "copy": lambda s3: s3.copy(SOURCE, BUCKET, KEY),
    "generate_presigned_url": lambda s3: s3.generate_presigned_url("get_object", AT),
    "generate_presigned_post": lambda s3: s3.generate_presigned_post(BUCKET, KEY),
    "with": lambda s3: s3.__enter__(),
}


def pools_of(client: Any) -> int:
    """Return to how many hosts a client holds connections."""
    return len(client._endpoint.http_session._manager.pools)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_closed_client_refuses_every_call(s3: StrictWorld, call: Callable[[Any], object]) -> None:
    """Whatever is called, the error has a name and says what to do; nothing is sent, and no file is made."""
    client = s3.new_client(enable_plaintext_presigned_uploads=True)
    client.put_object(**AT, Body=b"content")
    client.close()
    s3.forget()
    with pytest.raises(ClientClosedError, match=r"was closed.* make a new S3EncryptionClient"):
        call(client)
    assert s3.requests == []
    assert not Path("never-written").exists()


def test_error_of_a_closed_client_names_the_object(s3: StrictWorld) -> None:
    """Bucket and key of the call are told, as in every error; a call without them has none to tell."""
    client = s3.new_client()
    client.close()
    with pytest.raises(ClientClosedError) as raised:
        client.get_object(**AT)
    assert (raised.value.bucket, raised.value.key) == (BUCKET, KEY)
    with pytest.raises(ClientClosedError) as raised:
        client.list_buckets()
    assert (raised.value.bucket, raised.value.key) == (None, None)


def test_with_closes_the_client_and_lets_errors_through(s3: StrictWorld) -> None:
    """``with`` gives the client itself, closes it at the end whatever happened; boto3's clients have no ``with``."""
    client = s3.new_client()
    with client as entered:
        assert entered is client
        entered.put_object(**AT, Body=b"content")
    with pytest.raises(ClientClosedError):
        client.get_object(**AT)
    failing = s3.new_client()
    with pytest.raises(ZeroDivisionError), failing:
        raise ZeroDivisionError
    with pytest.raises(ClientClosedError):
        failing.get_object(**AT)
    with pytest.raises((AttributeError, TypeError)), s3.plain:
        pass


@pytest.mark.parametrize("key", ["aes_key", "rsa_key", "kms_key_id"])
def test_second_close_is_harmless(s3: StrictWorld, key: str) -> None:
    """A client can be closed in a ``with``, by closing() around it, and once more."""
    value = {"aes_key": AES_KEY, "rsa_key": RSA_KEY_DER, "kms_key_id": "alias/my-key"}[key]
    with s3.new_client(**{key: value}) as client:
        client.close()
    client.close()


def test_connections_are_closed_to_s3_and_to_kms(s3: StrictWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool of the client is emptied, and that of the KMS client which was made for it."""
    made: list[Any] = []
    monkeypatch.setattr(boto3.Session, "client", _noting(made, boto3.Session.client))
    client = s3.new_client(kms_key_id="alias/my-key", session=boto3.Session())
    kms = next(other for other in made if other.meta.service_model.service_name == "kms")
    for opened in (client, kms):
        opened._endpoint.http_session._manager.connection_from_url("https://aws.example.com")
    assert [pools_of(client), pools_of(kms)] == [1, 1]
    client.close()
    assert [pools_of(client), pools_of(kms)] == [0, 0]


def _noting(made: list[Any], make: Callable[..., Any]) -> Callable[..., Any]:
    def client(self: Any, *args: Any, **options: Any) -> Any:
        made.append(make(self, *args, **options))
        return made[-1]

    return client


def test_what_was_given_to_the_client_goes_on_working(s3: StrictWorld) -> None:
    """The S3 client and the keyring that a client was made over are their owner's, and serve other clients."""
    keyring = KmsKeyring(FakeKms(), "alias/my-key")
    with S3EncryptionClient(s3.plain, keyring=keyring) as client:
        client.put_object(**AT, Body=b"content")
    assert s3.body_stored()
    assert S3EncryptionClient(s3.plain, keyring=keyring).get_object(**AT)["Body"].read() == b"content"


@pytest.mark.parametrize("kind", ["encrypting", "plain"])
@pytest.mark.parametrize("options", [{}, {"enable_delayed_authentication": True}], ids=["verified", "delayed"])
def test_returned_bodies_can_be_read_to_their_end(s3: StrictWorld, kind: str, options: dict[str, Any]) -> None:
    """As with plain boto3, which is asked the same: unread and half-read bodies go on when the client is closed."""
    client = s3.new_client(**options) if kind == "encrypting" else s3.plain_client()
    client.put_object(**AT, Body=DATA)
    unread, half_read = (client.get_object(**AT)["Body"] for _ in range(2))
    start = half_read.read(1000)
    client.close()
    assert unread.read() == DATA
    assert start + half_read.read() == DATA


@pytest.mark.parametrize("options", [{}, {"enable_unauthenticated_ranges": True}], ids=["verified", "ranges"])
def test_opened_files_can_be_read_to_their_end(s3: StrictWorld, options: dict[str, Any]) -> None:
    """A file of ``open`` has what it needs to fetch the object, whether or not it has begun to."""
    with s3.new_client(**options) as client:
        client.put_object(**AT, Body=DATA)
        unread, half_read = client.open(**AT), client.open(**AT)
        start = half_read.read(1000)
    with unread, half_read:
        assert unread.read() == DATA
        assert start + half_read.read() == DATA


def test_keys_are_let_go(s3: StrictWorld) -> None:
    """Nothing that the closed client holds leads to its keyring, nor does an upload that has ended."""
    client = S3EncryptionClient(s3.plain, keyring=AesKeyring(AES_KEY))
    upload = Upload(client)
    upload.send(1, b"held back")
    upload.complete()
    keyring = weakref.ref(client._encryption.sealer.keyring)
    client.close()
    gc.collect()
    assert keyring() is None


def test_upload_under_way_goes_on_with_another_client(s3: StrictWorld) -> None:
    """An upload belongs to the process: helpers make, use and close a client for each call, as with plain boto3."""
    with s3.new_client() as client:
        upload = Upload(client)
    with s3.new_client() as client:
        upload.client = client
        upload.send(1, b"content")
    for call in (lambda: upload.send(1, b"content"), upload.complete, upload.abort):
        with pytest.raises(ClientClosedError):
            call()
    with s3.new_client() as client:
        upload.client = client
        upload.complete()
        assert client.get_object(**AT)["Body"].read() == b"content"


def test_client_of_a_resource_is_closed(s3: StrictWorld) -> None:
    """A resource has its client's end."""
    resource = S3EncryptionSession(aes_key=AES_KEY).resource("s3", **s3.connection)
    with resource.meta.client:
        resource.Object(BUCKET, KEY).put(Body=b"content")
    with pytest.raises(ClientClosedError):
        resource.Object(BUCKET, KEY).get()


def test_client_in_the_form_of_aws_is_closed(s3: StrictWorld) -> None:
    """A client made from a configuration object ends in the same way; the client it wraps goes on working."""
    with S3EncryptionClient(s3.plain, S3EncryptionClientConfig(AesKeyring(AES_KEY))) as client:
        client.put_object(**AT, Body=b"content")
    with pytest.raises(ClientClosedError):
        client.upload_fileobj(io.BytesIO(b"content"), BUCKET, KEY)
    assert s3.body_stored()
