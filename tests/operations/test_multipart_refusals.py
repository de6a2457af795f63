"""Multipart uploads that go wrong: lists of parts, unknown uploads, and failures of S3."""

from __future__ import annotations

import contextlib
import gc
import io
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.opened import stored_plaintext
from support.servers import Answer, Fault, refusal
from support.uploads import DATA, MIN_PART_BYTES, Upload, cut, uploaded
from support.worlds import AES_KEY, KEY, StrictWorld, World, error_of

from s3_encryption import (
    AesKeyring,
    BodyChangedError,
    DataKey,
    KeyringAnswerError,
    LegacyWriteWarning,
    MetadataTooLargeError,
    S3EncryptionSession,
    UnsupportedOperationError,
)
from s3_encryption._operations import open_uploads
from s3_encryption._operations import upload as upload_module

PERMANENTLY = 20
SMALL = 100


# --- lists of parts ---------------------------------------------------------------------------------------------------


LISTS: dict[str, Any] = {
    "none": lambda parts: [],
    "wrong order": lambda parts: parts[::-1],
    "wrong ETag": lambda parts: [{**parts[0], "ETag": '"other"'}, *parts[1:]],
    "unknown part": lambda parts: [*parts, {"PartNumber": 9, "ETag": '"other"'}],
}


@pytest.mark.parametrize("which", LISTS)
def test_list_that_can_not_be_is_answered_as_by_s3(s3: StrictWorld, which: str) -> None:
    """The code is that which plain boto3 gets, and the upload can still be completed."""
    codes = []
    for client in (s3.plain, s3.client()):
        upload = uploaded(s3, MIN_PART_BYTES, SMALL, client=client)
        listed = LISTS[which](upload.listed())
        caught = error_of(lambda upload=upload, listed=listed: upload.complete(listed))  # type: ignore[misc]
        codes.append(caught.response["Error"]["Code"])
        upload.complete()
    assert codes[0] == codes[1]


def test_completion_without_a_list_is_refused(s3: StrictWorld) -> None:
    """MultipartUpload may be left out of the call, and then lists nothing."""
    upload = uploaded(s3, SMALL)
    caught = error_of(lambda: upload.client.complete_multipart_upload(**upload.named))
    assert caught.response["Error"]["Code"] == "MalformedXML"
    upload.abort()


def test_etags_may_be_given_without_quotes(s3: StrictWorld) -> None:
    """S3 takes ETags with and without quotes, and so does the comparison here."""
    upload = uploaded(s3, MIN_PART_BYTES, SMALL)
    upload.complete([{**part, "ETag": part["ETag"].strip('"')} for part in upload.listed()])
    assert stored_plaintext(s3) == DATA[: MIN_PART_BYTES + SMALL]


def test_part_in_the_middle_that_is_too_small_is_refused_by_s3(s3: StrictWorld) -> None:
    """S3's rule for parts holds as ever, and its own error comes through."""
    upload = uploaded(s3, SMALL, SMALL)
    assert error_of(upload.complete).response["Error"]["Code"] == "EntityTooSmall"
    upload.abort()


# --- unknown uploads --------------------------------------------------------------------------------------------------


def test_up_17_upload_that_this_process_did_not_start_is_refused(s3: StrictWorld) -> None:
    """UP-17: only the process that started an upload has its key; no part goes out in the clear."""
    upload_id = s3.plain.create_multipart_upload(**s3.object_at())["UploadId"]
    s3.forget()
    client = s3.client()
    with pytest.raises(UnsupportedOperationError, match="no key"):
        client.upload_part(**s3.object_at(), UploadId=upload_id, PartNumber=1, Body=b"secret")
    parts = {"Parts": [{"PartNumber": 1, "ETag": "x"}]}
    with pytest.raises(UnsupportedOperationError, match="no key"):
        client.complete_multipart_upload(**s3.object_at(), UploadId=upload_id, MultipartUpload=parts)
    assert {request.method for request in s3.requests} == {"GET"}


def test_upload_that_s3_does_not_know_is_answered_by_s3(s3: StrictWorld) -> None:
    """Programs catch NoSuchUpload, by its class or its code; no part goes out for it."""
    client = s3.client()
    named = {**s3.object_at(), "UploadId": "nobody's"}
    with pytest.raises(client.exceptions.NoSuchUpload) as caught:
        client.upload_part(**named, PartNumber=1, Body=b"secret")
    assert caught.value.operation_name == "UploadPart"
    with pytest.raises(client.exceptions.NoSuchUpload) as caught:
        client.complete_multipart_upload(**named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "x"}]})
    assert caught.value.operation_name == "CompleteMultipartUpload"
    assert s3.server.of("PUT") == []


def resource_of(s3: StrictWorld) -> Any:
    """Return a resource whose client is an encrypting one of its own."""
    return S3EncryptionSession(aes_key=AES_KEY).resource("s3", **s3.connection)


@pytest.mark.parametrize("how", ["a client for each call", "threads", "a resource"])
def test_upload_belongs_to_the_process_and_not_to_a_client(s3: StrictWorld, how: str) -> None:
    """Helpers that make their own client for each call, with the same key, go on with the same upload."""
    upload = Upload(s3.new_client())
    for number, part in enumerate(cut(MIN_PART_BYTES, SMALL), start=1):
        upload.client = s3.new_client()
        if how == "threads":
            with ThreadPoolExecutor(1) as pool:
                pool.submit(upload.send, number, part).result()
        elif how == "a resource":
            bound = resource_of(s3).MultipartUpload(s3.bucket, KEY, upload.named["UploadId"]).Part(number)
            upload.parts[number] = {"PartNumber": number, "ETag": bound.upload(Body=part)["ETag"]}
            bound.meta.client.close()
        else:
            upload.send(number, part)
    upload.client = s3.new_client()
    upload.complete()
    assert stored_plaintext(s3) == DATA[: MIN_PART_BYTES + SMALL]


def test_upload_goes_on_with_the_same_key_only(s3: StrictWorld) -> None:
    """A client of another key would make an object whose envelope tells another key than it means to use."""
    upload = uploaded(s3, MIN_PART_BYTES)
    upload.client = s3.client(keyring=AesKeyring(bytes(range(1, 33))))
    with pytest.raises(UnsupportedOperationError, match="another key or keyring"):
        upload.send(2, b"more")
    with pytest.raises(UnsupportedOperationError, match="another key or keyring"):
        upload.complete()


def test_upload_goes_on_for_its_own_object_only(s3: StrictWorld) -> None:
    """Another name for the object is refused by S3; a part of it is never sent there."""
    upload = uploaded(s3, MIN_PART_BYTES)
    upload.named["Key"] = "another"
    assert error_of(lambda: upload.send(2, b"more")).response["Error"]["Code"] == "NoSuchUpload"
    assert error_of(upload.complete).response["Error"]["Code"] == "NoSuchUpload"
    assert len(s3.server.of("PUT")) == 1


def test_upload_of_another_client_can_be_listed_and_aborted(s3: StrictWorld) -> None:
    """What carries no content is passed on: a program may clean up what others left."""
    upload_id = s3.plain.create_multipart_upload(**s3.object_at())["UploadId"]
    client = s3.client()
    assert client.list_parts(**s3.object_at(), UploadId=upload_id).get("Parts", []) == []
    client.abort_multipart_upload(**s3.object_at(), UploadId=upload_id)
    assert s3.server.uploads == {}


@pytest.mark.parametrize("end", ["complete", "abort"])
def test_lk_10_ended_upload_is_unknown(s3: StrictWorld, end: str) -> None:
    """After its end an upload takes nothing more, as S3 says, and its key is gone."""
    upload = uploaded(s3, SMALL)
    state = weakref.ref(upload.state)
    getattr(upload, end)()
    s3.forget()
    assert error_of(lambda: upload.send(2, b"more")).response["Error"]["Code"] == "NoSuchUpload"
    assert error_of(upload.complete).response["Error"]["Code"] == "NoSuchUpload"
    assert s3.server.of("PUT") == []
    assert state() is None


def test_up_16_uploads_that_are_never_ended_are_forgotten(s3: StrictWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """UP-16: of too many open uploads the oldest go, so that keys don't gather."""
    monkeypatch.setattr(open_uploads, "MAX_OPEN_UPLOADS", 3)
    client = s3.client()
    uploads = [uploaded(s3, SMALL, client=client, key=f"object-{number}") for number in range(5)]
    for upload in uploads[:2]:
        with pytest.raises(UnsupportedOperationError):
            upload.complete()
    for upload in uploads[2:]:
        upload.complete()
    assert s3.stored_keys() == ["object-2", "object-3", "object-4"]


def test_client_that_is_dropped_with_an_open_upload_does_no_harm(s3: StrictWorld) -> None:
    """Another client goes on; and nobody is warned of a file that the caller never opened."""
    upload = uploaded(s3, MIN_PART_BYTES, SMALL)
    upload.client = None
    gc.collect()
    upload.client = s3.client()
    upload.complete()
    assert stored_plaintext(s3) == DATA[: MIN_PART_BYTES + SMALL]


# --- what is listed meanwhile -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_most", [1, 2, 3, 1000])
def test_parts_that_wait_are_listed_with_their_plaintext_sizes(s3: StrictWorld, at_most: int) -> None:
    """Page by page, each part once, with the ETag that its upload was answered with: the list completes the upload."""
    upload, parts = Upload(s3.client()), cut(MIN_PART_BYTES, MIN_PART_BYTES + 5, SMALL)
    for number in (4, 2, 1):
        upload.send(number, parts[min(number, 3) - 1])
    named, listed, marker = upload.named, [], 0
    while True:
        page = upload.client.list_parts(**named, MaxParts=at_most, PartNumberMarker=marker)
        assert len(page["Parts"]) <= at_most
        listed += page["Parts"]
        if not page["IsTruncated"]:
            break
        marker = page["NextPartNumberMarker"]
    sizes = [(part["PartNumber"], part["Size"]) for part in listed]
    assert sizes == [(1, MIN_PART_BYTES), (2, MIN_PART_BYTES + 5), (4, SMALL)]
    pages = upload.client.get_paginator("list_parts").paginate(**named, PaginationConfig={"PageSize": at_most})
    assert [part["ETag"] for page in pages for part in page["Parts"]] == [part["ETag"] for part in listed]
    upload.complete([{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in listed])
    assert stored_plaintext(s3) == b"".join(parts)


def test_part_of_the_tag_is_not_listed(s3: StrictWorld) -> None:
    """After a Complete that failed, the caller sees his own parts only."""
    upload = uploaded(s3, MIN_PART_BYTES)
    s3.server.script(refusal(400, "InvalidRequest"), method="POST")
    error_of(upload.complete)
    assert [part["PartNumber"] for part in upload.client.list_parts(**upload.named)["Parts"]] == [1]
    upload.complete()


def test_answer_to_a_part_that_waits_tells_what_s3_said_of_the_upload(moto: World) -> None:
    """Its fields are those of plain boto3's answer: an ETag, the checksum, and how S3 encrypts."""
    fields = []
    for client in (moto.plain, moto.client()):
        upload = Upload(client, repeated={"Bucket": moto.bucket}, ServerSideEncryption="AES256")
        answer = upload.send(1, b"small")
        fields.append({name: type(value) for name, value in answer.items() if name != "ResponseMetadata"})
        assert answer["ServerSideEncryption"] == "AES256"
        upload.complete()
    assert fields[0] == fields[1]


# --- what is refused outright -----------------------------------------------------------------------------------------


def test_copied_part_of_another_upload_is_passed_on(s3: StrictWorld) -> None:
    """An upload that is not encrypted here is not this client's business: S3 answers."""
    upload_id = s3.plain.create_multipart_upload(**s3.object_at())["UploadId"]
    copy = {**s3.object_at(), "UploadId": upload_id, "PartNumber": 1, "CopySource": "bucket/other"}
    assert error_of(lambda: s3.client().upload_part_copy(**copy)).response["Error"]["Code"] == "NoSuchKey"
    assert s3.requests[-1].headers["x-amz-copy-source"] == "bucket/other"


@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_part_number_that_s3_does_not_have_is_answered_by_s3(s3: StrictWorld, number: int) -> None:
    """The error is S3's own, and neither the part nor what the caller says of it is sent."""
    upload = Upload(s3.client())
    error = error_of(lambda: upload.send(number, b"secret", ContentMD5="Xr4ilOzQ4PCOq3aQ0qbuaQ==", ContentLength=6))
    assert error.response["Error"]["Code"] == "InvalidArgument"
    sent = s3.requests[-1].sent_bytes
    assert b"secret" not in sent
    assert b"Xr4ilOzQ4PCOq3aQ0qbuaQ==" not in sent
    upload.send(1, b"secret")
    upload.complete()
    assert stored_plaintext(s3) == b"secret"


def test_key_of_an_instruction_file_is_refused(s3: StrictWorld) -> None:
    """An object with such a key would become the instruction file of another object (IF-14)."""
    with pytest.raises(UnsupportedOperationError, match="instruction file"):
        Upload(s3.client(), key="name.instruction")
    assert s3.requests == []


def test_metadata_over_the_limit_is_refused(s3: StrictWorld) -> None:
    """What S3 would refuse at the start is refused before it is asked."""
    with pytest.raises(MetadataTooLargeError):
        Upload(s3.client(), Metadata={"note": "n" * 2000})
    assert s3.requests == []


def test_cbc_content_is_refused_in_parts(s3: StrictWorld) -> None:
    """Legacy content is chained from its first byte to its last, so its parts can't be encrypted apart."""
    keyring = AesKeyring(AES_KEY, wrapping_algorithm="AESWrap")
    with pytest.warns(LegacyWriteWarning):
        client = s3.client(keyring=keyring, enable_legacy_writes=True, content_algorithm="AES/CBC/PKCS5Padding")
    with pytest.raises(UnsupportedOperationError, match="put_object"):
        Upload(client)
    assert s3.requests == []


# --- failures of S3 ---------------------------------------------------------------------------------------------------

IN_A_200 = Fault(
    lambda answer: Answer(200, {"Content-Type": "application/xml"}, b"<Error><Code>InternalError</Code></Error>"), False
)


@pytest.mark.parametrize("sizes", [[MIN_PART_BYTES, SMALL], [MIN_PART_BYTES]], ids=["held-part", "tag-part"])
@pytest.mark.parametrize("fault", [refusal(500, "InternalError"), IN_A_200], ids=["500", "error-in-a-200"])
def test_up_20_completion_can_be_called_again(s3: StrictWorld, fault: Fault, sizes: list[int]) -> None:
    """UP-20: S3's error comes through, the key is kept, and the next call completes the same object."""
    upload = uploaded(s3, *sizes)
    s3.server.script(fault, method="POST", times=PERMANENTLY)
    assert error_of(upload.complete).response["Error"]["Code"] == "InternalError"
    s3.server._scripts.clear()
    upload.complete()
    assert stored_plaintext(s3) == DATA[: sum(sizes)]
    tags = {request.body[-16:] for request in s3.server.of("PUT") if len(request.body) in (16, SMALL + 16)}
    assert len(tags) == 1


@pytest.mark.parametrize("size", [SMALL, MIN_PART_BYTES - 8, MIN_PART_BYTES])
def test_no_part_is_added_once_the_tag_went_out(s3: StrictWorld, size: int) -> None:
    """Two tags for two ciphertexts under one key and IV give away the hash key: after the first no part is taken."""
    upload = uploaded(s3, size)
    s3.server.script(refusal(400, "InvalidRequest"), method="POST")
    assert error_of(upload.complete).response["Error"]["Code"] == "InvalidRequest"
    s3.forget()
    with pytest.raises(UnsupportedOperationError, match="no part can be added"):
        upload.send(2, b"more")
    assert s3.requests == []
    upload.send(1, DATA[:size])
    upload.complete()
    assert stored_plaintext(s3) == DATA[:size]


@pytest.mark.parametrize("size", [SMALL, MIN_PART_BYTES], ids=["held-part", "tag-part"])
def test_failure_to_send_the_tag_can_be_repaired(s3: StrictWorld, size: int) -> None:
    """Where the part that the client adds or held back is refused, Complete can be called again."""
    upload = uploaded(s3, MIN_PART_BYTES, size)
    s3.server.script(refusal(400, "InvalidRequest"), method="PUT")
    assert error_of(upload.complete).operation_name == "UploadPart"
    upload.complete()
    assert stored_plaintext(s3) == DATA[: MIN_PART_BYTES + size]


def test_failure_of_the_instruction_file_can_be_repaired(s3: StrictWorld) -> None:
    """IF-19: the object is there without its envelope, which the client still has: Complete called again stores it."""
    client = s3.client(envelope_location="instruction_file")
    upload = uploaded(s3, SMALL, client=client)
    s3.server.script(refusal(400, "InvalidRequest"), method="PUT", path_end=".instruction")
    assert error_of(upload.complete).operation_name == "PutObject"
    answer = upload.complete()
    assert answer["ETag"] == s3.plain.head_object(**s3.object_at())["ETag"]
    assert client.get_object(**s3.object_at())["Body"].read() == DATA[:SMALL]


def test_rt_07_part_that_s3_refused_can_be_sent_again(s3: StrictWorld) -> None:
    """RT-07: every attempt at a part, by botocore and by the caller, carries the same bytes."""
    upload = uploaded(s3, MIN_PART_BYTES)
    s3.server.script(refusal(503, "SlowDown"), method="PUT", times=PERMANENTLY)
    assert (
        error_of(lambda: upload.send(2, DATA[MIN_PART_BYTES : 2 * MIN_PART_BYTES])).response["Error"]["Code"]
        == "SlowDown"
    )
    s3.server._scripts.clear()
    upload.send(2, DATA[MIN_PART_BYTES : 2 * MIN_PART_BYTES])
    upload.complete()
    attempts = [request.body for request in s3.server.of("PUT") if request.query["partNumber"] == "2"]
    assert len(attempts) > 2
    assert len(set(attempts)) == 1
    assert stored_plaintext(s3) == DATA[: 2 * MIN_PART_BYTES]


def test_program_may_send_the_same_body_again(s3: StrictWorld) -> None:
    """After a failure the body of a part is where it was given, for the caller's own retry."""
    upload = uploaded(s3)
    body = io.BytesIO(DATA[: 1000 + MIN_PART_BYTES])
    body.seek(1000)
    s3.server.script(refusal(403, "AccessDenied"), method="PUT")
    error_of(lambda: upload.send(1, body))
    upload.send(1, body)
    upload.complete()
    assert stored_plaintext(s3) == DATA[1000 : 1000 + MIN_PART_BYTES]


@pytest.mark.parametrize("size", [SMALL, MIN_PART_BYTES], ids=["held", "sent"])
def test_what_is_sent_later_is_sent_as_the_last_attempt_was(s3: StrictWorld, size: int) -> None:
    """The tag, and a part that was held back, go out with the parameters of the attempt that succeeded."""
    upload = uploaded(s3)
    s3.server.script(refusal(403, "AccessDenied"), method="PUT", times=size // MIN_PART_BYTES)
    with contextlib.suppress(ClientError):
        upload.send(1, DATA[:size], ExpectedBucketOwner="111122223333")
    upload.send(1, DATA[:size], ExpectedBucketOwner="444455556666")
    upload.complete()
    assert s3.server.of("PUT")[-1].headers["x-amz-expected-bucket-owner"] == "444455556666"


@pytest.mark.parametrize("kind", ["content", "shorter", "longer"])
def test_part_that_changed_is_refused(s3: StrictWorld, kind: str) -> None:
    """A part's keystream is used: another content of it is refused, and the object stays what it was."""
    size = MIN_PART_BYTES
    upload = uploaded(s3, size)
    other = {"content": DATA[1 : size + 1], "shorter": DATA[: size - 1], "longer": DATA[: size + 1]}[kind]
    s3.forget()
    with pytest.raises(BodyChangedError) as caught:
        upload.send(1, other)
    assert (caught.value.key, s3.requests) == (KEY, [])
    upload.send(1, DATA[:size])
    upload.complete()
    assert stored_plaintext(s3) == DATA[:size]


# --- abort ------------------------------------------------------------------------------------------------------------


def test_aborted_upload_stores_nothing(s3: StrictWorld) -> None:
    """Neither an object nor an instruction file comes of it."""
    upload = uploaded(s3, MIN_PART_BYTES, SMALL, client=s3.client(envelope_location="instruction_file"))
    upload.abort()
    assert (s3.stored_keys(), s3.server.uploads) == ([], {})


def test_abort_that_s3_refused_can_be_called_again(s3: StrictWorld) -> None:
    """An upload that was to be aborted is not completed any more, but aborted again."""
    upload = uploaded(s3, SMALL)
    s3.server.script(refusal(400, "InvalidRequest"), method="DELETE")
    assert error_of(upload.abort).response["Error"]["Code"] == "InvalidRequest"
    with pytest.raises(UnsupportedOperationError, match="to be aborted"):
        upload.complete()
    with pytest.raises(UnsupportedOperationError, match="to be aborted"):
        upload.send(2, b"more")
    upload.abort()
    assert (s3.stored_keys(), s3.server.uploads) == ([], {})


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_upload_that_can_not_be_made_is_not_begun(s3: StrictWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails before the first part: S3 keeps no upload without a key, and dropping ours is quiet."""

    def fail(key: object) -> None:
        raise MemoryError

    monkeypatch.setattr(upload_module, "Ghash", fail)
    with pytest.raises(MemoryError):
        s3.client().create_multipart_upload(**s3.object_at())
    gc.collect()
    assert s3.requests == []


def test_upload_with_a_data_key_of_a_wrong_kind_is_not_begun(s3: StrictWorld) -> None:
    """A keyring of a user's own that answers text for a key is told so before anything goes out."""

    class TextKeyring(AesKeyring):
        def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
            made = super().generate_data_key(content_algorithm, encryption_context)
            return DataKey("k" * 32, made.wrapped)  # type: ignore[arg-type]

    with pytest.raises(KeyringAnswerError, match=f"TextKeyring .*plaintext must be bytes, not str.*{KEY}"):
        s3.client(keyring=TextKeyring(AES_KEY)).create_multipart_upload(**s3.object_at())
    assert s3.requests == []
