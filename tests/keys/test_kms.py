"""The KMS keyring: one call for each data key, each with the key and the context."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest
from support.encoder import GCM
from support.fake_kms import KMS_KEY_ARN, OTHER_KMS_KEY_ARN, FakeKms, FakeKmsError
from support.secret_search import showing

from s3_encryption._keys.keyring import WrappedDataKey
from s3_encryption._keys.kms import KmsKeyring
from s3_encryption._keys.wrap_algorithms import WRAP_ALGORITHMS
from s3_encryption.exceptions import (
    ConfigurationError,
    ConfigurationTypeError,
    DecryptionError,
    KeyringAnswerError,
)

KMS_WRAPS = [name for name, algorithm in WRAP_ALGORITHMS.items() if algorithm.key_type == "kms"]

ALIAS = "alias/documents"

kms_wraps = pytest.mark.parametrize("name", KMS_WRAPS)


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


SECRET = bytes(range(100, 132))


class AnsweringKms:
    """A stand-in for a KMS client that answers whatever it is told to."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def generate_data_key(self, **request: Any) -> Any:
        """Answer GenerateDataKey."""
        return self._answer

    def decrypt(self, **request: Any) -> Any:
        """Answer Decrypt."""
        return self._answer


WRONG_ANSWERS: list[tuple[Any, str]] = [
    (None, "must be a dict, not NoneType"),
    (SECRET, "must be a dict, not bytes"),
    ([], "must be a dict, not list"),
    ({"CiphertextBlob": b"blob"}, "lacks Plaintext"),
    ({"CiphertextBlob": b"blob", "Plaintext": None}, "lacks Plaintext"),
    ({"CiphertextBlob": b"blob", "Plaintext": SECRET.hex()}, "bytes as Plaintext, not str"),
    ({"CiphertextBlob": b"blob", "Plaintext": 32}, "bytes as Plaintext, not int"),
    ({"Plaintext": SECRET}, "lacks CiphertextBlob"),
    ({"CiphertextBlob": "blob", "Plaintext": SECRET}, "bytes as CiphertextBlob, not str"),
]


@pytest.mark.parametrize(
    ("operation", "answer", "field"),
    [
        (operation, answer, field)
        for operation in ("generate", "decrypt")
        for answer, field in WRONG_ANSWERS
        # Decrypt answers none.
        if operation == "generate" or "CiphertextBlob" not in field
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_answer_of_a_kms_client_is_refused_by_the_name_of_its_field(operation: str, answer: Any, field: str) -> None:
    """A stand-in for KMS may answer anything: 32, which bytes() would make a key of zeros; no part of it is shown."""
    keyring = KmsKeyring(AnsweringKms(answer), KMS_KEY_ARN)
    wrapped = WrappedDataKey(b"blob", "kms+context", GCM, {"aws:x-amz-cek-alg": GCM})
    with pytest.raises(KeyringAnswerError, match=field) as caught:
        keyring.generate_data_key(GCM, {}) if operation == "generate" else keyring.decrypt_data_key(wrapped)
    recorded = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert showing([SECRET], [recorded[recorded.index("/kms.py") :]]) == []


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
