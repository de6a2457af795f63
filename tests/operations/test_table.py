"""Every operation has its decision: what could store or hand out the wrong bytes is refused, all else is boto3's."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.stub import Stubber
from support.encoders import ENCODERS
from support.worlds import AES_KEY, KEY, StrictWorld, World

from s3_encryption import S3EncryptionClient
from s3_encryption._operations.table import OPERATIONS

MARKER = b"the plaintext that S3 must never see"
_DECISIONS = {"encrypt", "decrypt", "translate", "protect", "pass"}


def streams(model: Any) -> bool:
    """Tell whether an operation of the model carries a stream, in or out."""
    return any(
        (
            model.has_streaming_input,
            model.has_streaming_output,
            model.has_event_stream_input,
            model.has_event_stream_output,
        )
    )


def read(world: World, key: str = KEY) -> bytes:
    """Return an object's plaintext."""
    body: bytes = world.client().get_object(**world.object_at(key))["Body"].read()
    return body


# --- the table --------------------------------------------------------------------------------------------------------


def test_every_streaming_operation_of_the_model_has_a_row(s3: StrictWorld) -> None:
    """Whoever upgrades botocore has to decide about each new operation that carries data."""
    model = s3.plain.meta.service_model
    streaming = {name for name in model.operation_names if streams(model.operation_model(name))}
    assert len(streaming) >= 5
    assert streaming - OPERATIONS.keys() == set()


def test_rows_are_well_formed() -> None:
    """Each row has one of the five decisions, and a refusal has its reason."""
    assert {row.decision for row in OPERATIONS.values()} <= _DECISIONS
    assert [
        name for name, row in OPERATIONS.items() if row.decision == "protect" and not (row.reason or row.function)
    ] == []


@pytest.mark.parametrize(
    ("name", "decision"),
    [("PutObject", "encrypt"), ("GetObject", "decrypt"), ("HeadObject", "translate"), ("CopyObject", "protect")],
)
def test_the_operations_on_content_are_decided(name: str, decision: str) -> None:
    """The operations on an object's content are what this client is for."""
    assert OPERATIONS[name].decision == decision


# --- what passes ------------------------------------------------------------------------------------------------------


def _delete_many(client: Any, bucket: str) -> Any:
    return client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "no such key"}], "Quiet": True})


def _tagged(client: Any, bucket: str) -> Any:
    client.put_object_tagging(Bucket=bucket, Key=KEY, Tagging={"TagSet": [{"Key": "team", "Value": "blue"}]})
    return client.get_object_tagging(Bucket=bucket, Key=KEY)


def _waited(client: Any, bucket: str) -> Any:
    return client.get_waiter("object_exists").wait(Bucket=bucket, Key=KEY)


def _paged(client: Any, bucket: str) -> Any:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
    return [[entry["Key"] for entry in page["Contents"]] for page in pages]


PASSED: dict[str, Callable[[Any, str], Any]] = {
    "list_buckets": lambda client, bucket: [b["Name"] for b in client.list_buckets()["Buckets"] if b["Name"] == bucket],
    "head_bucket": lambda client, bucket: client.head_bucket(Bucket=bucket),
    "get_bucket_location": lambda client, bucket: client.get_bucket_location(Bucket=bucket),
    "get_bucket_versioning": lambda client, bucket: client.get_bucket_versioning(Bucket=bucket),
    "get_bucket_acl": lambda client, bucket: client.get_bucket_acl(Bucket=bucket),
    "list_objects": lambda client, bucket: client.list_objects(Bucket=bucket),
    "list_objects_v2": lambda client, bucket: client.list_objects_v2(Bucket=bucket),
    "list_object_versions": lambda client, bucket: client.list_object_versions(Bucket=bucket),
    "list_multipart_uploads": lambda client, bucket: client.list_multipart_uploads(Bucket=bucket),
    "get_object_acl": lambda client, bucket: client.get_object_acl(Bucket=bucket, Key=KEY),
    "put_object_acl": lambda client, bucket: client.put_object_acl(Bucket=bucket, Key=KEY, ACL="private"),
    "tagging": _tagged,
    "delete_object": lambda client, bucket: client.delete_object(Bucket=bucket, Key="no such key"),
    "delete_objects": _delete_many,
    "get_object_attributes": lambda client, bucket: client.get_object_attributes(
        Bucket=bucket, Key=KEY, ObjectAttributes=["ETag", "ObjectSize"]
    ),
    "paginator": _paged,
    "waiter": _waited,
    "can_paginate": lambda client, bucket: [client.can_paginate("list_parts"), client.can_paginate("get_object")],
    "waiter_names": lambda client, bucket: client.waiter_names,
}


@pytest.fixture(scope="module")
def two_objects(moto_url: str) -> Iterator[World]:
    """Return a bucket with an encrypted object and a plain one."""
    world = World(moto_url, "operations")
    world.plain.create_bucket(Bucket=world.bucket)
    world.client().put_object(**world.object_at(), Body=MARKER)
    world.store(b"not encrypted", {}, "plain")
    yield world
    world.close()


@pytest.mark.parametrize("operation", PASSED)
def test_al_10_operation_without_content_is_boto3s(two_objects: World, operation: str) -> None:
    """Everything that is not about content gives the answer of plain boto3 (AL-10)."""
    answers = [PASSED[operation](client, two_objects.bucket) for client in (two_objects.client(), two_objects.plain)]
    for answer in answers:
        if isinstance(answer, dict):
            answer.pop("ResponseMetadata")
    assert answers[0] == answers[1]


def test_deleted_object_is_gone(moto: World) -> None:
    """delete_object and delete_objects delete."""
    client = moto.client()
    for key in ("one", "two", "three"):
        client.put_object(**moto.object_at(key), Body=MARKER)
    client.delete_object(**moto.object_at("one"))
    client.delete_objects(Bucket=moto.bucket, Delete={"Objects": [{"Key": "two"}]})
    assert [entry["Key"] for entry in client.list_objects_v2(Bucket=moto.bucket)["Contents"]] == ["three"]


def test_stubber_works(s3: StrictWorld) -> None:
    """Tests of users that stub the client go on working: answers come from the stub, and nothing is sent."""
    client = s3.new_client()
    encoded = ENCODERS["V2"].encode(b"stubbed")
    with Stubber(client) as stubber:
        stubber.add_response("put_object", {"ETag": '"e"'})
        stubber.add_response("list_objects_v2", {"KeyCount": 0}, {"Bucket": s3.bucket})
        stubber.add_response(
            "get_object",
            {"Body": io.BytesIO(encoded.body), "Metadata": dict(encoded.metadata), "ContentLength": len(encoded.body)},
            s3.object_at(),
        )
        stubber.add_client_error("get_object", "NoSuchKey", http_status_code=404)
        assert client.put_object(**s3.object_at(), Body=MARKER)["ETag"] == '"e"'
        assert client.list_objects_v2(Bucket=s3.bucket)["KeyCount"] == 0
        assert client.get_object(**s3.object_at())["Body"].read() == b"stubbed"
        with pytest.raises(client.exceptions.NoSuchKey):
            client.get_object(**s3.object_at())
    assert s3.requests == []


def test_handlers_of_the_user_see_ciphertext_only(s3: StrictWorld) -> None:
    """Event handlers on the client, which may log or trace, get neither plaintext nor the encryption context."""
    seen: list[str] = []

    def note(**event: Any) -> None:
        seen.append(repr(event))

    client = s3.new_client()
    for event in ("provide-client-params", "before-parameter-build", "before-call", "before-send", "after-call"):
        client.meta.events.register(f"{event}.s3", note)
    client.put_object(**s3.object_at(), Body=MARKER)
    client.put_object(**s3.object_at(), Body=io.BytesIO(MARKER))
    client.get_object(**s3.object_at())["Body"].read()
    assert len(seen) >= 15
    assert not [text for text in seen if MARKER.decode() in text or "EncryptionContext" in text]


def test_handler_of_the_user_can_add_parameters(s3: StrictWorld) -> None:
    """What a handler adds to every call of an operation reaches S3."""

    def pay(params: dict[str, Any], **event: Any) -> None:
        params["RequestPayer"] = "requester"

    client = s3.new_client()
    client.meta.events.register("before-parameter-build.s3.PutObject", pay)
    client.put_object(**s3.object_at(), Body=MARKER)
    assert s3.requests[0].headers["x-amz-request-payer"] == "requester"


def test_closed_client_can_be_closed_again(s3: StrictWorld) -> None:
    """close() closes the connections, as boto3's does."""
    client = s3.new_client()
    client.put_object(**s3.object_at(), Body=MARKER)
    client.close()
    client.close()
    with client._endpoint.http_session._manager.pools.lock:
        assert len(client._endpoint.http_session._manager.pools) == 0


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directive", [{}, {"MetadataDirective": "COPY"}], ids=["default", "COPY"])
@pytest.mark.parametrize("format", ["V2", "V3", "V2-CBC"])
def test_copy_object_takes_the_envelope_along(moto: World, format: str, directive: dict[str, str]) -> None:
    """A copy made by S3 decrypts as its source does."""
    encoded = ENCODERS[format].encode(MARKER)
    moto.store(encoded.body, encoded.metadata)
    client = moto.client(**ENCODERS[format].options)
    client.copy_object(**moto.object_at("copy"), CopySource=moto.object_at(), StorageClass="STANDARD_IA", **directive)
    assert client.get_object(**moto.object_at("copy"))["Body"].read() == MARKER


@pytest.mark.parametrize("size", [100, 5 * 2**20, 6 * 2**20], ids=["small", "one-part", "two-parts"])
def test_managed_copy_takes_all_of_the_object(moto: World, size: int) -> None:
    """copy() copies the ciphertext to its end, tag included, in one request or in parts."""
    plaintext = bytes(range(256)) * (size // 256) + bytes(size % 256)
    client = moto.client()
    client.put_object(**moto.object_at(), Body=plaintext)
    parts = TransferConfig(multipart_threshold=5 * 2**20, multipart_chunksize=5 * 2**20)
    client.copy(moto.object_at(), moto.bucket, "copy", Config=parts)
    assert read(moto, "copy") == plaintext


def test_managed_copy_takes_all_arguments_of_boto3s(moto: World) -> None:
    """ExtraArgs, Callback and SourceClient work by position and by keyword."""
    copied: list[int] = []
    client = moto.client()
    client.put_object(**moto.object_at(), Body=MARKER)
    client.copy(moto.object_at(), moto.bucket, "one", {"StorageClass": "STANDARD_IA"}, copied.append, moto.plain)
    client.copy(CopySource=moto.object_at(), Bucket=moto.bucket, Key="two", SourceClient=client)
    assert [read(moto, "one"), read(moto, "two")] == [MARKER, MARKER]
    assert sum(copied) == len(MARKER) + 16


def test_al_08_replaced_metadata_keeps_the_envelope(moto: World) -> None:
    """With REPLACE, the copy has the caller's metadata and its source's envelope (AL-08)."""
    client = moto.client()
    client.put_object(**moto.object_at(), Body=MARKER, Metadata={"old": "yes"})
    replaced = {"MetadataDirective": "REPLACE", "Metadata": {"new": "yes"}}
    client.copy_object(**moto.object_at("one"), CopySource=moto.object_at(), **replaced)
    client.copy(moto.object_at(), moto.bucket, "two", replaced)
    for key in ("one", "two"):
        assert read(moto, key) == MARKER
        stored = moto.metadata_stored(key)
        assert (stored.get("old"), stored.get("new")) == (None, "yes")


# --- downloads of small files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 100, 200_000])
def test_small_download_is_decrypted(s3: StrictWorld, tmp_path: Path, size: int) -> None:
    """download_file and download_fileobj give the plaintext."""
    client, memory = s3.client(), io.BytesIO()
    client.put_object(**s3.object_at(), Body=(MARKER * 6000)[:size])
    client.download_file(s3.bucket, KEY, str(tmp_path / "target"))
    client.download_fileobj(s3.bucket, KEY, memory)
    assert (tmp_path / "target").read_bytes() == memory.getvalue() == (MARKER * 6000)[:size]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_crt_client_gets_no_credentials(s3: StrictWorld) -> None:
    """boto3 hands transfers to the CRT client, which would bypass this one, only with credentials to give it."""
    client = S3EncryptionClient(s3.plain, aes_key=AES_KEY)
    assert getattr(client, "_get_credentials")() is None  # noqa: B009 - its type says None already
    assert s3.plain._get_credentials() is not None
