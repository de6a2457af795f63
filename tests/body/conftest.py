"""The worlds that these tests run in."""

from support.fixtures import (
    _no_waiting,
    kms,
    kms_key_id,
    moto,
    moto_kms_key,
    moto_url,
    s3,
    s3_over_tls,
    strict_world,
    wire,
)

__all__ = [
    "_no_waiting",
    "kms",
    "kms_key_id",
    "moto",
    "moto_kms_key",
    "moto_url",
    "s3",
    "s3_over_tls",
    "strict_world",
    "wire",
]
