"""put_object: which bodies and parameters it takes, what reaches S3, and that no failure stores anything."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError
from support.encoders import ENCODERS
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.servers import HANG_UP, Request, refusal
from support.vectors import RSA_KEY_DER
from support.worlds import AES_KEY, KEY, ReadOnce, RefusingKms, StrictWorld

from s3_encryption import (
    AesKeyring,
    BodyMismatchError,
    CommitmentPolicy,
    ConfigurationError,
    ConfigurationTypeError,
    EncryptionContextMismatchError,
    Keyring,
    KmsKeyring,
    LegacyWriteWarning,
    MetadataTooLargeError,
    RsaKeyring,
    UnsupportedOperationError,
)
from s3_encryption._keys.wrap_algorithms import WRAP_ALGORITHMS

PLAINTEXT = random.Random("put_object").randbytes(70_000)


def kms_client_of(s3: StrictWorld, kms: FakeKms, **options: Any) -> Any:
    """Return an encrypting client whose KMS calls can be counted."""
    return s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN), **options)


def read_back(s3: StrictWorld, key: str = KEY, **parameters: Any) -> bytes:
    """Return an object's plaintext, read by a new client."""
    body: bytes = s3.client().get_object(**s3.object_at(key), **parameters)["Body"].read()
    return body


# --- bodies -----------------------------------------------------------------------------------------------------------


def file_at(directory: Path, offset: int) -> Any:
    """Return a file opened for reading, positioned behind a prefix that is not to be sent."""
    path = directory / "source"
    path.write_bytes(bytes(offset) + PLAINTEXT)
    file = path.open("rb")
    file.seek(offset)
    return file


def bytes_at(offset: int) -> io.BytesIO:
    """Return the same in memory."""
    body = io.BytesIO(bytes(offset) + PLAINTEXT)
    body.seek(offset)
    return body


BODIES: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda directory: PLAINTEXT,
    "bytearray": lambda directory: bytearray(PLAINTEXT),
    "BytesIO": lambda directory: io.BytesIO(PLAINTEXT),
    "BytesIO-at-an-offset": lambda directory: bytes_at(1000),
    "file": lambda directory: file_at(directory, 0),
    "file-at-an-offset": lambda directory: file_at(directory, 1000),
    "BufferedReader": lambda directory: io.BufferedReader(io.BytesIO(PLAINTEXT)),
    "read-once": lambda directory: ReadOnce(PLAINTEXT),
    "short-reads": lambda directory: ReadOnce(PLAINTEXT, most=777),
}


@pytest.mark.parametrize("policy", CommitmentPolicy, ids=lambda policy: policy.name)
@pytest.mark.parametrize("body", BODIES)
def test_up_01_body_of_any_kind_is_stored_encrypted(
    s3: StrictWorld, tmp_path: Path, body: str, policy: CommitmentPolicy
) -> None:
    """Every kind of Body round-trips from its current position to its end, and S3 never sees it (UP-01)."""
    source = BODIES[body](tmp_path)
    s3.client(commitment_policy=policy).put_object(**s3.object_at(), Body=source)
    if hasattr(source, "close"):
        source.close()
    assert read_back(s3) == PLAINTEXT
    assert len(s3.body_stored()) == len(PLAINTEXT) + 16
    assert not any(PLAINTEXT[:64] in request.raw_body for request in s3.requests)


def test_text_body_is_encoded_as_by_boto3(s3: StrictWorld) -> None:
    """A str is stored as UTF-8, as boto3 does it."""
    s3.plain.put_object(**s3.object_at("plain"), Body="Grüße, 世界")
    s3.client().put_object(**s3.object_at(), Body="Grüße, 世界")
    assert read_back(s3) == s3.body_stored("plain")


@pytest.mark.parametrize(
    "parameters",
    [{}, {"Body": b""}, {"Body": ""}, {"Body": io.BytesIO()}, {"Body": ReadOnce(b"")}],
    ids=["omitted", "bytes", "str", "BytesIO", "read-once"],
)
def test_up_05_empty_body_is_stored_as_an_empty_object(s3: StrictWorld, parameters: dict[str, Any]) -> None:
    """Nothing at all is an object too: it has a tag only, and reads back empty (CT-10, UP-05)."""
    s3.client().put_object(**s3.object_at(), **parameters)
    assert len(s3.body_stored()) == 16
    assert read_back(s3) == b""


@pytest.mark.parametrize("size", [1, 15, 16, 17, 31, 32, 33, 65535, 65536, 65537, 5 * 2**20 - 1, 5 * 2**20 + 1])
def test_body_of_any_size_round_trips(s3: StrictWorld, size: int) -> None:
    """Sizes around the cipher's block and around internal buffers make no difference (CT-11)."""
    plaintext = random.Random(size).randbytes(size)
    s3.client().put_object(**s3.object_at(), Body=plaintext)
    assert read_back(s3) == plaintext


class Reader:
    """A body whose ``read`` returns what it was told to, one after the other."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def read(self, size: int = -1) -> Any:
        return self._answers.pop(0) if self._answers else b""


REFUSED_BODIES: dict[str, Callable[[Path], Any]] = {
    "StringIO": lambda directory: io.StringIO("secret"),
    "empty-StringIO": lambda directory: io.StringIO(""),
    "TextIOWrapper": lambda directory: io.TextIOWrapper(io.BytesIO(b"secret")),
    "returns-str": lambda directory: Reader("secret"),
    "returns-str-later": lambda directory: Reader(b"secret", "secret"),
    "returns-str-at-its-end": lambda directory: Reader(b"secret", ""),
    "returns-None": lambda directory: Reader(None),
    "returns-None-later": lambda directory: Reader(b"secret", None),
    "returns-int": lambda directory: Reader(6),
    "returns-list": lambda directory: Reader([115, 101]),
}


@pytest.mark.parametrize("body", REFUSED_BODIES)
def test_up_02_body_that_yields_no_bytes_is_refused(s3: StrictWorld, kms: FakeKms, tmp_path: Path, body: str) -> None:
    """A body that reads as text, or as nothing at all, is refused before anything is asked or sent (UP-02)."""
    with pytest.raises(ConfigurationTypeError, match="Body") as caught:
        kms_client_of(s3, kms).put_object(**s3.object_at(), Body=REFUSED_BODIES[body](tmp_path))
    assert caught.value.key == KEY
    assert (s3.requests, kms.calls) == ([], [])


def test_file_in_text_mode_is_refused(s3: StrictWorld, tmp_path: Path) -> None:
    """The message says how to open a file that was opened as text (UP-02)."""
    (tmp_path / "source").write_text("secret")
    with (tmp_path / "source").open() as file, pytest.raises(ConfigurationTypeError, match="'rb'"):
        s3.client().put_object(**s3.object_at(), Body=file)
    assert s3.requests == []


@pytest.mark.parametrize("mode", ["wb", "ab", "xb"])
def test_file_opened_for_writing_is_refused_as_by_boto3(s3: StrictWorld, tmp_path: Path, mode: str) -> None:
    """It is positioned at its end after writing, and is no empty body: boto3's error is raised, nothing is stored."""
    with (tmp_path / "source").open(mode) as file:
        file.write(b"secret")
        file.flush()
        for client in (s3.plain, s3.client()):
            with pytest.raises(io.UnsupportedOperation, match="read"):
                client.put_object(**s3.object_at(), Body=file)
    assert s3.requests == []


def test_al_20_error_of_the_body_comes_through(s3: StrictWorld, kms: FakeKms) -> None:
    """What reading the source raises is raised as it is, and nothing is stored (AL-20)."""

    class Broken(Reader):
        def read(self, size: int = -1) -> Any:
            raise failure

    failure = OSError("the disk is gone")
    with pytest.raises(OSError, match="the disk is gone") as caught:
        kms_client_of(s3, kms).put_object(**s3.object_at(), Body=Broken())
    assert caught.value is failure
    assert s3.requests == []


def test_co_05_body_may_use_the_client_while_it_is_read(s3: StrictWorld, kms: FakeKms) -> None:
    """A put inside another put's Body.read() keeps its own encryption context, and so does the outer one (CO-05)."""

    class Nested(ReadOnce):
        def read(self, size: int = -1) -> bytes:
            client.put_object(**s3.object_at("inner"), Body=b"inner", EncryptionContext={"of": "inner"})
            return super().read(size)

    client = kms_client_of(s3, kms)
    client.put_object(**s3.object_at("outer"), Body=Nested(b"outer"), EncryptionContext={"of": "outer"})
    for name in ("inner", "outer"):
        answer = client.get_object(**s3.object_at(name), EncryptionContext={"of": name})
        assert answer["Body"].read() == name.encode()


# --- what can be written ----------------------------------------------------------------------------------------------

CBC = "AES/CBC/PKCS5Padding"
LEGACY_READS = ENCODERS["V1"].options
CURRENT_WRAPS = {wrap.key_type: name for name, wrap in WRAP_ALGORITHMS.items() if not wrap.legacy}


def keyring_for(wrap: str, kms: FakeKms) -> Keyring:
    """Return a keyring that wraps data keys so."""
    makers: dict[str, Callable[[], Keyring]] = {
        "kms": lambda: KmsKeyring(kms, KMS_KEY_ARN, wrapping_algorithm=wrap),
        "aes": lambda: AesKeyring(AES_KEY, wrapping_algorithm=wrap),
        "rsa": lambda: RsaKeyring(RSA_KEY_DER, wrapping_algorithm=wrap),
    }
    return makers[WRAP_ALGORITHMS[wrap].key_type]()


@pytest.mark.parametrize("location", ["metadata", "instruction_file"])
@pytest.mark.parametrize("wrap", WRAP_ALGORITHMS)
def test_every_wrapping_algorithm_can_be_written(s3: StrictWorld, kms: FakeKms, wrap: str, location: str) -> None:
    """What the default policy writes with each wrapping algorithm reads back, V1 behind its switch."""
    keyring, v1 = keyring_for(wrap, kms), WRAP_ALGORITHMS[wrap].v1
    with pytest.warns(LegacyWriteWarning) if v1 else contextlib.nullcontext():
        client = s3.client(keyring=keyring, envelope_location=location, enable_legacy_writes=v1)
    client.put_object(**s3.object_at(), Body=PLAINTEXT)
    assert len(s3.body_stored()) == len(PLAINTEXT) + 16 - (len(PLAINTEXT) % 16 if v1 else 0)
    reader = s3.client(keyring=keyring_for(CURRENT_WRAPS[WRAP_ALGORITHMS[wrap].key_type], kms), **LEGACY_READS)
    assert reader.get_object(**s3.object_at())["Body"].read() == PLAINTEXT


@pytest.mark.parametrize("wrap", [name for name, wrap in WRAP_ALGORITHMS.items() if wrap.v3_code is not None])
def test_every_wrapping_algorithm_of_v3_can_be_written(s3: StrictWorld, kms: FakeKms, wrap: str) -> None:
    """With commitment, each algorithm that V3 knows reads back, under the strictest policy."""
    policy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    client = s3.client(keyring=keyring_for(wrap, kms), commitment_policy=policy)
    client.put_object(**s3.object_at(), Body=PLAINTEXT)
    assert s3.metadata_stored()["x-amz-w"] == WRAP_ALGORITHMS[wrap].v3_code
    assert client.get_object(**s3.object_at())["Body"].read() == PLAINTEXT


@pytest.mark.parametrize(
    "wrap", [name for name, wrap in WRAP_ALGORITHMS.items() if wrap.legacy and not wrap.v1 and not wrap.binds_content]
)
def test_cbc_content_can_be_written_behind_its_switch(s3: StrictWorld, kms: FakeKms, wrap: str) -> None:
    """For readers that know nothing newer: V2 with CBC content, with a warning."""
    keyring = keyring_for(wrap, kms)
    with pytest.warns(LegacyWriteWarning, match="CBC"):
        client = s3.client(keyring=keyring, content_algorithm=CBC, enable_legacy_writes=True)
    client.put_object(**s3.object_at(), Body=PLAINTEXT)
    assert s3.metadata_stored()["x-amz-cek-alg"] == CBC
    answer = s3.client(keyring=keyring, **LEGACY_READS).get_object(**s3.object_at())
    assert answer["Body"].read() == PLAINTEXT


# --- metadata ---------------------------------------------------------------------------------------------------------


def test_up_13_user_metadata_is_kept_and_not_changed(s3: StrictWorld) -> None:
    """The caller's metadata is stored beside the envelope, and the caller's dict is left as it was (UP-13)."""
    metadata = {"owner": "somebody", "Camel-Case": "yes"}
    s3.client().put_object(**s3.object_at(), Body=b"secret", Metadata=metadata)
    assert metadata == {"owner": "somebody", "Camel-Case": "yes"}
    stored = s3.metadata_stored()
    assert (stored["owner"], stored["camel-case"]) == ("somebody", "yes")
    assert stored.keys() - {"owner", "camel-case"} == ENCODERS["V2"].encode(b"").metadata.keys()


def test_encryption_context_is_not_changed(s3: StrictWorld, kms: FakeKms) -> None:
    """No reserved entry is added to the caller's dict (EC-08)."""
    context = {"tenant": "alpha"}
    kms_client_of(s3, kms).put_object(**s3.object_at(), Body=b"secret", EncryptionContext=context)
    assert context == {"tenant": "alpha"}


@pytest.mark.parametrize("format", ENCODERS)
@pytest.mark.parametrize("renamed", [str.lower, str.upper, str.title], ids=["lower", "upper", "title"])
def test_envelope_of_an_earlier_read_is_replaced(s3: StrictWorld, format: str, renamed: Callable[[str], str]) -> None:
    """Metadata taken over from another object's read brings its envelope along, which must not win."""
    earlier = {renamed(name): text for name, text in ENCODERS[format].encode(b"earlier").metadata.items()}
    s3.client().put_object(**s3.object_at(), Body=b"secret", Metadata={**earlier, "owner": "somebody"})
    assert read_back(s3) == b"secret"
    assert s3.metadata_stored().keys() - {"owner"} == ENCODERS["V2"].encode(b"").metadata.keys()


def test_metadata_of_a_read_can_be_put_again(s3: StrictWorld) -> None:
    """put_object(Metadata=head_object()["Metadata"]), a common idiom, rewrites the object."""
    client = s3.client()
    client.put_object(**s3.object_at(), Body=b"first", Metadata={"owner": "somebody"})
    client.put_object(**s3.object_at(), Body=b"second", Metadata=client.head_object(**s3.object_at())["Metadata"])
    assert read_back(s3) == b"second"
    assert s3.metadata_stored()["owner"] == "somebody"


ENVELOPE_NAMES = sorted({name for encoder in ENCODERS.values() for name in encoder.encode(b"").metadata} | {"x-amz-t"})


@pytest.mark.parametrize("renamed", [str.lower, str.upper, str.title], ids=["lower", "upper", "title"])
@pytest.mark.parametrize("name", [name for name in ENVELOPE_NAMES if name != "x-amz-unencrypted-content-length"])
def test_up_10_envelope_name_of_the_callers_own_is_refused(
    s3: StrictWorld, kms: FakeKms, name: str, renamed: Callable[[str], str]
) -> None:
    """A name that belongs to the envelope can't be user metadata, in any letter case (UP-10)."""
    with pytest.raises(ConfigurationError, match=name) as caught:
        kms_client_of(s3, kms).put_object(**s3.object_at(), Body=b"secret", Metadata={renamed(name): "mine"})
    assert (type(caught.value), caught.value.key) == (ConfigurationError, KEY)
    assert (s3.requests, kms.calls) == ([], [])


@pytest.mark.parametrize("location", ["metadata", "instruction_file"])
def test_metadata_over_the_limit_is_refused_before_kms(s3: StrictWorld, kms: FakeKms, location: str) -> None:
    """Metadata that S3 would refuse is refused before a data key is asked for, wherever the envelope goes (EC-07)."""
    client = kms_client_of(s3, kms, envelope_location=location)
    with pytest.raises(MetadataTooLargeError, match=r"20\d\d bytes"):
        client.put_object(**s3.object_at(), Body=b"secret", Metadata={"note": "n" * 2045})
    assert (s3.requests, kms.calls) == ([], [])


def test_encryption_context_over_the_limit_is_refused_before_kms(s3: StrictWorld, kms: FakeKms) -> None:
    """The context is stored in the metadata too, so its length counts (EC-07)."""
    with pytest.raises(MetadataTooLargeError, match="instruction_file"):
        kms_client_of(s3, kms).put_object(**s3.object_at(), Body=b"secret", EncryptionContext={"tenant": "t" * 2048})
    assert (s3.requests, kms.calls) == ([], [])


def test_metadata_that_fits_alone_but_not_with_the_envelope_is_refused(s3: StrictWorld) -> None:
    """Envelope and metadata share S3's 2 KB: what does not fit is refused, and what just fits is stored."""
    client = s3.client()
    with pytest.raises(MetadataTooLargeError):
        client.put_object(**s3.object_at(), Body=b"secret", Metadata={"note": "n" * 1900})
    assert s3.requests == []
    envelope = ENCODERS["V2"].encode(b"").metadata
    room = 2048 - sum(len(name) + len(text) for name, text in envelope.items()) - len("note")
    client.put_object(**s3.object_at(), Body=b"secret", Metadata={"note": "n" * room})
    assert read_back(s3) == b"secret"


# --- what the caller declares of the body -----------------------------------------------------------------------------


def base64_of(digest: bytes) -> str:
    """Return a digest as S3's parameters have it."""
    return base64.b64encode(digest).decode()


def crc32(data: bytes) -> bytes:
    """Return CRC-32 as S3 has it."""
    return zlib.crc32(data).to_bytes(4, "big")


DECLARATIONS: dict[str, Callable[[bytes], Any]] = {
    "ContentLength": len,
    "ContentMD5": lambda body: base64_of(hashlib.md5(body, usedforsecurity=False).digest()),
    "ChecksumCRC32": lambda body: base64_of(crc32(body)),
    "ChecksumSHA1": lambda body: base64_of(hashlib.sha1(body, usedforsecurity=False).digest()),
    "ChecksumSHA256": lambda body: base64_of(hashlib.sha256(body).digest()),
    "ChecksumSHA512": lambda body: base64_of(hashlib.sha512(body).digest()),
    "ChecksumMD5": lambda body: base64_of(hashlib.md5(body, usedforsecurity=False).digest()),
}
CHECKSUM_CONFIGS = {
    "when_supported": Config(request_checksum_calculation="when_supported"),
    "when_required": Config(request_checksum_calculation="when_required"),
}


def checksums_sent(request: Request) -> dict[str, str]:
    """Return the checksums by which a request protects its body; the server has verified them."""
    sent = {**request.headers, **request.trailers}
    about = ("x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type")
    return {
        name: text
        for name, text in sent.items()
        if (name.startswith("x-amz-checksum-") and name not in about) or name == "content-md5"
    }


@pytest.mark.parametrize("config", CHECKSUM_CONFIGS)
@pytest.mark.parametrize("source", ["bytes", "read-once"])
@pytest.mark.parametrize("name", DECLARATIONS)
def test_up_07_up_08_true_declaration_of_the_plaintext_is_accepted(
    s3: StrictWorld, tmp_path: Path, name: str, source: str, config: str
) -> None:
    """Lengths and digests of the plaintext are verified here; S3 gets none of them (UP-07, UP-08, LK-11)."""
    declared = DECLARATIONS[name](PLAINTEXT)
    client = s3.new_client(config=CHECKSUM_CONFIGS[config])
    client.put_object(**s3.object_at(), Body=BODIES[source](tmp_path), **{name: declared})
    assert str(declared).encode() not in s3.requests[0].sent_bytes
    assert s3.requests[0].headers["content-length"] == str(len(PLAINTEXT) + 16)
    assert read_back(s3) == PLAINTEXT


@pytest.mark.parametrize("config", CHECKSUM_CONFIGS)
@pytest.mark.parametrize("name", [name for name in DECLARATIONS if name != "ContentLength"])
def test_declared_digest_is_replaced_by_one_of_the_ciphertext(s3: StrictWorld, name: str, config: str) -> None:
    """A caller who declares a digest gets the upload protected by one (Object Lock demands it), of the ciphertext."""
    client = s3.new_client(config=CHECKSUM_CONFIGS[config])
    client.put_object(**s3.object_at(), Body=PLAINTEXT, **{name: DECLARATIONS[name](PLAINTEXT)})
    assert checksums_sent(s3.requests[0])


@pytest.mark.parametrize("name", ["ChecksumCRC32", "ChecksumSHA1", "ChecksumSHA256", "ChecksumSHA512"])
def test_declared_checksum_keeps_its_algorithm(s3: StrictWorld, name: str) -> None:
    """The checksum of the ciphertext is of the algorithm that the caller chose."""
    s3.client().put_object(**s3.object_at(), Body=PLAINTEXT, **{name: DECLARATIONS[name](PLAINTEXT)})
    header = f"x-amz-checksum-{name.removeprefix('Checksum').lower()}"
    assert checksums_sent(s3.requests[0]) == {header: DECLARATIONS[name](s3.body_stored())}


@pytest.mark.parametrize("name", DECLARATIONS)
def test_up_08_false_declaration_of_the_plaintext_is_refused(s3: StrictWorld, kms: FakeKms, name: str) -> None:
    """A body that is not what the caller declared is refused before anything is asked or sent (UP-08)."""
    with pytest.raises(BodyMismatchError, match=name) as caught:
        kms_client_of(s3, kms).put_object(**s3.object_at(), Body=PLAINTEXT, **{name: DECLARATIONS[name](PLAINTEXT[1:])})
    assert caught.value.key == KEY
    assert (s3.requests, kms.calls) == ([], [])


def test_digest_that_is_no_base64_is_refused(s3: StrictWorld) -> None:
    """A malformed digest does not describe the body."""
    with pytest.raises(BodyMismatchError):
        s3.client().put_object(**s3.object_at(), Body=PLAINTEXT, ChecksumSHA256="not base64!")
    assert s3.requests == []


@pytest.mark.parametrize("name", ["ChecksumCRC32C", "ChecksumCRC64NVME"])
def test_digest_that_cannot_be_verified_is_refused(s3: StrictWorld, name: str) -> None:
    """A checksum of an algorithm that is not at hand is refused: sent on, it would fail; dropped, protect nothing."""
    with pytest.raises(ConfigurationError, match=rf"{name}.*ChecksumAlgorithm") as caught:
        s3.client().put_object(**s3.object_at(), Body=PLAINTEXT, **{name: "AAAAAA=="})
    assert type(caught.value) is ConfigurationError
    assert s3.requests == []


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksum_algorithm_is_that_of_the_ciphertext(s3: StrictWorld, algorithm: str) -> None:
    """ChecksumAlgorithm protects what is sent."""
    s3.client().put_object(**s3.object_at(), Body=PLAINTEXT, ChecksumAlgorithm=algorithm)
    expected = DECLARATIONS[f"Checksum{algorithm}"](s3.body_stored())
    assert checksums_sent(s3.requests[0]) == {f"x-amz-checksum-{algorithm.lower()}": expected}


def test_no_checksum_is_sent_where_none_is_wanted(s3: StrictWorld) -> None:
    """With when_required, a put without a declaration carries no checksum, as plain boto3's."""
    s3.new_client(config=CHECKSUM_CONFIGS["when_required"]).put_object(**s3.object_at(), Body=PLAINTEXT)
    assert checksums_sent(s3.requests[0]) == {}
    assert read_back(s3) == PLAINTEXT


@pytest.mark.parametrize("size", [100, 2 * 2**20], ids=["small", "large"])
def test_content_md5_brings_no_other_checksum_where_none_is_wanted(wire: StrictWorld, size: int) -> None:
    """With when_required, for servers that know Content-MD5 only, nothing is sent that they might not know."""
    body = bytes(size)
    client = wire.new_client(config=CHECKSUM_CONFIGS["when_required"])
    client.put_object(**wire.object_at(), Body=body, ContentMD5=DECLARATIONS["ContentMD5"](body))
    (request,) = wire.requests
    assert checksums_sent(request) == {"content-md5": DECLARATIONS["ContentMD5"](request.body)}
    assert request.headers.keys().isdisjoint({"content-encoding", "x-amz-trailer", "x-amz-sdk-checksum-algorithm"})


# --- all other parameters ---------------------------------------------------------------------------------------------

PASSED_THROUGH: dict[str, Any] = {
    "ACL": "bucket-owner-full-control",
    "BucketKeyEnabled": True,
    "CacheControl": "no-store",
    "ContentDisposition": "attachment",
    "ContentEncoding": "gzip",
    "ContentLanguage": "de",
    "ContentType": "text/plain",
    "ExpectedBucketOwner": "111122223333",
    "GrantRead": "id=somebody",
    "IfNoneMatch": "*",
    "ObjectLockLegalHoldStatus": "ON",
    "ObjectLockMode": "GOVERNANCE",
    "RequestPayer": "requester",
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": b"k" * 32,
    "SSEKMSEncryptionContext": "e30=",
    "SSEKMSKeyId": "alias/at-rest",
    "ServerSideEncryption": "aws:kms",
    "StorageClass": "STANDARD_IA",
    "Tagging": "team=blue",
    "WebsiteRedirectLocation": "/elsewhere",
}
# What differs between any two puts, or belongs to the body.
_OWN_HEADERS = {
    "amz-sdk-invocation-id",
    "authorization",
    "content-length",
    "expect",
    "user-agent",
    "x-amz-checksum-crc32",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-sdk-checksum-algorithm",
}


def telling_headers(request: Request) -> dict[str, str]:
    """Return the headers that a put's parameters have made."""
    return {
        name: text
        for name, text in request.headers.items()
        if name not in _OWN_HEADERS and not name.startswith("x-amz-meta-x-amz-")
    }


@pytest.mark.parametrize("name", PASSED_THROUGH)
def test_other_parameter_reaches_s3_as_from_boto3(s3: StrictWorld, name: str) -> None:
    """What does not concern the body is sent just as plain boto3 sends it."""
    for client, key in ((s3.client(), "encrypted"), (s3.plain, "plain")):
        client.put_object(**s3.object_at(key), Body=b"secret", **{name: PASSED_THROUGH[name]})
    ours, boto3s = s3.requests
    assert telling_headers(ours) == telling_headers(boto3s)
    assert len(telling_headers(ours)) > len(_headers_of_a_bare_put(s3))


def _headers_of_a_bare_put(s3: StrictWorld) -> dict[str, str]:
    s3.plain.put_object(**s3.object_at("bare"), Body=b"secret")
    return telling_headers(s3.requests[-1])


def test_answer_is_that_of_s3(s3: StrictWorld) -> None:
    """The answer's ETag is the one under which the ciphertext is stored."""
    answer = s3.client().put_object(**s3.object_at(), Body=b"secret")
    assert answer["ETag"] == s3.plain.head_object(**s3.object_at())["ETag"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_parameters_of_the_caller_are_not_changed(s3: StrictWorld, kms: FakeKms) -> None:
    """A dict of parameters can be used for the next put as well."""
    parameters = {**s3.object_at(), "Body": b"secret", "Metadata": {"a": "b"}, "EncryptionContext": {"c": "d"}}
    before = {**parameters, "Metadata": {"a": "b"}, "EncryptionContext": {"c": "d"}}
    kms_client_of(s3, kms).put_object(**parameters)
    assert parameters == before


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_append_is_refused(s3: StrictWorld, kms: FakeKms) -> None:
    """Bytes behind the tag would destroy the object."""
    with pytest.raises(UnsupportedOperationError, match="WriteOffsetBytes"):
        kms_client_of(s3, kms).put_object(**s3.object_at(), Body=b"secret", WriteOffsetBytes=6)
    assert (s3.requests, kms.calls) == ([], [])


@pytest.mark.parametrize(
    ("options", "parameters", "key"),
    [
        ({}, {}, "name.instruction"),
        ({}, {}, ".instruction"),
        ({"instruction_file_suffix": ".envelope"}, {}, "name.envelope"),
        ({}, {"InstructionFileSuffix": ".mine"}, "name.mine"),
    ],
    ids=["default", "suffix-only", "client", "call"],
)
def test_key_of_an_instruction_file_is_refused(
    s3: StrictWorld, options: dict[str, Any], parameters: dict[str, Any], key: str
) -> None:
    """An object with such a key would become the instruction file of another object (IF-14)."""
    with pytest.raises(UnsupportedOperationError, match="instruction file"):
        s3.client(**options).put_object(**s3.object_at(key), Body=b"secret", **parameters)
    assert s3.requests == []


def test_default_suffix_is_free_where_another_one_is_configured(s3: StrictWorld) -> None:
    """Only the suffix in use is reserved."""
    s3.client(instruction_file_suffix=".envelope").put_object(**s3.object_at("a.instruction"), Body=b"secret")
    assert read_back(s3, "a.instruction") == b"secret"


INVALID_CALLS: dict[str, dict[str, Any]] = {
    "no-key": {"Bucket": "bucket", "Body": b""},
    "no-bucket": {"Key": "key", "Body": b""},
    "empty-key": {"Bucket": "bucket", "Key": "", "Body": b""},
    "bucket-name": {"Bucket": "no bucket", "Key": "key", "Body": b""},
    "unknown": {"Bucket": "bucket", "Key": "key", "Body": b"", "Bodies": b""},
    "memoryview": {"Bucket": "bucket", "Key": "key", "Body": memoryview(b"secret")},
    "None": {"Bucket": "bucket", "Key": "key", "Body": None},
    "int": {"Bucket": "bucket", "Key": "key", "Body": 6},
    "list": {"Bucket": "bucket", "Key": "key", "Body": [b"secret"]},
    "metadata-list": {"Bucket": "bucket", "Key": "key", "Metadata": [("a", "b")]},
    "metadata-int": {"Bucket": "bucket", "Key": "key", "Metadata": {"a": 1}},
    "metadata-umlaut": {"Bucket": "bucket", "Key": "key", "Body": b"", "Metadata": {"a": "ä"}},
    "length-text": {"Bucket": "bucket", "Key": "key", "Body": b"", "ContentLength": "0"},
    "tagging-dict": {"Bucket": "bucket", "Key": "key", "Body": b"", "Tagging": {}},
}


@pytest.mark.parametrize("location", ["metadata", "instruction_file"])
@pytest.mark.parametrize("call", INVALID_CALLS)
def test_up_02_invalid_parameters_are_answered_as_by_boto3(
    s3: StrictWorld, kms: FakeKms, call: str, location: str
) -> None:
    """A call that boto3 refuses is refused with boto3's own words, before a data key is asked for (UP-02)."""
    errors = []
    for client in (s3.plain, kms_client_of(s3, kms, envelope_location=location)):
        with pytest.raises((ParamValidationError, AttributeError)) as caught:
            client.put_object(**INVALID_CALLS[call])
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]
    assert (s3.requests, kms.calls) == ([], [])


@pytest.mark.parametrize(
    "context",
    ["alpha", ["alpha"], {"tenant": 1}, {1: "tenant"}, {"tenant": None}, {"tenant": "\0"}, {"\ud800": "a"}],
    ids=repr,
)
def test_unusable_encryption_context_is_refused(s3: StrictWorld, kms: FakeKms, context: Any) -> None:
    """An encryption context that is no map of text is refused before KMS is asked (EC-05)."""
    with pytest.raises(ConfigurationError, match="EncryptionContext"):
        kms_client_of(s3, kms).put_object(**s3.object_at(), Body=b"secret", EncryptionContext=context)
    assert (s3.requests, kms.calls) == ([], [])


@pytest.mark.parametrize("name", ["aws:x-amz-cek-alg", "kms_cmk_id"])
def test_reserved_encryption_context_is_refused(s3: StrictWorld, kms: FakeKms, name: str) -> None:
    """Entries that the client sets itself can't be the caller's (EC-04)."""
    with pytest.raises(ConfigurationError, match=name):
        kms_client_of(s3, kms).put_object(**s3.object_at(), Body=b"secret", EncryptionContext={name: "mine"})
    assert (s3.requests, kms.calls) == ([], [])


def test_encryption_context_without_kms_is_refused(s3: StrictWorld) -> None:
    """An AES key can't bind a context, so it must not seem to."""
    with pytest.raises(ConfigurationError, match="KMS"):
        s3.client().put_object(**s3.object_at(), Body=b"secret", EncryptionContext={"tenant": "alpha"})
    assert s3.requests == []


def test_encryption_context_is_that_of_the_call(s3: StrictWorld, kms: FakeKms) -> None:
    """The context goes to KMS with the content algorithm, and reading demands the same."""
    client = kms_client_of(s3, kms)
    client.put_object(**s3.object_at(), Body=b"secret", EncryptionContext={"tenant": "alpha"})
    expected = {"tenant": "alpha", "aws:x-amz-cek-alg": "AES/GCM/NoPadding"}
    assert [request["EncryptionContext"] for _, request in kms.calls] == [expected]
    answer = client.get_object(**s3.object_at(), EncryptionContext={"tenant": "alpha"})
    assert answer["Body"].read() == b"secret"
    with pytest.raises(EncryptionContextMismatchError):
        client.get_object(**s3.object_at())


# --- failures and retries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "DisabledException", "ThrottlingException", "NotFoundException"]
)
def test_failure_of_kms_comes_through_and_nothing_is_stored(s3: StrictWorld, kms: FakeKms, code: str) -> None:
    """The very exception that the KMS client raised is raised, and nothing is sent to S3 (KM-04)."""
    kms.failure = ClientError({"Error": {"Code": code, "Message": "no"}}, "GenerateDataKey")
    with pytest.raises(ClientError) as caught:
        kms_client_of(s3, kms).put_object(**s3.object_at(), Body=b"secret")
    assert caught.value is kms.failure
    assert s3.requests == []


@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("size", [70_000, 2 * 2**20], ids=["small", "large"])
@pytest.mark.parametrize("failing", ["kms", "s3"])
def test_program_may_put_the_same_body_again(
    s3: StrictWorld, kms: FakeKms, failing: str, size: int, offset: int
) -> None:
    """After a failure the body is where it was given: the caller's own retry stores it, and not what is left of it."""
    body = io.BytesIO(random.Random("again").randbytes(offset + size))
    body.seek(offset)
    client = kms_client_of(s3, kms)
    if failing == "kms":
        kms.failure = ClientError({"Error": {"Code": "ThrottlingException", "Message": "no"}}, "GenerateDataKey")
    else:
        s3.server.script(refusal(403, "AccessDenied"), method="PUT")
    with pytest.raises(ClientError):
        client.put_object(**s3.object_at(), Body=body)
    kms.failure = None
    client.put_object(**s3.object_at(), Body=body)
    assert client.get_object(**s3.object_at())["Body"].read() == body.getvalue()[offset:]


def test_body_that_was_closed_meanwhile_hides_no_error(s3: StrictWorld) -> None:
    """What is raised is why the put failed, and not why its body can't be rewound."""

    class ClosesItself(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            self.close()
            raise failure

    failure = OSError("the disk is gone")
    with pytest.raises(OSError, match="the disk is gone") as caught:
        s3.client().put_object(**s3.object_at(), Body=ClosesItself(b"secret"))
    assert caught.value is failure


def test_failure_of_the_own_kms_client_is_botocores(s3: StrictWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """With kms_key_id=, what KMS answers is raised as botocore's ClientError of the KMS operation (KM-04)."""
    with RefusingKms() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", server.url)
        with pytest.raises(
            ClientError, match=r"\(AccessDeniedException\).*GenerateDataKey.*denied by the test"
        ) as caught:
            s3.new_client(kms_key_id="alias/key").put_object(**s3.object_at(), Body=b"secret")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert s3.requests == []


RETRIED = {
    "503-twice": (refusal(503, "SlowDown"), 2),
    "500-twice": (refusal(500, "InternalError"), 2),
    "hang-up": (HANG_UP, 1),
}


@pytest.mark.parametrize("config", CHECKSUM_CONFIGS)
@pytest.mark.parametrize("fault", RETRIED)
@pytest.mark.parametrize("body", ["bytes", "BytesIO-at-an-offset", "file-at-an-offset", "read-once"])
def test_rt_01_retries_send_the_same_bytes(s3: StrictWorld, tmp_path: Path, body: str, fault: str, config: str) -> None:
    """Every attempt carries the same ciphertext under the same envelope: one keystream, one plaintext (RT-01)."""
    misbehaviour, times = RETRIED[fault]
    s3.server.script(misbehaviour, method="PUT", times=times)
    source = BODIES[body](tmp_path)
    s3.new_client(config=CHECKSUM_CONFIGS[config]).put_object(**s3.object_at(), Body=source)
    assert len(s3.requests) == times + 1
    assert len({request.body for request in s3.requests}) == 1
    assert all(request.metadata == s3.requests[0].metadata for request in s3.requests)
    assert read_back(s3) == PLAINTEXT
    if hasattr(source, "close"):
        source.close()


@pytest.mark.parametrize("config", CHECKSUM_CONFIGS)
def test_rt_01_retries_over_https_send_the_same_bytes(s3_over_tls: StrictWorld, config: str) -> None:
    """The same over HTTPS, where botocore sends chunks with a trailing checksum (RT-01)."""
    s3 = s3_over_tls
    s3.server.script(refusal(503, "SlowDown"), method="PUT", times=2)
    s3.new_client(config=CHECKSUM_CONFIGS[config]).put_object(**s3.object_at(), Body=io.BytesIO(PLAINTEXT))
    assert len(s3.requests) == 3
    assert len({request.body for request in s3.requests}) == 1
    assert read_back(s3) == PLAINTEXT


def test_kms_is_asked_once_however_often_s3_is(s3: StrictWorld, kms: FakeKms) -> None:
    """A retry of the upload needs no other data key."""
    s3.server.script(refusal(503, "SlowDown"), method="PUT", times=2)
    kms_client_of(s3, kms).put_object(**s3.object_at(), Body=b"secret")
    assert kms.count("generate_data_key") == 1


def test_er_02_refusal_by_s3_is_botocores_error(s3: StrictWorld) -> None:
    """A put that S3 refuses raises what plain boto3 raises, and the object that was there stays readable (ER-02)."""
    client = s3.client()
    client.put_object(**s3.object_at(), Body=b"first")
    errors = []
    for putting in (s3.plain, client):
        with pytest.raises(ClientError) as caught:
            putting.put_object(**s3.object_at(), Body=b"second", IfNoneMatch="*")
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]
    assert "PreconditionFailed" in errors[0][1]
    assert read_back(s3) == b"first"


def test_puts_never_share_a_key_or_an_iv(s3: StrictWorld) -> None:
    """Every put has its own data key and IV: the same plaintext never makes the same object (RT-17)."""
    client = s3.client()
    for number in range(50):
        client.put_object(**s3.object_at(str(number)), Body=b"the same")
    for field in ("x-amz-key-v2", "x-amz-iv"):
        assert len({request.metadata[field] for request in s3.requests}) == 50
    assert len({request.body for request in s3.requests}) == 50


@pytest.mark.parametrize("size", [0, 1000, 2**20, 2**20 + 1])
def test_body_is_hashed_for_the_signature_only_where_plain_puts_are(wire: StrictWorld, size: int) -> None:
    """Over TLS a checksum stands for the hash of the body, which would cost more than its encryption, as on plain."""
    said = []
    for client in (wire.plain, wire.client()):
        client.put_object(Bucket=wire.bucket, Key=KEY, Body=bytes(size))
        said.append("UNSIGNED" in wire.requests[-1].headers["x-amz-content-sha256"])
    assert said == [wire.server.scheme == "https"] * 2
