"""head_object tells the length of the plaintext where that is known, and otherwise what S3 says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.encoders import AUTHENTICATED, ENCODERS
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.servers import CHUNKED
from support.strict_s3 import StoredObject
from support.worlds import AES_KEY, KEY, StrictWorld, error_of

from s3_encryption import AesKeyring, CommitmentPolicy, KmsKeyring

SIZES = (0, 1, 15, 16, 17, 61)


def heads(s3: StrictWorld, **parameters: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the encrypting client's answer and plain boto3's, without what differs from request to request."""
    answers = []
    for client in (s3.client(), s3.plain):
        answer = client.head_object(**s3.object_at(), **parameters)
        answer.pop("ResponseMetadata")
        # What S3 has in one place, of which the user's is apart.
        answer["Metadata"] |= answer.pop("EncryptionEnvelope", {})
        answers.append(answer)
    return answers[0], answers[1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("format", [*AUTHENTICATED, "V2-CBC"])
def test_length_is_the_plaintexts(s3: StrictWorld, format: str, size: int) -> None:
    """The ciphertext's length tells that of GCM content, the writer's note that of CBC content."""
    encoded = ENCODERS[format].encode(bytes(size))
    s3.store(encoded.body, encoded.metadata)
    ours, boto3s = heads(s3)
    assert ours["ContentLength"] == size
    assert {**ours, "ContentLength": len(encoded.body)} == boto3s


@pytest.mark.parametrize("noted", [None, "0", "47", "64", "100", "-5", "abc", "", "9" * 1500])
def test_implausible_note_is_not_believed(s3: StrictWorld, noted: str | None) -> None:
    """61 bytes make 64 of ciphertext, so that a note below 48 or above 63 is wrong: S3's length stays."""
    encoded = ENCODERS["V2-CBC"].encode(bytes(61))
    s3.store(encoded.body, encoded.metadata)
    s3.change_metadata(x_amz_unencrypted_content_length=noted)
    assert heads(s3)[0]["ContentLength"] == 64


@pytest.mark.parametrize("policy", CommitmentPolicy, ids=lambda policy: policy.name)
def test_length_with_an_instruction_file(s3: StrictWorld, policy: CommitmentPolicy) -> None:
    """A V3 object shows that it is encrypted; a V2 object whose envelope is elsewhere does not, and is left alone."""
    client = s3.client(commitment_policy=policy, envelope_location="instruction_file")
    client.put_object(**s3.object_at(), Body=bytes(61))
    expected = 61 if policy.commits_on_encrypt else 77
    assert client.head_object(**s3.object_at())["ContentLength"] == expected


def test_plaintext_object_is_left_as_it_is(s3: StrictWorld) -> None:
    """An object without an envelope looks as in plain boto3."""
    s3.store(b"not encrypted", {"owner": "somebody"})
    ours, boto3s = heads(s3)
    assert ours == boto3s


def test_checksums_of_the_ciphertext_are_dropped(s3: StrictWorld) -> None:
    """A checksum that S3 tells is not the plaintext's."""
    s3.client().put_object(**s3.object_at(), Body=b"secret", ChecksumAlgorithm="SHA256")
    ours, boto3s = heads(s3, ChecksumMode="ENABLED")
    assert "ChecksumSHA256" in boto3s
    assert not [name for name in ours if name.startswith("Checksum")]


@pytest.mark.parametrize(
    "damage",
    [{"x-amz-iv": "not base64"}, {"x-amz-key": "AAAA"}, {"x-amz-cek-alg": "AES/ROT13"}, {"x-amz-c": "115"}],
    ids=["base64", "two-formats", "unknown-algorithm", "mixture"],
)
def test_damaged_envelope_is_no_error(s3: StrictWorld, damage: dict[str, str]) -> None:
    """A head looks at the object and does not read it: a damaged envelope leaves S3's answer as it is."""
    encoded = ENCODERS["V2"].encode(bytes(61))
    s3.store(encoded.body, {**encoded.metadata, **damage})
    ours, boto3s = heads(s3)
    assert ours == boto3s


def test_object_shorter_than_a_tag_is_no_error(s3: StrictWorld) -> None:
    """A cut object has no plaintext length, so S3's stays."""
    s3.store(b"cut", ENCODERS["V2"].encode(b"").metadata)
    assert heads(s3)[0]["ContentLength"] == 3


RANGES = ["bytes=0-", "bytes=0-9", "bytes=5-70", "bytes=60-", "bytes=61-", "bytes=70-80", "bytes=90-", "bytes=-5"]


@pytest.mark.parametrize("header", [*RANGES, "bytes=-61", "bytes=-99", "bytes=-0", "bytes=9-5", "bytes=0-1,4-5"])
@pytest.mark.parametrize("format", [*AUTHENTICATED, "V2-CBC"])
def test_range_of_a_head_is_the_plaintexts(s3: StrictWorld, format: str, header: str) -> None:
    """With Range, status, length, place and error are those that plain boto3 tells of the plaintext."""
    encoded = ENCODERS[format].encode(bytes(61))
    s3.store(encoded.body, encoded.metadata)
    s3.store(bytes(61), {}, "plain")
    results: list[Any] = []
    for client, key in ((s3.client(), KEY), (s3.plain, "plain")):
        try:
            answer = client.head_object(**s3.object_at(key), Range=header)
        except ClientError as error:
            results.append((error.response["Error"], str(error)))
        else:
            status = answer["ResponseMetadata"]["HTTPStatusCode"]
            results.append((status, answer["ContentLength"], answer.get("ContentRange")))
    assert results[0] == results[1]


def test_range_where_the_length_is_not_known_is_s3s(s3: StrictWorld) -> None:
    """Where nothing tells the plaintext's length, a head says of a range what S3 says."""
    client = s3.client(envelope_location="instruction_file")
    client.put_object(**s3.object_at(), Body=bytes(61))
    answers = [c.head_object(**s3.object_at(), Range="bytes=50-") for c in (client, s3.plain)]
    # Older versions of botocore have no member for the range.
    told = [a.get("ContentRange", a["ResponseMetadata"]["HTTPHeaders"]["content-range"]) for a in answers]
    assert [a["ContentLength"] for a in answers] == [27] * 2
    assert told == ["bytes 50-76/77"] * 2


@pytest.mark.parametrize("params", [{}, {"Range": "bytes=5-20"}], ids=["whole", "range"])
def test_headers_of_a_head_tell_the_same_lengths(s3: StrictWorld, params: dict[str, str]) -> None:
    """The HTTP headers say of the lengths what the answer says; the others are as S3 sent them."""
    encoded = ENCODERS["V2"].encode(bytes(61))
    s3.store(encoded.body, encoded.metadata)
    ours, boto3s = (
        client.head_object(**s3.object_at(), **params)["ResponseMetadata"]["HTTPHeaders"]
        for client in (s3.client(), s3.plain)
    )
    expected = {"content-length": "61"} if not params else {"content-range": "bytes 5-20/61", "content-length": "16"}
    own = {"date": boto3s["date"]}
    assert {**ours, **own} == {**boto3s, **expected}


def test_head_without_a_length_is_passed_on(s3: StrictWorld) -> None:
    """A server that tells no length gets no KeyError made of its answer, and no length is invented."""
    encoded = ENCODERS["V2"].encode(bytes(61))
    s3.store(encoded.body, encoded.metadata)
    s3.server.script(CHUNKED, method="HEAD")
    assert "ContentLength" not in s3.client().head_object(**s3.object_at())


def test_missing_object_is_botocores_error(s3: StrictWorld) -> None:
    """404 comes as plain boto3's ClientError."""
    ours = error_of(lambda: s3.client().head_object(**s3.object_at()))
    boto3s = error_of(lambda: s3.plain.head_object(**s3.object_at()))
    assert (type(ours), str(ours)) == (type(boto3s), str(boto3s))
    assert ours.response["Error"]["Code"] == "404"


def test_customer_key_in_bytes_is_accepted(s3: StrictWorld) -> None:
    """An SSE-C key may be given as bytes, as in plain boto3."""
    encoded = ENCODERS["V2"].encode(bytes(61))
    s3.store(encoded.body, encoded.metadata)
    ours, boto3s = heads(s3, SSECustomerAlgorithm="AES256", SSECustomerKey=b"k" * 32)
    assert {**ours, "ContentLength": 77} == boto3s


def test_no_key_service_is_asked(s3: StrictWorld, kms: FakeKms) -> None:
    """The length needs no key: whoever may look may not need to decrypt."""
    s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN)).put_object(**s3.object_at(), Body=b"secret")
    answer = s3.client(keyring=AesKeyring(AES_KEY)).head_object(**s3.object_at())
    assert answer["ContentLength"] == 6
    assert kms.count("decrypt") == 0


# --- metadata ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [str, str.title, str.upper], ids=["lower", "title", "upper"])
@pytest.mark.parametrize("format", ENCODERS)
def test_metadata_is_the_users(s3: StrictWorld, format: str, case: Callable[[str], str]) -> None:
    """The envelope of every format, in whatever letter case, is shown apart, also where it tells no length."""
    encoded = ENCODERS[format].encode(bytes(61))
    stored = {case(name): text for name, text in encoded.metadata.items()} | {"owner": "somebody", "x-amz-mine": "1"}
    headers = {f"x-amz-meta-{name}": text for name, text in stored.items()}
    s3.server.objects[f"/{s3.bucket}/{KEY}"] = StoredObject(encoded.body, '"etag"', headers)
    for client in (s3.client(**ENCODERS[format].options), s3.client()):
        answer = client.head_object(**s3.object_at())
        assert answer["Metadata"] == {"owner": "somebody", "x-amz-mine": "1"}
        assert answer["EncryptionEnvelope"] == encoded.metadata


@pytest.mark.parametrize(
    "metadata",
    [{}, {"owner": "somebody"}, {"x-amz-iv": "of mine"}, {"x-amz-crypto-instr-file": ""}],
    ids=["none", "own", "one-field", "instruction-file"],
)
def test_metadata_of_what_has_no_envelope_is_left_alone(s3: StrictWorld, metadata: dict[str, str]) -> None:
    """Where there is no whole envelope, all names are the user's, or for somebody to look at."""
    s3.store(b"text", metadata)
    answer = s3.client().head_object(**s3.object_at())
    assert answer["Metadata"] == metadata
    assert "EncryptionEnvelope" not in answer


@pytest.mark.parametrize("policy", CommitmentPolicy, ids=lambda policy: policy.name)
def test_envelope_in_an_instruction_file_is_shown_as_far_as_it_is_here(
    s3: StrictWorld, policy: CommitmentPolicy
) -> None:
    """Of V3 three fields are with the object, and shown apart; of V2 none."""
    client = s3.client(commitment_policy=policy, envelope_location="instruction_file")
    client.put_object(**s3.object_at(), Body=b"secret", Metadata={"owner": "somebody"})
    for answer in (client.head_object(**s3.object_at()), client.get_object(**s3.object_at())):
        assert answer["Metadata"] == {"owner": "somebody"}
        shown = {"x-amz-c", "x-amz-d", "x-amz-i"} if policy.commits_on_encrypt else set()
        assert answer.get("EncryptionEnvelope", {}).keys() == shown
