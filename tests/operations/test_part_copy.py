"""upload_part_copy into an encrypted upload: the source is read, verified, and uploaded as a part of the object."""

from __future__ import annotations

from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from s3transfer.manager import TransferConfig as ManagerConfig
from s3transfer.manager import TransferManager
from support.opened import stored_plaintext
from support.uploads import DATA, MIB, MIN_PART_BYTES, Upload
from support.worlds import AES_KEY, StrictWorld, World, error_of

from s3_encryption import AesKeyring, DecryptionError, NotEncryptedError

SOURCE = "source.bin"
SIZE = 2 * MIN_PART_BYTES + 100


@pytest.fixture
def source(s3: StrictWorld) -> dict[str, str]:
    """Return where an encrypted object is, of two large parts and a small one."""
    s3.client().put_object(**s3.object_at(SOURCE), Body=DATA[:SIZE])
    s3.forget()
    return s3.object_at(SOURCE)


def copy_part(upload: Upload, number: int, source: Any, span: tuple[int, int] | None = None, **params: Any) -> Any:
    """Copy a part, and note what is to be said of it at the end."""
    asked = {} if span is None else {"CopySourceRange": f"bytes={span[0]}-{span[1] - 1}"}
    answer = upload.client.upload_part_copy(**upload.named, PartNumber=number, CopySource=source, **asked, **params)
    upload.parts[number] = {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}
    return answer


def test_parts_are_copied_by_hand_in_ranges(s3: StrictWorld, source: dict[str, str]) -> None:
    """The object is that of the ranges, in their order, beside parts that are uploaded; the source is read once."""
    upload = Upload(s3.client())
    copy_part(upload, 1, source, (MIN_PART_BYTES, 2 * MIN_PART_BYTES))
    copy_part(upload, 2, f"{s3.bucket}/{SOURCE}", (0, MIN_PART_BYTES))
    upload.send(3, b"and this")
    upload.complete()
    assert stored_plaintext(s3) == DATA[MIN_PART_BYTES : 2 * MIN_PART_BYTES] + DATA[:MIN_PART_BYTES] + b"and this"
    assert [request.path for request in s3.server.of("GET")].count(f"/{s3.bucket}/{SOURCE}") == 1


def test_whole_source_is_copied(s3: StrictWorld, source: dict[str, str]) -> None:
    """Without a range the part is all of it."""
    upload = Upload(s3.client())
    copy_part(upload, 1, source)
    upload.complete()
    assert stored_plaintext(s3) == DATA[:SIZE]
    assert DATA[1000:1100] not in s3.body_stored()


@pytest.mark.parametrize("threads", [1, 4])
def test_s3transfers_own_copy_works_above_its_threshold(s3: StrictWorld, source: dict[str, str], threads: int) -> None:
    """It starts an upload with this client, and copies ranges as parts, in parallel."""
    config = ManagerConfig(multipart_threshold=1, multipart_chunksize=MIN_PART_BYTES, max_request_concurrency=threads)
    with TransferManager(s3.client(), config) as manager:
        manager.copy(source, s3.bucket, "copy.bin").result()
    assert s3.client().get_object(**s3.object_at("copy.bin"))["Body"].read() == DATA[:SIZE]
    assert len([request for request in s3.server.of("GET") if request.path.endswith(SOURCE)]) == 1


def test_source_may_be_read_under_another_key_with_a_client_that_has_both(s3: StrictWorld) -> None:
    """What was written in plaintext, or with instruction files, is copied as this client reads it."""
    s3.plain.put_object(**s3.object_at("plain"), Body=DATA[:MIN_PART_BYTES])
    upload = Upload(s3.client())
    with pytest.raises(NotEncryptedError):
        copy_part(upload, 1, s3.object_at("plain"))
    upload.client = s3.client(allow_plaintext_reads=True)
    copy_part(upload, 1, s3.object_at("plain"))
    s3.client(envelope_location="instruction_file").put_object(**s3.object_at("filed"), Body=b" in a file")
    copy_part(upload, 2, s3.object_at("filed"))
    upload.complete()
    assert stored_plaintext(s3) == DATA[:MIN_PART_BYTES] + b" in a file"


def test_changed_source_is_refused_and_nothing_of_it_uploaded(s3: StrictWorld, source: dict[str, str]) -> None:
    """What can't be verified is no part of a new object."""
    s3.change_body(lambda body: body[:-1] + bytes([body[-1] ^ 1]), SOURCE)
    s3.forget()
    upload = Upload(s3.client())
    with pytest.raises(DecryptionError):
        copy_part(upload, 1, source, (0, MIN_PART_BYTES))
    assert s3.server.of("PUT") == []


@pytest.mark.parametrize("span", ["bytes=0-", "bytes=-5", "0-4", "bytes=5-4", f"bytes=0-{SIZE}", "bytes=0-1,3-4"])
def test_range_that_s3_does_not_take_is_answered_as_by_s3(s3: StrictWorld, source: dict[str, str], span: str) -> None:
    """Here a range has both ends, and lies in the source."""
    upload = Upload(s3.client())
    asked = {"CopySource": source, "CopySourceRange": span, "PartNumber": 1}
    caught = error_of(lambda: upload.client.upload_part_copy(**upload.named, **asked))
    assert caught.response["Error"]["Code"] == "InvalidArgument"
    assert caught.operation_name == "UploadPartCopy"


CONDITIONS: dict[str, Any] = {
    "CopySourceIfMatch": '"00"',
    "CopySourceIfNoneMatch": None,
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_condition_that_does_not_hold_is_answered_as_by_s3(
    s3: StrictWorld, source: dict[str, str], condition: str
) -> None:
    """What a read would call not modified is a precondition that failed, too."""
    etag = s3.plain.head_object(**source)["ETag"]
    upload = Upload(s3.client())
    caught = error_of(lambda: copy_part(upload, 1, source, **{condition: CONDITIONS[condition] or etag}))
    assert (caught.response["Error"]["Code"], caught.operation_name) in (
        ("PreconditionFailed", "UploadPartCopy"),
        ("412", "UploadPartCopy"),
    )
    copy_part(upload, 1, source, CopySourceIfMatch=etag)
    upload.complete()
    assert stored_plaintext(s3) == DATA[:SIZE]


def test_source_that_is_not_there_is_answered_by_s3(s3: StrictWorld) -> None:
    """In S3's own words, about the call that was made."""
    upload = Upload(s3.client())
    with pytest.raises(ClientError, match=r"NoSuchKey.*UploadPartCopy"):
        copy_part(upload, 1, s3.object_at("nowhere"))


def test_answer_has_the_fields_of_boto3s(moto: World) -> None:
    """ETag and time of the part are in CopyPartResult, beside how S3 encrypts."""
    fields = []
    for client in (moto.plain, moto.client()):
        client.put_object(**moto.object_at(SOURCE), Body=DATA[: 5 * MIB])
        upload = Upload(client, repeated={"Bucket": moto.bucket})
        answer = copy_part(upload, 1, moto.object_at(SOURCE))
        upload.complete()
        fields.append((set(answer) >= {"CopyPartResult", "ResponseMetadata"}, {"ETag", "LastModified"}))
        assert fields[-1][1] <= set(answer["CopyPartResult"])
    assert moto.client().get_object(**moto.object_at())["Body"].read() == DATA[: 5 * MIB]
    assert fields[0] == fields[1]


def test_sources_are_forgotten_with_the_upload(s3: StrictWorld, source: dict[str, str]) -> None:
    """What was read of them is kept, encrypted, until the upload ends."""
    upload = Upload(s3.client())
    copy_part(upload, 1, source, (0, MIN_PART_BYTES))
    state = upload.state
    assert len(state.sources) == 1
    upload.complete()
    assert state.sources == {}
    assert state.space._file.closed


def test_upload_under_another_key_takes_no_copies(s3: StrictWorld, source: dict[str, str]) -> None:
    """Copied by S3, the part would be one that nobody can read."""
    upload = Upload(s3.client())
    upload.client = s3.client(keyring=AesKeyring(bytes(reversed(AES_KEY))))
    with pytest.raises(Exception, match="another key or keyring"):
        copy_part(upload, 1, source)


def test_boto3s_managed_copy_still_moves_the_ciphertext(s3: StrictWorld, source: dict[str, str]) -> None:
    """No byte of the object travels through the client there."""
    config = TransferConfig(multipart_threshold=1, multipart_chunksize=MIN_PART_BYTES)
    s3.client().copy(source, s3.bucket, "copy.bin", Config=config)
    assert s3.body_stored("copy.bin") == s3.body_stored(SOURCE)
