"""Multipart uploads, part by part: what goes over the wire, what is stored, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.opened import stored_plaintext
from support.sources import ShortReads, Unseekable
from support.uploads import DATA, MIN_PART_BYTES, Upload, cut, part_sizes, policies, uploaded
from support.worlds import AES_KEY, KEY, StrictWorld

from s3_encryption import BodyMismatchError, CommitmentPolicy, ConfigurationError, KmsKeyring, S3EncryptionSession
from s3_encryption._body.plaintext import crc32_of

# --- what is stored ---------------------------------------------------------------------------------------------------

# The sizes of a caller's parts, and those of the parts that S3 gets: the tag is in the last one, or is the last one.
SHAPES: dict[str, tuple[list[int], list[int]]] = {
    "one-empty": ([0], [16]),
    "one-small": ([100], [116]),
    "one-just-below-the-minimum": ([MIN_PART_BYTES - 1], [MIN_PART_BYTES + 15]),
    "one-of-the-minimum": ([MIN_PART_BYTES], [MIN_PART_BYTES, 16]),
    "one-above": ([MIN_PART_BYTES + 3], [MIN_PART_BYTES + 3, 16]),
    "last-empty": ([MIN_PART_BYTES, 0], [MIN_PART_BYTES, 16]),
    "last-small": ([MIN_PART_BYTES, 100], [MIN_PART_BYTES, 116]),
    "last-of-the-minimum": ([MIN_PART_BYTES, MIN_PART_BYTES], [MIN_PART_BYTES, MIN_PART_BYTES, 16]),
    "unaligned": ([MIN_PART_BYTES + 1, MIN_PART_BYTES + 7, 33], [MIN_PART_BYTES + 1, MIN_PART_BYTES + 7, 49]),
}


@policies
@pytest.mark.parametrize("shape", SHAPES)
def test_parts_are_stored_as_one_encryption_makes_them(s3: StrictWorld, shape: str, policy: CommitmentPolicy) -> None:
    """The object is one AES-GCM ciphertext, bit for bit; one UploadPart for each part, plus one for a tag alone."""
    sizes, stored_sizes = SHAPES[shape]
    client = s3.client(commitment_policy=policy)
    upload = uploaded(s3, *sizes, client=client)
    upload.complete()
    assert [size for _, size in part_sizes(s3)] == stored_sizes
    assert [number for number, _ in part_sizes(s3)] == list(range(1, len(stored_sizes) + 1))
    assert stored_plaintext(s3) == DATA[: sum(sizes)]
    assert client.get_object(**s3.object_at())["Body"].read() == DATA[: sum(sizes)]


BODIES: dict[str, Callable[[bytes], Any]] = {
    "bytearray": bytearray,
    "BytesIO": io.BytesIO,
    "short-reads": lambda part: ShortReads(part, 99_999),
    "read-once": Unseekable,
}


@pytest.mark.parametrize("kind", BODIES)
def test_parts_may_be_any_body(s3: StrictWorld, kind: str) -> None:
    """A part is taken as put_object takes its Body, also from what can be read once."""
    upload = Upload(s3.client())
    for number, part in enumerate(cut(MIN_PART_BYTES + 5, 70_000), start=1):
        upload.send(number, BODIES[kind](part))
    upload.complete()
    assert stored_plaintext(s3) == DATA[: MIN_PART_BYTES + 70_005]


def test_part_without_a_body_is_empty(s3: StrictWorld) -> None:
    """Body may be left out, as in boto3."""
    upload = Upload(s3.client())
    etag = upload.client.upload_part(**upload.named, PartNumber=1)["ETag"]
    upload.complete([{"PartNumber": 1, "ETag": etag}])
    assert stored_plaintext(s3) == b""


def test_upload_over_https_is_stored_right(s3_over_tls: StrictWorld) -> None:
    """Parts that go out in chunks with trailing checksums make the same object."""
    uploaded(s3_over_tls, MIN_PART_BYTES + 1, 100).complete()
    assert stored_plaintext(s3_over_tls) == DATA[: MIN_PART_BYTES + 101]


def test_plaintext_is_never_sent(s3: StrictWorld) -> None:
    """No request holds a piece of any part (AL-01)."""
    uploaded(s3, MIN_PART_BYTES, 1000).complete()
    for offset in (0, 1000, MIN_PART_BYTES - 32, MIN_PART_BYTES, MIN_PART_BYTES + 900):
        assert not any(DATA[offset : offset + 32] in request.raw_body for request in s3.requests)


def test_answers_are_those_of_s3(s3: StrictWorld) -> None:
    """Large parts and Complete are answered with what S3 said, a part that is held back with an ETag that stands in."""
    upload = uploaded(s3, MIN_PART_BYTES, 100)
    (stored,) = s3.server.uploads.values()
    assert upload.parts[1]["ETag"] == stored.parts[1].etag
    assert 2 not in stored.parts
    answer = upload.complete()
    assert answer["ETag"] == s3.plain.head_object(**s3.object_at())["ETag"]


def test_envelope_is_stored_with_the_metadata_of_the_upload(s3: StrictWorld) -> None:
    """The caller's own metadata and headers are kept beside the envelope, and the caller's dict as it was."""
    metadata = {"owner": "somebody"}
    uploaded(s3, 100, Metadata=metadata, ContentType="text/plain").complete()
    assert metadata == {"owner": "somebody"}
    assert s3.metadata_stored()["owner"] == "somebody"
    assert s3.plain.head_object(**s3.object_at())["ContentType"] == "text/plain"


@policies
def test_envelope_goes_to_an_instruction_file_at_the_end(s3: StrictWorld, policy: CommitmentPolicy) -> None:
    """The instruction file is stored when the object is, not before."""
    client = s3.client(envelope_location="instruction_file", commitment_policy=policy)
    upload = uploaded(s3, MIN_PART_BYTES, 100, client=client)
    assert s3.stored_keys() == []
    upload.complete()
    assert s3.stored_keys() == [KEY, f"{KEY}.instruction"]
    assert client.get_object(**s3.object_at())["Body"].read() == DATA[: MIN_PART_BYTES + 100]


def test_kms_is_asked_once_for_an_upload(s3: StrictWorld, kms: FakeKms) -> None:
    """All parts are under one data key, which the upload's encryption context is bound to."""
    client = s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN))
    uploaded(s3, MIN_PART_BYTES, 100, client=client, EncryptionContext={"tenant": "alpha"}).complete()
    assert [name for name, _ in kms.calls] == ["generate_data_key"]
    answer = client.get_object(**s3.object_at(), EncryptionContext={"tenant": "alpha"})
    assert answer["Body"].read() == DATA[: MIN_PART_BYTES + 100]


def test_failure_of_kms_starts_no_upload(s3: StrictWorld, kms: FakeKms) -> None:
    """Without a data key nothing is asked of S3 (KM-04)."""
    kms.failure = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GenerateDataKey")
    with pytest.raises(ClientError) as caught:
        Upload(s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN)))
    assert caught.value is kms.failure
    assert s3.requests == []


def test_resources_upload_in_parts(s3: StrictWorld) -> None:
    """MultipartUpload and MultipartUploadPart of a boto3 resource work through the client."""
    resource = S3EncryptionSession(aes_key=AES_KEY).resource("s3", endpoint_url=s3.url)
    upload = resource.Object(s3.bucket, KEY).initiate_multipart_upload(Metadata={"owner": "somebody"})
    parts = [
        {"PartNumber": number, "ETag": upload.Part(number).upload(Body=part)["ETag"]}
        for number, part in enumerate(cut(MIN_PART_BYTES, 100), start=1)
    ]
    stored = upload.complete(MultipartUpload={"Parts": parts})
    assert stored.get()["Body"].read() == stored_plaintext(s3) == DATA[: MIN_PART_BYTES + 100]
    resource.meta.client.close()


@pytest.mark.parametrize("rest", [1, MIN_PART_BYTES - 16, MIN_PART_BYTES - 15, MIN_PART_BYTES - 1, MIN_PART_BYTES])
def test_parts_of_the_minimum_stay_of_one_length(s3: StrictWorld, rest: int) -> None:
    """All parts but the last have one length, and the last no more, whatever the object's: some stores want that."""
    config = TransferConfig(multipart_threshold=1, multipart_chunksize=MIN_PART_BYTES)
    s3.client().upload_fileobj(io.BytesIO(DATA[: MIN_PART_BYTES + rest]), s3.bucket, KEY, Config=config)
    *lengths, last = [size for _, size in sorted(part_sizes(s3))]
    assert set(lengths) == {MIN_PART_BYTES}
    assert last <= MIN_PART_BYTES
    assert stored_plaintext(s3) == DATA[: MIN_PART_BYTES + rest]


# --- checksums and other parameters -----------------------------------------------------------------------------------


def sha256_of(data: bytes) -> str:
    """Return a digest as S3's parameters have it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


@pytest.mark.parametrize("sizes", [[MIN_PART_BYTES, 100], [MIN_PART_BYTES], [100]], ids=str)
@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_every_part_has_the_checksum_that_the_upload_demands(s3: StrictWorld, algorithm: str, sizes: list[int]) -> None:
    """S3 refuses to complete an upload of which one part, be it the tag's, lacks its checksum."""
    upload = Upload(s3.client(), ChecksumAlgorithm=algorithm)
    for number, part in enumerate(cut(*sizes), start=1):
        upload.send(number, part, ChecksumAlgorithm=algorithm)
    upload.complete()
    assert stored_plaintext(s3) == DATA[: sum(sizes)]


@pytest.mark.parametrize("sizes", [[MIN_PART_BYTES, 100], [MIN_PART_BYTES]], ids=str)
@pytest.mark.parametrize("algorithm", [None, "CRC32", "SHA256"])
def test_digests_are_listed_where_the_upload_was_created_for_them(
    s3: StrictWorld, algorithm: str | None, sizes: list[int]
) -> None:
    """In other uploads nobody asked S3 to compare them, and boto3 lists none."""
    asked: dict[str, Any] = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    upload = Upload(s3.client(), **asked)
    for number, part in enumerate(cut(*sizes), start=1):
        upload.send(number, part, **asked)
    upload.complete()
    listed = s3.server.of("POST")[-1].body
    assert listed.count(b"<Checksum") == (2 if algorithm else 0)
    assert listed.count(f"<Checksum{algorithm}>".encode()) == (2 if algorithm else 0)


def test_content_md5_of_a_part_brings_no_other_checksum_where_none_is_wanted(wire: StrictWorld) -> None:
    """With when_required, for servers that know Content-MD5 only, no part has a checksum that they might not know."""
    upload = Upload(wire.new_client(config=Config(request_checksum_calculation="when_required")))
    for number, part in enumerate(cut(MIN_PART_BYTES, 100), start=1):
        md5 = base64.b64encode(hashlib.md5(part, usedforsecurity=False).digest()).decode()
        upload.send(number, part, ContentMD5=md5)
    upload.complete()
    for request in wire.server.of("PUT"):
        assert not any("checksum" in name for name in {**request.headers, **request.trailers})


@pytest.mark.parametrize("config", ["when_supported", "when_required"])
@pytest.mark.parametrize("asked", [{}, {"ChecksumAlgorithm": "CRC32"}, {"ChecksumAlgorithm": "SHA256"}], ids=str)
def test_answers_for_all_parts_have_the_fields_of_boto3s(s3: StrictWorld, asked: dict[str, Any], config: str) -> None:
    """A program that passes on each part's digest finds one for the last part, too, which was not sent yet."""
    options = {"config": Config(request_checksum_calculation=config)}
    answers = []
    for client in (s3.plain_client(**options), s3.new_client(**options)):
        upload = Upload(client, **asked)
        answers.append([sorted(upload.send(n, DATA[:size], **asked)) for n, size in ((1, MIN_PART_BYTES), (2, 100))])
        upload.complete()
    assert answers[0] == answers[1]


@pytest.mark.parametrize("sizes", [[MIN_PART_BYTES, 100], [MIN_PART_BYTES]], ids=str)
def test_digests_of_the_plaintext_stay_here(s3: StrictWorld, sizes: list[int]) -> None:
    """A part's digest is compared here; listed at the end, as plain boto3 allows, it is not sent either (UP-08)."""
    upload = Upload(s3.client(), ChecksumAlgorithm="SHA256")
    digests = [sha256_of(part) for part in cut(*sizes)]
    for number, part in enumerate(cut(*sizes), start=1):
        upload.send(number, part, ChecksumSHA256=digests[number - 1])
    listed = [{**entry, "ChecksumSHA256": digest} for entry, digest in zip(upload.listed(), digests, strict=True)]
    upload.complete(listed)
    sent = b"\n".join(request.sent_bytes for request in s3.requests)
    assert not any(digest.encode() in sent for digest in digests)
    assert stored_plaintext(s3) == DATA[: sum(sizes)]


WHOLE: dict[str, Any] = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}


@pytest.mark.parametrize("sizes", [[100], [MIN_PART_BYTES, 100], [MIN_PART_BYTES, MIN_PART_BYTES]], ids=str)
def test_up_08_crc32_of_the_whole_is_compared_and_stays_here(s3: StrictWorld, sizes: list[int]) -> None:
    """The checksum that a caller declares of the whole is put together from those of the parts; S3 never sees it."""
    crc32 = crc32_of(DATA[: sum(sizes)])
    upload = Upload(s3.client(), **WHOLE)
    for number, part in enumerate(cut(*sizes), start=1):
        upload.send(number, part)
    with pytest.raises(BodyMismatchError, match="ChecksumCRC32"):
        upload.complete(ChecksumCRC32=crc32_of(b"other"))
    assert not s3.stored_keys()
    upload.complete(ChecksumCRC32=crc32, ChecksumType="FULL_OBJECT")
    assert not any(crc32.encode() in request.sent_bytes for request in s3.requests)
    assert stored_plaintext(s3) == DATA[: sum(sizes)]


@pytest.mark.parametrize(
    ("created", "declared"),
    [
        ({}, {"ChecksumCRC32": crc32_of(DATA[:100])}),
        (WHOLE, {"ChecksumSHA256": sha256_of(DATA[:100])}),
        (WHOLE, {"ChecksumCRC64NVME": "AAAAAAAAAAA="}),
    ],
    ids=["not announced", "SHA-256", "CRC-64"],
)
def test_up_08_what_cant_be_compared_is_refused(
    s3: StrictWorld, created: dict[str, Any], declared: dict[str, Any]
) -> None:
    """A declaration is compared or refused, and never dropped in silence."""
    upload = Upload(s3.client(), **created)
    upload.send(1, DATA[:100])
    with pytest.raises(ConfigurationError, match="can't be compared"):
        upload.complete(**declared)
    assert not s3.stored_keys()


@pytest.mark.parametrize("size", [100, MIN_PART_BYTES])
@pytest.mark.parametrize("name", ["ContentMD5", "ChecksumSHA256", "ContentLength"])
def test_false_declaration_of_a_part_is_refused(s3: StrictWorld, name: str, size: int) -> None:
    """The part is refused, and can be sent again as what it is (UP-07, UP-08)."""
    upload = Upload(s3.client())
    false: dict[str, Any] = {"ContentMD5": "AAAA", "ChecksumSHA256": sha256_of(b""), "ContentLength": 5}
    with pytest.raises(BodyMismatchError, match=name):
        upload.send(1, DATA[:size], **{name: false[name]})
    assert not s3.server.of("PUT")
    upload.send(1, DATA[:size], ContentLength=size, ChecksumSHA256=sha256_of(DATA[:size]))
    upload.complete()
    assert stored_plaintext(s3) == DATA[:size]


def test_size_of_the_object_is_that_of_the_ciphertext(s3: StrictWorld) -> None:
    """MpuObjectSize, which the caller gives for the plaintext, counts the tag for S3."""
    uploaded(s3, MIN_PART_BYTES, 100).complete(MpuObjectSize=MIN_PART_BYTES + 100)
    assert s3.server.of("POST")[-1].headers["x-amz-mp-object-size"] == str(MIN_PART_BYTES + 116)


REPEATED = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": b"k" * 32,
    "RequestPayer": "requester",
    "ExpectedBucketOwner": "111122223333",
}


@pytest.mark.parametrize("sizes", [[MIN_PART_BYTES, 100], [MIN_PART_BYTES]], ids=["held-part", "tag-part"])
def test_what_every_part_must_repeat_is_said_of_the_tag_too(s3: StrictWorld, sizes: list[int]) -> None:
    """Customer keys, the requester's consent and the owner go with the parts that the client sends by itself."""
    uploaded(s3, *sizes, repeated=REPEATED).complete()
    first, last = s3.server.of("PUT")
    for name in (
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-server-side-encryption-customer-key",
        "x-amz-server-side-encryption-customer-key-md5",
        "x-amz-request-payer",
        "x-amz-expected-bucket-owner",
    ):
        assert first.headers[name] == last.headers[name]
