"""The rows of the catalogue of security cases: each needs a test that has the row's id first in its name.

``test_ct_05_ct_07_...`` is the test of two rows. A row that is one case of a parametrized test has its id first in the
case's id instead: ``pytest.param(..., id="WR-13-aes-zeros")``.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

TESTS_DIRECTORY = Path(__file__).resolve().parent.parent

# The numbers have gaps.
ROWS = {
    "CT": "01 02 04 05 07 08 10 11",  # ciphertext tampering
    "MP": "01 02 04 05 07 08",  # multipart objects at rest
    "SW": "01 02 04 05 07",  # swaps, moves and roll-back
    "MD": "01 02 04 05 07 08 10 11 13 14 16 17 19 20 22",  # metadata, field by field
    "B6": "01 02 04 05",  # base64
    "JS": "01 02 04 05 07 08 10 11 13 14",  # JSON
    "DG": "01 02 04 05 07 08 10 11 13 14 16 17",  # downgrade of format and algorithm
    "WR": "01 02 04 05 07 08 10 11 13",  # wrapping algorithms
    "KM": "01 02 04 05 07 08",  # KMS
    "EC": "01 02 04 05 07 08 10 11",  # encryption contexts
    "KC": "01 02 04 05 07 08 10 11",  # key commitment
    "IF": "01 02 04 05 07 08 10 11 13 14 16 17 19 20 22 23",  # instruction files
    "CB": "01 02 04 05 07 08 10 11 13",  # CBC
    "RS": "01 02 04 05 07 08",  # RSA oracles
    "RG": "01 02 04 05 07 08 10 11 13 14",  # ranged reads
    "WI": "01 02 04 05 07 08 10 11 13 14 16 17",  # answers of a hostile server
    "RT": "01 02 04 05 07 08 10 11 13 14 16 17",  # retries
    "UP": "01 02 04 05 07 08 10 11 13 14 16 17 19 20 22",  # misuse of uploads
    "AL": "01 02 04 05 07 08 10 11 13 14 16 17 19 20",  # encryption forgotten
    "DL": "01 02 04 05 07 08 10 11",  # downloads to files
    "ST": "01 02 04 05 07",  # the returned Body
    "CO": "01 02 04 05 07 08 10",  # concurrency and fork
    "LK": "01 02 04 05 07 08 10 11 13 14",  # leaks on the local machine
    "ER": "01 02 04 05 07",  # errors
    "RM": "01 02 04 05 07 08",  # bounds of resources
    "CF": "01 02 04 05 07 08",  # configuration
    "KV": "01 02 04 05 07 08 10",  # known answers
}
ALL_ROWS = frozenset(f"{table}-{number}" for table, numbers in ROWS.items() for number in numbers.split())

ROW = r"[A-Z][A-Z0-9]-\d\d"


def rows_in_name(name: str) -> list[str]:
    """Return the rows that a test's name begins with."""
    found = re.match(r"test_((?:[a-z][a-z0-9]_\d\d_)+)", name)
    return [] if found is None else re.findall(ROW, found[1].upper().replace("_", "-"))


@functools.cache
def rows_tested() -> frozenset[str]:
    """Return the rows that some test names."""
    return frozenset(row for path in sorted(TESTS_DIRECTORY.rglob("test_*.py")) for row in _rows_of(path))


def _rows_of(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield from rows_in_name(node.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # Ids of cases; a docstring only speaks of rows, and has a sentence behind the id.
            yield from re.findall(rf"^({ROW})(?:-[\w.+-]*)?$", node.value)
