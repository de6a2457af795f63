"""Copies inside S3: whatever is copied, in whatever way, the copy can be decrypted."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, ParamValidationError
from s3transfer.copies import CopySubmissionTask
from s3transfer.manager import TransferConfig as ManagerConfig
from s3transfer.manager import TransferManager
from support.encoder import V2_AES, Encoder
from support.opened import stored_plaintext
from support.recorded import calls_of, requests_of
from support.servers import WITHOUT_ETAG, refusal
from support.strict_s3 import StoredObject
from support.uploads import MIB, policies
from support.worlds import AES_KEY, KEY, StrictWorld, World, error_of

from s3_encryption import (
    CommitmentPolicy,
    InvalidEnvelopeError,
    NotEncryptedError,
    S3EncryptionSession,
    UnsupportedOperationError,
)

DATA = random.Random("copies").randbytes(9 * MIB + 7)
SMALL = DATA[:1000]
COPY = "folder/copy.txt"
IN_PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
REPLACE = {"MetadataDirective": "REPLACE", "Metadata": {"owner": "somebody"}}
LOCATIONS = ("metadata", "instruction_file")


def stored(s3: World, content: bytes = SMALL, key: str = KEY, **options: Any) -> Any:
    """Return a client that has stored an object."""
    client = s3.client(**options)
    client.put_object(**s3.object_at(key), Body=content, Metadata={"first": "yes"})
    return client


def read(client: Any, s3: World, key: str = COPY) -> bytes:
    """Return an object's plaintext."""
    with client.get_object(**s3.object_at(key))["Body"] as body:
        content: bytes = body.read()
    return content


def source_at(s3: World, key: str = KEY, **version: str) -> dict[str, str]:
    """Return the source of a copy."""
    return {"Bucket": s3.bucket, "Key": key, **version}


def keys_in(s3: World) -> list[str]:
    """Return the keys of all objects in the bucket."""
    return [entry["Key"] for entry in s3.plain.list_objects_v2(Bucket=s3.bucket).get("Contents", [])]


# --- ways to copy -----------------------------------------------------------------------------------------------------

Way = Callable[[World, Any, dict[str, Any]], Any]


def resource_of(s3: World) -> Any:
    """Return an encrypting boto3 resource."""
    return S3EncryptionSession(aes_key=AES_KEY).resource("s3", endpoint_url=s3.url)


def by_resource(s3: World, call: Callable[[Any], Any]) -> None:
    """Call a resource, and close its connections."""
    resource = resource_of(s3)
    call(resource)
    resource.meta.client.close()


WAYS: dict[str, Way] = {
    "copy_object": lambda s3, client, arguments: client.copy_object(
        **s3.object_at(COPY), CopySource=source_at(s3), **arguments
    ),
    "copy": lambda s3, client, arguments: client.copy(source_at(s3), s3.bucket, COPY, ExtraArgs=arguments),
    "copy-in-parts": lambda s3, client, arguments: client.copy(
        source_at(s3), s3.bucket, COPY, ExtraArgs=arguments, Config=IN_PARTS
    ),
    "Bucket.copy": lambda s3, client, arguments: by_resource(
        s3, lambda resource: resource.Bucket(s3.bucket).copy(source_at(s3), COPY, ExtraArgs=arguments)
    ),
    "Object.copy_from": lambda s3, client, arguments: by_resource(
        s3, lambda resource: resource.Object(s3.bucket, COPY).copy_from(CopySource=source_at(s3), **arguments)
    ),
}
ways = pytest.mark.parametrize("way", WAYS)


@ways
@policies
@pytest.mark.parametrize("arguments", [{}, {"MetadataDirective": "COPY"}, REPLACE], ids=["default", "COPY", "REPLACE"])
@pytest.mark.parametrize("size", [1000, len(DATA)])
def test_copy_can_be_decrypted(
    moto: World, way: str, size: int, arguments: dict[str, Any], policy: CommitmentPolicy
) -> None:
    """AL-08: the envelope goes with the ciphertext, also where metadata is replaced, and all of the ciphertext does."""
    client = stored(moto, DATA[:size], commitment_policy=policy)
    WAYS[way](moto, client, arguments)
    assert stored_plaintext(moto, COPY) == read(client, moto) == DATA[:size]
    metadata = moto.metadata_stored(COPY)
    assert ("owner" in metadata, "first" in metadata) == (arguments is REPLACE, arguments is not REPLACE)


@pytest.mark.parametrize("directive", [{}, {"MetadataDirective": "COPY"}], ids=["default", "COPY"])
@pytest.mark.parametrize("older_s3transfer", [False, True], ids=["s3transfer", "older-s3transfer"])
def test_metadata_counts_in_parts_only_with_its_directive(
    moto: World, monkeypatch: pytest.MonkeyPatch, older_s3transfer: bool, directive: dict[str, str]
) -> None:
    """Where copy_object ignores Metadata, without the directive REPLACE, so does a copy in parts: nothing is lost."""
    client = stored(moto, DATA)
    arguments = {"Metadata": {"owner": "somebody"}, **directive}
    moto.plain.copy_object(**moto.object_at("plain"), CopySource=source_at(moto), **arguments)
    if older_s3transfer:
        monkeypatch.setattr("s3_encryption._operations.copy.MANAGED_COPIES_KEEP_METADATA", False)
        monkeypatch.setattr(CopySubmissionTask, "_apply_preserved_metadata", lambda self, given, kept: given, False)
    WAYS["copy-in-parts"](moto, client, arguments)
    assert moto.metadata_stored(COPY) == moto.metadata_stored("plain")
    assert read(client, moto) == DATA


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("way", ["copy_object", "copy", "copy-in-parts"])
@policies
def test_copy_takes_the_instruction_file_along(moto: World, way: str, location: str, policy: CommitmentPolicy) -> None:
    """IF-23: wherever new envelopes of the copying client go, that of the source is found and copied."""
    stored(moto, DATA, envelope_location="instruction_file", commitment_policy=policy)
    client = moto.client(envelope_location=location, commitment_policy=policy)
    WAYS[way](moto, client, REPLACE)
    assert keys_in(moto) == [COPY, f"{COPY}.instruction", KEY, f"{KEY}.instruction"]
    assert read(client, moto) == DATA
    assert moto.metadata_stored(COPY)["owner"] == "somebody"


@pytest.mark.parametrize("way", ["copy_object", "copy", "copy-in-parts"])
def test_copy_takes_the_file_along_that_the_call_names(moto: World, way: str) -> None:
    """An envelope that was put into a file by InstructionFileSuffix is copied by the same word."""
    client = moto.client()
    client.put_object(**moto.object_at(), Body=DATA, InstructionFileSuffix=".mine")
    WAYS[way](moto, client, {"InstructionFileSuffix": ".mine"})
    assert keys_in(moto) == [COPY, f"{COPY}.mine", KEY, f"{KEY}.mine"]
    with client.get_object(**moto.object_at(COPY), InstructionFileSuffix=".mine")["Body"] as body:
        assert body.read() == DATA


@pytest.mark.parametrize("way", ["copy_object", "copy"])
def test_file_that_the_call_names_must_exist(moto: World, way: str) -> None:
    """Who names a file means it: S3's error says that there is none."""
    client = stored(moto)
    with pytest.raises(client.exceptions.ClientError, match="NoSuchKey"):
        WAYS[way](moto, client, {"InstructionFileSuffix": ".mine"})


TO_A_FILE: dict[str, Callable[[World, Any, str], Any]] = {
    "copy_object": lambda s3, client, key: client.copy_object(
        **s3.object_at("other.instruction"), CopySource=source_at(s3, key)
    ),
    "copy": lambda s3, client, key: client.copy(source_at(s3, key), s3.bucket, "other.instruction"),
}


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("way", TO_A_FILE)
def test_if_14_copy_never_replaces_an_instruction_file(moto: World, way: str, location: str) -> None:
    """IF-14: but an instruction file may be copied to one, as programs do that copy a whole bucket key by key."""
    client = moto.client(envelope_location=location)
    client.put_object(**moto.object_at(), Body=SMALL, InstructionFileSuffix=".instruction")
    with pytest.raises(UnsupportedOperationError, match="instruction"):
        TO_A_FILE[way](moto, client, KEY)
    assert keys_in(moto) == [KEY, f"{KEY}.instruction"]
    TO_A_FILE[way](moto, client, f"{KEY}.instruction")
    moto.plain.copy_object(**moto.object_at("other"), CopySource=source_at(moto))
    assert read(client, moto, "other") == SMALL


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("way", ["copy_object", "copy"])
def test_metadata_is_replaced_in_place(moto: World, way: str, location: str) -> None:
    """Copying an object onto itself, the usual way to change its metadata, changes nothing else."""
    client = stored(moto, envelope_location=location)
    if way == "copy":
        client.copy(source_at(moto), moto.bucket, KEY, ExtraArgs=REPLACE)
    else:
        client.copy_object(**moto.object_at(), CopySource=source_at(moto), **REPLACE)
    assert read(client, moto, KEY) == SMALL
    assert moto.metadata_stored()["owner"] == "somebody"
    assert "first" not in moto.metadata_stored()


@pytest.mark.parametrize("arguments", [{"ACL": "public-read"}, {"StorageClass": "STANDARD_IA"}, {}], ids=str)
def test_instruction_file_is_changed_in_place_with_its_object(moto: World, arguments: dict[str, str]) -> None:
    """What a copy onto itself says of rights and storage holds for the instruction file, which otherwise stays."""
    client = stored(moto, envelope_location="instruction_file")
    calls = calls_of(client)
    client.copy_object(**moto.object_at(), CopySource=source_at(moto), **REPLACE, **arguments)
    assert read(client, moto, KEY) == SMALL
    copied = [params for name, params in calls if name == "CopyObject"]
    assert [params["Key"] for params in copied] == [KEY, f"{KEY}.instruction"][: 2 if arguments else 1]
    assert all(arguments.items() <= params.items() for params in copied)


def test_envelope_of_another_object_is_not_taken_over(moto: World) -> None:
    """New metadata that was read from another object brings that one's envelope along, which must not win."""
    client = stored(moto, b"another", key="other")
    stored(moto)
    metadata = moto.metadata_stored("other")
    client.copy_object(
        **moto.object_at(COPY), CopySource=source_at(moto), MetadataDirective="REPLACE", Metadata=metadata
    )
    assert read(client, moto) == SMALL


def test_envelope_beyond_ascii_keeps_its_meaning(s3: StrictWorld) -> None:
    """What another writer stored as bare UTF-8 goes into a copy's new metadata, which takes ASCII only."""
    written = Encoder().write(V2_AES, SMALL, description={"Ort": "Köln"})
    bare = '{"Ort":"Köln"}'.encode().decode("latin-1")
    headers = {f"x-amz-meta-{name}": text for name, text in written.changed("x-amz-matdesc", bare).metadata.items()}
    s3.server.objects[f"/{s3.bucket}/{KEY}"] = StoredObject(written.body, '"etag"', headers)
    client = s3.client()
    client.copy_object(**s3.object_at(COPY), CopySource=source_at(s3), **REPLACE)
    assert json.loads(s3.metadata_stored(COPY)["x-amz-matdesc"]) == {"Ort": "Köln"}
    assert read(client, s3) == SMALL


def test_callers_arguments_are_not_changed(moto: World) -> None:
    """The caller's dicts can be used for the next copy as well."""
    client = stored(moto)
    source, arguments = source_at(moto), {"MetadataDirective": "REPLACE", "Metadata": {"owner": "somebody"}}
    client.copy_object(**moto.object_at(COPY), CopySource=source, **arguments)
    client.copy(source, moto.bucket, COPY, ExtraArgs=arguments)
    assert (source, arguments) == (source_at(moto), REPLACE)


# --- sources ----------------------------------------------------------------------------------------------------------

ODD_KEYS = [
    "a b+c.txt",
    "100%25.txt",
    "100%.txt",
    "a%20b",
    "ü/é.txt",
    "a//b",
    "/leading",
    "a&b=c;d:e@f,g'h(i)!$*~",
    "versionId=x",
    "a?b",
    "日本語",
]


@pytest.mark.parametrize("kind", ["dict", "str"])
@pytest.mark.parametrize("key", ODD_KEYS)
def test_source_may_have_any_key(moto: World, key: str, kind: str) -> None:
    """The source is found under the key that boto3 finds it under, in both of its spellings."""
    client = stored(moto, key=key)
    source = source_at(moto, key) if kind == "dict" else f"{moto.bucket}/{key}"
    moto.plain.copy_object(**moto.object_at("plain"), CopySource=source)
    client.copy_object(**moto.object_at(COPY), CopySource=source, **REPLACE)
    assert moto.body_stored("plain") == moto.body_stored(COPY)
    assert read(client, moto) == SMALL


@pytest.mark.parametrize("further", [{"VersionId": None}, {"Size": 1000, "ETag": "x"}], ids=["no-version", "unknown"])
def test_source_may_say_more_than_where_it_is(moto: World, further: dict[str, Any]) -> None:
    """An entry of a listing, or a version that is None, is a source for copy_object as it is for boto3's."""
    client = stored(moto)
    source: dict[str, Any] = {**source_at(moto), **further}
    moto.plain.copy_object(**moto.object_at("plain"), CopySource=source)
    client.copy_object(**moto.object_at(COPY), CopySource=source, **REPLACE)
    assert moto.body_stored("plain") == moto.body_stored(COPY)
    assert read(client, moto) == SMALL


@pytest.mark.parametrize("kind", ["dict", "str"])
def test_source_may_be_a_version(moto: World, kind: str) -> None:
    """The envelope is that of the version which is copied."""
    moto.plain.put_bucket_versioning(Bucket=moto.bucket, VersioningConfiguration={"Status": "Enabled"})
    client = moto.client()
    version = client.put_object(**moto.object_at(), Body=b"first")["VersionId"]
    client.put_object(**moto.object_at(), Body=b"second")
    source = source_at(moto, VersionId=version) if kind == "dict" else f"{moto.bucket}/{KEY}?versionId={version}"
    client.copy_object(**moto.object_at(COPY), CopySource=source, **REPLACE)
    assert read(client, moto) == b"first"
    if kind == "dict":
        client.copy(source, moto.bucket, COPY, ExtraArgs=REPLACE)
        assert read(client, moto) == b"first"


@pytest.mark.parametrize("arguments", [{}, REPLACE], ids=["COPY", "REPLACE"])
@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("way", ["copy_object", "copy"])
def test_al_07_plaintext_source_stays_plaintext(
    moto: World, way: str, location: str, arguments: dict[str, Any]
) -> None:
    """AL-07: S3 copies what it has; a plaintext object is copied as boto3 does it, and refused when it is read."""
    moto.plain.put_object(**moto.object_at(), Body=SMALL)
    client = moto.client(envelope_location=location)
    WAYS[way](moto, client, arguments)
    assert (keys_in(moto), moto.body_stored(COPY)) == ([COPY, KEY], SMALL)
    with pytest.raises(NotEncryptedError):
        client.get_object(**moto.object_at(COPY))


@pytest.mark.parametrize("way", ["copy_object", "copy"])
def test_plaintext_is_copied_without_a_look_for_its_file_where_none_is_wanted(s3: StrictWorld, way: str) -> None:
    """Who may not list a bucket gets 403 for a file that isn't there, which fails no copy that ignores such files."""
    s3.plain.put_object(**s3.object_at(), Body=SMALL)
    s3.server.script(refusal(403, "AccessDenied"), method="PUT", path_end=".instruction")
    with pytest.raises(ClientError, match="AccessDenied"):
        WAYS[way](s3, s3.client(), {})
    s3.forget()
    WAYS[way](s3, s3.client(ignore_instruction_files=True), {})
    assert s3.body_stored(COPY) == SMALL
    assert not [request for request in s3.requests if request.path.endswith(".instruction")]


@pytest.mark.parametrize("encrypting", [False, True], ids=["plain", "encrypting"])
@pytest.mark.parametrize("size", [1000, len(DATA)])
def test_source_client_may_be_of_either_kind(moto: World, size: int, encrypting: bool) -> None:
    """Lengths of the source are those of the ciphertext, whoever is asked."""
    client = stored(moto, DATA[:size])
    source_client = moto.client() if encrypting else moto.plain_client()
    arguments = {"SourceClient": source_client, "Config": IN_PARTS}
    client.copy(source_at(moto), moto.bucket, COPY, **arguments)
    assert stored_plaintext(moto, COPY) == DATA[:size]
    client.copy(source_at(moto), moto.bucket, COPY, ExtraArgs=REPLACE, **arguments)
    assert stored_plaintext(moto, COPY) == DATA[:size]


@pytest.mark.parametrize("config", [None, IN_PARTS], ids=["at-once", "in-parts"])
def test_progress_of_a_copy_is_that_of_boto3(moto: World, config: TransferConfig | None) -> None:
    """What S3 copies is the ciphertext, and Callback counts that."""
    client, totals = stored(moto, DATA), []
    for copying in (moto.plain, client):
        progress: list[int] = []
        copying.copy(source_at(moto), moto.bucket, COPY, Callback=progress.append, Config=config)
        totals.append(sum(progress))
    assert totals == [len(DATA) + 16] * 2


# --- what is said of the source ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, REPLACE], ids=["COPY", "REPLACE"])
def test_condition_of_the_caller_is_kept(moto: World, arguments: dict[str, Any]) -> None:
    """A managed copy of another object than the one that the caller means fails as with boto3."""
    condition = {**arguments, "CopySourceIfMatch": '"other"'}
    errors = []
    for client in (moto.plain, stored(moto)):
        error = error_of(lambda client=client: client.copy(source_at(moto), moto.bucket, COPY, ExtraArgs=condition))  # type: ignore[misc]
        errors.append((type(error), str(error)))
    assert errors[0] == errors[1]
    assert keys_in(moto) == [KEY]


def test_condition_of_the_caller_reaches_s3(moto: World) -> None:
    """copy_object sends the caller's own condition; otherwise, with new metadata, one for what it looked at."""
    client = moto.new_client()
    client.put_object(**moto.object_at(), Body=SMALL)
    requests, etag = requests_of(client, "CopyObject"), moto.plain.head_object(**moto.object_at())["ETag"]
    for condition in ({}, {"CopySourceIfMatch": etag.strip('"')}):
        client.copy_object(**moto.object_at(COPY), CopySource=source_at(moto), **REPLACE, **condition)
    assert [request["x-amz-copy-source-if-match"] for request in requests] == [etag, etag.strip('"')]


def test_what_a_copy_says_of_its_source_is_said_when_looking_at_it(moto: World) -> None:
    """Customer key, owner and consent are named differently in a copy and in a request about the source."""
    client = moto.new_client()
    client.put_object(**moto.object_at(), Body=SMALL)
    requests = requests_of(client, "HeadObject")
    client.copy_object(
        **moto.object_at(COPY),
        CopySource=source_at(moto),
        CopySourceSSECustomerAlgorithm="AES256",
        CopySourceSSECustomerKey=b"k" * 32,
        ExpectedSourceBucketOwner="123456789012",
        RequestPayer="requester",
        **REPLACE,
    )
    assert requests[0]["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
    assert requests[0]["x-amz-server-side-encryption-customer-key"]
    assert requests[0]["x-amz-server-side-encryption-customer-key-md5"]
    assert requests[0]["x-amz-expected-bucket-owner"] == "123456789012"
    assert requests[0]["x-amz-request-payer"] == "requester"


WRONG_COPIES: dict[str, Callable[[World, Any], Any]] = {
    "no-such-key": lambda s3, client: client.copy_object(**s3.object_at(COPY), CopySource=source_at(s3, "missing")),
    "no-such-key-replace": lambda s3, client: client.copy_object(
        **s3.object_at(COPY), CopySource=source_at(s3, "missing"), **REPLACE
    ),
    "no-such-key-managed": lambda s3, client: client.copy(source_at(s3, "missing"), s3.bucket, COPY),
    "no-such-bucket": lambda s3, client: client.copy_object(
        **s3.object_at(COPY), CopySource={"Bucket": "no-such-bucket", "Key": KEY}
    ),
    "no-source": lambda s3, client: client.copy_object(**s3.object_at(COPY)),
    "no-key": lambda s3, client: client.copy_object(**s3.object_at(COPY), CopySource={"Bucket": s3.bucket}),
    "key-is-None": lambda s3, client: client.copy_object(
        **s3.object_at(COPY), CopySource={"Bucket": "no-such-bucket", "Key": None}
    ),
    "bucket-is-None": lambda s3, client: client.copy_object(
        **s3.object_at(COPY), CopySource={"Bucket": None, "Key": KEY}
    ),
    "number": lambda s3, client: client.copy_object(**s3.object_at(COPY), CopySource=5),
    "in-place": lambda s3, client: client.copy_object(**s3.object_at(), CopySource=source_at(s3)),
    "string-managed": lambda s3, client: client.copy(f"{s3.bucket}/{KEY}", s3.bucket, COPY),
    "extra-argument": lambda s3, client: client.copy(source_at(s3), s3.bucket, COPY, {"Nonsense": 1}),
}


@pytest.mark.parametrize("call", WRONG_COPIES)
def test_wrong_copy_is_answered_as_by_boto3(moto: World, call: str) -> None:
    """ER-02: the same exception with the same words."""
    errors = []
    for client in (moto.plain, stored(moto)):
        with pytest.raises((ClientError, ParamValidationError, ValueError, TypeError)) as caught:
            WRONG_COPIES[call](moto, client)
        errors.append((type(caught.value).__name__, str(caught.value)))
    assert errors[0] == errors[1]
    assert keys_in(moto) == [KEY]


def test_resource_over_the_client_copies_like_the_client(moto: World) -> None:
    """boto3's resources call the client's own copy, which knows the length of the ciphertext."""
    client = stored(moto, DATA)
    resource = boto3.resource("s3", endpoint_url=moto.url)
    resource.meta.client.close()
    resource.meta.client = client
    resource.Bucket(moto.bucket).copy(source_at(moto), COPY, Config=IN_PARTS)
    assert stored_plaintext(moto, COPY) == DATA


def test_s3transfer_itself_copies_at_once_or_in_parts(moto: World) -> None:
    """Used directly, it asks for as many parts as the plaintext has: they are read, and uploaded under a new key."""
    client = stored(moto, DATA)
    config = ManagerConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    with TransferManager(client, config) as manager:
        manager.copy(source_at(moto), moto.bucket, COPY).result()
        assert "Uploads" not in moto.plain.list_multipart_uploads(Bucket=moto.bucket)
        assert stored_plaintext(moto, COPY) == DATA
        stored(moto, SMALL)
        manager.copy(source_at(moto), moto.bucket, COPY).result()
    assert stored_plaintext(moto, COPY) == SMALL


def test_copy_with_new_metadata_does_not_lose_an_envelope_that_s3_does_not_tell(s3: StrictWorld) -> None:
    """Where S3 says that the source has more metadata than it tells, they are copied as they are or not at all."""
    client = stored(s3)
    (path, source), *_ = s3.server.objects.items()
    s3.server.objects[path] = replace(source, headers={"x-amz-missing-meta": "5"})
    target = s3.object_at(COPY)
    with pytest.raises(InvalidEnvelopeError, match="missing"):
        client.copy_object(**target, CopySource=source_at(s3), **REPLACE)
    with pytest.raises(InvalidEnvelopeError, match="missing"):
        client.copy(source_at(s3), s3.bucket, COPY, ExtraArgs=REPLACE)
    assert s3.stored_keys() == [KEY]
    client.copy_object(**target, CopySource=source_at(s3))
    assert s3.stored_keys() == [COPY, KEY]


def test_copy_from_a_server_without_etags_keeps_the_envelope(s3: StrictWorld) -> None:
    """Where a head tells no ETag, a copy that replaces the metadata can't be pinned, and is made all the same."""
    client = s3.client()
    client.put_object(**s3.object_at(), Body=b"secret")
    s3.server.script(WITHOUT_ETAG, method="HEAD")
    replaced = {"MetadataDirective": "REPLACE", "Metadata": {"owner": "somebody"}}
    client.copy_object(**s3.object_at("copy"), CopySource=s3.object_at(), **replaced)
    assert client.get_object(**s3.object_at("copy"))["Body"].read() == b"secret"
