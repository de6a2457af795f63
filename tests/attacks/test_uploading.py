"""Uploads of a careless caller, and a key service that answers twice: one keystream has one plaintext."""

from __future__ import annotations

import base64
import json

import pytest
from botocore.config import Config
from botocore.exceptions import ParamValidationError
from support import reference
from support.encoder import V2_AES, V2_KMS, V3_AES, Kind
from support.servers import HANG_UP, Answer, Fault, RecordingServer, Request, refusal
from support.worlds import KEY, StrictWorld, error_of

from s3_encryption.exceptions import UnsupportedOperationError

from .bucket import WRITING_POLICIES, Bucket
from .large_objects import MIB
from .witness import MARKER

aes_kinds = pytest.mark.parametrize("kind", [V2_AES, V3_AES], ids=str)


# --- retries ----------------------------------------------------------------------------------------------------------


class ForgetfulKms(RecordingServer):
    """A KMS that makes a data key for each request, also for those whose answers get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.data_keys: dict[str, bytes] = {}

    def answer(self, request: Request) -> Answer:
        """Make a data key."""
        blob = base64.b64encode(b"blob %d" % len(self.data_keys)).decode()
        self.data_keys[blob] = bytes([len(self.data_keys) + 1]) * 16 + MARKER[::-1][:16]
        answer = {
            "CiphertextBlob": blob,
            "Plaintext": base64.b64encode(self.data_keys[blob]).decode(),
            "KeyId": "arn:aws:kms:us-east-1:111122223333:key/one",
        }
        return Answer(200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode())


LOST = {
    "connection": Fault(HANG_UP.change, carried_out=True),
    "500": Fault(refusal(500, "KMSInternalException").change, carried_out=True),
}


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("format", WRITING_POLICIES)
def test_rt_16_data_key_is_that_of_the_answer_that_arrived(
    lost: str, format: str, s3: StrictWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where botocore asks KMS again, plaintext and wrapped key are of one answer, never of two."""
    with ForgetfulKms() as kms:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", kms.url)
        kms.script(LOST[lost], method="POST")
        client = s3.new_client(kms_key_id="alias/key", commitment_policy=WRITING_POLICIES[format])
        client.put_object(**s3.object_at(), Body=MARKER)
        assert len(kms.data_keys) == 2
    metadata, body = s3.metadata_stored(), s3.body_stored()
    if format == "V2":
        data_key, iv = kms.data_keys[metadata["x-amz-key-v2"]], base64.b64decode(metadata["x-amz-iv"])
        assert body == reference.gcm_encrypt(data_key, iv, MARKER)
    else:
        data_key = kms.data_keys[metadata["x-amz-3"]]
        key, _ = reference.committing_keys(data_key, base64.b64decode(metadata["x-amz-i"]))
        assert body == reference.gcm_encrypt(key, reference.COMMITTING_IV, MARKER, reference.COMMITTING_AAD)


# --- multipart --------------------------------------------------------------------------------------------------------


@aes_kinds
def test_rt_10_no_flag_of_a_last_part_is_taken(kind: Kind, bucket: Bucket) -> None:
    """Other clients have IsLastPart; here the client finds out by itself, and no part depends on a flag."""
    client = bucket.writer(kind)
    named = bucket.world.object_at()
    named["UploadId"] = client.create_multipart_upload(**named)["UploadId"]
    bucket.world.forget()
    with pytest.raises(ParamValidationError, match="IsLastPart"):
        client.upload_part(**named, PartNumber=1, Body=MARKER, IsLastPart=True)
    assert bucket.world.requests == []
    # A short part, held back as the last one may be, is in the middle after all, or is sent again: the bytes are one.
    parts = [MARKER * 100_000, MARKER]
    answers = [client.upload_part(**named, PartNumber=n, Body=part) for n, part in enumerate(parts, start=1)]
    client.upload_part(**named, PartNumber=2, Body=parts[1])
    listed = [{"PartNumber": n, "ETag": answer["ETag"]} for n, answer in enumerate(answers, start=1)]
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": listed})
    assert bucket.read(client) == b"".join(parts)


@aes_kinds
@pytest.mark.parametrize("size", [100, 5 * MIB], ids=["held part", "sent part"])
def test_up_20_completion_that_times_out_can_be_called_again(kind: Kind, size: int, s3: StrictWorld) -> None:
    """S3 did it, and its answer got lost: the retry meets an upload that is gone, and says so as with plain boto3."""
    config = Config(retries={"total_max_attempts": 2})
    outcomes = []
    for client in (
        s3.plain_client(config=config),
        s3.new_client(config=config, commitment_policy=WRITING_POLICIES[kind.format]),
    ):
        named = s3.object_at()
        named["UploadId"] = client.create_multipart_upload(**named)["UploadId"]
        part = {"PartNumber": 1, "ETag": client.upload_part(**named, PartNumber=1, Body=bytes(size))["ETag"]}
        s3.server.script(LOST["connection"], method="POST")
        error = error_of(
            lambda client=client, named=named, part=part: client.complete_multipart_upload(  # type: ignore[misc]
                **named, MultipartUpload={"Parts": [part]}
            )
        )
        outcomes.append((type(error), error.response["Error"]["Code"], error.operation_name))
    assert outcomes[0] == outcomes[1]
    assert s3.client().get_object(**s3.object_at())["Body"].read() == bytes(size)


# --- metadata ---------------------------------------------------------------------------------------------------------


@aes_kinds
def test_up_11_names_that_differ_in_letter_case_are_boto3s_business(kind: Kind, s3: StrictWorld) -> None:
    """User metadata whose names collide once they are headers comes to what it comes to with plain boto3."""
    metadata = {"Owner": "first", "owner": "second"}
    s3.plain.put_object(**s3.object_at("plain"), Body=MARKER, Metadata=metadata)
    client = s3.client(commitment_policy=WRITING_POLICIES[kind.format])
    client.put_object(**s3.object_at(), Body=MARKER, Metadata=metadata)
    ours = client.head_object(**s3.object_at())["Metadata"]
    boto3s = s3.plain.head_object(**s3.object_at("plain"))["Metadata"]
    assert {name: text for name, text in ours.items() if name.lower() == "owner"} == boto3s
    assert client.get_object(**s3.object_at())["Body"].read() == MARKER


# --- the wire ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [V2_AES, V2_KMS, V3_AES], ids=str)
def test_wi_17_without_tls_the_wire_shows_only_what_the_bucket_shows(kind: Kind, s3: StrictWorld) -> None:
    """A documented limit: http:// is allowed. What can be read on the way is envelope, metadata and ciphertext."""
    bucket = Bucket(s3)
    client = bucket.writer(kind)
    client.put_object(**s3.object_at(), Body=MARKER * 30_000)
    assert bucket.read(client) == MARKER * 30_000
    wire = b"\n".join(request.sent_bytes for request in s3.requests) + s3.body_stored()
    spelt = [MARKER[:24], MARKER[:24].hex().encode(), base64.b64encode(MARKER[:24])]
    assert not any(text in wire for text in spelt)
    assert s3.url.startswith("http://")


def test_up_17_parts_for_somebody_elses_upload_are_never_sent(s3: StrictWorld) -> None:
    """Whoever started it, nobody here has its key; S3 is asked for its parts only."""
    upload_id = s3.plain.create_multipart_upload(**s3.object_at())["UploadId"]
    s3.forget()
    with pytest.raises(UnsupportedOperationError):
        s3.client().upload_part(**s3.object_at(KEY), UploadId=upload_id, PartNumber=1, Body=MARKER)
    assert [(request.method, request.body) for request in s3.requests] == [("GET", b"")]
