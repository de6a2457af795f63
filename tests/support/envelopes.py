"""Envelopes of tests: of each kind, and refused."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from s3_encryption._envelope.formats import (
    parse,
)
from s3_encryption.exceptions import InvalidEnvelopeError

from .encoder import (
    ALL_KINDS,
    V1_AES,
    V2_AES,
    V2_KMS,
    V3_AES,
    V3_KMS,
    Encoder,
    Kind,
    Stored,
)

LENGTH = "x-amz-unencrypted-content-length"

all_kinds = pytest.mark.parametrize("kind", ALL_KINDS, ids=str)

one_of_each_format = pytest.mark.parametrize("kind", [V1_AES, V2_AES, V2_KMS, V3_AES, V3_KMS], ids=str)


def written(kind: Kind, description: Mapping[str, str] | None = None) -> Stored:
    """Return a stored object of a kind."""
    return Encoder().write(kind, b"plaintext", description=description)


def refused(metadata: Mapping[str, str]) -> str:
    """Return the message with which an envelope is refused."""
    with pytest.raises(InvalidEnvelopeError) as caught:
        parse(metadata)
    assert caught.value.__cause__ is None
    return str(caught.value)


def longest(kind: Kind) -> dict[str, str]:
    """Return the metadata of the longest envelope there may be: 8 KiB of names and texts."""
    metadata = written(kind, {"team": "blue"}).metadata
    field = kind.description_field
    others = sum(len(name) + len(text) for name, text in metadata.items()) - len(metadata[field])
    return {**metadata, field: metadata[field].ljust(8 * 1024 - others)}
