"""What can't be encrypted is refused, and nothing of it is sent; and no detour leads around the encryption."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from support.worlds import AES_KEY, KEY, StrictWorld
from support.writers import MARKER, TARGET

from s3_encryption import S3EncryptionClient, S3EncryptionSession, UnsupportedOperationError

from .test_leak_guard import leaks

# --- operations that are refused --------------------------------------------------------------------------------------

_QUERY = {
    "Expression": "select * from S3Object",
    "ExpressionType": "SQL",
    "InputSerialization": {"CSV": {}},
    "OutputSerialization": {"CSV": {}},
}
_FOREIGN_PART = {"UploadId": "made elsewhere", "PartNumber": 1, "Body": MARKER}


def _foreign_part_of_a_resource(client: Any) -> None:
    resource = boto3.resource("s3", endpoint_url=client.meta.endpoint_url)
    resource.meta.client.close()
    resource.meta.client = client
    resource.MultipartUpload(*TARGET.values(), "made elsewhere").Part(1).upload(Body=MARKER)


REFUSED: Mapping[str, Callable[[Any], object]] = {
    "append": lambda client: client.put_object(**TARGET, Body=MARKER, WriteOffsetBytes=0),
    "append-file": lambda client: client.put_object(**TARGET, Body=io.BytesIO(MARKER), WriteOffsetBytes=1000),
    "append-below-the-methods": lambda client: client._make_api_call(
        "PutObject", {**TARGET, "Body": MARKER, "WriteOffsetBytes": 16}
    ),
    "select_object_content": lambda client: client.select_object_content(**TARGET, **_QUERY),
    "put_object_annotation": lambda client: client.put_object_annotation(
        **TARGET, AnnotationName="note", AnnotationPayload=MARKER
    ),
}


@pytest.mark.parametrize("call", REFUSED)
def test_what_is_refused_sends_nothing(s3: StrictWorld, call: str) -> None:
    """It is refused before anything is sent, and the error names the object."""
    with pytest.raises(UnsupportedOperationError) as caught:
        REFUSED[call](s3.client())
    assert type(caught.value) is UnsupportedOperationError
    assert (caught.value.bucket, caught.value.key) == (s3.bucket, KEY)
    assert s3.requests == []


# --- operations that this version does not know -----------------------------------------------------------------------


def _structure(**members: str) -> dict[str, Any]:
    """Return a shape with a bucket, a key, and these members of other shapes."""
    located = {
        "Bucket": {"shape": "BucketName", "location": "uri", "locationName": "Bucket"},
        "Key": {"shape": "ObjectKey", "location": "uri", "locationName": "Key"},
    }
    return {
        "type": "structure",
        "members": {**located, **{name: {"shape": shape} for name, shape in members.items()}},
        "required": ["Bucket", "Key"],
    }


_FUTURE_SHAPES: Mapping[str, dict[str, Any]] = {
    "ShinyBytes": {"type": "blob"},
    "ShinyText": {"type": "string"},
    "ShinyNode": {"type": "structure", "members": {"Data": {"shape": "ShinyBytes"}, "Next": {"shape": "ShinyNode"}}},
    "ShinyNodes": {"type": "list", "member": {"shape": "ShinyNode"}},
    "ShinyMap": {"type": "map", "key": {"shape": "ShinyText"}, "value": {"shape": "ShinyNodes"}},
    "PutObjectNestedRequest": _structure(Nested="ShinyMap"),
    "PutObjectTextRequest": {**_structure(Text="ShinyText"), "payload": "Text"},
}
_FUTURE_OPERATIONS: Mapping[str, dict[str, Any]] = {
    "PutObjectShiny": {"input": {"shape": "PutObjectRequest"}},
    "GetObjectShiny": {"input": {"shape": "GetObjectRequest"}, "output": {"shape": "GetObjectOutput"}},
    "QueryObjectShiny": {"input": {"shape": "GetObjectRequest"}, "output": {"shape": "SelectObjectContentOutput"}},
    "PutObjectNested": {"input": {"shape": "PutObjectNestedRequest"}},
    "PutObjectText": {"input": {"shape": "PutObjectTextRequest"}},
    "DeleteObjectShiny": {"input": {"shape": "DeleteObjectRequest"}, "output": {"shape": "DeleteObjectOutput"}},
}
_FUTURE_WRITES: Mapping[str, dict[str, Any]] = {
    "put_object_shiny": {"Body": MARKER},
    "put_object_nested": {"Nested": {"one": [{"Next": {"Data": MARKER}}]}},
    "put_object_text": {"Text": MARKER.decode()},
}


class FutureLoader(Loader):  # type: ignore[misc]
    """Loads botocore's model of S3 as a later version may have it: with more operations."""

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """Return the model, and in that of S3 the operations of the future."""
        model = super().load_service_model(service_name, type_name, api_version)
        if (service_name, type_name) != ("s3", "service-2"):
            return model
        added = {
            name: {"name": name, "http": {"method": "PUT", "requestUri": f"/{{Key+}}?{name}"}, **shapes}
            for name, shapes in _FUTURE_OPERATIONS.items()
        }
        operations, shapes = {**model["operations"], **added}, {**model["shapes"], **_FUTURE_SHAPES}
        return {**model, "operations": operations, "shapes": shapes}


@pytest.fixture(scope="module")
def future_session() -> boto3.Session:
    """Return a session of a later botocore."""
    core = botocore.session.Session()
    core.register_component("data_loader", FutureLoader(core.get_component("data_loader").search_paths))
    return boto3.Session(botocore_session=core)


@pytest.mark.parametrize(
    ("method", "params"), [*_FUTURE_WRITES.items(), ("get_object_shiny", {}), ("query_object_shiny", {})]
)
def test_al_14_unknown_operation_with_data_is_refused(
    s3: StrictWorld, future_session: boto3.Session, method: str, params: dict[str, Any]
) -> None:
    """An operation that carries data, wherever in it, and that this version has never heard of, sends nothing."""
    client = s3.new_client(session=future_session)
    with pytest.raises(UnsupportedOperationError, match="Object"):
        getattr(client, method)(**s3.object_at(), **params)
    assert s3.requests == []


@pytest.mark.parametrize("method", _FUTURE_WRITES)
def test_al_14_unknown_operation_with_data_is_not_presigned(
    s3: StrictWorld, future_session: boto3.Session, method: str
) -> None:
    """A URL for it is refused, too."""
    with pytest.raises(UnsupportedOperationError, match=method):
        s3.new_client(session=future_session).generate_presigned_url(method, s3.object_at())


def test_unknown_operation_without_data_passes(s3: StrictWorld, future_session: boto3.Session) -> None:
    """What carries no data does what boto3 does with it."""
    client = s3.new_client(session=future_session)
    with pytest.raises(client.exceptions.ClientError, match="NotImplemented"):
        client.delete_object_shiny(**s3.object_at())
    assert [request.target for request in s3.requests] == [f"/{s3.bucket}/{KEY}?DeleteObjectShiny"]
    assert client.generate_presigned_url("delete_object_shiny", s3.object_at()).startswith(s3.url)


# --- event handlers ---------------------------------------------------------------------------------------------------

_OTHER_METADATA = {"team": "billing"}


def _set(params: dict[str, Any], **event: Any) -> None:
    params["Metadata"] = _OTHER_METADATA


def _return(params: dict[str, Any], **event: Any) -> dict[str, Any]:
    return {**params, "Metadata": _OTHER_METADATA}


def _add(params: dict[str, Any], **event: Any) -> None:
    params["Metadata"].update(_OTHER_METADATA)


def _upload(client: Any, operation: str) -> None:
    size = 100 if operation == "PutObject" else 9 * 2**20
    client.upload_fileobj(io.BytesIO(MARKER.ljust(size)), **TARGET)


@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload"])
@pytest.mark.parametrize(
    ("event", "handler"), [("before-parameter-build", _set), ("provide-client-params", _return)], ids=["set", "return"]
)
def test_handler_that_drops_the_envelope_is_refused(
    s3: StrictWorld, event: str, handler: Callable[..., Any], operation: str
) -> None:
    """An object whose envelope a handler has replaced could never be read: it is not sent."""
    client = s3.new_client()
    client.meta.events.register(f"{event}.s3.{operation}", handler)
    with pytest.raises(UnsupportedOperationError, match=r"add to params\[\"Metadata\"\]") as caught:
        _upload(client, operation)
    assert (caught.value.key, s3.requests) == (KEY, [])


@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload"])
def test_handler_may_add_metadata(s3: StrictWorld, operation: str) -> None:
    """What it adds is stored as from boto3, and the object can be read."""
    client = s3.new_client()
    client.meta.events.register(f"before-parameter-build.s3.{operation}", _add)
    _upload(client, operation)
    answer = client.get_object(**TARGET)
    assert answer["Body"].read().rstrip() == MARKER
    assert answer["Metadata"]["team"] == "billing"


@pytest.mark.parametrize("body", [bytes, io.BytesIO], ids=["bytes", "file"])
@pytest.mark.parametrize("operation", ["PutObject", "UploadPart"])
def test_handler_that_replaces_the_body_is_refused(
    wire: StrictWorld, operation: str, body: Callable[[bytes], Any]
) -> None:
    """What a handler puts in place of the ciphertext would be stored as it is: it is not sent, over TLS neither."""

    def replace(params: dict[str, Any], **event: Any) -> None:
        params["Body"] = body(MARKER)

    client = wire.new_client()
    client.meta.events.register(f"before-parameter-build.s3.{operation}", replace)
    with pytest.raises(UnsupportedOperationError, match="replaced the encrypted body"):
        _upload(client, operation)
    assert leaks(wire.requests) == []
    assert wire.stored_keys() == []


# --- detours ----------------------------------------------------------------------------------------------------------


def _public_attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    return ((name, getattr(thing, name)) for name in dir(thing) if not name.startswith("_"))


def test_al_13_no_public_attribute_is_a_client_that_does_not_encrypt(s3: StrictWorld) -> None:
    """Every public method is the encrypting client's own, and what it and ``meta`` have besides is no other client."""
    client = s3.client()
    owners = {name: getattr(value, "__self__", client) for name, value in _public_attributes(client)}
    assert len(owners) > 100
    assert [name for name, owner in owners.items() if owner is not client] == []
    values = [*_public_attributes(client), *_public_attributes(client.meta)]
    assert [name for name, value in values if isinstance(value, BaseClient)] == []


def test_al_13_resources_lead_to_the_encrypting_client(s3: StrictWorld) -> None:
    """The client that a resource, and whatever is made from it, offers for what it can't do itself, encrypts."""
    resource = S3EncryptionSession(aes_key=AES_KEY).resource("s3", endpoint_url=s3.url)
    made = [resource, resource.Bucket(s3.bucket), resource.Object(s3.bucket, KEY), resource.Bucket("b").Object(KEY)]
    made += [resource.ObjectSummary(s3.bucket, KEY), resource.Object(s3.bucket, KEY).MultipartUpload("u").Part(1)]
    assert {type(one.meta.client) for one in made} == {type(resource.meta.client)}
    assert isinstance(resource.meta.client, S3EncryptionClient)
    resource.meta.client.close()


def test_al_13_default_session_that_encrypts_is_boto3s(s3: StrictWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the session of boto3.client() and boto3.resource() encrypts, so do these."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", S3EncryptionSession(aes_key=AES_KEY))
    client, resource = boto3.client("s3", endpoint_url=s3.url), boto3.resource("s3", endpoint_url=s3.url)
    client.put_object(**s3.object_at(), Body=MARKER)
    resource.Object(s3.bucket, "second").put(Body=MARKER)
    assert leaks(s3.requests) == []
    assert s3.stored_keys() == [KEY, "second"]
    client.close()
    resource.meta.client.close()


class OwnClient(S3EncryptionClient):
    """A program's own client, which has its own way to put objects."""

    def put_object(self, **params: Any) -> Any:
        return super().put_object(**{"ContentType": "text/plain", **params})


def test_al_13_methods_of_a_subclass_encrypt(s3: StrictWorld) -> None:
    """A method that is overridden, and what boto3 builds on it, goes through the encryption below it."""
    client: Any = OwnClient(s3.plain, aes_key=AES_KEY)
    client.put_object(**s3.object_at(), Body=MARKER)
    client.upload_fileobj(io.BytesIO(MARKER), s3.bucket, "second")
    assert leaks(s3.requests) == []
    for key in (KEY, "second"):
        answer = client.get_object(**s3.object_at(key))
        assert (answer["Body"].read(), answer["ContentType"]) == (MARKER, "text/plain")


FOREIGN_PARTS: Mapping[str, Callable[[Any], object]] = {
    "by the method": lambda client: client.upload_part(**TARGET, **_FOREIGN_PART),
    "below the methods": lambda client: client._make_api_call("UploadPart", {**TARGET, **_FOREIGN_PART}),
    "by a resource": _foreign_part_of_a_resource,
}


@pytest.mark.parametrize("call", FOREIGN_PARTS)
def test_up_17_part_of_an_upload_that_nobody_knows_stays_here(s3: StrictWorld, call: str) -> None:
    """UP-17: S3 is asked whether there is such an upload, and says that there is not; the part is not sent."""
    with pytest.raises(ClientError, match="NoSuchUpload"):
        FOREIGN_PARTS[call](s3.client())
    (asked,) = s3.requests
    assert (asked.method, asked.body) == ("GET", b"")
    assert MARKER not in asked.sent_bytes
