"""S3EncryptionClient: a real boto3 S3 client that encrypts what it writes and decrypts what it reads.

OPERATIONS decides what becomes of every operation: one choke point, ``_make_api_call``, looks there. The methods that
boto3 adds to a client besides its operations are overridden below where they need it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import boto3
from botocore.client import BaseClient
from botocore.exceptions import ParamValidationError
from botocore.validate import ParamValidator

from .algorithms import CommitmentPolicy
from .engine import Engine, check_switch
from .envelope import DEFAULT_INSTRUCTION_FILE_SUFFIX
from .exceptions import (
    ConfigurationError,
    ConfigurationTypeError,
    S3EncryptionClientError,
    UnsupportedOperationError,
    shown,
)
from .keyrings import AesKeyring, Keyring, RsaKeyring
from .kms import kms_keyring
from .objects import ObjectOptions, ObjectStore, Params, check_suffix

if TYPE_CHECKING:
    # From boto3-stubs, where those are installed.
    from mypy_boto3_s3 import S3Client as _Client
else:
    # At run time the base class comes from boto3, when a client is made.
    _Client = object

DEFAULT_BUFFER_SIZE = 64 * 1024 * 1024
_ENVELOPE_LOCATIONS = ("metadata", "instruction_file")


@dataclass(frozen=True, slots=True)
class Operation:
    """What the client does with one operation of S3's model.

    ``decision`` is "encrypt", "decrypt", "translate" (lengths and metadata), "protect" (refuse) or "pass". ``handle``
    names the method of ObjectStore that does it; ``reason`` says why, where the call is refused.
    """

    decision: str
    handle: str = ""
    reason: str = ""


_NO_MULTIPART = "It would store parts that this version can't encrypt. Use put_object."

OPERATIONS: Mapping[str, Operation] = {
    "PutObject": Operation("encrypt", handle="put_object"),
    "GetObject": Operation("decrypt", handle="get_object"),
    "HeadObject": Operation("translate", handle="head_object"),
    "CreateMultipartUpload": Operation("protect", reason=_NO_MULTIPART),
    "UploadPart": Operation("protect", reason=_NO_MULTIPART),
    "UploadPartCopy": Operation("protect", reason=_NO_MULTIPART),
    "CopyObject": Operation("protect", handle="copy_object"),
    "SelectObjectContent": Operation("protect", reason="S3 can't query what it can't read. Get the object instead."),
    "PutObjectAnnotation": Operation("protect", reason="It would store the annotation unencrypted."),
    # Streams that are not the content of an object: a bit torrent file, an annotation, a Lambda function's answer.
    "GetObjectTorrent": Operation("pass"),
    "GetObjectAnnotation": Operation("pass"),
    "WriteGetObjectResponse": Operation("pass"),
}
_PASS = Operation("pass")
_UNKNOWN_STREAM = Operation("protect", reason="This version does not know how to keep its data encrypted.")

# Presigned URLs leave the encryption to whoever uses them. Reading by one yields ciphertext, which harms nobody.
_PRESIGNABLE = frozenset({"get_object", "head_object"})


class S3EncryptionClient(_Client):
    """A ``boto3.client("s3")`` that encrypts objects before S3 sees them, and decrypts them after download.

    Every method of boto3's client is there, with its own signature. ``put_object`` and ``get_object`` also take
    ``EncryptionContext`` (KMS; a dict of str to str that must be the same on reading) and ``InstructionFileSuffix``.

    Args:
        client: An S3 client to build on; it is not changed. Without it, one is made from ``session`` and the remaining
            keywords, which are those of ``boto3.client("s3")``.
        session: The boto3 session that makes the clients; the default session if left out.
        keyring: Where data keys come from. Exactly one of ``keyring``, ``kms_key_id``, ``aes_key``, ``rsa_key`` is
        needed. kms_key_id: An AWS KMS key id, ARN or alias: short for a KmsKeyring with a KMS client like the S3
        client. aes_key: 16, 24 or 32 bytes: short for AesKeyring(aes_key).
        rsa_key: PEM, DER or a key object: short for RsaKeyring(rsa_key).
        commitment_policy: FORBID_ENCRYPT_ALLOW_DECRYPT writes what every deployed reader knows (V2). Where all readers
        know
            V3, prefer REQUIRE_ENCRYPT_ALLOW_DECRYPT or REQUIRE_ENCRYPT_REQUIRE_DECRYPT.
        enable_legacy_wrapping_algorithms: Read objects whose data key was wrapped in an old way.
        enable_legacy_unauthenticated_modes: Read objects whose content nothing authenticates (CBC).
        enable_legacy_writes: Write V1 objects, or CBC content, for readers that know nothing newer.
        content_algorithm: "AES/CBC/PKCS5Padding" writes such content, behind ``enable_legacy_writes``.
        enable_unauthenticated_ranges: Read ranges of objects, which no tag can verify.
        enable_delayed_authentication: Release plaintext while it arrives; a changed object raises at its end only.
        allow_plaintext_reads: Return objects that have no envelope as they are.
        buffer_size: How many bytes of an object may be held in memory while it is verified; beyond it, ciphertext goes
        to a
            temporary file.
        envelope_location: Where new envelopes go: "metadata", or "instruction_file" (an object of its own beside it).
        instruction_file_suffix: What is added to an object's key to name its instruction file.

    Raises:
        ConfigurationError: An option is wrong, or options contradict each other. Nothing has been sent.
    """

    # For each instance, set by __new__.
    _inner: Any
    _store: ObjectStore

    def __new__(
        cls,
        client: Any = None,
        *,
        session: Any = None,
        keyring: Keyring | None = None,
        kms_key_id: str | None = None,
        aes_key: bytes | None = None,
        rsa_key: Any = None,
        commitment_policy: CommitmentPolicy = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
        enable_legacy_wrapping_algorithms: bool = False,
        enable_legacy_unauthenticated_modes: bool = False,
        enable_legacy_writes: bool = False,
        content_algorithm: str | None = None,
        enable_unauthenticated_ranges: bool = False,
        enable_delayed_authentication: bool = False,
        allow_plaintext_reads: bool = False,
        buffer_size: int = DEFAULT_BUFFER_SIZE,
        envelope_location: str = "metadata",
        instruction_file_suffix: str = DEFAULT_INSTRUCTION_FILE_SUFFIX,
        **client_options: Any,
    ) -> Any:
        keys = {"keyring": keyring, "kms_key_id": kms_key_id, "aes_key": aes_key, "rsa_key": rsa_key}
        _check_one_key(keys)
        options = _object_options(
            envelope_location=envelope_location,
            instruction_file_suffix=instruction_file_suffix,
            buffer_size=buffer_size,
            enable_unauthenticated_ranges=enable_unauthenticated_ranges,
            enable_delayed_authentication=enable_delayed_authentication,
            allow_plaintext_reads=allow_plaintext_reads,
        )
        local_keyring = _local_keyring(keyring, aes_key, rsa_key)
        inner = _inner_client(client, session, client_options)
        engine = Engine(
            keyring=local_keyring or kms_keyring(kms_key_id, inner, session, client_options),
            commitment_policy=commitment_policy,
            enable_legacy_wrapping_algorithms=enable_legacy_wrapping_algorithms,
            enable_legacy_unauthenticated_modes=enable_legacy_unauthenticated_modes,
            enable_legacy_writes=enable_legacy_writes,
            content_algorithm=content_algorithm,
        )
        self: Any = object.__new__(_class_over(cls, type(inner)))
        self.__dict__.update(inner.__dict__)
        # Botocore's own handlers hold weak references to the client that they were made for: it must live as long.
        self._inner = inner
        self._store = ObjectStore(engine, options)
        return self

    def __init__(self, *args: Any, **options: Any) -> None:
        """Do nothing: ``__new__`` has done it all, and the base class must not start anew."""

    # --- operations ---------------------------------------------------------------------------------------------------

    def _make_api_call(self, operation_name: str, api_params: Params) -> Any:
        operation = self._operation(operation_name)
        try:
            if operation.handle == "copy_object":
                _check_copy(api_params)
            elif operation.decision == "protect":
                raise UnsupportedOperationError(f"{operation_name} is refused. {operation.reason}")
            elif operation.handle:
                return self._handled(operation, operation_name, dict(api_params))
        except S3EncryptionClientError as error:
            raise error.at(api_params.get("Bucket"), api_params.get("Key")) from error.__cause__
        return super()._make_api_call(operation_name, api_params)

    def _handled(self, operation: Operation, operation_name: str, params: Params) -> Any:
        self._validate(operation_name, params)
        handle = getattr(self._store, operation.handle)
        return handle(super()._make_api_call, params)

    def _operation(self, operation_name: str) -> Operation:
        decided = OPERATIONS.get(operation_name)
        if decided is not None:
            return decided
        model = self.meta.service_model.operation_model(operation_name)
        streams = (
            model.has_streaming_input,
            model.has_streaming_output,
            model.has_event_stream_input,
            model.has_event_stream_output,
        )
        return _UNKNOWN_STREAM if any(streams) else _PASS

    def _validate(self, operation_name: str, params: Params) -> None:
        """Let botocore refuse wrong parameters before a data key is asked for."""
        if not self.meta.config.parameter_validation:
            return
        model = self.meta.service_model.operation_model(operation_name)
        known = {name: value for name, value in params.items() if name not in _EXTRA_PARAMETERS.get(operation_name, ())}
        report = ParamValidator().validate(known, model.input_shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())

    # --- what boto3 adds to the operations ----------------------------------------------------------------------------

    def copy(self, *args: Any, **kwargs: Any) -> Any:
        """Copy an object inside S3, as boto3's ``copy`` does: the copy decrypts like its source."""
        names = ("CopySource", "Bucket", "Key", "ExtraArgs")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        try:
            _check_copy(given.get("ExtraArgs") or {})
        except S3EncryptionClientError as error:
            raise error.at(given.get("Bucket"), given.get("Key")) from None
        # On the inner client: this one tells plaintext lengths, by which the end of the ciphertext would be cut off.
        return self._inner.copy(*args, **kwargs)

    def generate_presigned_url(self, ClientMethod: str, *args: Any, **kwargs: Any) -> Any:
        """Return a presigned URL for a read, which yields ciphertext; URLs for writes are refused."""
        method = str(ClientMethod)
        if method in _PRESIGNABLE:
            warnings.warn(
                f"Whoever uses a presigned URL for {method} gets the encrypted object and must decrypt it.",
                stacklevel=2,
            )
        elif method in ("put_object", "upload_part", "create_multipart_upload", "copy_object", "put_object_annotation"):
            _refuse_presigned(method)
        return self._inner.generate_presigned_url(ClientMethod, *args, **kwargs)

    def generate_presigned_post(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: what a browser posts would be stored unencrypted."""
        _refuse_presigned("POST")

    def _get_credentials(self) -> None:
        # boto3 asks for these only to hand transfers to the CRT client, which knows nothing of encryption. Without
        # credentials it stays with the transfer manager that calls this client.
        return None

    # --- as an object -------------------------------------------------------------------------------------------------

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("An S3EncryptionClient can't be pickled or copied: make one in each process.")


_EXTRA_PARAMETERS = {
    "PutObject": ("EncryptionContext", "InstructionFileSuffix"),
    "GetObject": ("EncryptionContext", "InstructionFileSuffix"),
}


def _class_over(cls: type, base: type) -> type:
    """Return the class of an encrypting client over the class that boto3 has made for one ordinary client."""
    return type(cls.__name__, (cls, base), {"__module__": cls.__module__, "__doc__": cls.__doc__})


def _check_one_key(keys: Mapping[str, object]) -> None:
    given = [name for name, value in keys.items() if value is not None]
    if len(given) != 1:
        raise ConfigurationError(
            f"Exactly one of {', '.join(keys)} is needed; "
            + (f"{' and '.join(given)} are given." if given else "none is given.")
        )


def _local_keyring(keyring: Keyring | None, aes_key: bytes | None, rsa_key: Any) -> Keyring | None:
    if aes_key is not None:
        return AesKeyring(aes_key)
    if rsa_key is not None:
        return RsaKeyring(rsa_key)
    return keyring


def _object_options(**options: Any) -> ObjectOptions:
    for name, value in options.items():
        if name.startswith(("enable_", "allow_")):
            check_switch(name, value)
    if options["envelope_location"] not in _ENVELOPE_LOCATIONS:
        raise ConfigurationError(
            f"envelope_location must be one of {_ENVELOPE_LOCATIONS}, not {shown(options['envelope_location'])}."
        )
    size = options["buffer_size"]
    if isinstance(size, bool) or not isinstance(size, int):
        raise ConfigurationTypeError(f"buffer_size must be a number of bytes (int), not {shown(size)}.")
    if size < 1:
        raise ConfigurationError(f"buffer_size must be at least 1 byte, not {size}.")
    check_suffix(options["instruction_file_suffix"])
    return ObjectOptions(**options)


def _inner_client(client: Any, session: Any, client_options: Mapping[str, Any]) -> Any:
    if session is not None and not callable(getattr(session, "client", None)):
        raise ConfigurationTypeError(f"session must be a boto3 session, not {type(session).__name__}.")
    if client is None:
        return _make_client(session, client_options)
    if client_options:
        raise ConfigurationError(
            f"With client=, the options {sorted(client_options)} have no use: they are for making one."
        )
    if isinstance(client, S3EncryptionClient):
        raise ConfigurationError(
            "The client encrypts already; encrypting twice would make objects nobody else can read."
        )
    if not isinstance(client, BaseClient) or client.meta.service_model.service_name != "s3":
        raise ConfigurationTypeError(f"client must be a boto3.client('s3'), not {type(client).__name__}.")
    return client


def _make_client(session: Any, client_options: Mapping[str, Any]) -> Any:
    # S3EncryptionSession overrides client(); what is needed here is the ordinary one.
    make = getattr(session, "_plain_client", None) or (session or boto3).client
    try:
        return make("s3", **client_options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise ConfigurationTypeError(
            f"Neither this client nor boto3.client('s3') knows such an option: {error}."
        ) from None


def _check_copy(params: Mapping[str, Any]) -> None:
    if params.get("MetadataDirective") == "REPLACE":
        raise UnsupportedOperationError(
            "MetadataDirective=REPLACE would drop the envelope, and with it the data key of the copy. Copy without it."
        )


def _refuse_presigned(what: str) -> NoReturn:
    raise UnsupportedOperationError(
        f"A presigned {what} would let its user store an object unencrypted. "
        "Use put_object here, or sign with a plain client."
    )
