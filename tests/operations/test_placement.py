"""Envelopes in instruction files: who writes what, in which order, and what the reader believes."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError
from Crypto.Cipher import AES
from support.encoders import AUTHENTICATED, ENCODERS, WITH_OBJECT, store_with_file
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.features import CUT_STREAM_ERROR
from support.servers import ENDLESS, Request, cut_body, refusal
from support.worlds import AES_KEY, KEY, StrictWorld, World

from s3_encryption import (
    AesKeyring,
    CommitmentPolicy,
    ConfigurationError,
    ConfigurationTypeError,
    DataKey,
    DecryptionError,
    InvalidEnvelopeError,
    KeyringAnswerError,
    KmsKeyring,
    LegacyWriteWarning,
    NotEncryptedError,
    S3EncryptionClientError,
    WrappedDataKey,
)

FILE = f"{KEY}.instruction"
POLICIES = {
    "V2": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
    "V3": CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
}


def writer(s3: World, format: str = "V2", **options: Any) -> Any:
    """Return a client that writes instruction files."""
    return s3.client(commitment_policy=POLICIES[format], envelope_location="instruction_file", **options)


def read(s3: World, key: str = KEY, client: Any = None, **parameters: Any) -> bytes:
    """Return an object's plaintext, by default with a client of default options."""
    answer = (client or s3.client()).get_object(**s3.object_at(key), **parameters)
    body: bytes = answer["Body"].read()
    return body


def paths(requests: list[Request]) -> list[tuple[str, str]]:
    """Return method and key of each request."""
    return [(request.method, request.path.removeprefix("/bucket/")) for request in requests]


def file_of(s3: StrictWorld, key: str = FILE) -> dict[str, Any]:
    """Return the content of an instruction file."""
    content: dict[str, Any] = json.loads(s3.body_stored(key))
    return content


def store_split(s3: StrictWorld, format: str, plaintext: bytes = b"secret") -> dict[str, str]:
    """Store an object with an instruction file, as another client writes it, and return the file's fields."""
    fields = store_with_file(s3, format, plaintext)
    s3.forget()
    return fields


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", POLICIES)
def test_envelope_goes_to_the_file(s3: StrictWorld, format: str) -> None:
    """The file holds the fields that the format puts there, the object the others, and both make the object (IF-01)."""
    writer(s3, format).put_object(**s3.object_at(), Body=b"secret", Metadata={"owner": "somebody"})
    assert s3.stored_keys() == [KEY, FILE]
    assert s3.metadata_stored().keys() == WITH_OBJECT.get(format, set()) | {"owner"}
    assert file_of(s3).keys() == ENCODERS[format].encode(b"").metadata.keys() - WITH_OBJECT.get(format, set())
    assert read(s3) == b"secret"


@pytest.mark.parametrize("format", POLICIES)
def test_file_is_what_every_reader_takes(s3: StrictWorld, format: str) -> None:
    """Compact JSON of ASCII strings, with the marker in the metadata: one reader stops at white space."""
    keyring = AesKeyring(AES_KEY, material_description={"team": "red and blue"})
    writer(s3, format, keyring=keyring).put_object(**s3.object_at(), Body=b"secret")
    body = s3.body_stored(FILE)
    assert body.isascii()
    assert not any(space in body for space in (b" ", b"\n", b"\t"))
    assert json.loads(file_of(s3)["x-amz-m" if format == "V3" else "x-amz-matdesc"]) == {"team": "red and blue"}
    assert all(isinstance(text, str) for text in file_of(s3).values())
    assert s3.metadata_stored(FILE) == {"x-amz-crypto-instr-file": ""}


def test_file_of_content_without_tag_says_so(s3: StrictWorld, kms: FakeKms) -> None:
    """PHP clients take no instruction file of V2 without a tag length, and AWS's Python client none with a length."""
    keyring = KmsKeyring(kms, KMS_KEY_ARN, wrapping_algorithm="kms")
    cbc: dict[str, Any] = {"content_algorithm": "AES/CBC/PKCS5Padding", "enable_legacy_writes": True}
    with pytest.warns(LegacyWriteWarning):
        client = writer(s3, keyring=keyring, **cbc)
    client.put_object(**s3.object_at(), Body=b"secret")
    assert file_of(s3)["x-amz-tag-len"] == "0"
    assert file_of(s3).keys() == {
        *("x-amz-key-v2", "x-amz-iv", "x-amz-cek-alg"),
        *("x-amz-wrap-alg", "x-amz-matdesc", "x-amz-tag-len"),
    }
    reader = s3.client(
        keyring=keyring, enable_legacy_wrapping_algorithms=True, enable_legacy_unauthenticated_modes=True
    )
    assert read(s3, client=reader) == b"secret"


def test_object_is_written_before_its_file(s3: StrictWorld) -> None:
    """A put that fails leaves the instruction file of the object that is already there."""
    writer(s3).put_object(**s3.object_at(), Body=b"secret")
    assert paths(s3.requests) == [("PUT", KEY), ("PUT", FILE)]


@pytest.mark.parametrize("format", POLICIES)
def test_refused_conditional_put_leaves_the_object_readable(s3: StrictWorld, format: str) -> None:
    """When IfNoneMatch fails, neither object nor envelope is replaced."""
    client = writer(s3, format)
    client.put_object(**s3.object_at(), Body=b"first")
    s3.forget()
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(**s3.object_at(), Body=b"second", IfNoneMatch="*")
    assert paths(s3.requests) == [("PUT", KEY)]
    assert read(s3) == b"first"


@pytest.mark.parametrize("condition", ["IfNoneMatch", "IfMatch"])
def test_condition_is_about_the_object_and_not_its_file(s3: StrictWorld, condition: str) -> None:
    """A file left over from an earlier object does not make a conditional put fail half-way."""
    client = writer(s3)
    client.put_object(**s3.object_at(), Body=b"first")
    etag = s3.plain.head_object(**s3.object_at())["ETag"]
    if condition == "IfNoneMatch":
        s3.plain.delete_object(**s3.object_at())
    client.put_object(**s3.object_at(), Body=b"second", **{condition: "*" if condition == "IfNoneMatch" else etag})
    assert read(s3) == b"second"


def test_key_too_long_for_its_file_is_refused_unsent(s3: StrictWorld) -> None:
    """Where the file's key would exceed S3's 1024 bytes, not even the object is written (IF-19, IF-22)."""
    longest = "k" * (1024 - len(".instruction"))
    client = writer(s3)
    client.put_object(**s3.object_at(longest), Body=b"secret")
    assert read(s3, longest) == b"secret"
    s3.forget()
    with pytest.raises(S3EncryptionClientError):
        client.put_object(**s3.object_at(longest + "k"), Body=b"secret")
    assert s3.requests == []


def test_envelope_too_long_to_be_read_is_refused_unsent(s3: StrictWorld, kms: FakeKms) -> None:
    """KMS takes a longer context than fits into an envelope: nothing is written that could not be read (EC-07)."""
    client = writer(s3, keyring=KmsKeyring(kms, KMS_KEY_ARN))
    with pytest.raises(ConfigurationError, match="EncryptionContext"):
        client.put_object(**s3.object_at(), Body=b"secret", EncryptionContext={"tenant": "t" * 8100})
    assert s3.requests == []


def test_retries_of_the_file_send_the_same_bytes(s3: StrictWorld) -> None:
    """The file survives a server that is busy."""
    s3.server.script(refusal(503, "SlowDown"), method="PUT", path_end=".instruction", times=2)
    writer(s3).put_object(**s3.object_at(), Body=b"secret")
    assert len({request.body for request in s3.requests[1:]}) == 1
    assert read(s3) == b"secret"


def test_if_13_file_is_protected_as_the_object_is(s3: StrictWorld) -> None:
    """Encryption at rest, access, locks, payer and owner are the file's too; what is about the content not (IF-13)."""
    repeated = {
        "ACL": "bucket-owner-full-control",
        "ExpectedBucketOwner": "111122223333",
        "RequestPayer": "requester",
        "SSEKMSKeyId": "alias/at-rest",
        "ServerSideEncryption": "aws:kms",
        "ObjectLockLegalHoldStatus": "ON",
        "ObjectLockMode": "GOVERNANCE",
        # S3 wants a checksum of what is locked.
        "ChecksumAlgorithm": "SHA256",
        "ObjectLockRetainUntilDate": datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc),
    }
    own = {"CacheControl": "no-store", "ContentType": "text/plain", "IfNoneMatch": "*", "Tagging": "team=blue"}
    writer(s3).put_object(**s3.object_at(), Body=b"secret", Metadata={"owner": "somebody"}, **repeated, **own)
    on_object, on_file = s3.requests
    locks = ("object-lock-legal-hold", "object-lock-mode", "object-lock-retain-until-date")
    for name in ("acl", "expected-bucket-owner", "request-payer", "server-side-encryption", *locks):
        assert on_file.headers[f"x-amz-{name}"] == on_object.headers[f"x-amz-{name}"]
    assert on_file.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/at-rest"
    assert "x-amz-checksum-sha256" in on_file.headers
    assert (
        not {"cache-control", "content-type", "if-none-match", "x-amz-tagging", "x-amz-meta-owner"}
        & on_file.headers.keys()
    )


@pytest.mark.parametrize("key_type", [bytes, str], ids=["bytes", "str"])
def test_file_has_the_objects_customer_key(s3: StrictWorld, key_type: type) -> None:
    """With SSE-C, the file is written and read under the same customer key (IF-13)."""
    customer_key: Any = b"k" * 32 if key_type is bytes else "k" * 32
    customer = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": customer_key}
    writer(s3).put_object(**s3.object_at(), Body=b"secret", **customer)
    assert read(s3, **customer) == b"secret"
    headers = [{name: text for name, text in request.headers.items() if "customer" in name} for request in s3.requests]
    assert len(headers) == 4
    assert len(headers[0]) == 3
    assert all(sent == headers[0] for sent in headers)


def test_kms_context_is_in_the_file(s3: StrictWorld, kms: FakeKms) -> None:
    """The context does not count against the object's metadata when it is stored elsewhere (EC-07)."""
    keyring = KmsKeyring(kms, KMS_KEY_ARN)
    context = {"tenant": "t" * 3000}
    writer(s3, keyring=keyring).put_object(**s3.object_at(), Body=b"secret", EncryptionContext=context)
    assert json.loads(file_of(s3)["x-amz-matdesc"])["tenant"] == context["tenant"]
    assert read(s3, client=s3.client(keyring=keyring), EncryptionContext=context) == b"secret"


def test_object_with_metadata_envelope_replaces_one_with_a_file(s3: StrictWorld) -> None:
    """The stale file of an earlier object is not looked at (IF-20)."""
    writer(s3).put_object(**s3.object_at(), Body=b"first")
    s3.client().put_object(**s3.object_at(), Body=b"second")
    s3.forget()
    assert read(s3) == b"second"
    assert paths(s3.requests) == [("GET", KEY)]


# --- what could not be read again is not written ----------------------------------------------------------------------


class DescribingKeyring:
    """A keyring of a user's own: wraps as an AES keyring does, and changes what is stored of the wrapped key."""

    def __init__(self, **changes: Any) -> None:
        self._keyring = AesKeyring(AES_KEY)
        self._changes = changes

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        made = self._keyring.generate_data_key(content_algorithm, encryption_context)
        return DataKey(made.plaintext, dataclasses.replace(made.wrapped, **self._changes))

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        return self._keyring.decrypt_data_key(wrapped)


LOCATIONS = ("metadata", "instruction_file")
WRITES: dict[str, Callable[[Any, StrictWorld], object]] = {
    "put": lambda client, s3: client.put_object(**s3.object_at(), Body=b"secret"),
    "upload": lambda client, s3: client.create_multipart_upload(**s3.object_at()),
}
writes = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
locations = pytest.mark.parametrize("location", LOCATIONS)
formats = pytest.mark.parametrize("format", POLICIES)


@formats
@locations
@writes
@pytest.mark.parametrize(
    "changes",
    [
        {"description": {"key": 5}},
        {"description": {"key": None}},
        {"description": {5: "key"}},
        {"description": {"key": "\ud800"}},
        {"description": {"\udfff": "key"}},
        {"wrapping_algorithm": "AES/ECB"},
    ],
    ids=["number", "nothing", "name that is a number", "half a character", "name of half a character", "wrong wrap"],
)
def test_envelope_that_nobody_could_read_is_not_sent(
    s3: StrictWorld, format: str, location: str, write: Callable[..., object], changes: dict[str, Any]
) -> None:
    """The error is about the keyring and names the object; no request goes out."""
    client = s3.client(
        commitment_policy=POLICIES[format], envelope_location=location, keyring=DescribingKeyring(**changes)
    )
    with pytest.raises((KeyringAnswerError, ConfigurationError), match=KEY):
        write(client, s3)
    assert s3.requests == []


@formats
@locations
@pytest.mark.parametrize("text", ["plain", "", "a\x00b", "line\nline", "\x7f", "ü", "\u2028", "=?utf-8?q?x?=", '"\\'])
def test_what_is_written_can_be_read(s3: StrictWorld, format: str, location: str, text: str) -> None:
    """Whatever a keyring describes its key by, the object is stored and can be read, or nothing is sent."""
    keyring = DescribingKeyring(description={"key": text, text or "name": "x"})
    client = s3.client(commitment_policy=POLICIES[format], envelope_location=location, keyring=keyring)
    try:
        client.put_object(**s3.object_at(), Body=b"secret")
    except KeyringAnswerError:
        assert s3.requests == []
    else:
        assert read(s3, client=client) == b"secret"


@locations
def test_what_a_reader_would_find_is_compared_with_what_was_meant(s3: StrictWorld, location: str) -> None:
    """A text of a kind of its own, which is printed as another text, would give KMS another context than it wrapped."""

    class Fickle(str):
        def __eq__(self, other: object) -> bool:
            return False

        __hash__ = str.__hash__

    client = s3.client(envelope_location=location, keyring=DescribingKeyring(description={"key": Fickle("x")}))
    with pytest.raises(KeyringAnswerError, match="something else"):
        client.put_object(**s3.object_at(), Body=b"secret")
    assert s3.requests == []


# --- suffixes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", POLICIES)
def test_suffix_of_the_client_is_used_for_both(s3: StrictWorld, format: str) -> None:
    """A client's suffix names the files that it writes, and those that it looks for."""
    client = writer(s3, format, instruction_file_suffix=".envelope")
    client.put_object(**s3.object_at(), Body=b"secret")
    assert s3.stored_keys() == [KEY, f"{KEY}.envelope"]
    assert read(s3, client=client) == b"secret"
    with pytest.raises((NotEncryptedError, InvalidEnvelopeError)):
        read(s3)


@pytest.mark.parametrize("location", ["metadata", "instruction_file"])
@pytest.mark.parametrize("format", POLICIES)
def test_suffix_of_the_call_makes_a_file(s3: StrictWorld, format: str, location: str) -> None:
    """InstructionFileSuffix puts the envelope of one object in a file of that name, whatever the client's default."""
    client = s3.client(commitment_policy=POLICIES[format], envelope_location=location)
    client.put_object(**s3.object_at(), Body=b"secret", InstructionFileSuffix=".mine")
    assert s3.stored_keys() == [KEY, f"{KEY}.mine"]
    assert read(s3, client=client, InstructionFileSuffix=".mine") == b"secret"
    with client.open(**s3.object_at(), InstructionFileSuffix=".mine") as file:
        assert file.read() == b"secret"


@pytest.mark.parametrize("suffix", ["", ".ä", ".a\n", "." * 1000, 5, b".mine"], ids=repr)
@pytest.mark.parametrize("operation", ["put_object", "get_object"])
def test_unusable_suffix_is_refused(s3: StrictWorld, operation: str, suffix: Any) -> None:
    """A suffix must make another key: text, not empty, ASCII, not too long (IF-22)."""
    expected = ConfigurationError if isinstance(suffix, str) else ConfigurationTypeError
    with pytest.raises(expected) as caught:
        getattr(s3.client(), operation)(**s3.object_at(), InstructionFileSuffix=suffix)
    assert type(caught.value) is expected
    assert s3.requests == []


def test_suffix_given_for_a_read_means_the_file_only(s3: StrictWorld) -> None:
    """An object may have its own envelope and, in a file, the same data key wrapped for another reader."""
    client = s3.client()
    client.put_object(**s3.object_at(), Body=b"secret")
    other_key = b"the other reader's key, 32 bytes"
    s3.store(json.dumps(_wrapped_again(s3.metadata_stored(), other_key)).encode(), {}, f"{KEY}.other")
    other = s3.client(aes_key=other_key)
    assert read(s3, client=other, InstructionFileSuffix=".other") == b"secret"
    assert read(s3, client=client) == b"secret"
    for reader, suffix in ((client, {"InstructionFileSuffix": ".other"}), (other, {})):
        with pytest.raises(DecryptionError):
            read(s3, client=reader, **suffix)


def _wrapped_again(metadata: dict[str, str], new_key: bytes) -> dict[str, str]:
    old = base64.b64decode(metadata["x-amz-key-v2"])
    cipher = AES.new(AES_KEY, AES.MODE_GCM, nonce=old[:12])
    cipher.update(b"AES/GCM/NoPadding")
    data_key = cipher.decrypt_and_verify(old[12:44], old[44:])
    cipher = AES.new(new_key, AES.MODE_GCM, nonce=b"another IV..")
    cipher.update(b"AES/GCM/NoPadding")
    wrapped = b"another IV.." + b"".join(cipher.encrypt_and_digest(data_key))
    return {**metadata, "x-amz-key-v2": base64.b64encode(wrapped).decode()}


def test_missing_file_of_a_given_suffix_is_an_error(s3: StrictWorld) -> None:
    """Whoever names a file means it: the object's own envelope is no substitute."""
    s3.client().put_object(**s3.object_at(), Body=b"secret")
    with pytest.raises(InvalidEnvelopeError, match=f"{KEY}.other"):
        read(s3, InstructionFileSuffix=".other")


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", AUTHENTICATED)
def test_file_of_another_client_is_read(s3: StrictWorld, format: str) -> None:
    """The marker is not needed, nor the compact form (IF-10)."""
    store_split(s3, format)
    assert read(s3) == b"secret"
    assert paths(s3.requests) == [("GET", KEY), ("GET", FILE)]


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=2-4", "bytes=-3"])
@pytest.mark.parametrize("format", AUTHENTICATED)
def test_range_of_an_object_with_a_file_is_read(s3: StrictWorld, format: str, header: str) -> None:
    """The Range is the object's: the file is read whole."""
    store_split(s3, format)
    client = s3.client(enable_unauthenticated_ranges=True)
    expected = {"bytes=0-": b"secret", "bytes=2-4": b"cre", "bytes=-3": b"ret"}[header]
    assert read(s3, client=client, Range=header) == expected
    assert "range" not in s3.requests[1].headers


UNUSABLE_FILES: dict[str, bytes] = {
    "empty": b"",
    "no-json": b"hello",
    "list": b"[]",
    "null": b"null",
    "byte-order-mark": b"\xef\xbb\xbf{}",
    "utf-16": "{}".encode("utf-16"),
    "no-fields": b"{}",
    "unknown-field": b'{"x-amz-key-v3":"AAAA"}',
    "number": b'{"x-amz-key-v2":5}',
    "nested": b'{"x-amz-key-v2":{}}',
    "duplicate": b'{"x-amz-key-v2":"AAAA","x-amz-key-v2":"AAAA"}',
    "deep": b"[" * 50_000,
    "too-long": b"{" + b" " * 70_000 + b"}",
}


@pytest.mark.parametrize("content", UNUSABLE_FILES)
def test_unusable_file_is_refused(s3: StrictWorld, content: str) -> None:
    """Whatever a file holds, it is an envelope or an error of this library (IF-11)."""
    store_split(s3, "V2")
    s3.store(UNUSABLE_FILES[content], {}, FILE)
    with pytest.raises(InvalidEnvelopeError) as caught:
        read(s3)
    assert type(caught.value) is InvalidEnvelopeError
    assert caught.value.key == KEY


def test_wi_10_endless_file_is_bounded(s3: StrictWorld) -> None:
    """A file without an end is given up after 64 KiB (WI-10)."""
    store_split(s3, "V2")
    s3.store(b" " * 1000, {}, FILE)
    s3.server.script(ENDLESS, method="GET", path_end=".instruction")
    with pytest.raises(InvalidEnvelopeError, match="too long"):
        read(s3)


def test_cut_transfer_of_the_file_is_botocores_error(s3: StrictWorld) -> None:
    """A connection that breaks in the file is no tampering: botocore's own error says what happened."""
    store_split(s3, "V2")
    s3.server.script(cut_body(50), method="GET", path_end=".instruction")
    with pytest.raises(CUT_STREAM_ERROR):
        read(s3)


def test_failure_to_fetch_the_file_is_botocores_error(s3: StrictWorld) -> None:
    """What S3 says to the second request is raised as it is."""
    store_split(s3, "V3")
    s3.server.script(refusal(403, "AccessDenied"), method="GET", path_end=".instruction")
    with pytest.raises(ClientError, match="AccessDenied"):
        read(s3)


def test_if_13_fetch_of_the_file_repeats_payer_and_owner(s3: StrictWorld) -> None:
    """What concerns access is said to both requests; conditions and versions are the object's alone (IF-13)."""
    store_split(s3, "V2")
    etag = s3.plain.head_object(**s3.object_at())["ETag"]
    s3.forget()
    read(s3, RequestPayer="requester", ExpectedBucketOwner="111122223333", IfMatch=etag, ChecksumMode="ENABLED")
    on_object, on_file = s3.requests
    assert on_file.headers["x-amz-request-payer"] == on_object.headers["x-amz-request-payer"] == "requester"
    assert on_file.headers["x-amz-expected-bucket-owner"] == "111122223333"
    assert "if-match" not in on_file.headers


def test_plaintext_object_is_returned_where_allowed_and_no_file_exists(s3: StrictWorld) -> None:
    """With allow_plaintext_reads, no envelope and no file mean plaintext."""
    s3.store(b"not encrypted", {})
    assert read(s3, client=s3.client(allow_plaintext_reads=True)) == b"not encrypted"


def test_object_with_a_file_is_decrypted_where_plaintext_is_allowed(s3: StrictWorld) -> None:
    """allow_plaintext_reads does not make ciphertext plaintext."""
    store_split(s3, "V2")
    assert read(s3, client=s3.client(allow_plaintext_reads=True)) == b"secret"


def test_instruction_file_itself_is_not_an_object(s3: StrictWorld) -> None:
    """A read of the file says that it is not encrypted."""
    store_split(s3, "V2")
    with pytest.raises(NotEncryptedError):
        read(s3, FILE)


def test_policy_is_checked_before_kms(s3: StrictWorld, kms: FakeKms) -> None:
    """What policy refuses costs no KMS call, with an instruction file too."""
    keyring = KmsKeyring(kms, KMS_KEY_ARN)
    writer(s3, keyring=keyring).put_object(**s3.object_at(), Body=b"secret")
    strict = s3.client(keyring=keyring, commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
    with pytest.raises(S3EncryptionClientError, match="commitment"):
        read(s3, client=strict)
    assert kms.count("decrypt") == 0


# --- what goes with an object, and what does not ----------------------------------------------------------------------


@pytest.mark.parametrize("writes_files", [False, True])
@pytest.mark.parametrize("format", POLICIES)
def test_if_23_copy_takes_the_file_along(moto: World, format: str, writes_files: bool) -> None:
    """copy_object and copy() copy object and file, whatever the client writes itself (IF-23)."""
    writer(moto, format).put_object(**moto.object_at(), Body=b"secret")
    client = writer(moto, format) if writes_files else moto.client()
    client.copy_object(**moto.object_at("one"), CopySource=moto.object_at())
    client.copy(moto.object_at(), moto.bucket, "two")
    assert [read(moto, "one"), read(moto, "two")] == [b"secret", b"secret"]


@pytest.mark.parametrize("format", POLICIES)
def test_if_23_copy_without_its_file_is_never_ciphertext(moto: World, format: str) -> None:
    """A copy that another client made of the object alone can't be read, and is not handed out as it is (IF-23)."""
    writer(moto, format).put_object(**moto.object_at(), Body=b"secret")
    moto.plain.copy_object(**moto.object_at("copy"), CopySource=moto.object_at())
    with pytest.raises((NotEncryptedError, InvalidEnvelopeError)):
        read(moto, "copy")
    moto.plain.copy_object(**moto.object_at("copy.instruction"), CopySource=moto.object_at(FILE))
    assert read(moto, "copy") == b"secret"


def test_multi_reader_does_not_need_the_writers_options(s3: StrictWorld) -> None:
    """Readers find the envelope wherever it is: envelope_location is about writing."""
    writer(s3).put_object(**s3.object_at("in-file"), Body=b"one")
    s3.client().put_object(**s3.object_at("in-metadata"), Body=b"two")
    for client in (writer(s3), s3.client(keyring=AesKeyring(AES_KEY))):
        assert [read(s3, key, client) for key in ("in-file", "in-metadata")] == [b"one", b"two"]
