"""S3EncryptionSession: a boto3 session whose S3 clients and resources encrypt."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from support.vectors import RSA_KEY_DER
from support.worlds import AES_KEY, KEY, RefusingKms, Signature, StrictWorld, World, error_of

from s3_encryption import (
    CommitmentPolicy,
    ConfigurationError,
    RsaKeyring,
    S3EncryptionClient,
    S3EncryptionSession,
)

PLAINTEXT = b"the plaintext that S3 must never see"


@pytest.fixture(scope="module")
def session() -> S3EncryptionSession:
    """Return a session with credentials and a region of its own."""
    return S3EncryptionSession("AKIDSESSION", "secret", region_name="eu-west-1", aes_key=AES_KEY)


@pytest.fixture
def resource(session: S3EncryptionSession, moto: World) -> Iterator[Any]:
    """Return an S3 resource that encrypts."""
    resource = session.resource("s3", endpoint_url=moto.url)
    yield resource
    resource.meta.client.close()


def read(world: World, key: str = KEY) -> bytes:
    """Return an object's plaintext."""
    body: bytes = world.client().get_object(**world.object_at(key))["Body"].read()
    return body


# --- the session ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"kms_key_id": None},
        {"aes_key": AES_KEY, "rsa_key": RSA_KEY_DER},
        {"aes_key": AES_KEY, "keyring": RsaKeyring(RSA_KEY_DER)},
    ],
    ids=["none", "None", "two-keys", "key-and-keyring"],
)
def test_session_without_exactly_one_key_is_refused(keys: dict[str, Any]) -> None:
    """A session that can't encrypt says so when it is made, not when it is used."""
    with pytest.raises(ConfigurationError, match="Exactly one of keyring, kms_key_id, aes_key, rsa_key"):
        S3EncryptionSession(region_name="eu-west-1", **keys)


def test_session_is_boto3s(session: S3EncryptionSession) -> None:
    """It is a boto3.Session with the options of one."""
    assert isinstance(session, boto3.Session)
    assert session.region_name == "eu-west-1"
    credentials = session.get_credentials()
    assert credentials is not None
    assert credentials.access_key == "AKIDSESSION"
    assert "s3" in session.get_available_services()


def test_unknown_option_is_refused() -> None:
    """A misspelt option is no option of anything."""
    with pytest.raises(TypeError, match="enable_legacy_write"):
        S3EncryptionSession(aes_key=AES_KEY, enable_legacy_write=True)


@pytest.mark.parametrize(
    "options",
    [{"commitment_policy": "V3"}, {"buffer_size": 0}],
    ids=["policy", "buffer"],
)
def test_wrong_encryption_option_is_refused(s3: StrictWorld, options: dict[str, Any]) -> None:
    """Options of the client are checked at the latest when one is made, and nothing is sent."""
    with pytest.raises(ConfigurationError):
        S3EncryptionSession(aes_key=AES_KEY, **options).client("s3", endpoint_url=s3.url)
    assert s3.requests == []


# --- clients ----------------------------------------------------------------------------------------------------------


def test_s3_client_encrypts_with_the_sessions_options(s3: StrictWorld) -> None:
    """The session's key and options are those of its clients, and so are its credentials and region."""
    policy = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
    made = S3EncryptionSession("AKID", "secret", region_name="eu-west-2", aes_key=AES_KEY, commitment_policy=policy)
    client = made.client("s3", endpoint_url=s3.url)
    assert isinstance(client, S3EncryptionClient)
    client.put_object(**s3.object_at(), Body=PLAINTEXT)
    assert "x-amz-3" in s3.metadata_stored()
    assert Signature.of(s3.requests[0]) == Signature("AKID", "eu-west-2", "s3")
    assert read(s3) == PLAINTEXT


def test_client_takes_boto3s_arguments_by_position(s3: StrictWorld, session: S3EncryptionSession) -> None:
    """Service, region, API version, TLS, certificates, endpoint, credentials: in boto3's own order."""
    arguments = ("us-west-2", None, False, None, s3.url, "AKIDOTHER", "secret", "token")
    client = session.client("s3", *arguments)
    client.put_object(**s3.object_at(), Body=PLAINTEXT)
    assert Signature.of(s3.requests[0]) == Signature("AKIDOTHER", "us-west-2", "s3")
    assert s3.requests[0].headers["x-amz-security-token"] == "token"
    assert read(s3) == PLAINTEXT


def test_client_takes_boto3s_arguments_by_keyword(s3: StrictWorld, session: S3EncryptionSession) -> None:
    """The same by keyword, the service's name too."""
    client = session.client(
        service_name="s3", region_name="us-west-2", endpoint_url=s3.url, use_ssl=False, verify=False
    )
    assert isinstance(client, S3EncryptionClient)
    assert client.meta.region_name == "us-west-2"
    assert client.meta.endpoint_url == s3.url


def test_option_of_the_call_precedes_the_sessions(s3: StrictWorld) -> None:
    """An encryption option may be given for one client."""
    made = S3EncryptionSession(aes_key=b"another key, 32 bytes in length.", allow_plaintext_reads=False)
    client = made.client("s3", endpoint_url=s3.url, aes_key=AES_KEY, allow_plaintext_reads=True)
    client.put_object(**s3.object_at(), Body=PLAINTEXT)
    assert read(s3) == PLAINTEXT
    s3.store(PLAINTEXT, {}, "plain")
    assert client.get_object(**s3.object_at("plain"))["Body"].read() == PLAINTEXT


@pytest.mark.parametrize(
    ("positional", "keywords"),
    [((None,) * 11, {}), (("us-west-2",), {"region_name": "eu-west-1"})],
    ids=["surplus", "twice"],
)
def test_misuse_is_answered_as_by_boto3(
    session: S3EncryptionSession, positional: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    """Too many arguments, or one given twice, are a TypeError and not ignored."""
    for made in (boto3.Session(), session):
        with pytest.raises(TypeError):
            made.client("s3", *positional, **keywords)


def test_unknown_argument_is_refused(session: S3EncryptionSession) -> None:
    """A misspelt argument of client() is refused."""
    with pytest.raises(TypeError, match="regoin"):
        session.client("s3", regoin="eu-west-1")


@pytest.mark.parametrize("service", ["kms", "sqs", "s3control"])
def test_other_services_are_not_affected(session: S3EncryptionSession, service: str) -> None:
    """Only "s3" is special."""
    client = session.client(service)
    assert type(client).__mro__[1] is type(boto3.client(service)).__mro__[1]
    assert not isinstance(client, S3EncryptionClient)
    assert client.meta.region_name == "eu-west-1"


def test_kms_client_is_the_sessions(s3: StrictWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """With kms_key_id=, KMS sees the session's caller and region."""
    with RefusingKms() as kms:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", kms.url)
        made = S3EncryptionSession("AKIDSESSION", "secret", region_name="eu-west-2", kms_key_id="alias/key")
        client = made.client("s3", endpoint_url=s3.url)
        error = error_of(lambda: client.put_object(**s3.object_at(), Body=PLAINTEXT))
        assert Signature.of(kms.requests[0]) == Signature("AKIDSESSION", "eu-west-2", "kms")
    assert error.response["Error"]["Code"] == "AccessDeniedException"
    assert s3.requests == []


def test_default_session_makes_every_client_encrypt(
    s3: StrictWorld, session: S3EncryptionSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the default session, it makes boto3.client("s3") and boto3.resource("s3") encrypt without another change."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    boto3.client("s3", endpoint_url=s3.url).put_object(**s3.object_at("one"), Body=PLAINTEXT)
    boto3.resource("s3", endpoint_url=s3.url).Object(s3.bucket, "two").put(Body=PLAINTEXT)
    monkeypatch.undo()
    assert [read(s3, "one"), read(s3, "two")] == [PLAINTEXT, PLAINTEXT]
    assert not [request for request in s3.requests if PLAINTEXT in request.raw_body]


def test_class_in_the_place_of_boto3s(s3: StrictWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session class of one's own may stand for boto3.Session everywhere: default session, clients, resources."""

    class Session(S3EncryptionSession):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, aes_key=AES_KEY, **options)

    monkeypatch.setattr(boto3, "Session", Session)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    boto3.client("s3", "us-west-2", endpoint_url=s3.url).put_object(**s3.object_at("one"), Body=PLAINTEXT)
    boto3.resource("s3", endpoint_url=s3.url).Object(s3.bucket, "two").put(Body=PLAINTEXT)
    monkeypatch.undo()
    assert [read(s3, "one"), read(s3, "two")] == [PLAINTEXT, PLAINTEXT]


# --- resources --------------------------------------------------------------------------------------------------------


def test_resource_works_through_an_encrypting_client(resource: Any) -> None:
    """resource("s3") is boto3's, over a client that encrypts."""
    assert isinstance(resource.meta.client, S3EncryptionClient)
    assert type(resource).__name__ == "s3.ServiceResource"


def test_object_put_and_get(resource: Any, moto: World) -> None:
    """Object.put encrypts, Object.get decrypts, and the attributes are the plaintext's."""
    target = resource.Object(moto.bucket, KEY)
    target.put(Body=PLAINTEXT, Metadata={"owner": "somebody"})
    assert PLAINTEXT not in moto.body_stored()
    assert target.get()["Body"].read() == PLAINTEXT
    assert target.content_length == len(PLAINTEXT)
    assert target.metadata["owner"] == "somebody"


def test_bucket_put_object(resource: Any, moto: World) -> None:
    """Bucket.put_object encrypts, and returns an Object that decrypts."""
    target = resource.Bucket(moto.bucket).put_object(Key=KEY, Body=io.BytesIO(PLAINTEXT))
    assert PLAINTEXT not in moto.body_stored()
    assert target.get()["Body"].read() == PLAINTEXT


def test_object_summary(resource: Any, moto: World) -> None:
    """A summary from a listing decrypts; its size is the stored one until it is loaded."""
    moto.client().put_object(**moto.object_at(), Body=PLAINTEXT)
    (summary,) = resource.Bucket(moto.bucket).objects.all()
    assert summary.key == KEY
    assert summary.size == len(PLAINTEXT) + 16
    summary.load()
    assert summary.size == len(PLAINTEXT)
    assert summary.get()["Body"].read() == PLAINTEXT


def test_object_summary_put(resource: Any, moto: World) -> None:
    """ObjectSummary.put encrypts as well."""
    resource.ObjectSummary(moto.bucket, KEY).put(Body=PLAINTEXT)
    assert PLAINTEXT not in moto.body_stored()
    assert read(moto) == PLAINTEXT


def test_resource_transfers_of_small_files(resource: Any, moto: World) -> None:
    """upload_fileobj and download_fileobj of buckets and objects encrypt and decrypt."""
    resource.Bucket(moto.bucket).upload_fileobj(io.BytesIO(PLAINTEXT), "one")
    resource.Object(moto.bucket, "two").upload_fileobj(io.BytesIO(PLAINTEXT))
    for key in ("one", "two"):
        target = io.BytesIO()
        resource.Object(moto.bucket, key).download_fileobj(target)
        assert target.getvalue() == PLAINTEXT
        assert PLAINTEXT not in moto.body_stored(key)


def test_resource_copy_and_delete(resource: Any, moto: World) -> None:
    """Copies decrypt, deletes delete, waiters wait."""
    resource.Object(moto.bucket, KEY).put(Body=PLAINTEXT)
    resource.Object(moto.bucket, "copy").copy_from(CopySource=moto.object_at())
    resource.Object(moto.bucket, "copy").wait_until_exists()
    resource.Object(moto.bucket, KEY).delete()
    assert [summary.key for summary in resource.Bucket(moto.bucket).objects.all()] == ["copy"]
    assert read(moto, "copy") == PLAINTEXT


def test_resource_over_a_given_client(moto: World) -> None:
    """An encrypting client can be put under a resource that boto3 has made."""
    resource = boto3.resource("s3", endpoint_url=moto.url)
    encrypting = type(resource)(client=moto.client())
    encrypting.Object(moto.bucket, KEY).put(Body=PLAINTEXT)
    assert PLAINTEXT not in moto.body_stored()
    assert read(moto) == PLAINTEXT
