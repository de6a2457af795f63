"""The page about operations says what the client's own tables say, of every operation and method there is."""

from __future__ import annotations

import re
import runpy
from collections.abc import Mapping
from pathlib import Path

import boto3
import pytest
from botocore import xform_name
from support.vectors import AES_KEYS

from s3_encryption import S3EncryptionClient
from s3_encryption._operations.table import DECISIONS, METHODS, OPERATIONS, Operation

DOCS = Path(__file__).parents[1] / "docs"
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", re.MULTILINE)


def test_page_is_up_to_date() -> None:
    """The page is what ``make docs-operations`` writes."""
    assert (DOCS / "operations.md").read_text() == runpy.run_path(str(DOCS / "operations_page.py"))["page"]()


def test_every_operation_and_method_of_a_client_has_its_row() -> None:
    """Whatever a client has by a public name, boto3's and this library's own, is on the page, once."""
    plain = boto3.client("s3")
    client = S3EncryptionClient(plain, aes_key=AES_KEYS["aes256"])
    names = [name for name, _, _ in _ROW.findall((DOCS / "operations.md").read_text())]
    assert len(names) == len(set(names))
    assert {name for name in dir(client) if not name.startswith("_")} - set(names) == set()
    plain.close()


@pytest.mark.parametrize("table", [OPERATIONS, METHODS], ids=["operations", "methods"])
def test_rows_of_the_page_are_those_of_the_table(table: Mapping[str, Operation]) -> None:
    """Each row has its decision, all that is to be known, and no character that would end a cell of a table."""
    rows = {name: (decision, text) for name, decision, text in _ROW.findall((DOCS / "operations.md").read_text())}
    for name, operation in table.items():
        decision, text = rows[xform_name(name)]
        assert decision == operation.decision
        assert decision in DECISIONS
        assert operation.reason in text
        assert operation.note in text
        assert "|" not in text
