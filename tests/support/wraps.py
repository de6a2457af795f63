"""Wraps by name."""

from __future__ import annotations

from typing import Any

from s3_encryption._keys.wrap_algorithms import WRAP_ALGORITHMS


def wrap_data_key(name: str, key: Any, data_key: bytes, content_algorithm: str) -> bytes:
    """Return a data key wrapped by the algorithm of a name."""
    wrap = WRAP_ALGORITHMS[name].wrap
    assert wrap is not None
    return wrap(key, data_key, content_algorithm)
