"""Sealers made from a keyring and options by name."""

from __future__ import annotations

from typing import Any

from s3_encryption._sealer import ObjectSealer
from s3_encryption._settings import Settings


def sealer_with(keyring: Any, **options: Any) -> ObjectSealer:
    """Return a sealer with a keyring, and with options as a client takes them."""
    return ObjectSealer(keyring, Settings(**options))
