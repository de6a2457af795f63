"""Fixtures of the tests of migration: those of the client."""

from __future__ import annotations

from support.fixtures import _no_waiting, kms, kms_key_id, moto, moto_kms_key, moto_url, s3, strict_world

__all__ = ["_no_waiting", "kms", "kms_key_id", "moto", "moto_kms_key", "moto_url", "s3", "strict_world"]
