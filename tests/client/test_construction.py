"""How a client is made, what is refused on the way, and that the result is a boto3 client in every respect."""

from __future__ import annotations

import inspect
import itertools
import types
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, InvalidRegionError
from Crypto.PublicKey import RSA
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.servers import RecordingServer, refusal
from support.vectors import RSA_KEY_DER
from support.worlds import AES_KEY, KEY, RefusingKms, Signature, StrictWorld

from s3_encryption import (
    AesKeyring,
    CommitmentPolicy,
    ConfigurationError,
    ConfigurationTypeError,
    KmsKeyring,
    LegacyWriteWarning,
    RsaKeyring,
    S3EncryptionClient,
    S3EncryptionSession,
)

KEYS: dict[str, Callable[[], Any]] = {
    "keyring": lambda: AesKeyring(AES_KEY),
    "kms_key_id": lambda: KMS_KEY_ARN,
    "aes_key": lambda: AES_KEY,
    "rsa_key": lambda: RSA_KEY_DER,
}
_RSA_KEY = RSA.import_key(RSA_KEY_DER)
_SHORT_RSA_KEY = RSA.construct(((1 << 1023) + 1, 65537), consistency_check=False)
_WEAK_RSA_KEY = RSA.construct((_RSA_KEY.n, 3), consistency_check=False)

WRONG_KEYS = [
    pytest.param({"aes_key": "k" * 32}, ConfigurationTypeError, id="aes-text"),
    pytest.param({"aes_key": 32}, ConfigurationTypeError, id="aes-int"),
    *(pytest.param({"aes_key": b"k" * n}, ConfigurationError, id=f"WR-13-aes-{n}-bytes") for n in (0, 8, 15, 17, 33)),
    pytest.param({"aes_key": bytes(32)}, ConfigurationError, id="WR-13-aes-zeros"),
    pytest.param({"rsa_key": 65537}, ConfigurationTypeError, id="rsa-int"),
    pytest.param({"rsa_key": "-----BEGIN"}, ConfigurationError, id="rsa-garbage"),
    pytest.param({"rsa_key": _SHORT_RSA_KEY}, ConfigurationError, id="WR-13-rsa-1024-bits"),
    pytest.param({"rsa_key": _WEAK_RSA_KEY}, ConfigurationError, id="RS-08-rsa-exponent-3"),
    pytest.param({"kms_key_id": b"alias/key"}, ConfigurationTypeError, id="kms-bytes"),
    pytest.param({"kms_key_id": 5}, ConfigurationTypeError, id="kms-int"),
    pytest.param({"kms_key_id": ""}, ConfigurationError, id="kms-empty"),
    pytest.param({"kms_key_id": " "}, ConfigurationError, id="kms-blank"),
    pytest.param({"keyring": AesKeyring}, ConfigurationTypeError, id="keyring-class"),
    pytest.param({"keyring": "AES"}, ConfigurationTypeError, id="keyring-text"),
    pytest.param({"keyring": AES_KEY}, ConfigurationTypeError, id="keyring-bytes"),
    pytest.param({"keyring": boto3.Session}, ConfigurationTypeError, id="keyring-other-class"),
]

SWITCHES = [
    name
    for name, parameter in inspect.signature(S3EncryptionClient.__new__).parameters.items()
    if isinstance(parameter.default, bool)
]

WRONG_OPTIONS = [
    pytest.param({"commitment_policy": "REQUIRE_ENCRYPT_REQUIRE_DECRYPT"}, ConfigurationTypeError, id="AL-19-policy"),
    pytest.param({"commitment_policy": None}, ConfigurationTypeError, id="AL-19-no-policy"),
    pytest.param({"content_algorithm": "aes/gcm/nopadding"}, ConfigurationError, id="content-letter-case"),
    pytest.param({"content_algorithm": "AES/CTR/NoPadding"}, ConfigurationError, id="content-ctr"),
    pytest.param({"content_algorithm": 115}, ConfigurationError, id="content-int"),
    pytest.param({"content_algorithm": ["AES/GCM/NoPadding"]}, ConfigurationError, id="content-list"),
    pytest.param({"content_algorithm": "AES/CBC/PKCS5Padding"}, ConfigurationError, id="cbc-unasked"),
    *(pytest.param({"buffer_size": n}, ConfigurationError, id=f"buffer-{n}") for n in (0, -1)),
    *(pytest.param({"buffer_size": n}, ConfigurationTypeError, id=f"buffer-{n!r}") for n in (True, 1.5, "64", None)),
    pytest.param({"envelope_location": "Metadata"}, ConfigurationError, id="location-letter-case"),
    pytest.param({"envelope_location": None}, ConfigurationError, id="no-location"),
    pytest.param({"envelope_location": ["metadata"]}, ConfigurationError, id="location-list"),
    *(
        pytest.param({"instruction_file_suffix": text}, ConfigurationError, id=f"IF-22-{name}")
        for name, text in {"empty": "", "umlaut": ".ä", "line-break": ".a\n", "long": "." * 1000}.items()
    ),
    pytest.param({"instruction_file_suffix": None}, ConfigurationTypeError, id="IF-22-none"),
    pytest.param({"session": "default"}, ConfigurationTypeError, id="session-text"),
    pytest.param({"session": boto3.Session}, ConfigurationTypeError, id="session-class"),
    pytest.param({"enable_legacy_write": True}, ConfigurationTypeError, id="unknown-option"),
    pytest.param({"kms_key": KMS_KEY_ARN}, ConfigurationTypeError, id="misspelt-key"),
]

_CBC = {"content_algorithm": "AES/CBC/PKCS5Padding", "enable_legacy_writes": True}
_COMMITTING = [policy for policy in CommitmentPolicy if policy.name.startswith("REQUIRE_ENCRYPT")]
CONTRADICTIONS = [
    pytest.param(AesKeyring(AES_KEY), _CBC, id="AES/GCM-binds-GCM"),
    pytest.param(RsaKeyring(RSA_KEY_DER), _CBC, id="RSA-OAEP-SHA1-binds-GCM"),
    pytest.param(KmsKeyring(FakeKms(), KMS_KEY_ARN), _CBC, id="kms+context-binds-GCM"),
    pytest.param(AesKeyring(AES_KEY, wrapping_algorithm="AES/ECB"), {}, id="V1-unasked"),
    pytest.param(
        AesKeyring(AES_KEY, wrapping_algorithm="AES/ECB"),
        {"enable_legacy_writes": True, "content_algorithm": "AES/GCM/NoPadding"},
        id="V1-is-CBC",
    ),
    *(
        pytest.param(
            AesKeyring(AES_KEY, wrapping_algorithm=wrap), {"commitment_policy": policy}, id=f"{wrap}-{policy.name}"
        )
        for wrap in ("AESWrap", "AES/ECB")
        for policy in _COMMITTING
    ),
    *(
        pytest.param(
            AesKeyring(AES_KEY, wrapping_algorithm="AESWrap"),
            {**_CBC, "commitment_policy": policy},
            id=f"CBC-{policy.name}",
        )
        for policy in _COMMITTING
    ),
]


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    """Return a session that is not the default one."""
    credentials = {"aws_access_key_id": "AKIDCALLER", "aws_secret_access_key": "s", "aws_session_token": "the token"}
    return boto3.Session(region_name="eu-west-1", **credentials)


@pytest.fixture
def quiet(s3: StrictWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[StrictWorld]:
    """Return a world that must not have got a single request, for S3 or for KMS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", s3.url)
    yield s3
    assert s3.requests == []


def attempt(world: StrictWorld, options: dict[str, Any]) -> None:
    """Make a client with an AES key, unless another one is among the options."""
    if not options.keys() & KEYS.keys():
        options = {"aes_key": AES_KEY, **options}
    S3EncryptionClient(**{"endpoint_url": world.url, **options})


# --- keys and options -------------------------------------------------------------------------------------------------


def test_construction_without_a_key_is_refused(quiet: StrictWorld) -> None:
    """One of the four key arguments is needed, and the message names them all."""
    with pytest.raises(ConfigurationError, match="keyring, kms_key_id, aes_key, rsa_key") as caught:
        S3EncryptionClient(endpoint_url=quiet.url)
    assert type(caught.value) is ConfigurationError


@pytest.mark.parametrize("names", list(itertools.combinations(KEYS, 2)), ids="+".join)
def test_construction_with_two_keys_is_refused(quiet: StrictWorld, names: tuple[str, ...]) -> None:
    """More than one key argument is refused: the client would have to guess."""
    with pytest.raises(ConfigurationError, match=" and ".join(names)) as caught:
        attempt(quiet, {name: KEYS[name]() for name in names})
    assert type(caught.value) is ConfigurationError


@pytest.mark.parametrize("name", KEYS)
def test_construction_with_one_key_works(quiet: StrictWorld, name: str) -> None:
    """Each of the key arguments alone makes a client, and sends nothing."""
    assert isinstance(S3EncryptionClient(endpoint_url=quiet.url, **{name: KEYS[name]()}), S3EncryptionClient)


@pytest.mark.parametrize(("options", "error"), WRONG_KEYS)
def test_unusable_key_is_refused(quiet: StrictWorld, options: dict[str, Any], error: type[Exception]) -> None:
    """A key of a wrong type or strength is refused at construction."""
    with pytest.raises(error) as caught:
        attempt(quiet, options)
    assert type(caught.value) is error


@pytest.mark.parametrize(("options", "error"), WRONG_OPTIONS)
def test_cf_05_wrong_option_is_refused(quiet: StrictWorld, options: dict[str, Any], error: type[Exception]) -> None:
    """An option of a wrong type or value, or an unknown one, is refused at construction (CF-05)."""
    with pytest.raises(error) as caught:
        attempt(quiet, options)
    assert type(caught.value) in (ConfigurationError, ConfigurationTypeError)


@pytest.mark.parametrize("value", ["False", "True", 1, 0, None], ids=repr)
@pytest.mark.parametrize("name", SWITCHES)
def test_cf_05_switch_that_is_no_bool_is_refused(quiet: StrictWorld, name: str, value: object) -> None:
    """A truthy "False" must not turn a safeguard off (CF-05)."""
    with pytest.raises(ConfigurationTypeError, match=name):
        attempt(quiet, {name: value})


@pytest.mark.parametrize(("keyring", "options"), CONTRADICTIONS)
def test_cf_02_contradicting_options_are_refused(quiet: StrictWorld, keyring: Any, options: dict[str, Any]) -> None:
    """Options that can't hold together are refused at construction, not at the first write (CF-02)."""
    with pytest.raises(ConfigurationError) as caught:
        attempt(quiet, {"keyring": keyring, **options})
    assert type(caught.value) is ConfigurationError


def test_legacy_writes_warn() -> None:
    """A client that writes unauthenticated objects says so when it is made."""
    keyring = AesKeyring(AES_KEY, wrapping_algorithm="AES/ECB")
    with pytest.warns(LegacyWriteWarning, match="V1"):
        S3EncryptionClient(keyring=keyring, enable_legacy_writes=True)


def test_botocores_own_complaint_comes_through() -> None:
    """What boto3 says of its options is not replaced by an error of this library."""
    with pytest.raises(InvalidRegionError) as caught:
        S3EncryptionClient(aes_key=AES_KEY, region_name="no/region")
    assert type(caught.value) is InvalidRegionError


# --- client= ----------------------------------------------------------------------------------------------------------


def test_al_04_encrypting_client_is_not_wrapped_again(quiet: StrictWorld) -> None:
    """Two layers of encryption would make objects that nobody else can read (AL-04)."""
    with pytest.raises(ConfigurationError, match="twice"):
        S3EncryptionClient(quiet.client(), aes_key=AES_KEY)


@pytest.mark.parametrize(
    "make",
    [
        lambda: boto3.client("kms"),
        lambda: boto3.resource("s3"),
        lambda: boto3.Session(),
        lambda: S3EncryptionClient,
        str,
    ],
    ids=["other-service", "resource", "session", "class", "text"],
)
def test_anything_but_an_s3_client_is_refused(quiet: StrictWorld, make: Callable[[], Any]) -> None:
    """Only a finished S3 client can be built on."""
    with pytest.raises(ConfigurationTypeError, match="s3"):
        S3EncryptionClient(make(), aes_key=AES_KEY)


def test_client_and_options_for_making_one_are_refused(quiet: StrictWorld) -> None:
    """With a finished client, an option for making one would be ignored without a word."""
    with pytest.raises(ConfigurationError, match="region_name"):
        S3EncryptionClient(quiet.plain, aes_key=AES_KEY, region_name="eu-west-1")


def test_wrapped_client_stays_as_it_was(s3: StrictWorld) -> None:
    """The caller's own client goes on storing plaintext, and its class and its attributes are the same."""
    before = (type(s3.plain), dict(vars(s3.plain)))
    s3.client().put_object(**s3.object_at("encrypted"), Body=b"secret")
    s3.plain.put_object(**s3.object_at("plain"), Body=b"public")
    assert (type(s3.plain), dict(vars(s3.plain))) == before
    assert s3.body_stored("plain") == b"public"
    assert b"secret" not in s3.body_stored("encrypted")


# --- boto3's keywords -------------------------------------------------------------------------------------------------

CLIENT_KEYWORDS: dict[str, Any] = {
    "region_name": "eu-central-1",
    "api_version": "2006-03-01",
    "use_ssl": False,
    "verify": False,
    "endpoint_url": "http://127.0.0.1:1",
    "aws_access_key_id": "AKIDOTHER",
    "aws_secret_access_key": "secret",
    "aws_session_token": "token",
    "config": Config(read_timeout=7),
    "aws_account_id": "111122223333",
}


def test_every_keyword_of_boto3_is_known() -> None:
    """The table of keywords is that of boto3.client, so that a new one can't be forgotten."""
    parameters = inspect.signature(boto3.Session.client).parameters
    assert CLIENT_KEYWORDS.keys() == parameters.keys() - {"self", "service_name"}


@pytest.mark.parametrize("with_session", [False, True], ids=["default-session", "session"])
@pytest.mark.parametrize("name", CLIENT_KEYWORDS)
def test_keyword_of_boto3_is_accepted(session: boto3.Session, name: str, with_session: bool) -> None:
    """Each keyword of boto3.client("s3") makes the same client here as there."""
    maker = session if with_session else None
    keyword = {name: CLIENT_KEYWORDS[name]}
    if name.startswith("aws_") and name != "aws_account_id":
        keyword = {key: value for key, value in CLIENT_KEYWORDS.items() if key.startswith("aws_")}
    ours: Any = S3EncryptionClient(aes_key=AES_KEY, session=maker, **keyword)
    boto3s = (maker or boto3).client("s3", **keyword)
    assert ours.meta.endpoint_url == boto3s.meta.endpoint_url
    assert ours.meta.region_name == boto3s.meta.region_name
    assert ours.meta.config.read_timeout == boto3s.meta.config.read_timeout
    urls = [client.generate_presigned_url("list_buckets") for client in (ours, boto3s)]
    assert _signer(urls[0]) == _signer(urls[1])


def _signer(url: str) -> list[str]:
    return [part for part in url.split("&") if "Credential" in part or "KeyId" in part or "oken" in part]


def test_session_makes_the_client(s3: StrictWorld, session: boto3.Session) -> None:
    """Credentials and region are the session's."""
    S3EncryptionClient(session=session, aes_key=AES_KEY, endpoint_url=s3.url).put_object(**s3.object_at(), Body=b"")
    assert Signature.of(s3.requests[0]) == Signature("AKIDCALLER", "eu-west-1", "s3")


def test_default_session_that_encrypts_is_not_used_twice(s3: StrictWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the default session makes encrypting clients, a client made by hand encrypts once all the same."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", S3EncryptionSession(aes_key=b"another key, 32 bytes in length."))
    S3EncryptionClient(aes_key=AES_KEY, endpoint_url=s3.url).put_object(**s3.object_at(), Body=b"secret")
    monkeypatch.undo()
    assert s3.client().get_object(**s3.object_at())["Body"].read() == b"secret"


# --- the KMS client that is made for kms_key_id -----------------------------------------------------------------------


@pytest.fixture
def refusing_kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingServer]:
    """Return a KMS that denies every request and shows who has sent it."""
    with RefusingKms() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", server.url)
        yield server


def ask_kms(client: Any, server: RecordingServer) -> Signature:
    """Let a client ask for a data key, and return who it was for KMS."""
    with pytest.raises(ClientError, match="denied by the test"):
        client.put_object(Bucket="bucket", Key=KEY, Body=b"secret")
    return Signature.of(server.requests[-1])


@pytest.mark.parametrize(
    ("key_id", "region"),
    [
        ("alias/key", "eu-west-1"),
        ("0d990263-018e-4065-a703-eff731de951e", "eu-west-1"),
        ("arn:aws:kms:ap-southeast-2:111122223333:key/0d990263-018e-4065-a703-eff731de951e", "ap-southeast-2"),
        ("arn:aws:kms:us-west-2:111122223333:alias/key", "us-west-2"),
        ("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-0d990263018e4065a703eff731de951e", "us-gov-west-1"),
    ],
    ids=["alias", "id", "key-arn", "alias-arn", "other-partition"],
)
@pytest.mark.parametrize("made_by", ["keywords", "client", "session"])
def test_kms_sees_the_same_caller_as_s3(
    refusing_kms: RecordingServer, s3: StrictWorld, session: boto3.Session, made_by: str, key_id: str, region: str
) -> None:
    """The KMS client has the S3 client's credentials, and the region of the key's ARN or else of the S3 client."""
    credentials = {"aws_access_key_id": "AKIDCALLER", "aws_secret_access_key": "s", "aws_session_token": "the token"}
    arguments: dict[str, Any] = {
        "keywords": {"endpoint_url": s3.url, "region_name": "eu-west-1", **credentials},
        "client": {"client": s3.plain_client(region_name="eu-west-1", **credentials)},
        "session": {"endpoint_url": s3.url, "session": session},
    }[made_by]
    client = S3EncryptionClient(kms_key_id=key_id, **arguments)
    assert ask_kms(client, refusing_kms) == Signature("AKIDCALLER", region, "kms")
    assert refusing_kms.requests[-1].headers["x-amz-security-token"] == "the token"
    assert s3.requests == []


def test_kms_follows_credentials_that_refresh(refusing_kms: RecordingServer, s3: StrictWorld) -> None:
    """Where the wrapped client's credentials change, KMS gets the new ones too."""
    wrapped = s3.plain_client(aws_access_key_id="AKIDOLD", aws_secret_access_key="s")
    client = S3EncryptionClient(wrapped, kms_key_id="alias/key")
    assert ask_kms(client, refusing_kms).access_key == "AKIDOLD"
    wrapped._get_credentials().access_key = "AKIDNEW"
    assert ask_kms(client, refusing_kms).access_key == "AKIDNEW"


def test_kms_client_has_the_s3_clients_retries(refusing_kms: RecordingServer, s3: StrictWorld) -> None:
    """The network settings of the S3 client's Config hold for KMS as well."""
    refusing_kms.script(refusal(500, "InternalFailure"), method="POST", times=9)
    client = s3.new_client(kms_key_id="alias/key", config=Config(retries={"total_max_attempts": 2, "mode": "standard"}))
    with pytest.raises(ClientError):
        client.put_object(**s3.object_at(), Body=b"")
    assert len(refusing_kms.requests) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"max_pool_connections": 30},
        {"tcp_keepalive": True},
        {"client_cert": "client.pem"},
        {"use_fips_endpoint": True},
        {"connect_timeout": 3, "read_timeout": 4, "proxies": {"https": "proxy:3128"}, "user_agent_extra": "mine"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_kms_client_is_as_boto3_makes_it_with_the_s3_clients_config(settings: dict[str, Any]) -> None:
    """What a Config says of connections and endpoints holds for KMS: as many connections, FIPS endpoints there too."""

    class NotingSession:
        def __init__(self) -> None:
            self.made: dict[str, Any] = {}

        def client(self, service_name: str, **options: Any) -> Any:
            return self.made.setdefault(service_name, boto3.client(service_name, **options))

    session, config = NotingSession(), Config(**settings)
    S3EncryptionClient(session=session, kms_key_id="alias/key", region_name="us-west-2", config=config)
    plain = boto3.client("kms", region_name="us-west-2", config=config)
    for name in settings:
        assert getattr(session.made["kms"].meta.config, name) == getattr(plain.meta.config, name) == settings[name]
    assert session.made["kms"].meta.endpoint_url == plain.meta.endpoint_url


def test_own_client_is_not_changed_by_its_use_for_kms(s3: StrictWorld, refusing_kms: RecordingServer) -> None:
    """Making the KMS client leaves the wrapped client's credentials and configuration alone."""
    before = (s3.plain._get_credentials(), s3.plain.meta.config)
    S3EncryptionClient(s3.plain, kms_key_id="alias/key")
    assert s3.plain._get_credentials() is before[0]
    assert s3.plain.meta.config is before[1]
    assert isinstance(s3.plain.put_object, types.MethodType)
