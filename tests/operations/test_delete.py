"""Deletes and renames: an instruction file goes with its object, and nothing else goes."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from support.recorded import calls_of, requests_of
from support.servers import refusal
from support.worlds import AES_KEY, KEY, StrictWorld, World

from s3_encryption import ConfigurationError, S3EncryptionSession, UnsupportedOperationError

FILE = f"{KEY}.instruction"
SAID: dict[str, Any] = {
    "MFA": "serial 123456",
    "RequestPayer": "requester",
    "ExpectedBucketOwner": "111122223333",
    "BypassGovernanceRetention": True,
}


def writer(s3: World, **options: Any) -> Any:
    """Return a client of its own that writes instruction files."""
    return s3.new_client(envelope_location="instruction_file", **options)


def stored(s3: World, *keys: str, **parameters: Any) -> Any:
    """Return a client that has stored objects with their instruction files."""
    client = writer(s3)
    for key in keys or (KEY,):
        client.put_object(**s3.object_at(key), Body=b"secret", **parameters)
    return client


def named(*keys: str, **more: str) -> dict[str, Any]:
    """Return what delete_objects takes."""
    return {"Objects": [{"Key": key, **more} for key in keys]}


def keys_in(s3: World) -> list[str]:
    """Return the keys of all objects in the bucket."""
    return [entry["Key"] for entry in s3.plain.list_objects_v2(Bucket=s3.bucket).get("Contents", [])]


def read(client: Any, s3: World, key: str = KEY) -> bytes:
    """Return an object's plaintext."""
    body: bytes = client.get_object(**s3.object_at(key))["Body"].read()
    return body


# --- delete_object ----------------------------------------------------------------------------------------------------


def test_if_16_instruction_file_goes_with_its_object(moto: World) -> None:
    """Where a client writes instruction files, its deletes take them along, after the object (IF-16)."""
    client = stored(moto, KEY, "other")
    calls = calls_of(client)
    client.delete_object(**moto.object_at())
    assert [(name, params["Key"]) for name, params in calls] == [("DeleteObject", KEY), ("DeleteObject", FILE)]
    assert keys_in(moto) == ["other", "other.instruction"]


@pytest.mark.parametrize("options", [{}, {"ignore_instruction_files": True}], ids=["default", "ignoring"])
def test_if_16_delete_with_envelopes_in_metadata_is_one_request(moto: World, options: dict[str, Any]) -> None:
    """A user's own object may be called name.instruction: it is not touched (IF-16)."""
    client = moto.new_client(**options)
    client.put_object(**moto.object_at(), Body=b"secret")
    moto.store(b"a file of mine", {}, FILE)
    calls = calls_of(client)
    client.delete_object(**moto.object_at())
    client.delete_objects(Bucket=moto.bucket, Delete=named(KEY))
    assert [name for name, _ in calls] == ["DeleteObject", "DeleteObjects"]
    assert keys_in(moto) == [FILE]


def versioned(s3: World) -> tuple[Any, str]:
    """Return a client that has stored two versions of an object, and the id of the old one."""
    s3.plain.put_bucket_versioning(Bucket=s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    client = writer(s3)
    old = client.put_object(**s3.object_at(), Body=b"old")["VersionId"]
    client.put_object(**s3.object_at(), Body=b"new")
    return client, old


@pytest.mark.parametrize("suffix", [{}, {"InstructionFileSuffix": ".instruction"}], ids=["client", "call"])
@pytest.mark.parametrize("operation", ["delete_object", "delete_objects"])
def test_if_17_delete_of_an_old_version_keeps_the_file(moto: World, operation: str, suffix: dict[str, str]) -> None:
    """D5, IF-17: the current version stays readable, and no delete marker is left on its file."""
    client, old = versioned(moto)
    calls = calls_of(client)
    if operation == "delete_object":
        client.delete_object(**moto.object_at(), VersionId=old, **suffix)
    else:
        client.delete_objects(Bucket=moto.bucket, Delete=named(KEY, VersionId=old), **suffix)
    assert len(calls) == 1
    assert read(client, moto) == b"new"
    assert "DeleteMarkers" not in moto.plain.list_object_versions(Bucket=moto.bucket)


@pytest.mark.parametrize("location", ["metadata", "instruction_file"])
def test_suffix_of_the_call_names_the_file_to_delete(moto: World, location: str) -> None:
    """What was put with InstructionFileSuffix is deleted with it, whatever the client's own way is."""
    client = moto.new_client(envelope_location=location)
    client.put_object(**moto.object_at("one"), Body=b"secret", InstructionFileSuffix=".mine")
    client.put_object(**moto.object_at("two"), Body=b"secret", InstructionFileSuffix=".mine")
    client.delete_object(**moto.object_at("one"), InstructionFileSuffix=".mine")
    assert keys_in(moto) == ["two", "two.mine"]
    client.delete_objects(Bucket=moto.bucket, Delete=named("two"), InstructionFileSuffix=".mine")
    assert keys_in(moto) == []


@pytest.mark.parametrize("operation", ["delete_object", "delete_objects"])
def test_unusable_suffix_deletes_nothing(s3: StrictWorld, operation: str) -> None:
    """IF-22: a wrong suffix is told before anything is sent."""
    what = {"Key": KEY} if operation == "delete_object" else {"Delete": named(KEY)}
    with pytest.raises(ConfigurationError):
        getattr(s3.client(), operation)(Bucket=s3.bucket, **what, InstructionFileSuffix="")
    assert s3.requests == []


def test_encryption_context_is_no_parameter_of_a_delete(s3: StrictWorld) -> None:
    """What has no meaning is refused as by boto3, and not dropped."""
    with pytest.raises(ParamValidationError, match="EncryptionContext"):
        s3.client().delete_object(**s3.object_at(), EncryptionContext={"a": "b"})


def test_refused_delete_leaves_the_object_readable(s3: StrictWorld) -> None:
    """When S3 refuses to delete the object, its instruction file stays."""
    client = writer(s3)
    client.put_object(**s3.object_at(), Body=b"secret")
    s3.forget()
    s3.server.script(refusal(412, "PreconditionFailed"), method="DELETE")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.delete_object(**s3.object_at(), IfMatch='"another"')
    assert [request.method for request in s3.requests] == ["DELETE"]
    assert read(client, s3) == b"secret"


def test_failure_to_delete_the_file_raises(s3: StrictWorld) -> None:
    """An instruction file that could not be deleted is no success, and the call can be repeated."""
    client = writer(s3)
    client.put_object(**s3.object_at(), Body=b"secret")
    s3.server.script(refusal(403, "AccessDenied"), method="DELETE", path_end=".instruction")
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(**s3.object_at())
    client.delete_object(**s3.object_at())
    assert s3.stored_keys() == []


def test_delete_of_an_instruction_file_is_one_request(s3: StrictWorld) -> None:
    """Who deletes the file itself means the file."""
    stored(s3)
    s3.forget()
    writer(s3).delete_object(**s3.object_at(FILE))
    assert [request.path for request in s3.requests] == [f"/{s3.bucket}/{FILE}"]
    assert s3.stored_keys() == [KEY]


def test_object_whose_file_could_have_no_name_is_deleted(s3: StrictWorld) -> None:
    """A key without room for the suffix has no instruction file, so none is asked for."""
    s3.client().put_object(**s3.object_at("k" * 1024), Body=b"secret")
    s3.forget()
    writer(s3).delete_object(**s3.object_at("k" * 1024))
    assert len(s3.requests) == 1


def test_what_is_said_of_a_delete_is_said_of_the_file_too(moto: World) -> None:
    """Second factor, payer, owner and bypass go with both requests; conditions are the object's alone."""
    client = stored(moto)
    requests, etag = requests_of(client, "DeleteObject"), moto.plain.head_object(**moto.object_at())["ETag"]
    client.delete_object(**moto.object_at(), **SAID, IfMatch=etag)
    on_object, on_file = requests
    for name in ("mfa", "request-payer", "expected-bucket-owner", "bypass-governance-retention"):
        assert on_file[f"x-amz-{name}"] == on_object[f"x-amz-{name}"]
    assert ("if-match" in on_object, "if-match" in on_file) == (True, False)


# --- delete_objects ---------------------------------------------------------------------------------------------------


def test_many_objects_are_deleted_in_two_requests(moto: World) -> None:
    """All instruction files go in one call more, and S3's answer is that about the objects."""
    keys = [f"key-{number:03}" for number in range(30)]
    client = stored(moto, *keys)
    moto.client().put_object(**moto.object_at("kept"), Body=b"secret")
    calls = calls_of(client)
    answer = client.delete_objects(Bucket=moto.bucket, Delete=named(*keys))
    assert [name for name, _ in calls] == ["DeleteObjects", "DeleteObjects"]
    assert sorted(entry["Key"] for entry in answer["Deleted"]) == keys
    assert "Errors" not in answer
    assert keys_in(moto) == ["kept"]


def test_what_is_said_of_a_delete_of_many_is_said_of_the_files_too(moto: World) -> None:
    """Second factor, payer, owner, bypass and the checksum's algorithm go with both requests."""
    client = stored(moto)
    requests = requests_of(client, "DeleteObjects")
    client.delete_objects(Bucket=moto.bucket, Delete=named(KEY), **SAID, ChecksumAlgorithm="SHA256")
    on_objects, on_files = requests
    for name in ("mfa", "request-payer", "expected-bucket-owner", "bypass-governance-retention"):
        assert on_files[f"x-amz-{name}"] == on_objects[f"x-amz-{name}"]
    assert on_objects.keys() == on_files.keys() >= {"x-amz-checksum-sha256"}


def test_bucket_that_is_emptied_by_listing_costs_no_second_request(moto: World) -> None:
    """Who lists a bucket names the instruction files too: they are deleted once, without markers upon markers."""
    moto.plain.put_bucket_versioning(Bucket=moto.bucket, VersioningConfiguration={"Status": "Enabled"})
    stored(moto, "one", "two")
    session = S3EncryptionSession(aes_key=AES_KEY)
    resource = session.resource("s3", endpoint_url=moto.url)
    client = session.client("s3", endpoint_url=moto.url, envelope_location="instruction_file")
    resource.meta.client.close()
    resource.meta.client = client
    calls = calls_of(client)
    resource.Bucket(moto.bucket).objects.all().delete()
    client.close()
    assert [name for name, _ in calls] == ["ListObjects", "DeleteObjects"]
    assert keys_in(moto) == []
    assert len(moto.plain.list_object_versions(Bucket=moto.bucket)["DeleteMarkers"]) == 4


class Answers:
    """Answers delete_objects as it is told, one answer after the other, instead of S3."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self._answers = list(answers)
        self.asked: list[list[str]] = []

    def __call__(self, params: dict[str, Any], **kwargs: Any) -> Any:
        self.asked.append(params["body"].decode().split("<Key>")[1:])
        return _Http(), self._answers.pop(0)


class _Http:
    status_code = 200


def error(key: str, **more: str) -> dict[str, str]:
    """Return one of the errors in an answer."""
    return {"Key": key, "Code": "AccessDenied", "Message": "Access Denied", **more}


def answered(moto: World, *answers: dict[str, Any]) -> tuple[Any, Answers]:
    """Return a client to which S3 answers so, and what it was asked."""
    client, scripted = writer(moto), Answers(*answers)
    client.meta.events.register("before-call.s3.DeleteObjects", scripted)
    return client, scripted


def test_failure_to_delete_a_file_is_told_of_its_object(moto: World) -> None:
    """The caller knows nothing of instruction files: their errors have the caller's keys."""
    of_object = {"Deleted": [{"Key": "one"}, {"Key": "two"}], "Errors": [error("three")]}
    client, asked = answered(moto, of_object, {"Errors": [error("two.instruction")]})
    answer = client.delete_objects(Bucket=moto.bucket, Delete=named("one", "two", "three"))
    assert answer["Errors"] == [error("three"), error("two")]
    assert answer["Deleted"] == of_object["Deleted"]
    assert len(asked.asked[1]) == 2


def test_object_that_was_not_deleted_keeps_its_file(moto: World) -> None:
    """When no object is deleted, there is nothing to do for instruction files."""
    client, asked = answered(moto, {"Errors": [error("one")]})
    assert client.delete_objects(Bucket=moto.bucket, Delete=named("one"))["Errors"] == [error("one")]
    assert len(asked.asked) == 1


def test_versions_among_many_keep_their_files(moto: World) -> None:
    """Of versions and objects in one call, the files of the objects alone are deleted."""
    client, asked = answered(moto, {"Errors": [error("two", VersionId="v")]}, {})
    entries = [{"Key": "one", "VersionId": "v"}, {"Key": "two", "VersionId": "v"}, {"Key": "two"}]
    client.delete_objects(Bucket=moto.bucket, Delete={"Objects": entries})
    assert [text.partition("<")[0] for text in asked.asked[1]] == ["two.instruction"]


def test_wrong_delete_is_answered_as_by_boto3(s3: StrictWorld) -> None:
    """What botocore does not take is refused in its own words, with instruction files too."""
    wrong: dict[str, Any]
    for wrong in ({}, {"Delete": {}}, {"Delete": {"Objects": "key"}}, {"Delete": {"Objects": [{}]}}):
        errors = []
        for client in (s3.plain, s3.client(envelope_location="instruction_file")):
            with pytest.raises(ParamValidationError) as caught:
                client.delete_objects(Bucket=s3.bucket, **wrong)
            errors.append(str(caught.value))
        assert errors[0] == errors[1]
    assert s3.requests == []


# --- rename_object ----------------------------------------------------------------------------------------------------


def test_rename_is_refused_with_instruction_files(s3: StrictWorld) -> None:
    """The envelope would stay behind: the error says what to do instead."""
    with pytest.raises(UnsupportedOperationError, match="copy_object and delete_object") as caught:
        writer(s3).rename_object(**s3.object_at("new"), RenameSource=KEY)
    assert (caught.value.key, s3.requests) == ("new", [])


def test_rename_takes_the_metadata_along(s3: StrictWorld) -> None:
    """With envelopes in metadata, it is boto3's."""
    client = s3.new_client()
    requests = requests_of(client, "RenameObject")
    with pytest.raises(ClientError, match="NotImplemented"):
        client.rename_object(**s3.object_at("new"), RenameSource=KEY)
    assert [request["x-amz-rename-source"] for request in requests] == [KEY]


def test_if_14_rename_never_replaces_an_instruction_file(s3: StrictWorld) -> None:
    """IF-14: no object is renamed to what may be the instruction file of another one."""
    with pytest.raises(UnsupportedOperationError, match="instruction files of other objects"):
        s3.client().rename_object(**s3.object_at("other.instruction"), RenameSource=KEY)
    assert s3.requests == []
