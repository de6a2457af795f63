"""The sealer: what may be written and read, in which order it is checked, and what is never asked of a keyring."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
from support import reference
from support.encoder import (
    AES_KEY,
    ALL_KINDS,
    CBC,
    COMMITTING,
    GCM,
    RSA_KEY,
    V1_AES,
    V2_AES,
    V2_AES_CBC,
    V2_KMS,
    V3_AES,
    V3_KMS,
    Encoder,
    Kind,
)
from support.fake_kms import KMS_KEY_ARN, FakeKms, FakeKmsError
from support.reading import finish_at_once, read
from support.sealers import sealer_with
from support.secret_search import showing

from s3_encryption._checks import check_switch
from s3_encryption._crypto.content import AES_CBC, AES_GCM, AES_GCM_COMMITTING, CommitmentPolicy
from s3_encryption._envelope.formats import FORMATS, V1, V2, V3, emit, parse
from s3_encryption._envelope.instruction_file import merge, split
from s3_encryption._keys.keyring import DataKey, Keyring, WrappedDataKey
from s3_encryption._keys.kms import KmsKeyring
from s3_encryption._keys.multi import MultiKeyring
from s3_encryption._keys.raw import AesKeyring, RsaKeyring
from s3_encryption._keys.wrap_algorithms import WRAP_ALGORITHMS
from s3_encryption._settings import Settings
from s3_encryption.exceptions import (
    ConfigurationError,
    ConfigurationTypeError,
    DecryptionError,
    EncryptionContextMismatchError,
    InvalidEnvelopeError,
    KeyringAnswerError,
    KeyringMismatchError,
    LegacyWriteWarning,
    PolicyError,
    S3EncryptionClientError,
    S3EncryptionClientSecurityError,
)

FORBID = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
ALLOW = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
REQUIRE = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
POLICIES = pytest.mark.parametrize("policy", [FORBID, ALLOW, REQUIRE], ids=lambda policy: policy.name)
LEGACY: dict[str, Any] = {
    "enable_legacy_wrapping_algorithms": True,
    "enable_legacy_unauthenticated_modes": True,
}
SWITCHES = (*LEGACY, "enable_legacy_writes")
PLAINTEXT = b"what the object holds"


class CountingKeyring:
    """A keyring that counts what it is asked, and passes it on; it tells about itself what the inner one tells."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self.calls = 0
        for name in ("wrapping_algorithm", "wrapping_algorithms"):
            if hasattr(keyring, name):
                setattr(self, name, getattr(keyring, name))

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        self.calls += 1
        return self._keyring.generate_data_key(content_algorithm, encryption_context)

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        self.calls += 1
        return self._keyring.decrypt_data_key(wrapped)


def keyring_for(name: str, kms: FakeKms | None = None) -> Keyring:
    """Return a keyring that writes by a wrapping algorithm."""
    key_type = WRAP_ALGORITHMS[name].key_type
    if key_type == "kms":
        return KmsKeyring(kms or FakeKms(), KMS_KEY_ARN, wrapping_algorithm=name)
    return (
        AesKeyring(AES_KEY, wrapping_algorithm=name)
        if key_type == "aes"
        else RsaKeyring(RSA_KEY, wrapping_algorithm=name)
    )


# --- the policy matrix ------------------------------------------------------------------------------------------------

READABLE = {FORBID: {"V1", "V2", "V3"}, ALLOW: {"V1", "V2", "V3"}, REQUIRE: {"V3"}}


@POLICIES
@pytest.mark.parametrize("kind", ALL_KINDS, ids=str)
def test_policy_decides_which_formats_are_read(kind: Kind, policy: CommitmentPolicy) -> None:
    """KC-11: with all switches on, the first two policies read every format, the strictest one V3 only."""
    encoder = Encoder()
    keyring = CountingKeyring(encoder.keyring(kind))
    sealer = sealer_with(keyring=keyring, commitment_policy=policy, **LEGACY)
    stored = encoder.write(kind, PLAINTEXT)
    if kind.format in READABLE[policy]:
        assert read(sealer, stored) == PLAINTEXT
        return
    with pytest.raises(PolicyError, match="REQUIRE_ENCRYPT_REQUIRE_DECRYPT refuses it"):
        read(sealer, stored)
    assert keyring.calls == 0


WRITTEN = {FORBID: (V2, AES_GCM), ALLOW: (V3, AES_GCM_COMMITTING), REQUIRE: (V3, AES_GCM_COMMITTING)}


@POLICIES
@pytest.mark.parametrize("name", [name for name, algorithm in WRAP_ALGORITHMS.items() if algorithm.v3_code])
def test_policy_decides_which_format_is_written(name: str, policy: CommitmentPolicy) -> None:
    """KC-11: FORBID writes V2 with AES-GCM, the others V3; every policy reads what it writes."""
    sealer = sealer_with(keyring=keyring_for(name), commitment_policy=policy)
    sealed = sealer.seal()
    format, suite = WRITTEN[policy]
    assert (sealed.envelope.format, sealed.envelope.suite) == (format.name, suite)
    opened = sealer.open(parse(emit(sealed.envelope)))
    assert finish_at_once(opened.decryptor(), sealed.content_key.encrypt(PLAINTEXT)) == PLAINTEXT


@POLICIES
@pytest.mark.parametrize("name", [name for name, algorithm in WRAP_ALGORITHMS.items() if not algorithm.v3_code])
def test_wrap_without_v3_code_is_written_without_commitment_only(name: str, policy: CommitmentPolicy) -> None:
    """KC-11, CF-02: an older wrap and a committing policy contradict each other, which is told at construction."""
    if policy is FORBID:
        options = {"enable_legacy_writes": True} if WRAP_ALGORITHMS[name].v1 else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LegacyWriteWarning)
            sealed = sealer_with(keyring=keyring_for(name), **options).seal()
        assert sealed.envelope.format == ("V1" if WRAP_ALGORITHMS[name].v1 else "V2")
        return
    with pytest.raises(ConfigurationError, match="FORBID_ENCRYPT_ALLOW_DECRYPT"):
        sealer_with(keyring=keyring_for(name), commitment_policy=policy, enable_legacy_writes=True)


def test_default_engine_writes_what_every_reader_knows() -> None:
    """CF-01: by default V2 with AES-GCM is written, V2-GCM and V3 are read, and every switch is off."""
    sealer = sealer_with(keyring=AesKeyring(AES_KEY))
    assert sealer.settings.commitment_policy is FORBID
    assert [getattr(sealer.settings, name) for name in SWITCHES] == [False] * 3
    assert sealer.seal().envelope.format == "V2"


# --- the objects that are written -------------------------------------------------------------------------------------


BOUND_TO_GCM = '{"aws:x-amz-cek-alg":"AES/GCM/NoPadding"}'


@pytest.mark.parametrize(
    ("name", "policy", "fields"),
    [
        ("kms+context", FORBID, {"x-amz-wrap-alg": "kms+context", "x-amz-matdesc": BOUND_TO_GCM}),
        ("AES/GCM", FORBID, {"x-amz-wrap-alg": "AES/GCM", "x-amz-matdesc": "{}"}),
        ("RSA-OAEP-SHA1", FORBID, {"x-amz-wrap-alg": "RSA-OAEP-SHA1", "x-amz-matdesc": "{}"}),
        ("kms+context", ALLOW, {"x-amz-w": "12", "x-amz-t": '{"aws:x-amz-cek-alg":"115"}'}),
        ("AES/GCM", ALLOW, {"x-amz-w": "02"}),
        ("RSA-OAEP-SHA1", ALLOW, {"x-amz-w": "22"}),
    ],
)
def test_written_envelope_has_the_fields_of_its_format(
    name: str, policy: CommitmentPolicy, fields: dict[str, str]
) -> None:
    """What is stored is just what the format asks for, in the words that other clients expect."""
    metadata = emit(sealer_with(keyring=keyring_for(name), commitment_policy=policy).seal().envelope)
    common = {"x-amz-cek-alg": GCM, "x-amz-tag-len": "128"} if policy is FORBID else {"x-amz-c": COMMITTING}
    random = {"x-amz-key-v2", "x-amz-iv"} if policy is FORBID else {"x-amz-3", "x-amz-d", "x-amz-i"}
    assert {n: t for n, t in metadata.items() if n not in random} == {**common, **fields}
    assert random <= metadata.keys()


@pytest.mark.parametrize("policy", [FORBID, ALLOW], ids=lambda policy: policy.name)
def test_body_is_standard_gcm(policy: CommitmentPolicy) -> None:
    """The body is what AES-GCM itself gives under the data key, or under the key derived from it."""
    kms = FakeKms()
    sealed = sealer_with(keyring=KmsKeyring(kms, KMS_KEY_ARN), commitment_policy=policy).seal()
    envelope = sealed.envelope
    answer = kms.decrypt(
        KeyId=KMS_KEY_ARN,
        CiphertextBlob=envelope.wrapped.encrypted_data_key,
        EncryptionContext=envelope.wrapped.description,
    )
    key, iv, aad = answer["Plaintext"], envelope.iv, b""
    if policy is ALLOW:
        key, commitment = reference.committing_keys(key, iv)
        iv, aad = b"\x01" * 12, b"\x00\x73"
        assert envelope.commitment == commitment
    assert sealed.content_key.encrypt(PLAINTEXT) == reference.gcm_encrypt(key, iv, PLAINTEXT, aad)


@POLICIES
def test_rt_17_nothing_random_is_used_twice(policy: CommitmentPolicy) -> None:
    """RT-17: data keys, IVs or message ids, and content keys of many objects are all different."""
    sealer = sealer_with(keyring=AesKeyring(AES_KEY), commitment_policy=policy)
    sealed = [sealer.seal() for _ in range(10_000)]
    assert len({each.envelope.iv for each in sealed}) == 10_000
    assert len({each.envelope.wrapped.encrypted_data_key for each in sealed}) == 10_000
    assert len({each.content_key.key for each in sealed}) == 10_000
    assert {len(each.envelope.iv) for each in sealed} == {12 if policy is FORBID else 28}


@POLICIES
def test_one_data_key_is_asked_for_each_object(policy: CommitmentPolicy) -> None:
    """A seal costs one GenerateDataKey, an open one Decrypt."""
    kms = FakeKms()
    sealer = sealer_with(keyring=KmsKeyring(kms, KMS_KEY_ARN), commitment_policy=policy)
    envelopes = [sealer.seal({"n": str(n)}).envelope for n in range(3)]
    for n, envelope in enumerate(envelopes):
        sealer.open(envelope, {"n": str(n)})
    assert (kms.count("generate_data_key"), kms.count("decrypt")) == (3, 3)


@POLICIES
def test_kms_failure_leaves_nothing_to_write(policy: CommitmentPolicy) -> None:
    """KM-04: without a data key there is no envelope and no fallback; KMS's error passes through."""
    kms = FakeKms()
    sealer = sealer_with(keyring=KmsKeyring(kms, KMS_KEY_ARN), commitment_policy=policy)
    kms.failure = failure = FakeKmsError("AccessDeniedException")
    with pytest.raises(FakeKmsError) as caught:
        sealer.seal()
    assert caught.value is failure


# --- legacy writes ----------------------------------------------------------------------------------------------------

LEGACY_WRITES = [
    pytest.param("AES/ECB", None, V1, id="V1 AES"),
    pytest.param("RSA/ECB/PKCS1Padding", None, V1, id="V1 RSA"),
    pytest.param("AES/ECB", CBC, V1, id="V1 by name"),
    pytest.param("kms", CBC, V2, id="V2 kms CBC"),
    pytest.param("AESWrap", CBC, V2, id="V2 AESWrap CBC"),
    pytest.param("RSA/ECB/OAEPWithSHA-256AndMGF1Padding", CBC, V2, id="V2 RSA CBC"),
]


@pytest.mark.parametrize(("name", "content", "format"), LEGACY_WRITES)
def test_legacy_write_needs_its_switch_and_warns(name: str, content: str | None, format: Any) -> None:
    """V1 and CBC content are refused at construction without the switch, and warned of with it; then they work."""
    with pytest.raises(ConfigurationError, match="enable_legacy_writes=True"):
        sealer_with(keyring=keyring_for(name), content_algorithm=content)
    with pytest.warns(LegacyWriteWarning, match=f"legacy format {format.name}"):
        sealer = sealer_with(keyring=keyring_for(name), content_algorithm=content, enable_legacy_writes=True, **LEGACY)
    sealed = sealer.seal()
    assert (sealed.envelope.format, sealed.envelope.suite) == (format.name, AES_CBC)
    assert sealed.envelope.optional_fields.get("x-amz-tag-len") == (None if format is V1 else "0")
    body = sealed.content_key.encrypt(PLAINTEXT)
    assert body == reference.cbc_encrypt(sealed.content_key.key, sealed.envelope.iv, PLAINTEXT)
    assert finish_at_once(sealer.open(parse(emit(sealed.envelope))).decryptor(), body) == PLAINTEXT


@pytest.mark.parametrize("name", ["kms", "AESWrap", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"])
def test_older_wrap_of_gcm_is_written_by_naming_it(name: str) -> None:
    """Old wraps with authenticated content need neither switch nor warning to be written; reading needs the switch."""
    sealed = sealer_with(keyring=keyring_for(name)).seal()
    assert (sealed.envelope.format, sealed.envelope.suite) == ("V2", AES_GCM)
    with pytest.raises(PolicyError, match="enable_legacy_wrapping_algorithms=True"):
        sealer_with(keyring=keyring_for(name)).open(sealed.envelope)


@pytest.mark.parametrize("name", ["kms+context", "AES/GCM", "RSA-OAEP-SHA1"])
def test_binding_wrap_is_never_written_with_cbc(name: str) -> None:
    """Rule 2: today's wraps go with AES-GCM content only."""
    with pytest.raises(ConfigurationError, match="AES-GCM content only"):
        sealer_with(keyring=keyring_for(name), content_algorithm=CBC, enable_legacy_writes=True)


def test_v1_is_never_written_with_gcm() -> None:
    """V1 has no name for its content, so there is only one."""
    with pytest.raises(ConfigurationError, match="V1"):
        sealer_with(keyring=keyring_for("AES/ECB"), content_algorithm=GCM, enable_legacy_writes=True)


@pytest.mark.parametrize("policy", [ALLOW, REQUIRE], ids=lambda policy: policy.name)
@pytest.mark.parametrize("content", [GCM, CBC])
def test_committing_policy_takes_no_content_algorithm(policy: CommitmentPolicy, content: str) -> None:
    """CF-02: a policy that writes V3 and a content algorithm of V2 contradict each other."""
    with pytest.raises(ConfigurationError, match=policy.name):
        sealer_with(
            keyring=AesKeyring(AES_KEY), commitment_policy=policy, content_algorithm=content, enable_legacy_writes=True
        )


@pytest.mark.parametrize("content", ["", "AES", "AES/CTR/NoPadding", "AES/CBC/PKCS7Padding", COMMITTING, GCM.lower()])
def test_content_algorithm_that_is_not_written_is_refused(content: str) -> None:
    """Some names are read only, others nothing; none is written."""
    with pytest.raises(ConfigurationError, match="content_algorithm must be one of"):
        sealer_with(keyring=AesKeyring(AES_KEY), content_algorithm=content, enable_legacy_writes=True)


def test_safe_engine_does_not_warn() -> None:
    """Neither switch for reading nor the one for writing warns by itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sealer_with(keyring=AesKeyring(AES_KEY), enable_legacy_writes=True, **LEGACY).seal()


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", ["False", "True", "", 0, 1, None, [], object()])
def test_switch_must_be_a_bool(name: str, value: Any) -> None:
    """CF-05: a truthy text does not turn a safeguard off, and a falsy one does not pass for False."""
    with pytest.raises(ConfigurationTypeError, match=f"{name} must be True or False"):
        sealer_with(keyring=AesKeyring(AES_KEY), **{name: value})
    with pytest.raises(ConfigurationTypeError, match=name):
        check_switch(name, value)


@pytest.mark.parametrize("value", ["REQUIRE_ENCRYPT_REQUIRE_DECRYPT", None, True, 1, CommitmentPolicy])
def test_commitment_policy_must_be_a_member(value: Any) -> None:
    """AL-19, CF-05: a policy as text is refused, with the name of a member that would do."""
    with pytest.raises(ConfigurationTypeError, match=r"CommitmentPolicy\.REQUIRE_ENCRYPT_ALLOW_DECRYPT"):
        sealer_with(keyring=AesKeyring(AES_KEY), commitment_policy=value)


@pytest.mark.parametrize("value", [None, AES_KEY, AesKeyring, "kms", object()])
def test_keyring_must_be_one(value: Any) -> None:
    """AL-19: no keyring, or a key in its place, is refused."""
    with pytest.raises(ConfigurationTypeError, match="keyring"):
        sealer_with(keyring=value)


def test_cf_04_engine_can_not_be_changed() -> None:
    """CF-04: what was checked at construction stays as it was."""
    sealer = sealer_with(keyring=AesKeyring(AES_KEY))
    for name in SWITCHES:
        with pytest.raises(AttributeError):
            setattr(sealer.settings, name, True)
    with pytest.raises(AttributeError):
        sealer.settings = Settings()  # type: ignore[misc]


def test_engine_takes_keywords_only() -> None:
    """A switch can't be turned on by a misplaced argument."""
    positional: Any = Settings
    with pytest.raises(TypeError):
        positional(FORBID, True)


@POLICIES
def test_sealed_object_hides_its_key(policy: CommitmentPolicy) -> None:
    """LK-04, LK-07: the repr of sealer and sealed object show no key, and the latter is not pickled."""
    sealer = sealer_with(keyring=AesKeyring(AES_KEY), commitment_policy=policy)
    sealed = sealer.seal()
    for secret in (sealed.content_key.key, AES_KEY):
        assert repr(secret)[2:-1] not in f"{sealer!r} {sealed!r} {sealed}"
        assert secret.hex() not in f"{sealer!r} {sealed!r} {sealed}"
    for duplicate in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="can't be pickled or copied"):
            duplicate(sealed)


# --- the order of checks ----------------------------------------------------------------------------------------------


def test_policy_comes_before_everything() -> None:
    """An object that breaks every rule is refused for the policy, the cheapest check, first."""
    stored = Encoder().write(Kind("V2", "kms", CBC), PLAINTEXT, description={"aws:x-amz-cek-alg": "x"})
    keyring = CountingKeyring(AesKeyring(AES_KEY))
    with pytest.raises(PolicyError, match="commitment_policy"):
        read(sealer_with(keyring=keyring, commitment_policy=REQUIRE), stored, {"wrong": "context"})
    with pytest.raises(PolicyError, match="legacy"):
        read(sealer_with(keyring=keyring), stored, {"wrong": "context"})
    with pytest.raises(KeyringMismatchError):
        read(sealer_with(keyring=keyring, **LEGACY), stored, {"wrong": "context"})
    keyring = CountingKeyring(KmsKeyring(FakeKms(), KMS_KEY_ARN))
    with pytest.raises(InvalidEnvelopeError):
        read(sealer_with(keyring=keyring, **LEGACY), stored, {"wrong": "context"})
    assert keyring.calls == 0


def test_mismatch_is_told_by_keyrings_that_say_what_they_can() -> None:
    """WR-07: a MultiKeyring or one of the user's own is asked only if it can do it or does not say."""
    stored = Encoder().write(V2_KMS, PLAINTEXT)
    multi = CountingKeyring(MultiKeyring(AesKeyring(AES_KEY), RsaKeyring(RSA_KEY)))
    with pytest.raises(KeyringMismatchError, match=r"kms\+context"):
        read(sealer_with(keyring=multi), stored)
    assert multi.calls == 0
    silent = CountingKeyring(MultiKeyring(AesKeyring(AES_KEY)))
    del silent.wrapping_algorithms  # type: ignore[attr-defined]
    with pytest.raises(KeyringMismatchError):
        read(sealer_with(keyring=silent), stored)
    assert silent.calls == 1


@pytest.mark.parametrize("bound", [None, "", "AES/CBC/PKCS5Padding", COMMITTING, "aes/gcm/nopadding", GCM + " "])
def test_bound_content_algorithm_must_be_the_stated_one(bound: str | None) -> None:
    """Rule 5: under kms+context the context names the content algorithm, and KMS is not asked if it is another one."""
    encoder = Encoder()
    context = {} if bound is None else {"aws:x-amz-cek-alg": bound}
    edk = encoder.kms.wrap(bytes(range(32)), context)
    stored = encoder.write(V2_KMS, PLAINTEXT, data_key=bytes(range(32)), edk=edk)
    relabelled = stored.changed("x-amz-matdesc", json.dumps(context))
    with pytest.raises(InvalidEnvelopeError, match="bound to another content algorithm"):
        read(sealer_with(keyring=encoder.keyring(V2_KMS), **LEGACY), relabelled)
    assert encoder.kms.calls == []


# --- encryption contexts ----------------------------------------------------------------------------------------------

WRONG_CONTEXTS: dict[str, dict[str, str] | None] = {
    "none": None,
    "empty": {},
    "other value": {"p": "beta", "q": "1"},
    "subset": {"p": "alpha"},
    "superset": {"p": "alpha", "q": "1", "r": "2"},
    "other case": {"P": "alpha", "q": "1"},
    "case of the value": {"p": "Alpha", "q": "1"},
    "blank added": {"p": "alpha ", "q": "1"},
    "swapped": {"alpha": "p", "1": "q"},
}
kms_kinds = pytest.mark.parametrize("kind", [V2_KMS, V3_KMS], ids=str)


@pytest.mark.parametrize("context", WRONG_CONTEXTS.values(), ids=WRONG_CONTEXTS)
@kms_kinds
def test_wrong_context_is_refused_without_kms(kind: Kind, context: dict[str, str] | None) -> None:
    """EC-01: the context must be the whole one that the object was written with."""
    encoder = Encoder()
    stored = encoder.write(kind, PLAINTEXT, description={"p": "alpha", "q": "1"})
    sealer = sealer_with(keyring=encoder.keyring(kind))
    with pytest.raises(EncryptionContextMismatchError, match="Pass the same EncryptionContext") as caught:
        read(sealer, stored, context)
    assert "alpha" not in str(caught.value)
    assert encoder.kms.calls == []
    assert read(sealer, stored, {"q": "1", "p": "alpha"}) == PLAINTEXT


@kms_kinds
def test_object_without_context_is_read_without(kind: Kind) -> None:
    """EC-01: none and an empty one are the same, and any other is refused."""
    encoder = Encoder()
    stored = encoder.write(kind, PLAINTEXT)
    sealer = sealer_with(keyring=encoder.keyring(kind))
    assert read(sealer, stored, None) == read(sealer, stored, {}) == PLAINTEXT
    with pytest.raises(EncryptionContextMismatchError):
        read(sealer, stored, {"p": "alpha"})


@pytest.mark.parametrize("reserved", ["aws:x-amz-cek-alg", "kms_cmk_id"])
@kms_kinds
def test_reserved_names_are_refused(kind: Kind, reserved: str) -> None:
    """EC-02, EC-04: what the client sets itself the caller may not, neither on writing nor on reading."""
    encoder = Encoder()
    sealer = sealer_with(keyring=encoder.keyring(kind))
    context = {"p": "alpha", reserved: kind.content}
    with pytest.raises(ConfigurationError, match=reserved):
        sealer.seal(context)
    with pytest.raises(ConfigurationError, match=reserved):
        read(sealer, encoder.write(kind, PLAINTEXT), context)
    assert encoder.kms.calls == []


@pytest.mark.parametrize(
    ("context", "error"),
    [
        pytest.param({"\ud800": "x"}, ConfigurationError, id="half-a-character-as-name"),
        pytest.param({"x": "a\udfff"}, ConfigurationError, id="half-a-character"),
        pytest.param({"x": "a\0b"}, ConfigurationError, id="nul"),
        pytest.param({"x": 1}, ConfigurationTypeError, id="number"),
        pytest.param({"x": None}, ConfigurationTypeError, id="none"),
        pytest.param({1: "x"}, ConfigurationTypeError, id="name-number"),
        pytest.param({"x": b"y"}, ConfigurationTypeError, id="bytes"),
        pytest.param([("x", "y")], ConfigurationTypeError, id="pairs"),
        pytest.param("x", ConfigurationTypeError, id="text"),
        pytest.param({"x": "y" * 9000}, ConfigurationError, id="too-long"),
        pytest.param({"x": "ä" * 4500}, ConfigurationError, id="too-long-in-utf-8"),
    ],
)
def test_context_that_can_not_be_kept_is_refused_on_writing(context: Any, error: type[Exception]) -> None:
    """EC-05, EC-07: what not every reader gets back, or KMS does not take, is refused before KMS is asked."""
    kms = FakeKms()
    with pytest.raises(error, match="EncryptionContext"):
        sealer_with(keyring=KmsKeyring(kms, KMS_KEY_ARN)).seal(context)
    assert kms.calls == []


def test_context_may_be_as_long_as_kms_takes() -> None:
    """EC-07: names and values of a context may have 8 KiB together."""
    sealer = sealer_with(keyring=KmsKeyring(FakeKms(), KMS_KEY_ARN))
    assert sealer.seal({"x": "y" * 8191}).envelope.wrapped.description["x"] == "y" * 8191
    with pytest.raises(ConfigurationError, match="longer than KMS takes"):
        sealer.seal({"x": "y" * 8192})


@pytest.mark.parametrize("context", [{"x": 1}, {1: "x"}, [("x", "y")], "x", {"x": b"y"}], ids=repr)
def test_context_of_another_type_is_refused_on_reading(context: Any) -> None:
    """CF-05: a context is a dict of str to str on reading too."""
    encoder = Encoder()
    with pytest.raises(ConfigurationTypeError, match="EncryptionContext"):
        read(sealer_with(keyring=encoder.keyring(V2_KMS)), encoder.write(V2_KMS, PLAINTEXT), context)
    assert encoder.kms.calls == []


@kms_kinds
def test_context_of_another_client_may_hold_any_text(kind: Kind) -> None:
    """JS-13: other clients write contexts beyond ASCII, and KMS takes them: such an object is read with its context."""
    encoder = Encoder()
    stored = encoder.write(kind, PLAINTEXT, description={"Straße": "Köln €"})
    sealer = sealer_with(keyring=encoder.keyring(kind))
    assert read(sealer, stored, {"Straße": "Köln €"}) == PLAINTEXT
    with pytest.raises(EncryptionContextMismatchError):
        read(sealer, stored, {"Straße": "Koeln"})


@kms_kinds
@pytest.mark.parametrize(
    "text", ["Köln €", "\U0001f600", "a\tb\r\nc", "\x01\x1f\x7f\x85", "a  b", "=?UTF-8?Q?a?="], ids=ascii
)
def test_context_may_hold_any_text(kind: Kind, text: str) -> None:
    """EC-05: KMS gets the text itself, and the envelope has it in ASCII that any header and any reader takes."""
    kms, context = FakeKms(), {text: text}
    sealer = sealer_with(keyring=KmsKeyring(kms, KMS_KEY_ARN), commitment_policy=FORBID if kind is V2_KMS else ALLOW)
    envelope = sealer.seal(context).envelope
    _, request = kms.calls[0]
    assert request["EncryptionContext"].items() >= context.items()
    stored = emit(envelope)[kind.description_field]
    assert stored.isascii()
    assert stored.isprintable()
    assert json.loads(stored).items() >= context.items()
    for read_back in (parse(emit(envelope)), merge(*split(envelope))):
        sealer.open(read_back, context)
        with pytest.raises(EncryptionContextMismatchError):
            sealer.open(read_back, {text: text + " "})


@kms_kinds
def test_callers_context_is_left_alone(kind: Kind) -> None:
    """EC-08: neither writing nor reading adds anything to the caller's dict, and later changes of it don't matter."""
    encoder = Encoder()
    sealer = sealer_with(keyring=encoder.keyring(kind))
    context = {"p": "alpha"}
    sealed = sealer.seal(context)
    sealer.open(sealed.envelope, context)
    assert context == {"p": "alpha"}
    context["p"] = "beta"
    assert sealed.envelope.wrapped.description["p"] == "alpha"


def test_legacy_kms_object_may_hold_entries_that_nobody_knows() -> None:
    """DG-17: Amazon SES writes message ids into the context of kms objects; without a context given, KMS decides."""
    kind = Kind("V2", "kms", GCM)
    encoder = Encoder()
    stored = encoder.write(kind, PLAINTEXT, description={"aws:ses:message-id": "m", "aws:ses:rule-name": "r"})
    sealer = sealer_with(keyring=encoder.keyring(kind), **kind.switches)
    assert read(sealer, stored) == PLAINTEXT
    assert read(sealer, stored, {"aws:ses:message-id": "m", "aws:ses:rule-name": "r"}) == PLAINTEXT
    with pytest.raises(EncryptionContextMismatchError):
        read(sealer, stored, {"aws:ses:message-id": "other", "aws:ses:rule-name": "r"})


@pytest.mark.parametrize("kind", [V1_AES, V2_AES, V3_AES, V2_AES_CBC], ids=str)
def test_context_for_a_raw_key_is_refused(kind: Kind) -> None:
    """Raw keys have no context: one that is given would be ignored, so it is refused; a description is not one."""
    encoder = Encoder()
    stored = encoder.write(kind, PLAINTEXT, description={"p": "alpha"})
    sealer = sealer_with(keyring=encoder.keyring(kind), **kind.switches)
    with pytest.raises(EncryptionContextMismatchError):
        read(sealer, stored, {"p": "alpha"})
    assert read(sealer, stored, {}) == PLAINTEXT
    with pytest.raises(ConfigurationError, match="material_description"):
        sealer.seal({"p": "alpha"})


@pytest.mark.parametrize("kind", [V2_AES, V2_AES_CBC, V3_AES], ids=str)
def test_keyring_is_not_asked_about_an_object_of_an_impossible_length(kind: Kind) -> None:
    """It is refused after what the policy refuses, and before the key is asked for."""
    encoder = Encoder()
    keyring = CountingKeyring(encoder.keyring(kind))
    envelope = parse(encoder.write(kind, PLAINTEXT).metadata)
    if kind.switches:
        with pytest.raises(PolicyError):
            sealer_with(keyring=keyring).open(envelope, ciphertext_length=7)
    with pytest.raises(DecryptionError):
        sealer_with(keyring=keyring, **kind.switches).open(envelope, ciphertext_length=7)
    assert keyring.calls == 0


# --- what keyrings must not return ------------------------------------------------------------------------------------


class ScriptedKeyring:
    """A keyring that returns what it is told to."""

    def __init__(self, data_key: bytes, wrapped: WrappedDataKey) -> None:
        self._made = DataKey(data_key, wrapped)

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        return self._made

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        return self._made.plaintext


def wrapped_key(**parts: Any) -> WrappedDataKey:
    """Return a wrapped data key as a keyring may return it, with some parts wrong."""
    good = {
        "encrypted_data_key": b"wrapped",
        "wrapping_algorithm": "AES/GCM",
        "content_algorithm": GCM,
        "description": {},
    }
    return WrappedDataKey(**{**good, **parts})


@pytest.mark.parametrize("length", [0, 1, 16, 24, 31, 33, 64])
def test_new_data_key_of_a_wrong_length_is_refused(length: int) -> None:
    """MD-17: objects are written under 32 bytes and nothing else."""
    with pytest.raises(S3EncryptionClientError, match="32 bytes"):
        sealer_with(keyring=ScriptedKeyring(bytes(length), wrapped_key())).seal()


@pytest.mark.parametrize(
    "parts",
    [
        {"encrypted_data_key": b""},
        {"content_algorithm": COMMITTING},
        {"content_algorithm": CBC},
        {"wrapping_algorithm": "ROT13"},
        {"wrapping_algorithm": "kms+context"},
        {"wrapping_algorithm": "kms+context", "description": {"aws:x-amz-cek-alg": CBC}},
        {"wrapping_algorithm": "kms", "description": {"aws:x-amz-cek-alg": GCM}},
    ],
    ids=repr,
)
def test_new_data_key_that_nobody_could_use_is_refused(parts: dict[str, Any]) -> None:
    """A keyring of the user's own may be wrong; an object that could not be read again is not written."""
    with pytest.raises(S3EncryptionClientError):
        sealer_with(keyring=ScriptedKeyring(bytes(range(32)), wrapped_key(**parts))).seal()


class AnsweringKeyring:
    """A keyring that answers whatever it is told to."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> Any:
        return self._answer

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> Any:
        return self._answer


SECRET = bytes(range(100, 132))


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        (None, "DataKey, not NoneType"),
        (SECRET, "DataKey, not bytes"),
        ((SECRET, wrapped_key()), "DataKey, not tuple"),
        (DataKey(SECRET, None), "wrapped must be a WrappedDataKey, not NoneType"),  # type: ignore[arg-type]
        (DataKey(None, wrapped_key()), "plaintext must be bytes, not NoneType"),  # type: ignore[arg-type]
        (DataKey(SECRET.decode("latin-1"), wrapped_key()), "plaintext must be bytes, not str"),  # type: ignore[arg-type]
        (DataKey(bytearray(SECRET), wrapped_key()), "plaintext must be bytes, not bytearray"),  # type: ignore[arg-type]
        (DataKey(SECRET[:31], wrapped_key()), "plaintext must have 32 bytes, not 31"),
        (DataKey(SECRET, wrapped_key(encrypted_data_key="text")), "encrypted_data_key must be bytes, not str"),
        (DataKey(SECRET, wrapped_key(encrypted_data_key=b"")), "encrypted_data_key is empty"),
        (DataKey(SECRET, wrapped_key(wrapping_algorithm=None)), "wrapping_algorithm must be str, not NoneType"),
        (DataKey(SECRET, wrapped_key(wrapping_algorithm=["AES/GCM"])), "wrapping_algorithm must be str, not list"),
        (DataKey(SECRET, wrapped_key(content_algorithm=None)), "content_algorithm must be str, not NoneType"),
        (DataKey(SECRET, wrapped_key(description=None)), "description must be Mapping, not NoneType"),
        (DataKey(SECRET, wrapped_key(description="text")), "description must be Mapping, not str"),
        (DataKey(SECRET, wrapped_key(description={"key": 5})), "description must be a dict .* it holds int"),
        (DataKey(SECRET, wrapped_key(description={b"key": "x"})), "description must be a dict .* it holds bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_answer_that_is_no_data_key_is_refused_by_the_name_of_its_field(answer: Any, field: str) -> None:
    """Whatever class a keyring has, what it made is looked at before it is used; no part of it is shown."""
    with pytest.raises(KeyringAnswerError, match=field) as caught:
        sealer_with(keyring=AnsweringKeyring(answer)).seal()
    recorded = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    # What was given is in this test's own frame.
    ours = recorded[recorded.index("/_sealer.py") :]
    assert showing([SECRET], [ours]) == []


@pytest.mark.parametrize(
    "answer", [None, SECRET.decode("latin-1"), 32, bytearray(SECRET)], ids=lambda answer: type(answer).__name__
)
def test_unwrapped_data_key_that_is_no_bytes_is_refused(answer: Any) -> None:
    """Also on reading, by the name of the method that returned it; no part of it is shown."""
    with pytest.raises(KeyringAnswerError, match=f"decrypt_data_key .* bytes, not {type(answer).__name__}") as caught:
        read(sealer_with(keyring=AnsweringKeyring(answer)), Encoder().write(V2_AES, PLAINTEXT))
    recorded = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert showing([SECRET], [recorded[recorded.index("/_sealer.py") :]]) == []


@pytest.mark.parametrize("name", [5, ["AES/GCM"], b"AES/GCM"], ids=repr)
def test_keyring_that_names_no_text_as_its_wrapping_algorithm_is_refused(name: object) -> None:
    """When the client is made, and not by an error of Python's own."""
    keyring = AnsweringKeyring(None)
    keyring.wrapping_algorithm = name  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="unknown wrapping algorithm"):
        sealer_with(keyring=keyring)


@pytest.mark.parametrize("name", [name for name, algorithm in WRAP_ALGORITHMS.items() if algorithm.v1])
@POLICIES
def test_keyring_that_turns_out_to_write_v1_makes_no_mixed_object(policy: CommitmentPolicy, name: str) -> None:
    """Where only the data key tells that it is one of V1, the object is refused, or a V1 object through and through."""
    keyring = ScriptedKeyring(bytes(range(32)), wrapped_key(wrapping_algorithm=name))
    with pytest.raises(S3EncryptionClientError):
        sealer_with(keyring=keyring, commitment_policy=policy).seal()
    with pytest.raises(S3EncryptionClientError):
        sealer_with(keyring=keyring, commitment_policy=policy, enable_legacy_writes=True).seal()


@pytest.mark.parametrize("length", [0, 1, 15, 16, 24, 31, 33, 64])
@pytest.mark.parametrize("kind", [V2_AES, V3_AES], ids=str)
def test_unwrapped_data_key_of_a_wrong_length_is_refused(kind: Kind, length: int) -> None:
    """MD-17: whatever keyring unwrapped it, a data key has 32 bytes; V3 makes no exception even for legacy switches."""
    stored = Encoder().write(kind, PLAINTEXT)
    keyring = ScriptedKeyring(bytes(length), wrapped_key())
    with pytest.raises(DecryptionError):
        read(sealer_with(keyring=keyring), stored)
    if kind.format == "V3" or length not in (16, 24):
        with pytest.raises(DecryptionError):
            read(sealer_with(keyring=keyring, **LEGACY), stored)


@pytest.mark.parametrize("error", [RuntimeError("mine"), S3EncryptionClientSecurityError("mine"), KeyError("mine")])
def test_error_of_a_keyring_passes_through(error: Exception) -> None:
    """What a keyring of the user's own raises reaches the user as it is."""

    class FailingKeyring(ScriptedKeyring):
        def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
            raise error

        def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
            raise error

    sealer = sealer_with(keyring=FailingKeyring(b"", wrapped_key()))
    with pytest.raises(type(error)) as on_write:
        sealer.seal()
    with pytest.raises(type(error)) as on_read:
        read(sealer, Encoder().write(V2_AES, PLAINTEXT))
    assert on_write.value is on_read.value is error


def test_every_format_can_be_written() -> None:
    """The tables of formats and of tests agree: each format has an sealer above that writes it."""
    assert {V1.name, V2.name, V3.name} == FORMATS.keys()
