"""get_object: what is decrypted, what is refused and when, and how errors look to the caller."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import FlexibleChecksumError, ParamValidationError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from support.encoders import AUTHENTICATED, ENCODERS
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.features import CUT_STREAM_ERROR
from support.servers import CHUNKED, Answer, Fault, changed_headers, cut_body
from support.strict_s3 import StoredObject
from support.vectors import KMS_RECORDS, RSA_KEY_DER, VECTORS, Vector
from support.ways_to_read import MODES, RELEASES, VERIFIED_MODES, Sink
from support.worlds import AES_KEY, KEY, StrictWorld, error_of

from s3_encryption import (
    AesKeyring,
    CommitmentPolicy,
    ConfigurationTypeError,
    DecryptionError,
    EncryptionContextMismatchError,
    InvalidEnvelopeError,
    KeyringMismatchError,
    KmsKeyring,
    MultiKeyring,
    NotEncryptedError,
    PolicyError,
    RsaKeyring,
    UnsupportedOperationError,
)

PLAINTEXT = bytes(range(61))


def store(s3: StrictWorld, format: str, plaintext: bytes = PLAINTEXT, key: str = KEY) -> None:
    """Store an object of a format as another client has written it, and forget the requests."""
    encoded = ENCODERS[format].encode(plaintext)
    s3.store(encoded.body, encoded.metadata, key)
    s3.forget()


def read(client: Any, s3: StrictWorld, key: str = KEY, **parameters: Any) -> bytes:
    """Return the plaintext of an object."""
    content: bytes = client.get_object(**s3.object_at(key), **parameters)["Body"].read()
    return content


# --- what others wrote ------------------------------------------------------------------------------------------------


def store_vector(s3: StrictWorld, vector: Vector) -> None:
    """Store an object, and its instruction file if it has one, as its writer left them."""

    def stored(body: bytes, metadata: dict[str, str]) -> StoredObject:
        return StoredObject(body, '"etag"', {f"x-amz-meta-{name}": text for name, text in metadata.items()})

    s3.server.objects[f"/{s3.bucket}/{KEY}"] = stored(vector.body, dict(vector.metadata))
    if vector.instruction_file is not None:
        s3.server.objects[f"/{s3.bucket}/{KEY}{vector.instruction_suffix}"] = stored(vector.instruction_file, {})


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_object_of_another_client_is_read(s3: StrictWorld, kms: FakeKms, vector: Vector) -> None:
    """Objects that other clients stored, with the metadata they stored, are decrypted (KV-10)."""
    kms.load(KMS_RECORDS)
    store_vector(s3, vector)
    client = s3.client(keyring=vector.keyring(kms), **vector.switches)
    parameters: dict[str, Any] = {}
    if vector.encryption_context:
        parameters["EncryptionContext"] = dict(vector.encryption_context)
    if vector.instruction_suffix not in (None, ".instruction"):
        parameters["InstructionFileSuffix"] = vector.instruction_suffix
    assert read(client, s3, **parameters) == vector.plaintext


@pytest.mark.parametrize("format", ENCODERS)
def test_object_with_foreign_letter_case_is_read(s3: StrictWorld, format: str) -> None:
    """Servers that return metadata names in another letter case make no difference (MD-19)."""
    encoded = ENCODERS[format].encode(PLAINTEXT)
    headers = {f"X-Amz-Meta-{name.title()}": text for name, text in encoded.metadata.items()}
    s3.server.objects[f"/{s3.bucket}/{KEY}"] = StoredObject(encoded.body, '"etag"', headers)
    assert read(s3.client(**ENCODERS[format].options), s3) == PLAINTEXT


# --- the answer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["V2", "V3", "V2-CBC"])
def test_al_11_answer_is_in_terms_of_the_plaintext(s3: StrictWorld, format: str) -> None:
    """ContentLength and Metadata are the user's, the envelope stays visible, and all else is as S3 says it (AL-11)."""
    store(s3, format)
    ours = s3.client(**ENCODERS[format].options).get_object(**s3.object_at())
    boto3s = s3.plain.get_object(**s3.object_at())
    assert ours["ContentLength"] == len(PLAINTEXT)
    assert ours["ResponseMetadata"]["HTTPHeaders"]["content-length"] == str(len(PLAINTEXT))
    for answer in (ours, boto3s):
        answer.pop("Body").close()
        answer.pop("ContentLength")
        answer.pop("ResponseMetadata")
        answer.pop("ChecksumCRC32", None)
    assert ours.pop("Metadata") == {}
    assert ours.pop("EncryptionEnvelope") == boto3s.pop("Metadata")
    assert ours == boto3s


def test_checksums_of_the_ciphertext_are_not_in_the_answer(s3: StrictWorld) -> None:
    """A checksum that S3 returns describes other bytes than the caller's."""
    s3.client().put_object(**s3.object_at(), Body=b"secret", ChecksumAlgorithm="SHA256")
    answer = s3.client().get_object(**s3.object_at(), ChecksumMode="ENABLED")
    assert "x-amz-checksum-sha256" in answer["ResponseMetadata"]["HTTPHeaders"]
    assert not [name for name in answer if name.startswith("Checksum")]
    assert answer["Body"].read() == b"secret"


def test_length_of_v1_is_not_guessed(s3: StrictWorld) -> None:
    """Padding hides the length of a V1 object without a note of it: ContentLength stays S3's, and the Body is exact."""
    store(s3, "V1")
    answer = s3.client(**ENCODERS["V1"].options).get_object(**s3.object_at())
    assert answer["ContentLength"] == 64
    assert answer["Body"].read() == PLAINTEXT


@pytest.mark.parametrize("noted", ["0", "5", "99999999999999", "-1", "abc", ""])
def test_noted_length_never_cuts_the_plaintext(s3: StrictWorld, noted: str) -> None:
    """Nothing authenticates the noted length, so it changes nothing about a GCM object (MD-14)."""
    store(s3, "V2")
    s3.change_metadata(x_amz_unencrypted_content_length=noted)
    answer = s3.client().get_object(**s3.object_at())
    assert (answer["ContentLength"], answer["Body"].read()) == (len(PLAINTEXT), PLAINTEXT)


PASSED_THROUGH: dict[str, Any] = {
    "ExpectedBucketOwner": "111122223333",
    "IfMatch": '"some-etag"',
    "IfModifiedSince": "2020-01-01T00:00:00Z",
    "IfNoneMatch": '"some-etag"',
    "IfUnmodifiedSince": "2020-01-01T00:00:00Z",
    "RequestPayer": "requester",
    "ResponseCacheControl": "no-store",
    "ResponseContentType": "text/plain",
    "SSECustomerKey": b"k" * 32,
    "VersionId": "null",
}


@pytest.mark.parametrize("name", PASSED_THROUGH)
def test_other_parameter_reaches_s3_as_from_boto3(s3: StrictWorld, name: str) -> None:
    """What does not concern the encryption is sent just as plain boto3 sends it."""
    extra = {"SSECustomerAlgorithm": "AES256"} if name.startswith("SSE") else {}
    parameters = {**s3.object_at(), name: PASSED_THROUGH[name], **extra}
    for client in (s3.plain, s3.client()):
        error_of(partial(client.get_object, **parameters))
    boto3s, ours = s3.requests[:2]
    own = {"amz-sdk-invocation-id", "amz-sdk-request", "authorization", "user-agent", "x-amz-date"}
    assert ours.target == boto3s.target
    assert [(k, v) for k, v in ours.headers.items() if k not in own] == [
        (k, v) for k, v in boto3s.headers.items() if k not in own
    ]


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_al_16_plaintext_object_is_refused(s3: StrictWorld) -> None:
    """An object without an envelope may be an attacker's replacement (AL-16)."""
    s3.store(b"not encrypted", {"owner": "somebody"})
    with pytest.raises(NotEncryptedError, match="allow_plaintext_reads"):
        s3.client().get_object(**s3.object_at())


@pytest.mark.parametrize(
    "header", [None, "bytes=0-", "bytes=4-12", "bytes=-5", "bytes=9-", "bytes=0-999", "bytes=12-4"]
)
def test_plaintext_object_is_returned_where_allowed(s3: StrictWorld, header: str | None) -> None:
    """With allow_plaintext_reads, an object without an envelope comes as from plain boto3, ranges included."""
    s3.store(b"not encrypted", {"owner": "somebody"})
    parameters = {**s3.object_at(), **({"Range": header} if header else {})}
    answers = [client.get_object(**parameters) for client in (s3.client(allow_plaintext_reads=True), s3.plain)]
    bodies = [answer.pop("Body").read() for answer in answers]
    for answer in answers:
        answer.pop("ResponseMetadata")
    assert bodies[0] == bodies[1]
    assert answers[0] == answers[1]


def test_range_behind_a_plaintext_object_is_answered_as_by_boto3(s3: StrictWorld) -> None:
    """With allow_plaintext_reads, S3's own refusal of a range comes through."""
    s3.store(b"not encrypted", {})
    parameters = {**s3.object_at(), "Range": "bytes=50-60"}
    ours = error_of(lambda: s3.client(allow_plaintext_reads=True).get_object(**parameters))
    boto3s = error_of(lambda: s3.plain.get_object(**parameters))
    assert (str(ours), ours.response["Error"]["Code"]) == (str(boto3s), "InvalidRange")


STRAY_FIELDS = sorted({name for encoder in ENCODERS.values() for name in encoder.encode(b"").metadata})


@pytest.mark.parametrize("field", [name for name in STRAY_FIELDS if name != "x-amz-unencrypted-content-length"])
def test_al_17_object_with_a_stray_envelope_field_is_never_plaintext(s3: StrictWorld, field: str) -> None:
    """One leftover of an envelope makes an object damaged, not plaintext, even where plaintext is allowed (AL-17)."""
    fields = {name: text for encoder in ENCODERS.values() for name, text in encoder.encode(b"").metadata.items()}
    s3.store(b"replaced", {field: fields[field]})
    with pytest.raises(InvalidEnvelopeError) as caught:
        s3.client(allow_plaintext_reads=True).get_object(**s3.object_at())
    assert type(caught.value) is InvalidEnvelopeError


PLAINTEXT_READS: dict[str, Callable[[Any, StrictWorld], object]] = {
    "get": lambda client, s3: client.get_object(**s3.object_at()),
    "range": lambda client, s3: client.get_object(**s3.object_at(), Range="bytes=0-4"),
    "download": lambda client, s3: client.download_fileobj(**s3.object_at(), Fileobj=io.BytesIO()),
    "download in ranges": lambda client, s3: client.download_fileobj(
        **s3.object_at(), Fileobj=io.BytesIO(), Config=TransferConfig(multipart_threshold=1)
    ),
    "open": lambda client, s3: client.open(**s3.object_at()),
}
EVERY_SWITCH = {
    "allow_plaintext_reads": True,
    "enable_unauthenticated_ranges": True,
    "enable_delayed_authentication": True,
    "ignore_instruction_files": True,
    **ENCODERS["V1"].options,
}


@pytest.mark.parametrize("switches", [{}, EVERY_SWITCH], ids=["no switch", "every switch"])
@pytest.mark.parametrize("way", PLAINTEXT_READS.values(), ids=PLAINTEXT_READS)
def test_object_whose_metadata_are_missing_is_never_plaintext(
    s3: StrictWorld, way: Callable[..., object], switches: dict[str, Any]
) -> None:
    """Where S3 says that it does not tell all metadata, the envelope may be among what it does not tell."""
    s3.store(b"ciphertext", {"owner": "somebody"})
    with_missing_metadata(s3)
    with pytest.raises(InvalidEnvelopeError, match=f"x-amz-missing-meta.*{KEY}"):
        way(s3.client(**switches), s3)


@pytest.mark.parametrize("said_in", ["header", "answer"])
def test_missing_metadata_count_wherever_it_is_said(s3: StrictWorld, said_in: str) -> None:
    """The header alone, and botocore's field alone, as in a stubbed answer, are believed alike."""

    def forget_other(parsed: dict[str, Any], **event: Any) -> None:
        if said_in == "header":
            parsed.pop("MissingMeta", None)
        else:
            parsed["ResponseMetadata"]["HTTPHeaders"].pop("x-amz-missing-meta", None)

    s3.store(b"ciphertext", {})
    with_missing_metadata(s3)
    client = s3.new_client(allow_plaintext_reads=True)
    client.meta.events.register("after-call.s3.GetObject", forget_other)
    with pytest.raises(InvalidEnvelopeError, match="missing"):
        client.get_object(**s3.object_at())


def test_object_that_has_its_envelope_may_miss_other_metadata(s3: StrictWorld) -> None:
    """What S3 does not tell is then the user's own, and plaintext is returned where none is said to be missing."""
    store(s3, "V2")
    with_missing_metadata(s3)
    assert s3.client().get_object(**s3.object_at())["Body"].read() == PLAINTEXT
    s3.store(b"not encrypted", {})
    with_missing_metadata(s3, "0")
    assert s3.client(allow_plaintext_reads=True).get_object(**s3.object_at())["Body"].read() == b"not encrypted"


def with_missing_metadata(s3: StrictWorld, count: str = "2") -> None:
    """Let the server say that it does not tell all metadata of the object."""
    (path, stored), *_ = s3.server.objects.items()
    s3.server.objects[path] = replace(stored, headers={**stored.headers, "x-amz-missing-meta": count})


@pytest.mark.parametrize("switches", [(), *((switch,) for switch in ENCODERS["V1"].switches)], ids="+".join)
@pytest.mark.parametrize("format", ["V1", "V2-CBC"])
def test_cb_01_legacy_object_needs_both_switches(s3: StrictWorld, format: str, switches: tuple[str, ...]) -> None:
    """The error names the switches that are missing (DG-16, CB-01)."""
    store(s3, format)
    with pytest.raises(PolicyError) as caught:
        s3.client(**dict.fromkeys(switches, True)).get_object(**s3.object_at())
    for switch in ENCODERS[format].switches:
        assert (switch in str(caught.value)) == (switch not in switches)


@pytest.mark.parametrize("format", ["V1", "V2-CBC", "V2"])
def test_policy_that_requires_commitment_refuses_older_formats(s3: StrictWorld, format: str) -> None:
    """REQUIRE_ENCRYPT_REQUIRE_DECRYPT reads V3 only (KC-11, DG-04)."""
    store(s3, format)
    policy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    with pytest.raises(PolicyError, match="REQUIRE_ENCRYPT_ALLOW_DECRYPT"):
        s3.client(commitment_policy=policy, **ENCODERS[format].options).get_object(**s3.object_at())


def test_policy_is_checked_before_kms(s3: StrictWorld, kms: FakeKms) -> None:
    """KMS is not asked about an object that the policy refuses (DG-04)."""
    keyring = KmsKeyring(kms, KMS_KEY_ARN)
    s3.client(keyring=keyring).put_object(**s3.object_at(), Body=b"secret")
    client = s3.client(keyring=keyring, commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
    with pytest.raises(PolicyError):
        client.get_object(**s3.object_at())
    assert kms.count("decrypt") == 0


@pytest.mark.parametrize("header", ["bytes=0-4", "bytes=3-4", "bytes=-2"])
def test_range_that_is_refused_costs_no_kms_call(s3: StrictWorld, kms: FakeKms, header: str) -> None:
    """KMS is not asked about a range that nothing can verify, and that nobody has allowed (RG-01)."""
    client = s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN))
    client.put_object(**s3.object_at(), Body=b"secret")
    with pytest.raises(PolicyError, match="enable_unauthenticated_ranges"):
        client.get_object(**s3.object_at(), Range=header)
    assert kms.count("decrypt") == 0


def test_keyring_of_another_kind_is_refused(s3: StrictWorld, kms: FakeKms) -> None:
    """An object of another kind of key is refused, and the message names both kinds (WR-07)."""
    store(s3, "V2")
    with pytest.raises(KeyringMismatchError, match=r"'AES/GCM'.*KmsKeyring"):
        s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN)).get_object(**s3.object_at())
    with pytest.raises(KeyringMismatchError, match=r"'AES/GCM'.*RsaKeyring"):
        s3.client(keyring=RsaKeyring(RSA_KEY_DER)).get_object(**s3.object_at())
    assert kms.calls == []


@pytest.mark.parametrize("format", AUTHENTICATED)
def test_other_wrapping_key_fails_as_tampering_does(s3: StrictWorld, format: str) -> None:
    """A data key that can't be unwrapped gives the one error that tells nothing more (ER-01)."""
    store(s3, format)
    with pytest.raises(DecryptionError, match=DecryptionError.MESSAGE) as caught:
        s3.client(aes_key=b"another key, 32 bytes in length.").get_object(**s3.object_at())
    assert type(caught.value) is DecryptionError
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


INVALID_CALLS: dict[str, dict[str, Any]] = {
    "no-key": {"Bucket": "bucket"},
    "empty-key": {"Bucket": "bucket", "Key": ""},
    "bucket-name": {"Bucket": "no bucket", "Key": "key"},
    "unknown": {"Bucket": "bucket", "Key": "key", "Ranges": "bytes=0-"},
    "range-int": {"Bucket": "bucket", "Key": "key", "Range": 5},
}


@pytest.mark.parametrize("call", INVALID_CALLS)
def test_invalid_parameters_are_answered_as_by_boto3(s3: StrictWorld, call: str) -> None:
    """A call that boto3 refuses is refused with boto3's own words."""
    texts = []
    for client in (s3.plain, s3.client()):
        with pytest.raises(ParamValidationError) as caught:
            client.get_object(**INVALID_CALLS[call])
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert s3.requests == []


# --- encryption context and KMS ---------------------------------------------------------------------------------------


@pytest.fixture
def with_context(s3: StrictWorld, kms: FakeKms) -> Any:
    """Return a client that has stored an object with an encryption context."""
    client = s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN))
    context = {"tenant": "alpha", "purpose": "test"}
    client.put_object(**s3.object_at(), Body=b"secret", EncryptionContext=context)
    return client


@pytest.mark.parametrize("context", ["alpha", ["alpha"], {"tenant": 1}, {1: "tenant"}], ids=repr)
def test_encryption_context_of_a_wrong_type_is_refused(s3: StrictWorld, with_context: Any, context: Any) -> None:
    """An encryption context must be a map of text."""
    with pytest.raises(ConfigurationTypeError, match="EncryptionContext"):
        with_context.get_object(**s3.object_at(), EncryptionContext=context)


def test_encryption_context_for_an_aes_object_is_refused(s3: StrictWorld) -> None:
    """An AES-wrapped object has no context, so a given one is not the object's (EC-01)."""
    store(s3, "V2")
    with pytest.raises(EncryptionContextMismatchError):
        s3.client().get_object(**s3.object_at(), EncryptionContext={"tenant": "alpha"})


def test_kms_is_asked_once_for_each_read(s3: StrictWorld, kms: FakeKms, with_context: Any) -> None:
    """One Decrypt for a read, however the Body is read; none for a head."""
    with_context.head_object(**s3.object_at())
    assert kms.count("decrypt") == 0
    body = with_context.get_object(**s3.object_at(), EncryptionContext={"tenant": "alpha", "purpose": "test"})["Body"]
    assert list(body) == [b"secret"]
    assert kms.count("decrypt") == 1


def test_multi_keyring_reads_what_either_wrote(s3: StrictWorld, kms: FakeKms) -> None:
    """With several keyrings, the client reads the objects of all of them."""
    keyrings = (AesKeyring(AES_KEY), RsaKeyring(RSA_KEY_DER), KmsKeyring(kms, KMS_KEY_ARN))
    for number, keyring in enumerate(keyrings):
        s3.client(keyring=keyring).put_object(**s3.object_at(str(number)), Body=b"secret")
    client = s3.client(keyring=MultiKeyring(*keyrings))
    assert [read(client, s3, str(number)) for number in range(3)] == [b"secret"] * 3


# --- errors -----------------------------------------------------------------------------------------------------------


def test_er_02_missing_object_is_no_such_key(s3: StrictWorld) -> None:
    """``except client.exceptions.NoSuchKey`` goes on working (ER-02)."""
    client = s3.client()
    with pytest.raises(client.exceptions.NoSuchKey) as caught:
        client.get_object(**s3.object_at())
    assert str(caught.value) == str(error_of(lambda: s3.plain.get_object(**s3.object_at())))


CONDITIONS: dict[str, tuple[Callable[[str], dict[str, str]], int]] = {
    "WI-07-not-modified": (lambda etag: {"IfNoneMatch": etag}, 304),
    "WI-07-precondition-failed": (lambda etag: {"IfMatch": '"another"'}, 412),
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_unfulfilled_condition_is_answered_as_by_boto3(s3: StrictWorld, condition: str) -> None:
    """304 and 412 come as the ClientError that plain boto3 raises."""
    store(s3, "V2")
    parameters, status = CONDITIONS[condition]
    call = {**s3.object_at(), **parameters(s3.plain.head_object(**s3.object_at())["ETag"])}
    ours, boto3s = (error_of(partial(client.get_object, **call)) for client in (s3.client(), s3.plain))
    assert (type(ours), str(ours), ours.response["Error"]) == (type(boto3s), str(boto3s), boto3s.response["Error"])
    assert ours.response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize("condition", ["IfMatch", "IfNoneMatch"])
def test_fulfilled_condition_reads_the_object(s3: StrictWorld, condition: str) -> None:
    """Conditions are about the ETag that head_object and put_object tell."""
    store(s3, "V2")
    etag = s3.client().head_object(**s3.object_at())["ETag"] if condition == "IfMatch" else '"another"'
    assert read(s3.client(), s3, **{condition: etag}) == PLAINTEXT


@pytest.mark.parametrize(
    "key", ["folder/name.txt", "Umlaut-ä", "line\nbreak", "k" * 900], ids=["plain", "umlaut", "nl", "long"]
)
def test_er_04_error_names_bucket_and_key(s3: StrictWorld, key: str) -> None:
    """An error says which object it is about, in its attributes and, escaped and bounded, in its text (ER-04)."""
    s3.server.objects[f"/{s3.bucket}/{key}"] = StoredObject(b"not encrypted", '"etag"')
    with pytest.raises(NotEncryptedError) as caught:
        s3.client().get_object(**s3.object_at(key))
    assert (caught.value.bucket, caught.value.key) == (s3.bucket, key)
    text = str(caught.value)
    assert "'bucket'" in text
    assert ascii(key)[1:100] in text
    assert "\n" not in text
    assert len(text) < 600


@pytest.mark.parametrize("mode", MODES)
def test_error_while_reading_names_bucket_and_key(s3: StrictWorld, mode: str) -> None:
    """The same holds for an error that comes out of the Body."""
    store(s3, "V2")
    s3.change_body(lambda body: body[:-1] + b"x")
    body = s3.client(**MODES[mode]).get_object(**s3.object_at())["Body"]
    with pytest.raises(DecryptionError, match=f"bucket 'bucket', key '{KEY}'") as caught:
        body.read()
    assert (caught.value.bucket, caught.value.key) == (s3.bucket, KEY)


# --- a server that misbehaves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [1, 20_000])
@pytest.mark.parametrize("mode", VERIFIED_MODES)
@pytest.mark.parametrize("format", ["V3", "V2-CBC"])
@pytest.mark.parametrize("release", RELEASES)
def test_wi_01_cb_08_cut_transfer_releases_nothing(
    s3: StrictWorld, release: str, format: str, mode: str, missing: int
) -> None:
    """A connection that breaks in the middle raises botocore's error, and never yields short data (WI-01, CB-08)."""
    store(s3, format, PLAINTEXT * 700)
    length = len(s3.server.objects[f"/{s3.bucket}/{KEY}"].body)
    s3.server.script(cut_body(length - missing), method="GET")
    sink = Sink()
    body = s3.client(**ENCODERS[format].options, **MODES[mode]).get_object(**s3.object_at())["Body"]
    with pytest.raises(CUT_STREAM_ERROR):
        sink.drain(RELEASES[release](body))
    assert sink.content == b""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("format", ["V3", "V2-CBC"])
@pytest.mark.parametrize("size", [0, 61, 300_000])
def test_wi_04_answer_without_a_length_is_read(s3: StrictWorld, format: str, mode: str, size: int) -> None:
    """Where the server does not tell the length, the object is verified all the same (WI-04)."""
    plaintext = (PLAINTEXT * 5000)[:size]
    store(s3, format, plaintext)
    s3.server.script(CHUNKED, method="GET")
    body = s3.client(**ENCODERS[format].options, **MODES[mode]).get_object(**s3.object_at())["Body"]
    assert b"".join(body.iter_chunks(50_000)) == plaintext


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [61, 5_000_000])
def test_wi_13_false_checksum_is_botocores_error(s3: StrictWorld, size: int, mode: str) -> None:
    """A checksum of S3 that does not fit the ciphertext raises FlexibleChecksumError, as in plain boto3 (WI-13)."""
    store(s3, "V2", bytes(size))
    s3.server.script(changed_headers(x_amz_checksum_crc32="AAAAAA=="), method="GET")
    with pytest.raises(FlexibleChecksumError):
        read(s3.client(**MODES[mode]), s3)


def test_partial_answer_to_a_whole_read_is_refused(s3: StrictWorld) -> None:
    """A 206 that nobody has asked for is not taken for the object."""
    store(s3, "V2")
    s3.server.script(Fault(lambda answer: replace(answer, status=206)), method="GET")
    with pytest.raises(UnsupportedOperationError, match="206"):
        s3.client().get_object(**s3.object_at())


def whole_as_a_part(answer: Answer) -> Answer:
    """Return the answer to a whole read as a server may give it that makes a range of everything."""
    length = len(answer.body)
    return replace(answer, status=206, headers={**answer.headers, "Content-Range": f"bytes 0-{length - 1}/{length}"})


WHOLE_ANSWERS = {
    "203": Fault(lambda answer: replace(answer, status=203)),
    "206": Fault(whole_as_a_part),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [0, 61, 300_000])
@pytest.mark.parametrize("format", ENCODERS)
@pytest.mark.parametrize("status", WHOLE_ANSWERS)
def test_whole_object_under_another_status_is_read(
    s3: StrictWorld, status: str, format: str, size: int, mode: str
) -> None:
    """203, and a 206 that has all, are the whole object: it is read, and verified like any other."""
    plaintext = (PLAINTEXT * 5000)[:size]
    store(s3, format, plaintext)
    s3.server.script(WHOLE_ANSWERS[status], method="GET", times=2)
    client = s3.client(**ENCODERS[format].options, **MODES[mode])
    answer = client.get_object(**s3.object_at())
    assert answer["Body"].read() == plaintext
    if "ContentRange" in answer:
        assert answer["ContentRange"] == f"bytes 0-{size - 1}/{size}"
    if format in AUTHENTICATED:
        s3.change_body(lambda body: body[:-1] + bytes([body[-1] ^ 1]))
        with pytest.raises(DecryptionError):
            read(client, s3)


def test_part_of_the_object_to_a_whole_read_is_refused(s3: StrictWorld) -> None:
    """A 206 that says by itself that it lacks something is not taken for the object."""
    store(s3, "V2")
    cut = Fault(
        lambda answer: replace(answer, status=206, headers={**answer.headers, "Content-Range": "bytes 0-76/90"})
    )
    s3.server.script(cut, method="GET")
    with pytest.raises(UnsupportedOperationError, match="206"):
        s3.client().get_object(**s3.object_at())


# --- answers that somebody makes up -----------------------------------------------------------------------------------


class Unclosable:
    """A body that can be read and nothing else, as a program's own tests may stub it."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int | None = -1) -> bytes:
        return self._content.read(size)


BODIES: dict[str, Callable[[bytes], Any]] = {
    "reads-only": Unclosable,
    "StreamingBody": lambda content: StreamingBody(Unclosable(content), len(content)),
    "BytesIO": io.BytesIO,
}


@pytest.mark.parametrize("kind", BODIES)
def test_stubbed_body_needs_no_close(s3: StrictWorld, kind: str) -> None:
    """What botocore's Stubber answers with is decrypted and refused like S3's answers, with or without a close()."""
    encoded = ENCODERS["V2"].encode(PLAINTEXT)
    client = s3.new_client(ignore_instruction_files=True)
    with Stubber(client) as stubber:
        for content, metadata in ((encoded.body, encoded.metadata), (encoded.body, {})):
            stubber.add_response("get_object", {"Body": BODIES[kind](content), "Metadata": dict(metadata)})
        body = client.get_object(**s3.object_at())["Body"]
        assert body.read() == PLAINTEXT
        body.close()
        with pytest.raises(NotEncryptedError):
            client.get_object(**s3.object_at())


def test_wi_14_forged_headers_change_nothing(s3: StrictWorld) -> None:
    """ETag, type and date are shown to the caller, and no decision hangs on them (WI-14)."""
    store(s3, "V2")
    s3.server.script(changed_headers(ETag='"forged"', Content_Type="text/html"), method="GET")
    answer = s3.client().get_object(**s3.object_at())
    assert (answer["ETag"], answer["Body"].read()) == ('"forged"', PLAINTEXT)
