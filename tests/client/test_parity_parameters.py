"""Wrong parameters: every operation that is not simply passed on refuses them as plain boto3 does, word for word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ParamValidationError
from support.features import is_missing
from support.worlds import StrictWorld

from s3_encryption._operations.table import OPERATIONS

OWN = sorted(
    name
    for name, operation in OPERATIONS.items()
    if operation.decision != "pass" and operation.function and not is_missing(name)
)
_VALID = {"string": "text", "integer": 1, "long": 1, "blob": b"", "map": {}, "list": [], "boolean": True}


class _Wrong:
    """A value that no parameter takes; unlike that of object(), its text does not change."""

    def __repr__(self) -> str:
        return "wrong"


WRONG = _Wrong()


def shapes() -> dict[str, Any]:
    """Return botocore's shapes of what the operations take."""
    client = boto3.client("s3")
    model = client.meta.service_model
    client.close()
    return {name: model.operation_model(name).input_shape for name in OWN}


SHAPES = shapes()
MEMBERS = [pytest.param(name, member, id=f"{name}.{member}") for name in OWN for member in SHAPES[name].members]


def valid(name: str) -> dict[str, Any]:
    """Return the least that an operation takes."""
    special = {"CopySource": "bucket/key", "Delete": {"Objects": [{"Key": "key"}]}, "Bucket": "bucket"}
    shape = SHAPES[name]
    return {
        member: special.get(member, _VALID.get(shape.members[member].type_name)) for member in shape.required_members
    }


def refusals(s3: StrictWorld, call: Callable[[Any], Any]) -> Iterator[tuple[type[Exception], str]]:
    """Return how plain boto3 and the encrypting client refuse a call."""
    for client in (s3.plain, s3.client()):
        with pytest.raises(Exception, match=r".") as caught:
            call(client)
        yield type(caught.value), str(caught.value)


def check(s3: StrictWorld, name: str, params: dict[str, Any]) -> None:
    """Check that both refuse a call in the same words, and send nothing."""
    boto3s, ours = refusals(s3, lambda client: getattr(client, xform_name(name))(**params))
    assert ours == boto3s
    assert s3.requests == []


@pytest.mark.parametrize("name", OWN)
def test_missing_parameters_are_named_as_by_boto3(s3: StrictWorld, name: str) -> None:
    """A call without its required parameters, or without one of them."""
    check(s3, name, {})
    for missing in SHAPES[name].required_members:
        check(s3, name, {member: value for member, value in valid(name).items() if member != missing})


@pytest.mark.parametrize("name", OWN)
def test_unknown_parameter_is_named_as_by_boto3(s3: StrictWorld, name: str) -> None:
    """The list of what is known is boto3's own: without this library's parameters."""
    check(s3, name, {**valid(name), "Nonsense": 1})


@pytest.mark.parametrize("value", [WRONG, None], ids=["type", "None"])
@pytest.mark.parametrize(("name", "member"), MEMBERS)
def test_wrong_parameter_is_refused_as_by_boto3(s3: StrictWorld, name: str, member: str, value: Any) -> None:
    """UP-02: a value of a wrong type, or None, for each parameter there is."""
    check(s3, name, {**valid(name), member: value})


@pytest.mark.parametrize("name", [name for name in OWN if "Key" in SHAPES[name].members])
@pytest.mark.parametrize(
    "wrong", [{"Key": ""}, {"Bucket": "no bucket"}, {"Bucket": ""}, {"Bucket": "a", "Key": None}], ids=str
)
def test_impossible_address_is_refused_as_by_boto3(s3: StrictWorld, name: str, wrong: dict[str, Any]) -> None:
    """Empty keys and names that no bucket has."""
    check(s3, name, {**valid(name), **wrong})


def test_wrong_values_inside_of_parameters_are_named_as_by_boto3(s3: StrictWorld) -> None:
    """What is wrong deep inside is told with its path, all mistakes at once."""
    for params in (
        {"Metadata": {"a": 1, 2: "b"}},
        {"Metadata": ["a"]},
        {"Metadata": {"ä": "text"}},
        {"Metadata": {"a": 1}, "ContentLength": "5", "Tagging": 7, "Nonsense": 0},
    ):
        check(s3, "PutObject", {**valid("PutObject"), **params})
    check(
        s3, "CompleteMultipartUpload", {**valid("CompleteMultipartUpload"), "MultipartUpload": {"Parts": [{"ETag": 5}]}}
    )


@pytest.mark.parametrize("name", OWN)
def test_methods_take_no_positions_as_in_boto3(s3: StrictWorld, name: str) -> None:
    """put_object("bucket") is a TypeError, in boto3's words."""
    boto3s, ours = refusals(s3, lambda client: getattr(client, xform_name(name))("bucket"))
    assert ours == boto3s == (TypeError, f"{xform_name(name)}() only accepts keyword arguments.")


def test_without_validation_s3_decides(s3: StrictWorld) -> None:
    """A client that was told not to validate sends what it is given, as boto3's does."""
    config = Config(parameter_validation=False)
    for client in (s3.plain_client(config=config), s3.new_client(config=config)):
        with pytest.raises(client.exceptions.ClientError, match="NotImplemented"):
            client.delete_object(**s3.object_at(""))
    with pytest.raises(ParamValidationError):
        s3.client().delete_object(**s3.object_at(""))
