"""What other Python clients wrote is read with the options that docs/migration.md names, and not with fewer."""

from __future__ import annotations

from typing import Any

import pytest
from support.fake_kms import FakeKms
from support.vectors import AES_KEYS, KMS_RECORDS, PEER_VECTORS, RSA_KEY_DER, VECTORS, Vector
from support.worlds import StrictWorld

from s3_encryption import KmsKeyring, S3EncryptionClient, S3EncryptionClientError

WRAPPING = "enable_legacy_wrapping_algorithms"
CONTENT = "enable_legacy_unauthenticated_modes"
# The beginning of the vectors' names: the switches that the page names.
SWITCHES: dict[str, tuple[str, ...]] = {
    "boldfield-": (WRAPPING, CONTENT),
    "fork-": (WRAPPING, CONTENT),
    "aioboto3-kms-gcm": (WRAPPING,),
    "aioboto3-kms-cbc": (WRAPPING, CONTENT),
    "aioboto3-symmetric": (WRAPPING, CONTENT),
    "aioboto3-asymmetric": (WRAPPING, CONTENT),
    "aioboto3-v2-kms-gcm": (WRAPPING,),
    "aioboto3-v2-kms-cbc": (WRAPPING, CONTENT),
    "aioboto3-v1-": (WRAPPING, CONTENT),
}
# Of the fork, the objects with AES-GCM need one switch only.
NEED_LESS = {"fork-aeswrap-gcm"}

CASES = [
    pytest.param(vector, switches, id=vector.name)
    for vector in (*VECTORS, *PEER_VECTORS)
    for prefix, switches in SWITCHES.items()
    if vector.name.startswith(prefix)
]


def read(s3: StrictWorld, kms: FakeKms, vector: Vector, switches: tuple[str, ...]) -> bytes:
    """Return the content of a stored object, as a program for which the page was followed does."""
    options: dict[str, Any] = dict.fromkeys(switches, True)
    if vector.kms is not None:
        options["keyring"] = KmsKeyring(kms, vector.kms.key_id)
    elif vector.master_key in AES_KEYS:
        options["aes_key"] = AES_KEYS[vector.master_key]
    else:
        options["rsa_key"] = RSA_KEY_DER
    client: Any = S3EncryptionClient(s3.plain, **options)
    content: bytes = client.get_object(**s3.object_at())["Body"].read()
    return content


@pytest.mark.parametrize(("vector", "switches"), CASES)
def test_objects_are_read_with_the_named_switches(
    s3: StrictWorld, kms: FakeKms, vector: Vector, switches: tuple[str, ...]
) -> None:
    """With the options of the page the object is read, with one switch less it is refused."""
    kms.load(KMS_RECORDS)
    s3.store(vector.body, vector.metadata)
    assert read(s3, kms, vector, switches) == vector.plaintext
    for missing in switches:
        if missing == CONTENT and vector.name.partition("/")[0] in NEED_LESS:
            continue
        with pytest.raises(S3EncryptionClientError, match=missing):
            read(s3, kms, vector, tuple(switch for switch in switches if switch != missing))


def test_every_row_has_objects() -> None:
    """None of the rows is without an object to prove it."""
    names = [vector.name for vector in (*VECTORS, *PEER_VECTORS)]
    assert all(any(name.startswith(prefix) for name in names) for prefix in SWITCHES)
