"""Neither keys nor plaintext are in log records, exceptions, texts of objects, requests or stored objects."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from Crypto.Cipher import AES, PKCS1_OAEP
from Crypto.PublicKey import RSA
from support import reference
from support.fake_kms import KMS_KEY_ARN, FakeKms
from support.sealers import sealer_with
from support.secret_search import chain, showing, spellings
from support.servers import refusal
from support.vectors import RSA_KEY_DER
from support.ways_to_read import MODES
from support.worlds import KEY, StrictWorld

from s3_encryption import (
    AesKeyring,
    CommitmentPolicy,
    ConfigurationError,
    KmsKeyring,
    MultiKeyring,
    RsaKeyring,
    S3EncryptionClient,
    S3EncryptionSession,
)

MARKER = b"a plaintext that is nowhere else 1234567890"
AES_SECRET = bytes.fromhex("8f1d3c5b7a99e2f4061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d")
_RSA_KEY = RSA.import_key(RSA_KEY_DER)
# The prime factors and the exponent give the private key away; the modulus is public.
RSA_SECRETS = [
    number.to_bytes((number.bit_length() + 7) // 8, "big") for number in (_RSA_KEY.d, _RSA_KEY.p, _RSA_KEY.q)
]


def test_search_finds_what_it_looks_for() -> None:
    """The search sees a secret in every spelling, within other text."""
    texts = [f"before {spelling} after" for spelling in spellings(AES_SECRET)]
    texts += [repr(AES_SECRET), repr(bytearray(AES_SECRET)), repr({"key": AES_SECRET}), json.dumps(list(AES_SECRET))]
    assert len(showing([AES_SECRET], texts)) == len(texts)
    assert showing([AES_SECRET], ["nothing of it", repr(MARKER)]) == []


# --- each kind of key -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of wrapping key: the client's option, its secrets, and how a test unwraps data keys with it."""

    options: dict[str, Any]
    secrets: list[bytes]
    unwrap: Callable[[dict[str, str]], bytes]


def _wrapped(envelope: dict[str, str]) -> bytes:
    return base64.b64decode(envelope["x-amz-3" if "x-amz-3" in envelope else "x-amz-key-v2"])


def _unwrap_aes(envelope: dict[str, str]) -> bytes:
    wrapped = _wrapped(envelope)
    cipher = AES.new(AES_SECRET, AES.MODE_GCM, nonce=wrapped[:12])
    cipher.update(envelope.get("x-amz-cek-alg", "115").encode())
    return bytes(cipher.decrypt_and_verify(wrapped[12:44], wrapped[44:]))


def _unwrap_rsa(envelope: dict[str, str]) -> bytes:
    return bytes(PKCS1_OAEP.new(_RSA_KEY).decrypt(_wrapped(envelope))[1:33])


@pytest.fixture(params=["kms", "aes", "rsa"])
def kind(request: pytest.FixtureRequest, kms_key_id: str, moto_url: str) -> Kind:
    """Return each kind of key."""

    def unwrap_kms(envelope: dict[str, str]) -> bytes:
        context = json.loads(envelope.get("x-amz-t") or envelope["x-amz-matdesc"])
        kms = boto3.client("kms", endpoint_url=moto_url)
        answer = kms.decrypt(KeyId=kms_key_id, CiphertextBlob=_wrapped(envelope), EncryptionContext=context)
        kms.close()
        return bytes(answer["Plaintext"])

    kinds = {
        "kms": Kind({"kms_key_id": kms_key_id}, [], unwrap_kms),
        "aes": Kind({"aes_key": AES_SECRET}, [AES_SECRET], _unwrap_aes),
        "rsa": Kind({"rsa_key": RSA_KEY_DER}, RSA_SECRETS, _unwrap_rsa),
    }
    return kinds[request.param]


def secrets_of(kind: Kind, envelope: dict[str, str]) -> list[bytes]:
    """Return all that must stay secret about an object: data key, content key, wrapping key, plaintext."""
    data_key = kind.unwrap(envelope)
    assert len(data_key) == 32
    derived = (
        [reference.committing_keys(data_key, base64.b64decode(envelope["x-amz-i"]))[0]] if "x-amz-i" in envelope else []
    )
    return [data_key, *derived, *kind.secrets, MARKER]


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return all log records so far, as text and with their arguments as they are, and forget them."""
    texts = [f"{record.name} {record.getMessage()} {record.args!r} {record.exc_text}" for record in caplog.records]
    caplog.clear()
    return texts


POLICIES = [CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT, CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT]


# --- logs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", POLICIES, ids=["V2", "V3"])
def test_lk_01_lk_02_debug_log_of_put_and_get_shows_nothing(
    s3: StrictWorld, caplog: pytest.LogCaptureFixture, kind: Kind, policy: CommitmentPolicy, mode: str
) -> None:
    """With everything logged, botocore's and urllib3's records included, no secret is among it (LK-01, LK-02)."""
    caplog.set_level(logging.DEBUG)
    client = s3.new_client(commitment_policy=policy, **kind.options, **MODES[mode])
    client.put_object(**s3.object_at(), Body=MARKER)
    assert client.get_object(**s3.object_at())["Body"].read(len(MARKER)) == MARKER
    client.head_object(**s3.object_at())
    texts = logged(caplog)
    assert {"botocore.endpoint", "botocore.parsers", "urllib3.connectionpool"} <= {text.split()[0] for text in texts}
    assert showing(secrets_of(kind, s3.metadata_stored()), texts) == []


def _tampered(s3: StrictWorld, client: Any) -> None:
    s3.change_body(lambda body: body[:-1] + bytes([body[-1] ^ 1]))
    client.get_object(**s3.object_at())["Body"].read()


def _other_context(s3: StrictWorld, client: Any) -> None:
    client.get_object(**s3.object_at(), EncryptionContext={"not": "this"})


def _refused_put(s3: StrictWorld, client: Any) -> None:
    s3.server.script(refusal(403, "AccessDenied"), method="PUT")
    client.put_object(**s3.object_at("refused"), Body=MARKER)


def _other_data_key(s3: StrictWorld, client: Any) -> None:
    client.put_object(**s3.object_at("other"), Body=MARKER)
    field = "x-amz-3" if "x-amz-3" in s3.metadata_stored() else "x-amz-key-v2"
    s3.change_metadata(**{field.replace("-", "_"): s3.metadata_stored("other")[field]})
    client.get_object(**s3.object_at())["Body"].read()


def _false_digest(s3: StrictWorld, client: Any) -> None:
    client.put_object(**s3.object_at("false"), Body=MARKER, ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")


def _refused_body(s3: StrictWorld, client: Any) -> None:
    client.put_object(**s3.object_at("text"), Body=_Text())


class _Text:
    def read(self, size: int = -1) -> str:
        return MARKER.decode()


FAILURES = {
    "tampered": _tampered,
    "other-context": _other_context,
    "refused-put": _refused_put,
    "other-data-key": _other_data_key,
    "false-digest": _false_digest,
    "text-body": _refused_body,
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("policy", POLICIES, ids=["V2", "V3"])
def test_lk_05_failure_shows_nothing(
    s3: StrictWorld, caplog: pytest.LogCaptureFixture, kind: Kind, policy: CommitmentPolicy, failure: str
) -> None:
    """Neither the exception, nor those behind it, nor the log of the failed call show a secret (LK-05)."""
    caplog.set_level(logging.DEBUG)
    client = s3.new_client(commitment_policy=policy, **kind.options)
    client.put_object(**s3.object_at(), Body=MARKER)
    secrets = secrets_of(kind, s3.metadata_stored())
    caplog.clear()
    with pytest.raises(Exception, match=r".") as caught:
        FAILURES[failure](s3, client)
    if "other" in s3.stored_keys():
        caplog_texts = logged(caplog)
        secrets += secrets_of(kind, s3.metadata_stored("other"))
    else:
        caplog_texts = logged(caplog)
    assert showing(secrets, [*caplog_texts, *chain(caught.value)]) == []


SPOILT_KEYS: dict[str, dict[str, Any]] = {
    "too-short": {"aes_key": AES_SECRET[:31]},
    "hex-text": {"aes_key": AES_SECRET.hex()},
    "base64-text": {"aes_key": base64.b64encode(AES_SECRET).decode()},
    "key-id": {"kms_key_id": AES_SECRET},
    "switch": {"aes_key": AES_SECRET, "enable_legacy_writes": "yes"},
    "two-keys": {"aes_key": AES_SECRET, "rsa_key": RSA_KEY_DER},
    "cut-der": {"rsa_key": RSA_KEY_DER[:-50]},
    "cut-pem": {"rsa_key": _RSA_KEY.export_key().decode()[:-80]},
    "as-keyring": {"keyring": AES_SECRET},
}


@pytest.mark.parametrize("spoilt", SPOILT_KEYS)
def test_rs_08_refused_key_is_not_shown(spoilt: str) -> None:
    """A key that can't be used is not quoted by the error that says so (RS-08)."""
    with pytest.raises(ConfigurationError) as caught:
        S3EncryptionClient(**SPOILT_KEYS[spoilt])
    # The traceback quotes the source lines of this file, not the values.
    assert showing([AES_SECRET[:31], AES_SECRET, *RSA_SECRETS, RSA_KEY_DER[100:150]], chain(caught.value)) == []


# --- texts of objects -------------------------------------------------------------------------------------------------

KEYRINGS: dict[str, Callable[[], Any]] = {
    "aes": lambda: AesKeyring(AES_SECRET, material_description={"key": "one"}),
    "rsa": lambda: RsaKeyring(RSA_KEY_DER),
    "kms": lambda: KmsKeyring(FakeKms(), KMS_KEY_ARN),
    "multi": lambda: MultiKeyring(AesKeyring(AES_SECRET), RsaKeyring(RSA_KEY_DER)),
}


def texts_of(thing: Any) -> list[str]:
    """Return the texts that Python makes of an object, and of its attributes."""
    return [repr(thing), str(thing), f"{thing}", repr(getattr(thing, "__dict__", {}))]


@pytest.mark.parametrize("keyring", KEYRINGS)
def test_lk_04_text_of_keyring_and_client_shows_no_key(s3: StrictWorld, keyring: str) -> None:
    """repr() and str() of keyring, sealer and client are safe to log (LK-04)."""
    used = KEYRINGS[keyring]()
    client = s3.client(keyring=used)
    client.put_object(**s3.object_at(), Body=MARKER)
    texts = [repr(used), str(used), *texts_of(client), repr(sealer_with(keyring=used))]
    assert showing([AES_SECRET, *RSA_SECRETS, MARKER], texts) == []


@pytest.mark.parametrize("policy", POLICIES, ids=["V2", "V3"])
@pytest.mark.parametrize("keyring", ["aes", "rsa", "kms"])
def test_lk_04_text_of_a_sealed_object_shows_no_key(keyring: str, policy: CommitmentPolicy) -> None:
    """What the sealer makes for one object, and its ciphers, are safe to log (LK-04)."""
    used = KEYRINGS[keyring]()
    sealer = sealer_with(keyring=used, commitment_policy=policy)
    sealed = sealer.seal()
    data_key = used.decrypt_data_key(sealed.envelope.wrapped)
    secrets = [data_key, sealed.content_key.key, sealed.envelope.wrapped.encrypted_data_key]
    new_key = used.generate_data_key("AES/GCM/NoPadding", {})
    things = [
        sealed,
        sealed.content_key,
        sealed.envelope,
        sealed.envelope.wrapped,
        new_key,
        sealed.content_key.encryptor(),
    ]
    texts = [text for thing in things for text in (repr(thing), str(thing), f"{thing}")]
    assert showing([*secrets, new_key.plaintext], texts) == []


def test_text_of_a_session_shows_no_key() -> None:
    """A session is safe to log, too."""
    session = S3EncryptionSession(aes_key=AES_SECRET, region_name="eu-west-1")
    assert showing([AES_SECRET], [repr(session), str(session)]) == []


@pytest.mark.parametrize("mode", MODES)
def test_text_of_a_body_shows_nothing(s3: StrictWorld, mode: str) -> None:
    """The Body, half read, shows neither plaintext nor key."""
    client = s3.client(aes_key=AES_SECRET, **MODES[mode])
    client.put_object(**s3.object_at(), Body=MARKER)
    with client.get_object(**s3.object_at())["Body"] as stream:
        stream.read(1)
        texts = [repr(stream), str(stream)]
    assert showing([AES_SECRET, _unwrap_aes(s3.metadata_stored()), MARKER], texts) == []


# --- what leaves the process ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("location", ["metadata", "instruction_file"])
@pytest.mark.parametrize("policy", POLICIES, ids=["V2", "V3"])
def test_lk_11_requests_and_stored_objects_show_nothing(
    s3: StrictWorld, kind: Kind, policy: CommitmentPolicy, location: str
) -> None:
    """S3 sees neither plaintext nor a key nor a digest of the plaintext, in whatever header or body (LK-11)."""
    client = s3.new_client(commitment_policy=policy, envelope_location=location, **kind.options)
    digests = [hashlib.new(name, MARKER).digest() for name in ("md5", "sha1", "sha256")]
    client.put_object(**s3.object_at(), Body=MARKER, ContentMD5=base64.b64encode(digests[0]).decode())
    client.get_object(**s3.object_at())["Body"].read()
    sent = [request.sent_bytes.decode("latin-1") for request in s3.requests]
    stored = [entry.body.decode("latin-1") for entry in s3.server.objects.values()]
    envelope = s3.metadata_stored()
    if location == "instruction_file":
        envelope |= json.loads(s3.body_stored(f"{KEY}.instruction"))
    assert showing([*secrets_of(kind, envelope), *digests], [*sent, *stored]) == []
