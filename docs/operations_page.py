"""Prints the page about operations, ``operations.md``, from the tables that the client itself goes by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from botocore import xform_name

from s3_encryption._operations.table import DECISIONS, METHODS, OPERATIONS, Operation

_INTRODUCTION = """\
# Operations

What `S3EncryptionClient` does with every operation of S3, and with every method that boto3 adds to them. An operation
of a later botocore, which is not on this page, is refused if it could carry content, and passes otherwise.
"""
_PASSED_INTRODUCTION = "These say and store nothing about the content of objects: they do what they do in boto3."


def page() -> str:
    """Return the page."""
    operations = {xform_name(name): operation for name, operation in OPERATIONS.items()}
    told = {name: operation for name, operation in operations.items() if _text(operation)}
    passed = {name: operation for name, operation in operations.items() if name not in told}
    sections = [
        _INTRODUCTION,
        _table(("decision", "meaning"), DECISIONS.items()),
        "## Operations\n",
        _rows(told),
        "## Methods beside the operations\n",
        _rows(METHODS),
        "## Operations that are boto3's\n",
        _PASSED_INTRODUCTION + "\n",
        _rows(dict(sorted(passed.items()))),
    ]
    return "\n".join(sections)


def _rows(operations: Mapping[str, Operation]) -> str:
    rows = ((f"`{name}`", operation.decision, _text(operation)) for name, operation in operations.items())
    return _table(("name", "decision", "what to know"), rows)


def _text(operation: Operation) -> str:
    refusal = f"Refused. {operation.reason}" if operation.reason else ""
    return f"{refusal} {operation.note}".strip()


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    print(page(), end="")
