"""The page about operations names every operation and method there is, with the decision that the client goes by."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from support.vectors import AES_KEYS

from s3_encryption import S3EncryptionClient
from s3_encryption._operations.table import DECISIONS, OPERATIONS, decision

PAGE = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", PAGE, re.MULTILINE)
TOLD = {name: (decided, text) for name, decided, text in ROWS}


@pytest.fixture(scope="module")
def plain() -> Any:
    """Return an ordinary client."""
    return boto3.client("s3")


def test_every_operation_and_method_of_a_client_has_its_row(plain: Any) -> None:
    """Whatever a client has by a public name, boto3's and this library's own, is on the page, once."""
    client = S3EncryptionClient(plain, aes_key=AES_KEYS["aes256"])
    assert len(ROWS) == len(TOLD)
    assert {name for name in dir(client) if not name.startswith("_")} - TOLD.keys() == set()


def test_rows_tell_what_the_client_does_with_each_operation(plain: Any) -> None:
    """Each operation of the model has on the page the decision by which the client goes; each refusal its reason."""
    model = plain.meta.service_model
    for name in model.operation_names:
        operation = decision(model.operation_model(name))
        decided, text = TOLD[xform_name(name)]
        assert (name, decided) == (name, operation.decision)
        assert operation.reason in text
        assert ("Refused. " in text) >= bool(operation.reason)


def test_what_the_client_does_otherwise_than_boto3_is_explained() -> None:
    """A row that is not simply boto3's says what to know."""
    assert [name for name, (decided, text) in TOLD.items() if decided != "pass" and not text.strip()] == []
    assert {xform_name(name) for name in OPERATIONS} <= TOLD.keys()


def test_decisions_are_explained() -> None:
    """The page explains every word that it uses in its column of decisions, as the table does."""
    assert {decided for decided, _ in TOLD.values()} == DECISIONS.keys()
    assert all(f"| {word} | {meaning} |" in PAGE for word, meaning in DECISIONS.items())
