"""Keyrings: one checklist for each wrapping algorithm, rotation, keyrings of the user's own, and no leaks."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from Crypto.PublicKey import RSA
from support.encoder import AES_KEY, COMMITTING, GCM, RSA_KEY, V1_KINDS, V2_AES, V3_AES, Encoder, Kind, Stored
from support.fake_kms import KMS_KEY_ARN, OTHER_KMS_KEY_ARN, FakeKms, FakeKmsError
from support.known_answers import wycheproof
from support.reading import read
from support.sealers import sealer_with

from s3_encryption._keys.keyring import DataKey, Keyring, WrappedDataKey, check_keyring
from s3_encryption._keys.kms import KmsKeyring
from s3_encryption._keys.multi import MultiKeyring
from s3_encryption._keys.raw import AesKeyring, RsaKeyring
from s3_encryption._keys.wrap_algorithms import WRAP_ALGORITHMS, names_for
from s3_encryption.exceptions import (
    ConfigurationError,
    ConfigurationTypeError,
    DecryptionError,
    KeyringMismatchError,
)

RAW_WRAPS = [name for name, algorithm in WRAP_ALGORITHMS.items() if algorithm.key_type != "kms"]
KMS_WRAPS = [name for name, algorithm in WRAP_ALGORITHMS.items() if algorithm.key_type == "kms"]
ALIAS = "alias/documents"

raw_wraps = pytest.mark.parametrize("name", RAW_WRAPS)
kms_wraps = pytest.mark.parametrize("name", KMS_WRAPS)


def other_rsa_key(bits: int = 2048) -> RSA.RsaKey:
    """Return somebody else's RSA key."""
    group = next(group for group, _ in wycheproof(f"Cipher/wycheproof/rsa_oaep_{bits}_sha256_mgf1sha1_test.json"))
    return RSA.import_key(group["privateKeyPem"])


def raw_keyring(name: str, *, other: bool = False, **options: Any) -> AesKeyring | RsaKeyring:
    """Return a keyring for a wrapping algorithm, with our keys or other ones."""
    if WRAP_ALGORITHMS[name].key_type == "aes":
        return AesKeyring(AES_KEY[::-1] if other else AES_KEY, wrapping_algorithm=name, **options)
    return RsaKeyring(other_rsa_key() if other else RSA_KEY, wrapping_algorithm=name, **options)


# --- the checklist for raw keys ---------------------------------------------------------------------------------------


def test_every_wrapping_algorithm_belongs_to_a_keyring() -> None:
    """The keyrings share out the table of wrapping algorithms among them, without a rest and without overlap."""
    shares = [KmsKeyring.wrapping_algorithms, AesKeyring.wrapping_algorithms, RsaKeyring.wrapping_algorithms]
    assert sorted(name for share in shares for name in share) == sorted(WRAP_ALGORITHMS)
    assert [names_for(key_type) for key_type in ("kms", "aes", "rsa")] == shares


@pytest.mark.parametrize("content", [GCM, COMMITTING])
@raw_wraps
def test_data_key_can_be_unwrapped(name: str, content: str) -> None:
    """What a keyring makes it can unwrap, and what it says about it is true."""
    keyring = raw_keyring(name, material_description={"key": "1"})
    made = keyring.generate_data_key(content, {})
    assert len(made.plaintext) == 32
    assert keyring.decrypt_data_key(made.wrapped) == made.plaintext
    parts = (made.wrapped.wrapping_algorithm, made.wrapped.content_algorithm, made.wrapped.description)
    assert parts == (name, content, {"key": "1"})


@raw_wraps
def test_data_keys_differ(name: str) -> None:
    """RT-17: each data key is new, and so is each wrap."""
    keyring = raw_keyring(name)
    made = [keyring.generate_data_key(GCM, {}) for _ in range(20)]
    assert len({data_key.plaintext for data_key in made}) == 20
    assert len({data_key.wrapped.encrypted_data_key for data_key in made}) == 20


@raw_wraps
def test_data_key_is_bound_where_the_table_says_so(name: str) -> None:
    """A changed content algorithm makes unwrapping fail exactly for the algorithms that bind it."""
    keyring = raw_keyring(name)
    made = keyring.generate_data_key(GCM, {})
    relabelled = replace(made.wrapped, content_algorithm=COMMITTING)
    if not WRAP_ALGORITHMS[name].binds_content:
        assert keyring.decrypt_data_key(relabelled) == made.plaintext
        return
    with pytest.raises(DecryptionError):
        keyring.decrypt_data_key(relabelled)


@raw_wraps
def test_data_key_of_another_master_key_is_never_returned(name: str) -> None:
    """Another key of the same kind gives the uniform error, or where the format knows no better, another data key."""
    made = raw_keyring(name).generate_data_key(GCM, {})
    keyring = raw_keyring(name, other=True)
    try:
        unwrapped = keyring.decrypt_data_key(made.wrapped)
    except DecryptionError:
        return
    # Nothing authenticates the wraps of V1: chance may make of the wrong key something that looks like a data key.
    assert WRAP_ALGORITHMS[name].v1
    assert unwrapped != made.plaintext


@pytest.mark.parametrize("other", list(WRAP_ALGORITHMS))
@raw_wraps
def test_data_key_of_another_algorithm_is_refused(name: str, other: str) -> None:
    """WR-04, WR-05, WR-07: a wrap by another algorithm ends in the error that fits, be the key the same or not."""
    keyring = raw_keyring(name)
    made = keyring.generate_data_key(GCM, {})
    relabelled = replace(made.wrapped, wrapping_algorithm=other)
    if other not in keyring.wrapping_algorithms:
        with pytest.raises(KeyringMismatchError, match="MultiKeyring"):
            keyring.decrypt_data_key(relabelled)
    elif other == "RSA/ECB/PKCS1Padding":
        assert (keyring.decrypt_data_key(relabelled) == made.plaintext) == (name == other)
    elif other != name:
        with pytest.raises(DecryptionError):
            keyring.decrypt_data_key(relabelled)


@raw_wraps
def test_raw_keyring_has_no_encryption_context(name: str) -> None:
    """A context would not be bound to anything, so it is refused instead of being dropped."""
    with pytest.raises(ConfigurationError, match="material_description"):
        raw_keyring(name).generate_data_key(GCM, {"tenant": "a"})


@raw_wraps
def test_material_description_is_copied_and_checked(name: str) -> None:
    """The caller's dict may change afterwards; what S3 can't keep in metadata is refused."""
    description = {"key": "1"}
    keyring = raw_keyring(name, material_description=description)
    description["key"] = "2"
    assert keyring.generate_data_key(GCM, {}).wrapped.description == {"key": "1"}
    wrong: list[tuple[Any, type[ConfigurationError]]] = [
        ({"ä": "1"}, ConfigurationError),
        ({"key": "a\nb"}, ConfigurationError),
        ({"key": 1}, ConfigurationTypeError),
        ({1: "key"}, ConfigurationTypeError),
        ("key", ConfigurationTypeError),
        ([("key", "1")], ConfigurationTypeError),
    ]
    for value, error in wrong:
        with pytest.raises(error, match="material_description"):
            raw_keyring(name, material_description=value)


@pytest.mark.parametrize(
    "key", [b"", bytes(8) + b"x", b"k" * 15, b"k" * 17, b"k" * 31, b"k" * 33, b"k" * 64, bytes(16), bytes(32)], ids=len
)
def test_aes_key_of_no_use_is_refused(key: bytes) -> None:
    """WR-13: 16, 24 or 32 bytes, and not all zero."""
    with pytest.raises(ConfigurationError, match="AES wrapping key"):
        AesKeyring(key)


@pytest.mark.parametrize("key", ["k" * 32, AES_KEY.hex(), 987654321, [1] * 32])
def test_aes_key_of_another_type_is_refused(key: Any) -> None:
    """WR-13: text is no key: somebody forgot to decode it. The message does not repeat it."""
    with pytest.raises(ConfigurationTypeError, match="Decode hex or base64 text first") as caught:
        AesKeyring(key)
    assert str(key) not in str(caught.value)


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("key_bytes", [16, 24, 32])
def test_aes_key_may_be_any_bytes(make: Callable[[Any], Any], key_bytes: int) -> None:
    """bytes, bytearray and memoryview are keys; the caller may wipe his own copy."""
    key = bytearray(AES_KEY[:key_bytes])
    keyring = AesKeyring(make(key))
    made = keyring.generate_data_key(GCM, {})
    key[:] = bytes(key_bytes)
    assert AesKeyring(AES_KEY[:key_bytes]).decrypt_data_key(made.wrapped) == made.plaintext


RSA_FORMS = {
    "object": RSA_KEY,
    "PEM text": RSA_KEY.export_key("PEM").decode(),
    "PEM bytes": RSA_KEY.export_key("PEM"),
    "PKCS#8 DER": RSA_KEY.export_key("DER", pkcs=8),
    "PKCS#1 DER": bytearray(RSA_KEY.export_key("DER")),
}


@pytest.mark.parametrize("form", RSA_FORMS.values(), ids=RSA_FORMS)
def test_rsa_key_may_have_any_usual_form(form: Any) -> None:
    """PEM, DER and key objects are read."""
    made = RsaKeyring(RSA_KEY).generate_data_key(GCM, {})
    assert RsaKeyring(form).decrypt_data_key(made.wrapped) == made.plaintext


@pytest.mark.parametrize("passphrase", ["open sesame", b"open sesame"])
def test_rsa_key_may_be_encrypted(passphrase: str | bytes) -> None:
    """A passphrase opens the key; without it, or with another one, the error says just that the key can't be read."""
    pem = RSA_KEY.export_key(
        passphrase="open sesame",
        pkcs=8,
        protection="PBKDF2WithHMAC-SHA1AndAES128-CBC",
        prot_params={"iteration_count": 1000},
    )
    made = RsaKeyring(RSA_KEY).generate_data_key(GCM, {})
    assert RsaKeyring(pem, passphrase=passphrase).decrypt_data_key(made.wrapped) == made.plaintext
    for wrong in (None, "wrong", b"\xff"):
        with pytest.raises(ConfigurationError, match="can't be read") as caught:
            RsaKeyring(pem, passphrase=wrong)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "key", ["", "no key", b"\x30\x82", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
)
def test_rs_08_rsa_key_that_is_none_is_refused(key: Any) -> None:
    """RS-08: what can't be parsed is refused with one text."""
    with pytest.raises(ConfigurationError, match="PEM or DER"):
        RsaKeyring(key)


@pytest.mark.parametrize("key", [None, 5, ["PEM"], object()])
def test_rsa_key_of_another_type_is_refused(key: Any) -> None:
    """RS-08: neither text nor bytes nor a key object."""
    with pytest.raises(ConfigurationTypeError, match="PEM or DER"):
        RsaKeyring(key)


SMALL_RSA_KEY = next(group for group, _ in wycheproof("Cipher/wycheproof/rsa_oaep_misc_test.json"))["privateKeyPem"]
WEAK_RSA_KEYS = {
    "1024 bits": RSA.import_key(SMALL_RSA_KEY),
    "exponent 1": RSA.construct((RSA_KEY.n, 1), consistency_check=False),
    "exponent 3": RSA.construct((RSA_KEY.n, 3), consistency_check=False),
    "even exponent": RSA.construct((RSA_KEY.n, 65540), consistency_check=False),
    "even modulus": RSA.construct((RSA_KEY.n - 1, 65537), consistency_check=False),
}


@pytest.mark.parametrize("key", WEAK_RSA_KEYS.values(), ids=WEAK_RSA_KEYS)
def test_rs_08_weak_rsa_key_is_refused(key: RSA.RsaKey) -> None:
    """RS-08: fewer than 2048 bits, a small or even exponent, an even modulus; the numbers are not repeated."""
    with pytest.raises(ConfigurationError, match="RSA wrapping key must have") as caught:
        RsaKeyring(key)
    assert str(key.n) not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in RAW_WRAPS if WRAP_ALGORITHMS[name].key_type == "rsa"])
def test_public_rsa_key_writes_and_does_not_read(name: str) -> None:
    """WR-13: the public key makes data keys that the private one unwraps; reading with it alone is told clearly."""
    writer = RsaKeyring(RSA_KEY.public_key(), wrapping_algorithm=name)
    made = writer.generate_data_key(GCM, {})
    assert RsaKeyring(RSA_KEY).decrypt_data_key(made.wrapped) == made.plaintext
    with pytest.raises((ConfigurationError, KeyringMismatchError), match="public key only"):
        writer.decrypt_data_key(made.wrapped)


@pytest.mark.parametrize("bits", [3072])
@pytest.mark.parametrize("name", [name for name in RAW_WRAPS if WRAP_ALGORITHMS[name].key_type == "rsa"])
def test_longer_rsa_keys_work(name: str, bits: int) -> None:
    """RS-07: the modulus may be longer; a data key wrapped under one length is refused by a key of another one."""
    keyring = RsaKeyring(other_rsa_key(bits), wrapping_algorithm=name)
    made = keyring.generate_data_key(GCM, {})
    assert len(made.wrapped.encrypted_data_key) == bits // 8
    assert keyring.decrypt_data_key(made.wrapped) == made.plaintext
    with pytest.raises(DecryptionError):
        RsaKeyring(RSA_KEY).decrypt_data_key(made.wrapped)


@pytest.mark.parametrize("name", ["", "AES", "aes/gcm", "kms", "RSA-OAEP-SHA1", "x" * 10_000])
def test_unknown_wrapping_algorithm_is_refused(name: Any) -> None:
    """A keyring takes the names of its own kind of key only; the message lists them."""
    with pytest.raises(ConfigurationError, match="AESWrap") as caught:
        AesKeyring(AES_KEY, wrapping_algorithm=name)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", [None, 5, b"AES/GCM"])
def test_wrapping_algorithm_of_another_type_is_refused(name: Any) -> None:
    """CF-05: a name is a str."""
    with pytest.raises(ConfigurationTypeError, match="wrapping_algorithm"):
        AesKeyring(AES_KEY, wrapping_algorithm=name)


# --- KMS --------------------------------------------------------------------------------------------------------------


@kms_wraps
def test_kms_data_key_can_be_unwrapped(name: str) -> None:
    """One GenerateDataKey makes it, one Decrypt unwraps it, both name the key and give the same context."""
    kms = FakeKms()
    keyring = KmsKeyring(kms, KMS_KEY_ARN, wrapping_algorithm=name, grant_tokens=["token"])
    made = keyring.generate_data_key(GCM, {"tenant": "a"})
    assert keyring.decrypt_data_key(made.wrapped) == made.plaintext
    reserved = {"aws:x-amz-cek-alg": GCM} if name == "kms+context" else {"kms_cmk_id": KMS_KEY_ARN}
    context = {"tenant": "a", **reserved}
    assert made.wrapped.description == context
    common = {"KeyId": KMS_KEY_ARN, "EncryptionContext": context, "GrantTokens": ["token"]}
    blob = made.wrapped.encrypted_data_key
    assert kms.calls == [
        ("generate_data_key", {**common, "NumberOfBytes": 32}),
        ("decrypt", {**common, "CiphertextBlob": blob}),
    ]


@kms_wraps
def test_kms_keyring_sends_no_empty_grant_tokens(name: str) -> None:
    """KMS refuses an empty list of grant tokens, so there is none without tokens."""
    kms = FakeKms()
    no_tokens: tuple[list[str] | None, ...] = (None, [])
    for tokens in no_tokens:
        KmsKeyring(kms, KMS_KEY_ARN, wrapping_algorithm=name, grant_tokens=tokens).generate_data_key(GCM, {})
    assert [request.keys() & {"GrantTokens"} for _, request in kms.calls] == [set()] * 2


@kms_wraps
def test_kms_keyring_leaves_the_callers_context_alone(name: str) -> None:
    """EC-08: the dict of the caller gets no reserved entry."""
    context = {"tenant": "a"}
    KmsKeyring(FakeKms(), KMS_KEY_ARN, wrapping_algorithm=name).generate_data_key(GCM, context)
    assert context == {"tenant": "a"}


@pytest.mark.parametrize("key_id", [KMS_KEY_ARN, ALIAS])
def test_kms_data_key_under_another_key_is_refused(key_id: str) -> None:
    """KM-01: the configured key is named on Decrypt, so KMS refuses a data key made under any other."""
    kms = FakeKms(aliases={ALIAS: KMS_KEY_ARN})
    foreign = kms.wrap(bytes(range(32)), {"aws:x-amz-cek-alg": GCM}, OTHER_KMS_KEY_ARN)
    wrapped = WrappedDataKey(foreign, "kms+context", GCM, {"aws:x-amz-cek-alg": GCM})
    with pytest.raises(FakeKmsError, match="IncorrectKeyException"):
        KmsKeyring(kms, key_id).decrypt_data_key(wrapped)


def test_kms_that_ignores_the_key_id_is_found_out() -> None:
    """KM-02: where a server decrypts under another key all the same, its answer names that key and is refused."""
    kms = FakeKms(ignores_key_id=True)
    foreign = kms.wrap(bytes(range(32)), {"aws:x-amz-cek-alg": GCM}, OTHER_KMS_KEY_ARN)
    wrapped = WrappedDataKey(foreign, "kms+context", GCM, {"aws:x-amz-cek-alg": GCM})
    with pytest.raises(DecryptionError):
        KmsKeyring(kms, KMS_KEY_ARN).decrypt_data_key(wrapped)


@pytest.mark.parametrize("key_id", [ALIAS, "arn:aws:kms:us-east-1:111122223333:" + ALIAS, KMS_KEY_ARN.split("/")[1]])
def test_kms_key_may_be_named_by_an_alias_or_an_id(key_id: str) -> None:
    """KM-07: the answer then names a key ARN that can't be compared, and is accepted."""
    keyring = KmsKeyring(FakeKms(aliases={key_id: KMS_KEY_ARN}), key_id)
    made = keyring.generate_data_key(GCM, {})
    assert keyring.decrypt_data_key(made.wrapped) == made.plaintext


def test_kms_key_id_in_the_context_is_not_the_one_that_is_asked() -> None:
    """KM-08: what an old object says about its key is context and no more: the configured key is named to KMS."""
    kms = FakeKms()
    context = {"kms_cmk_id": OTHER_KMS_KEY_ARN}
    wrapped = WrappedDataKey(kms.wrap(bytes(range(32)), context), "kms", GCM, context)
    assert KmsKeyring(kms, KMS_KEY_ARN).decrypt_data_key(wrapped) == bytes(range(32))
    assert kms.calls[0][1]["KeyId"] == KMS_KEY_ARN


@kms_wraps
@pytest.mark.parametrize("operation", ["generate", "decrypt"])
def test_kms_errors_pass_through_a_keyring(name: str, operation: str) -> None:
    """KM-04, KM-05: what KMS raises is what the caller gets, the very same object."""
    kms = FakeKms()
    keyring = KmsKeyring(kms, KMS_KEY_ARN, wrapping_algorithm=name)
    wrapped = keyring.generate_data_key(GCM, {}).wrapped
    kms.failure = failure = FakeKmsError("ThrottlingException")
    calls: dict[str, Callable[[], object]] = {
        "generate": lambda: keyring.generate_data_key(GCM, {}),
        "decrypt": lambda: keyring.decrypt_data_key(wrapped),
    }
    with pytest.raises(FakeKmsError) as caught:
        calls[operation]()
    assert caught.value is failure


@pytest.mark.parametrize("client", [None, "kms", 5, object(), KMS_KEY_ARN])
def test_kms_client_must_be_one(client: Any) -> None:
    """AL-19: something that is no KMS client is refused when the keyring is made."""
    with pytest.raises(ConfigurationTypeError, match="KMS client"):
        KmsKeyring(client, KMS_KEY_ARN)


def test_kms_key_id_must_name_a_key() -> None:
    """An empty key id, or none, is refused when the keyring is made."""
    for key_id in ("", "  "):
        with pytest.raises(ConfigurationError, match="kms_key_id"):
            KmsKeyring(FakeKms(), key_id)
    wrong: Any
    for wrong in (None, b"key", 5):
        with pytest.raises(ConfigurationTypeError, match="kms_key_id"):
            KmsKeyring(FakeKms(), wrong)


# --- several keyrings -------------------------------------------------------------------------------------------------


class RecordingKeyring:
    """A keyring that notes what it is asked, and passes it on."""

    def __init__(self, keyring: Keyring, log: list[str], name: str) -> None:
        self._keyring, self._log, self._name = keyring, log, name
        self.wrapping_algorithms = getattr(keyring, "wrapping_algorithms", None)
        self.material_description = getattr(keyring, "material_description", None)

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        self._log.append(f"{self._name} generates")
        return self._keyring.generate_data_key(content_algorithm, encryption_context)

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        self._log.append(f"{self._name} decrypts")
        return self._keyring.decrypt_data_key(wrapped)


@raw_wraps
def test_multi_keyring_reads_what_the_old_key_wrote(name: str) -> None:
    """After a rotation new data keys are the new key's, and the old key's are still unwrapped."""
    old, new = (raw_keyring(name, other=other, material_description={"key": str(other)}) for other in (True, False))
    both = MultiKeyring(new, old)
    for keyring in (old, new):
        made = keyring.generate_data_key(GCM, {})
        assert both.decrypt_data_key(made.wrapped) == made.plaintext
    made = both.generate_data_key(GCM, {})
    assert new.decrypt_data_key(made.wrapped) == made.plaintext


@pytest.mark.parametrize("name", ["AES/GCM", "AESWrap", "RSA-OAEP-SHA1", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"])
def test_multi_keyring_rotates_without_descriptions(name: str) -> None:
    """Where the wrap tells a wrong key, keyrings are tried in turn and no description is needed."""
    old, new = raw_keyring(name, other=True), raw_keyring(name)
    made = old.generate_data_key(GCM, {})
    assert MultiKeyring(new, old).decrypt_data_key(made.wrapped) == made.plaintext


def test_multi_keyring_tries_the_described_one_first() -> None:
    """A material description that equals the object's saves the failing attempts before it."""
    log: list[str] = []
    rings = [AesKeyring(bytes([i]) * 32, material_description={"key": str(i)}) for i in (1, 2, 3)]
    multi = MultiKeyring(*(RecordingKeyring(ring, log, str(i)) for i, ring in enumerate(rings, 1)))
    made = rings[2].generate_data_key(GCM, {})
    assert multi.decrypt_data_key(made.wrapped) == made.plaintext
    assert log == ["3 decrypts"]
    log.clear()
    undescribed = replace(made.wrapped, description={})
    assert multi.decrypt_data_key(undescribed) == made.plaintext
    assert log == ["1 decrypts", "2 decrypts", "3 decrypts"]


def test_multi_keyring_holds_keyrings_of_several_kinds() -> None:
    """What several parties wrote is read by the keyring of the kind; the others are not disturbed."""
    kms = FakeKms()
    multi = MultiKeyring(KmsKeyring(kms, KMS_KEY_ARN), AesKeyring(AES_KEY), RsaKeyring(RSA_KEY))
    for name in RAW_WRAPS:
        made = raw_keyring(name).generate_data_key(GCM, {})
        assert multi.decrypt_data_key(made.wrapped) == made.plaintext
    assert kms.calls == []
    assert multi.wrapping_algorithms == WRAP_ALGORITHMS.keys()
    assert multi.wrapping_algorithm == "kms+context"


@pytest.mark.parametrize("code", ["IncorrectKeyException", "InvalidCiphertextException"])
def test_multi_keyring_goes_on_when_kms_names_another_key(code: str) -> None:
    """KMS's words for a data key of another key lead to the next keyring."""
    kms, failing = FakeKms(), FakeKms()
    made = KmsKeyring(kms, KMS_KEY_ARN).generate_data_key(GCM, {})
    failing.failure = FakeKmsError(code)
    multi = MultiKeyring(KmsKeyring(failing, OTHER_KMS_KEY_ARN), KmsKeyring(kms, KMS_KEY_ARN))
    assert multi.decrypt_data_key(made.wrapped) == made.plaintext
    assert failing.count("decrypt") == 1


def test_multi_keyring_stops_at_other_failures_of_kms() -> None:
    """A refusal, a throttling or a time-out is no sign of a wrong key, and is raised as it is."""
    kms, failing = FakeKms(), FakeKms()
    made = KmsKeyring(kms, KMS_KEY_ARN).generate_data_key(GCM, {})
    for failure in (FakeKmsError("AccessDeniedException"), TimeoutError("KMS")):
        failing.failure = failure
        multi = MultiKeyring(KmsKeyring(failing, OTHER_KMS_KEY_ARN), KmsKeyring(kms, KMS_KEY_ARN))
        with pytest.raises(type(failure)) as caught:
            multi.decrypt_data_key(made.wrapped)
        assert caught.value is failure
    assert kms.count("decrypt") == 0


def test_multi_keyring_fails_as_its_keyrings_do() -> None:
    """With no key that fits the failure is the last one; with no keyring of the kind it is the mismatch."""
    made = AesKeyring(AES_KEY).generate_data_key(GCM, {})
    others = [AesKeyring(bytes([i]) * 32) for i in (1, 2)]
    with pytest.raises(DecryptionError):
        MultiKeyring(*others, RsaKeyring(RSA_KEY)).decrypt_data_key(made.wrapped)
    with pytest.raises(KeyringMismatchError, match="AES/GCM"):
        MultiKeyring(RsaKeyring(RSA_KEY), KmsKeyring(FakeKms(), KMS_KEY_ARN)).decrypt_data_key(made.wrapped)


def test_multi_keyring_passes_over_a_public_key() -> None:
    """A writer with a public key only does not keep the readers behind it from reading."""
    old = RsaKeyring(other_rsa_key())
    made = old.generate_data_key(GCM, {})
    multi = MultiKeyring(RsaKeyring(RSA_KEY.public_key()), old)
    assert multi.decrypt_data_key(made.wrapped) == made.plaintext


def test_multi_keyrings_can_be_nested() -> None:
    """A MultiKeyring is a keyring like any other."""
    made = AesKeyring(AES_KEY).generate_data_key(GCM, {})
    inner = MultiKeyring(RsaKeyring(RSA_KEY), AesKeyring(bytes([1]) * 32))
    assert MultiKeyring(inner, AesKeyring(AES_KEY)).decrypt_data_key(made.wrapped) == made.plaintext


def test_multi_keyring_takes_keyrings_only() -> None:
    """AL-19: a key, a class or nothing is refused at once."""
    wrong: Any
    for wrong in (AES_KEY, None, AesKeyring, "kms"):
        with pytest.raises(ConfigurationTypeError, match="keyring"):
            MultiKeyring(AesKeyring(AES_KEY), wrong)


# --- keyrings of the user's own ---------------------------------------------------------------------------------------


class TwoMethods:
    """The least that is a keyring: it keeps data keys in a dict, and tells nothing about itself."""

    def __init__(self) -> None:
        self.data_keys: dict[bytes, bytes] = {}

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        data_key, name = bytes([len(self.data_keys) + 1]) * 32, f"key {len(self.data_keys)}".encode()
        self.data_keys[name] = data_key
        return DataKey(data_key, WrappedDataKey(name, "AES/GCM", content_algorithm, {}))

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        try:
            return self.data_keys[wrapped.encrypted_data_key]
        except KeyError:
            raise DecryptionError from None


def test_keyring_of_two_methods_is_a_keyring() -> None:
    """No base class and no registration is needed."""
    check_keyring(TwoMethods())
    assert isinstance(TwoMethods(), Keyring)


def test_keyring_of_two_methods_writes_and_reads() -> None:
    """An sealer with it seals objects and opens them again, alone and in a MultiKeyring."""
    keyring = TwoMethods()
    sealed = sealer_with(keyring=keyring).seal()
    for reader in (keyring, MultiKeyring(AesKeyring(AES_KEY), keyring)):
        opened = sealer_with(keyring=reader).open(sealed.envelope)
        assert (opened.suite, opened.key, opened.iv) == (
            sealed.content_key.suite,
            sealed.content_key.key,
            sealed.content_key.iv,
        )


@pytest.mark.parametrize("thing", [None, object(), AES_KEY, AesKeyring, TwoMethods, "aes"])
def test_thing_without_the_two_methods_is_no_keyring(thing: object) -> None:
    """AL-19: what lacks a method, or is a class, is refused with a list of what would do."""
    with pytest.raises(ConfigurationTypeError, match="generate_data_key and decrypt_data_key"):
        check_keyring(thing)


# --- no leaks ---------------------------------------------------------------------------------------------------------

SECRETS = {
    "AES key": AES_KEY,
    "RSA private exponent": RSA_KEY.d.to_bytes(256, "big"),
    "RSA prime": RSA_KEY.p.to_bytes(128, "big"),
}


def shows(text: str, secret: bytes) -> bool:
    """Tell whether a text shows a secret in any usual spelling."""
    number = str(int.from_bytes(secret, "big"))
    return any(form in text for form in (repr(secret)[2:-1], secret.hex(), secret.hex().upper(), number))


def all_keyrings() -> list[Keyring]:
    """Return a keyring of each kind."""
    rings: list[Keyring] = [AesKeyring(AES_KEY), RsaKeyring(RSA_KEY), KmsKeyring(FakeKms(), KMS_KEY_ARN)]
    return [*rings, MultiKeyring(*rings)]


@pytest.mark.parametrize("keyring", all_keyrings(), ids=lambda keyring: type(keyring).__name__)
def test_lk_04_keyring_shows_no_key(keyring: Keyring) -> None:
    """LK-04: repr, str and format tell what kind of key it is, and nothing of the key."""
    for text in (repr(keyring), str(keyring), f"{keyring}", f"{[keyring]!r}"):
        assert type(keyring).__name__ in text
        assert not [name for name, secret in SECRETS.items() if shows(text, secret)]


@pytest.mark.parametrize("keyring", all_keyrings(), ids=lambda keyring: type(keyring).__name__)
def test_data_key_is_not_shown(keyring: Keyring) -> None:
    """LK-04: a new data key hides itself, and the wrapped one hides its bytes."""
    made = keyring.generate_data_key(GCM, {})
    assert not shows(f"{made!r} {made.wrapped!r}", made.plaintext)
    assert not shows(f"{made!r} {made.wrapped!r}", made.wrapped.encrypted_data_key)


RAW_KEYRINGS = [AesKeyring(AES_KEY), RsaKeyring(RSA_KEY), MultiKeyring(AesKeyring(AES_KEY))]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("keyring", RAW_KEYRINGS, ids=lambda keyring: type(keyring).__name__)
def test_lk_07_keyring_with_a_key_is_not_pickled(keyring: Keyring, duplicate: Callable[[object], object]) -> None:
    """LK-07: neither a keyring nor one that holds it leaves the process."""
    with pytest.raises(TypeError, match="can't be pickled or copied"):
        duplicate(keyring)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_lk_07_data_key_is_not_pickled(duplicate: Callable[[object], object]) -> None:
    """LK-07: a data key in plaintext stays where it is."""
    with pytest.raises(TypeError, match="can't be pickled or copied"):
        duplicate(AesKeyring(AES_KEY).generate_data_key(GCM, {}))


@pytest.mark.parametrize("kind", [V2_AES, V3_AES, V1_KINDS[0], V1_KINDS[1]], ids=str)
def test_nothing_secret_is_logged_or_raised(
    kind: Kind, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """LK-01, LK-05: at DEBUG level, with a good read and a failing one, no log line and no error shows a key."""
    encoder = Encoder()
    plaintext, data_key = encoder.random_bytes(20), encoder.random_bytes(32)
    stored = encoder.write(kind, plaintext, data_key=data_key)
    sealer = sealer_with(keyring=encoder.keyring(kind), **kind.switches)
    with caplog.at_level(logging.DEBUG):
        assert read(sealer, stored) == plaintext
        with pytest.raises(DecryptionError) as caught:
            read(sealer, Stored(stored.metadata, stored.body[:-1]))
    printed = "".join(traceback.format_exception(caught.value))
    text = caplog.text + printed + repr(caught.value) + "".join(capsys.readouterr())
    for secret in (data_key, plaintext, *SECRETS.values()):
        assert not shows(text, secret)
