"""The names and the calling form of AWS's own Python client, for code that was written for it.

``S3EncryptionClient(client, S3EncryptionClientConfig(keyring))`` makes the same client as the keyword form does, with
that package's defaults (V3 is written, and nothing older is read) and its own way to call some methods.
"""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from boto3.s3.transfer import TransferConfig

from .._checks import check_switch
from .._crypto.content import CommitmentPolicy
from .._keys.keyring import Keyring
from .._keys.kms import KmsKeyring
from .._operations.stored_object import ENVELOPE_MEMBER
from ..exceptions import (
    ConfigurationError,
    ConfigurationTypeError,
    EncryptionContextMismatchError,
    PolicyError,
    S3EncryptionClientError,
    quoted,
)

# What errors say of a fault here (a class, and a part of the text), and what that package's say of the same one, which
# programs and tests look for. Other errors keep their one text, those of a failed decryption above all.
_ITS_WORDS: tuple[tuple[type[S3EncryptionClientError], str, str], ...] = (
    (
        EncryptionContextMismatchError,
        "EncryptionContext",
        "Provided encryption context does not match information retrieved from S3",
    ),
    (
        PolicyError,
        "without key commitment",
        "Configuration conflict: cannot decrypt non-key-committing object when commitment policy is "
        "REQUIRE_ENCRYPT_REQUIRE_DECRYPT",
    ),
    (PolicyError, "enable_legacy_wrapping_algorithms=True", "Enable legacy wrapping algorithms"),
    (
        PolicyError,
        "enable_legacy_unauthenticated_modes=True",
        "The S3 Encryption Client is not configured to decrypt objects using legacy unauthenticated algorithm suites",
    ),
)

_BOTO3_NAMES = frozenset({"Filename", "Fileobj", "Bucket", "Key", "ExtraArgs", "Callback", "Config"})


class AlgorithmSuite(enum.Enum):
    """Names of content algorithms. Which one is written follows from the commitment policy."""

    ALG_AES_256_CBC_IV16_NO_KDF = "AES/CBC/PKCS5Padding"
    ALG_AES_256_GCM_IV12_TAG16_NO_KDF = "AES/GCM/NoPadding"
    ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY = "AES/GCM/HKDF/CommitKey"


class AwsKmsKeyring(KmsKeyring):
    """A KmsKeyring that says whether data keys of the older ``kms`` wrap are read."""

    def __init__(self, kms_client: Any, kms_key_id: str, enable_legacy_wrapping_algorithms: bool = False) -> None:
        check_switch("enable_legacy_wrapping_algorithms", enable_legacy_wrapping_algorithms)
        super().__init__(kms_client, kms_key_id)
        self.kms_client = kms_client
        self.kms_key_id = kms_key_id
        self.enable_legacy_wrapping_algorithms = enable_legacy_wrapping_algorithms


@dataclass(frozen=True, slots=True)
class DefaultCryptoMaterialsManager:
    """A keyring, under another name."""

    keyring: Keyring


@dataclass(frozen=True, slots=True)
class InstructionFileConfig:
    """Whether envelopes are looked for in instruction files.

    Envelopes go into metadata, unless ``envelope_location`` beside the configuration says otherwise; it decides about
    deletes too. The last two have no effect.
    """

    disable_get_object: bool = False
    disable_delete_object: bool = False
    disable_delete_objects: bool = False


@dataclass(frozen=True)
class S3EncryptionClientConfig:
    """The options of a client, in one object.

    Args:
        keyring: Where data keys come from: any keyring of this library, or one with a keyring's two methods.
        encryption_algorithm: Must be the one that the policy asks for; the policy decides.
        commitment_policy: Unlike in the keyword form, nothing older than V3 is read unless this says so.
        enable_legacy_unauthenticated_modes: Read objects whose content nothing authenticates (CBC).
        cmm: Holds a keyring, and precedes ``keyring``.
        enable_delayed_authentication: Release plaintext while it arrives.
        instruction_file_config: Whether instruction files are read.

    Raises:
        ConfigurationError: Algorithm and policy contradict each other.
        ConfigurationTypeError: ``cmm`` is a materials manager of one's own.
    """

    keyring: Keyring
    encryption_algorithm: AlgorithmSuite = AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
    commitment_policy: CommitmentPolicy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    enable_legacy_unauthenticated_modes: bool = False
    cmm: DefaultCryptoMaterialsManager | None = None
    enable_delayed_authentication: bool = False
    instruction_file_config: InstructionFileConfig = field(default_factory=InstructionFileConfig)

    def __post_init__(self) -> None:
        if self.cmm is not None and not isinstance(self.cmm, DefaultCryptoMaterialsManager):
            raise ConfigurationTypeError(
                "cmm must be a DefaultCryptoMaterialsManager. What a materials manager of your own does, a keyring of "
                f"your own can do: it has the methods generate_data_key and decrypt_data_key. This is "
                f"{type(self.cmm).__name__}."
            )
        if not isinstance(self.commitment_policy, CommitmentPolicy):
            raise ConfigurationTypeError(
                f"commitment_policy must be a CommitmentPolicy, not {quoted(self.commitment_policy)}."
            )
        expected = (
            AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
            if self.commitment_policy.commits_on_encrypt
            else AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF
        )
        if self.encryption_algorithm is not expected:
            raise ConfigurationError(
                f"commitment_policy={self.commitment_policy.name} writes encryption_algorithm={expected.name}, "
                f"not {quoted(self.encryption_algorithm)}."
            )

    def options(self) -> dict[str, Any]:
        """Return the same as options of the keyword form."""
        keyring = self.cmm.keyring if self.cmm else self.keyring
        return {
            "keyring": keyring,
            "commitment_policy": self.commitment_policy,
            "enable_legacy_wrapping_algorithms": getattr(keyring, "enable_legacy_wrapping_algorithms", False),
            "enable_legacy_unauthenticated_modes": self.enable_legacy_unauthenticated_modes,
            "enable_delayed_authentication": self.enable_delayed_authentication,
            "ignore_instruction_files": self.instruction_file_config.disable_get_object,
        }


class AwsCallingForms:
    """What a client made from a configuration object takes besides what boto3's takes."""

    # Set when it is made.
    config: S3EncryptionClientConfig

    @property
    def wrapped_s3_client(self) -> Any:
        """The client itself: calls meant for the one underneath would go around the encryption."""
        return self

    def upload_file(self, *args: Any, **options: Any) -> None:
        """Upload a file; also with names in lower case, part sizes, and parameters of ``put_object`` as keywords."""
        upload = super().upload_file  # type: ignore[misc]
        upload(**_for_boto3(upload, _file_form, args, options))

    def upload_fileobj(self, *args: Any, **options: Any) -> None:
        """Upload a file-like object, in the same forms as ``upload_file``; it is left open."""
        upload = super().upload_fileobj  # type: ignore[misc]
        named = _for_boto3(upload, _fileobj_form, args, options)
        upload(**{**named, "Fileobj": _Lent(named["Fileobj"])})

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> Any:
        if operation_name == "UploadPart" and "IsLastPart" in api_params:
            # Which part is the last is found out here.
            api_params = {name: value for name, value in api_params.items() if name != "IsLastPart"}
        try:
            answer = super()._make_api_call(operation_name, api_params)  # type: ignore[misc]
        except S3EncryptionClientError as error:
            error.args = (_with_its_words(error),)
            raise
        if operation_name in ("GetObject", "HeadObject") and ENVELOPE_MEMBER in answer:
            # That client shows the envelope among the metadata.
            answer["Metadata"].update(answer.pop(ENVELOPE_MEMBER))
        return answer


def _with_its_words(error: S3EncryptionClientError) -> str:
    text = str(error.args[0])
    said = [its for kind, ours, its in _ITS_WORDS if isinstance(error, kind) and ours in text and its not in text]
    return " ".join([text, *(f"({its}.)" for its in said)])


class _Lent:
    """A file-like object that its borrower can't close."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        """Leave it open."""


_New = TypeVar("_New", bound=Callable[..., Any])


def accepts_aws_config(new: _New) -> _New:
    """Let a class's ``__new__`` also take ``(wrapped_s3_client, config)``, by position or by name."""

    @functools.wraps(new)
    def made(cls: type, *args: Any, **options: Any) -> Any:
        config = args[1] if len(args) == 2 else options.get("config")
        if not isinstance(config, S3EncryptionClientConfig):
            return new(cls, *args, **options)
        given = {**dict(zip(("client", "config"), args, strict=False)), **options}
        del given["config"]
        if "wrapped_s3_client" in given:
            given["client"] = given.pop("wrapped_s3_client")
        configured = config.options()
        if twice := sorted(configured.keys() & given.keys()):
            raise ConfigurationError(f"{', '.join(twice)}: say it in the configuration, not beside it.")
        self = new(_with_form(cls), **configured, **given)
        self.config = config
        return self

    return cast(_New, made)


def _with_form(cls: type) -> type:
    return type(cls.__name__, (AwsCallingForms, cls), {"__module__": cls.__module__, "__doc__": cls.__doc__})


def _for_boto3(upload: Any, form: Callable[..., dict[str, Any]], args: Any, options: Any) -> dict[str, Any]:
    """Return the arguments of an upload by boto3's names, in whichever of the two forms they were given."""
    # The fourth argument is a number here, and a dict there.
    if options.keys() & _BOTO3_NAMES or any(isinstance(argument, Mapping) for argument in args[3:]):
        return inspect.signature(upload).bind(*args, **options).arguments
    return form(*args, **options)


def _file_form(
    filename: Any,
    bucket: str,
    key: str,
    multipart_threshold: int | None = None,
    multipart_chunksize: int | None = None,
    **extra: Any,
) -> dict[str, Any]:
    sizes = {"multipart_threshold": multipart_threshold, "multipart_chunksize": multipart_chunksize}
    config = TransferConfig(**{name: size for name, size in sizes.items() if size is not None})
    return {"Filename": filename, "Bucket": bucket, "Key": key, "ExtraArgs": extra, "Config": config}


def _fileobj_form(
    fileobj: Any, bucket: str, key: str, multipart_chunksize: int | None = None, **extra: Any
) -> dict[str, Any]:
    named = _file_form(fileobj, bucket, key, None, multipart_chunksize, **extra)
    return {"Fileobj": named.pop("Filename"), **named}
