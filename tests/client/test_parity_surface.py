"""The client as an object: an ordinary boto3 client in every respect, beside which plain boto3 is the oracle."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import pydoc
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from unittest import mock

import pytest
from botocore.client import BaseClient
from support.uploads import MIB, Upload
from support.worlds import AES_KEY, KEY, StrictWorld, World

from s3_encryption import S3EncryptionClient


def methods_of(client: Any) -> dict[str, Any]:
    """Return a client's public methods."""
    return {name: getattr(client, name) for name in dir(client) if not name.startswith("_") and name != "exceptions"}


def test_client_is_an_instance_of_both(s3: StrictWorld) -> None:
    """An isinstance test holds for botocore's base class, for the wrapped client's class, and for this one."""
    client = s3.client()
    assert isinstance(client, BaseClient)
    assert isinstance(client, type(s3.plain))
    assert isinstance(client, S3EncryptionClient)
    assert type(client).__name__ == "S3EncryptionClient"


def test_client_has_everything_that_boto3s_has(s3: StrictWorld) -> None:
    """dir() lists all of boto3's attributes, and adds one public method: open()."""
    client = s3.client()
    missing = set(dir(s3.plain)) - set(dir(client))
    added = {name for name in set(dir(client)) - set(dir(s3.plain)) if not name.startswith("_")}
    assert (missing, added) == (set(), {"open"})


def test_methods_have_boto3s_signatures(s3: StrictWorld) -> None:
    """inspect.signature tells the same of every public method, defaults included."""
    ours, boto3s = methods_of(s3.client()), methods_of(s3.plain)
    differing = {
        name: str(inspect.signature(ours[name]))
        for name, method in boto3s.items()
        if callable(method) and _parameters(ours[name]) != _parameters(method)
    }
    assert differing == {}


def _parameters(method: Any) -> list[tuple[str, Any, Any]]:
    # Annotations aside: botocore has none.
    parameters = inspect.signature(method).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]


def test_help_is_boto3s(s3: StrictWorld) -> None:
    """help() shows boto3's text for every operation that is not overridden, and some text for those that are."""
    ours, boto3s = methods_of(s3.client()), methods_of(s3.plain)
    overridden = {name for name in vars(S3EncryptionClient) if not name.startswith("_")}
    for name in ["put_object", "get_object", "head_object", *sorted(boto3s.keys() - overridden)[::10]]:
        assert inspect.getdoc(ours[name]) == inspect.getdoc(boto3s[name])
    assert all(inspect.getdoc(ours[name]) for name in overridden)
    assert "StorageClass" in pydoc.render_doc(ours["put_object"])


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda client: client.put_object("bucket"), id="positional"),
        pytest.param(lambda client: client.no_such_method(), id="unknown-method"),
        pytest.param(lambda client: client.get_paginator("put_object"), id="no-paginator"),
        pytest.param(lambda client: client.get_waiter("no_waiter"), id="no-waiter"),
    ],
)
def test_misuse_is_answered_as_by_boto3(s3: StrictWorld, call: Callable[[Any], Any]) -> None:
    """A call that boto3's client refuses is refused here by the same exception class and text."""
    errors = []
    for client in (s3.plain, s3.client()):
        with pytest.raises(Exception, match=r".") as caught:
            call(client)
        errors.append((type(caught.value), str(caught.value).replace("S3EncryptionClient", "S3")))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps], ids=["copy", "deepcopy", "pickle"])
def test_lk_07_client_is_not_copied(s3: StrictWorld, copied: Callable[[Any], Any]) -> None:
    """A copy would be another client of default settings, so there is none (LK-07)."""
    with pytest.raises(TypeError, match="pickled or copied"):
        copied(s3.client())


def test_subclass_of_the_user_works(s3: StrictWorld) -> None:
    """A user's subclass can override an operation and call the original."""

    class Counting(S3EncryptionClient):
        puts = 0

        def put_object(self, **parameters: Any) -> Any:
            self.puts += 1
            return super().put_object(**parameters)

    client = Counting(aes_key=AES_KEY, endpoint_url=s3.url)
    client.put_object(**s3.object_at(), Body=b"secret")
    assert (type(client).__name__, isinstance(client, Counting), client.puts) == ("Counting", True, 1)
    assert s3.client().get_object(**s3.object_at())["Body"].read() == b"secret"


def test_exceptions_and_meta_are_the_wrapped_clients(s3: StrictWorld) -> None:
    """``exceptions`` and ``meta`` are those of the client that was wrapped, so handlers written for it match."""
    client = s3.client()
    assert client.meta is s3.plain.meta
    assert client.exceptions.NoSuchKey is s3.plain.exceptions.NoSuchKey


def test_operations_are_all_of_the_models(s3: StrictWorld) -> None:
    """Every operation of S3 is there under its name; the table of names is boto3's."""
    client = s3.client()
    assert client.meta.method_to_api_mapping == s3.plain.meta.method_to_api_mapping
    assert all(callable(getattr(client, name)) for name in client.meta.method_to_api_mapping)


def test_row_i1_with_closing_closes_the_connections(s3: StrictWorld) -> None:
    """I1: closing() works, as with boto3."""
    with closing(s3.new_client()) as client:
        client.put_object(**s3.object_at(), Body=b"secret")


def test_client_is_told_from_others(s3: StrictWorld) -> None:
    """A client is equal to itself alone, and can be a key of a dict, as boto3's."""
    one, two = s3.client(), s3.client()
    assert {one: 1, two: 2}[one] == 1
    assert one != two
    assert one != s3.plain


def test_client_is_freed(s3: StrictWorld) -> None:
    """A client that nobody holds goes, with all that it keeps."""
    client = s3.client()
    Upload(client).send(1, b"held back")
    reference = weakref.ref(client)
    del client
    gc.collect()
    assert reference() is None


def test_client_can_be_mocked(s3: StrictWorld) -> None:
    """Programs' own tests patch a client's methods, or take a mock of its shape."""
    client = s3.client()
    with mock.patch.object(client, "get_object", return_value={"Body": "stub"}) as patched:
        assert client.get_object(**s3.object_at()) == {"Body": "stub"}
        patched.assert_called_once_with(**s3.object_at())
    shaped = mock.create_autospec(client)
    shaped.upload_file("file", s3.bucket, Key=KEY)
    shaped.upload_file.assert_called_once_with("file", s3.bucket, KEY)
    with pytest.raises(TypeError):
        shaped.upload_file("file")
    assert s3.requests == []


def test_call_of_botocore_that_is_patched_is_still_reached(s3: StrictWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing tools, and tests, replace the one method that all of botocore's calls take: they see ciphertext."""
    seen: list[tuple[str, Any]] = []
    original = BaseClient._make_api_call

    def traced(self: Any, operation_name: str, api_params: dict[str, Any]) -> Any:
        seen.append((operation_name, api_params.get("Body")))
        return original(self, operation_name, api_params)

    client = s3.client()
    monkeypatch.setattr(BaseClient, "_make_api_call", traced)
    client.put_object(**s3.object_at(), Body=b"secret")
    assert client.get_object(**s3.object_at())["Body"].read() == b"secret"
    assert [name for name, _ in seen] == ["PutObject", "GetObject"]
    assert seen[0][1] != b"secret"
    assert b"secret" not in s3.requests[0].raw_body


# --- paginators and waiters -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shelf(moto_url: str) -> Iterator[World]:
    """Return a bucket with versions of encrypted objects, and uploads under way."""
    world = World(moto_url, "parity-surface")
    world.plain.create_bucket(Bucket=world.bucket)
    world.plain.put_bucket_versioning(Bucket=world.bucket, VersioningConfiguration={"Status": "Enabled"})
    client = world.client()
    for number in range(7):
        client.put_object(**world.object_at(f"key-{number % 5}"), Body=b"secret")
    for number in range(3):
        named = world.object_at(f"upload-{number}")
        upload = client.create_multipart_upload(**named)
        for part in (1, 2):
            client.upload_part(**named, UploadId=upload["UploadId"], PartNumber=part, Body=bytes(5 * MIB))
    yield world
    world.close()


def _paginators() -> list[str]:
    # Of the operations that moto knows.
    return ["list_buckets", "list_multipart_uploads", "list_object_versions", "list_objects", "list_objects_v2"]


def test_paginators_are_boto3s(shelf: World) -> None:
    """The same operations have paginators, of the same classes and with the same texts."""
    client, plain = shelf.client(), shelf.plain
    names = [name for name in plain.meta.method_to_api_mapping if plain.can_paginate(name)]
    assert set(names) > set(_paginators())
    for name in plain.meta.method_to_api_mapping:
        assert client.can_paginate(name) == plain.can_paginate(name)
    for name in names:
        ours, boto3s = client.get_paginator(name), plain.get_paginator(name)
        assert type(ours).__name__ == type(boto3s).__name__
        assert inspect.getdoc(ours.paginate) == inspect.getdoc(boto3s.paginate)


@pytest.mark.parametrize("name", [*_paginators(), "list_parts"])
def test_pages_are_boto3s(shelf: World, name: str) -> None:
    """Page by page, and all together, the answers are those of plain boto3; so is the token to go on from."""
    params: dict[str, Any] = {} if name == "list_buckets" else {"Bucket": shelf.bucket}
    if name == "list_parts":
        upload = shelf.plain.list_multipart_uploads(Bucket=shelf.bucket)["Uploads"][0]
        params |= {"Key": upload["Key"], "UploadId": upload["UploadId"]}
    results = []
    for client in (shelf.plain, shelf.client()):
        paginator = client.get_paginator(name)
        pages = [
            {member: value for member, value in page.items() if member != "ResponseMetadata"}
            for page in paginator.paginate(**params, PaginationConfig={"PageSize": 2})
        ]
        whole = paginator.paginate(**params, PaginationConfig={"MaxItems": 2, "PageSize": 1})
        results.append((pages, whole.build_full_result(), whole.resume_token))
    assert results[0] == results[1]
    assert results[0][0]


WAITS: dict[str, dict[str, Any]] = {
    "bucket_exists": {},
    "bucket_not_exists": {"Bucket": "no-such-bucket"},
    "object_exists": {"Key": "key-0"},
    "object_not_exists": {"Key": "absent"},
}


def test_waiters_are_boto3s(shelf: World) -> None:
    """Each of boto3's waiters waits, and shows boto3's text."""
    client = shelf.client()
    assert client.waiter_names == shelf.plain.waiter_names == sorted(WAITS)
    for name, params in WAITS.items():
        ours, boto3s = client.get_waiter(name), shelf.plain.get_waiter(name)
        assert ours.wait(**{"Bucket": shelf.bucket, **params}) is boto3s.wait(**{"Bucket": shelf.bucket, **params})
        assert inspect.getdoc(ours.wait) == inspect.getdoc(boto3s.wait)


# --- event handlers ---------------------------------------------------------------------------------------------------


def test_handlers_come_and_go(s3: StrictWorld) -> None:
    """A handler is registered, called in each request of the operation, and taken away again."""
    called: list[str] = []

    def note(request: Any, **event: Any) -> None:
        called.append(request.method)

    client = s3.new_client()
    client.meta.events.register("before-send.s3.PutObject", note)
    client.put_object(**s3.object_at(), Body=b"secret")
    client.get_object(**s3.object_at())["Body"].read()
    client.meta.events.unregister("before-send.s3.PutObject", note)
    client.put_object(**s3.object_at(), Body=b"secret")
    assert called == ["PUT"]


def test_handler_can_add_a_header(s3: StrictWorld) -> None:
    """What a handler does to a request is signed and sent, for reads and writes."""

    def add(params: dict[str, Any], **event: Any) -> None:
        params["headers"]["x-amz-meta-added"] = "by a handler"

    client = s3.new_client()
    client.meta.events.register("before-call.s3", add)
    client.put_object(**s3.object_at(), Body=b"secret")
    assert client.get_object(**s3.object_at())["Metadata"]["added"] == "by a handler"
    assert [request.headers["x-amz-meta-added"] for request in s3.requests] == ["by a handler"] * 2


def test_handler_can_read_the_answer(s3: StrictWorld) -> None:
    """after-call shows S3's answer of each call, nested ones too."""
    seen: list[str] = []

    def note(model: Any, parsed: dict[str, Any], **event: Any) -> None:
        seen.append(f"{model.name} {parsed['ResponseMetadata']['HTTPStatusCode']}")

    client = s3.new_client(envelope_location="instruction_file")
    client.meta.events.register("after-call.s3", note)
    client.put_object(**s3.object_at(), Body=b"secret")
    client.get_object(**s3.object_at())["Body"].read()
    assert seen == ["PutObject 200", "PutObject 200", "GetObject 200", "GetObject 200"]
