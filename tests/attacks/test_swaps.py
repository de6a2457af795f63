"""Objects, and parts of them, in the place of others that are under the same master key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.encoder import GCM_KINDS, RSA_KEY, V2_AES_CBC, V2_KMS, V3_AES, V3_KMS, Encoder, Kind, Stored
from support.fake_kms import FakeKmsError
from support.worlds import World

from s3_encryption import RsaKeyring
from s3_encryption.exceptions import DecryptionError, EncryptionContextMismatchError

from . import counts
from .bucket import Bucket
from .witness import MARKER

OTHER = MARKER[::-1]

gcm_kinds = pytest.mark.parametrize("kind", GCM_KINDS, ids=str)
kms_kinds = pytest.mark.parametrize("kind", [V2_KMS, V3_KMS], ids=str)


def from_kms(kind: Kind) -> tuple[type[Exception], ...]:
    """Return what may end the reading of a swapped data key: the library's own error, and KMS's."""
    return (DecryptionError, FakeKmsError) if kind.key_type == "kms" else (DecryptionError,)


@gcm_kinds
def test_sw_01_body_of_another_object_is_refused(kind: Kind, bucket: Bucket) -> None:
    """An object's metadata with another one's body ends in the error."""
    ours, other = bucket.write(kind), bucket.write(kind, OTHER)
    bucket.all_refused(bucket.client(kind), kind, iter([Stored(ours.metadata, other.body)]))


@gcm_kinds
def test_sw_02_field_of_another_object_is_refused(kind: Kind, bucket: Bucket) -> None:
    """Each field that differs, taken alone from an object under the same master key, ends in an error."""
    ours, other = bucket.write(kind, description=None), bucket.write(kind, OTHER)
    differing = {name for name in ours.metadata if ours.metadata[name] != other.metadata[name]}
    assert differing == {*kind.fields.values(), *(["x-amz-d"] if kind.format == "V3" else [])}
    client = bucket.client(kind)
    for name in differing:
        counts.tried(counts.METADATA_MUTATIONS)
        bucket.put(ours.changed(name, other.metadata[name]))
        bucket.refused(client, from_kms(kind), kms_calls=kind.key_type == "kms")
    bucket.put(Stored(other.metadata, other.body))
    assert bucket.read(client) == OTHER


@kms_kinds
def test_sw_02_description_of_another_object_is_refused(kind: Kind, bucket: Bucket) -> None:
    """An encryption context that comes from another object is not the one the data key was made for."""
    ours, other = bucket.write(kind, description={"k": "A"}), bucket.write(kind, description={"k": "B"})
    field = kind.description_field
    bucket.put(ours.changed(field, other.metadata[field]))
    client = bucket.client(kind)
    bucket.refused(client, EncryptionContextMismatchError, EncryptionContext={"k": "A"})
    bucket.refused(client, FakeKmsError, kms_calls=1, EncryptionContext={"k": "B"})


@kms_kinds
def test_sw_04_object_moved_to_another_context_is_refused_without_kms(kind: Kind, bucket: Bucket) -> None:
    """Where another context is expected, a whole object that was put in another's place is refused."""
    bucket.write(kind, description={"k": "A"})
    client = bucket.client(kind)
    bucket.refused(client, EncryptionContextMismatchError, EncryptionContext={"k": "B"})
    assert bucket.read(client, EncryptionContext={"k": "A"}) == MARKER


@gcm_kinds
def test_sw_05_older_version_put_back_is_read(kind: Kind, bucket: Bucket) -> None:
    """A documented limit: an older version is as genuine as a newer one."""
    older = bucket.write(kind)
    bucket.write(kind, OTHER)
    bucket.put(older)
    assert bucket.read(bucket.client(kind)) == MARKER


def requests_of(client: Any) -> list[Any]:
    """Return the list to which every request of a client is added before it is sent."""
    requests: list[Any] = []
    client.meta.events.register("before-send.s3", lambda request, **_: requests.append(request))
    return requests


READS: dict[str, Callable[[Any, dict[str, Any], dict[str, str]], bytes]] = {
    "get": lambda s3, named, pin: bytes(s3.get_object(**named, **pin)["Body"].read()),
    "range": lambda s3, named, pin: bytes(s3.get_object(**named, **pin, Range="bytes=0-60")["Body"].read()),
    "open": lambda s3, named, pin: s3.open(**named, **pin).read(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("kind", [V3_AES, V2_AES_CBC], ids=str)
def test_sw_05_pin_of_the_caller_goes_with_every_request(
    kind: Kind, read: Callable[[Any, dict[str, Any], dict[str, str]], bytes], moto: World
) -> None:
    """Who names a version or an ETag gets that one: each request for the object says so, also those for ranges."""
    moto.plain.put_bucket_versioning(Bucket=moto.bucket, VersioningConfiguration={"Status": "Enabled"})
    encoder, named = Encoder(), moto.object_at()
    written = []
    for plaintext in (MARKER, OTHER):
        stored = encoder.write(kind, plaintext)
        written.append(moto.plain.put_object(**named, Body=stored.body, Metadata=dict(stored.metadata)))
    switches = {**kind.switches, "enable_unauthenticated_ranges": True}
    client = moto.new_client(keyring=encoder.keyring(kind), **switches)
    requests = requests_of(client)
    assert read(client, named, {"VersionId": written[0]["VersionId"]}) == MARKER
    assert all(f"versionId={written[0]['VersionId']}" in request.url for request in requests)
    requests.clear()
    assert read(client, named, {"IfMatch": written[1]["ETag"]}) == OTHER
    assert {request.headers["If-Match"].decode() for request in requests} == {written[1]["ETag"]}
    with pytest.raises(ClientError, match=r"PreconditionFailed|412"):
        read(client, named, {"IfMatch": written[0]["ETag"]})


def test_sw_07_object_of_somebody_with_the_public_key_is_read(bucket: Bucket) -> None:
    """A documented limit: an RSA public key, or the right to GenerateDataKey, is enough to write a genuine object."""
    kind = Kind("V3", "RSA-OAEP-SHA1", "115")
    attacker = bucket.writer(kind, keyring=RsaKeyring(RSA_KEY.public_key()))
    attacker.put_object(**bucket.world.object_at(), Body=OTHER)
    assert bucket.read(bucket.client(kind)) == OTHER


@kms_kinds
def test_sw_07_context_narrows_what_somebody_else_can_write(kind: Kind, bucket: Bucket) -> None:
    """Who may use the KMS key with other contexts only can't write an object that is read with this one."""
    attacker = Encoder()
    attacker.kms = bucket.kms
    bucket.put(attacker.write(kind, OTHER, description={"tenant": "attacker"}))
    bucket.refused(bucket.client(kind), EncryptionContextMismatchError, EncryptionContext={"tenant": "victim"})
