"""The key to the ids in names of tests explains all that there are, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from attacks.rows import ALL_ROWS, ROW, ROWS

TESTS = Path(__file__).resolve().parent
KEY = (TESTS / "README.md").read_text("utf-8")


def test_key_explains_every_row() -> None:
    """Each row of the catalogue has a line with a sentence, once, below its table's heading."""
    explained = re.findall(rf"^\| ({ROW}) \| (.{{10,}}) \|$", KEY, re.MULTILINE)
    assert len(explained) == len(dict(explained))
    assert dict(explained).keys() == ALL_ROWS
    assert re.findall(r"^### (..): .+$", KEY, re.MULTILINE) == list(ROWS)


def test_no_test_names_a_row_that_is_not_explained() -> None:
    """Whatever id a test's name or sentence has, a reader finds it in the key."""
    families = "|".join(ROWS)
    named = set()
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text("utf-8")
        named |= {row.upper().replace("_", "-") for row in re.findall(rf"_((?:{families.lower()})_\d\d)(?=_)", text)}
        named |= set(re.findall(rf"\b((?:{families})-\d\d)\b", text))
    assert len(named) > 200
    assert named - ALL_ROWS == set()
