"""Where envelopes are: in the metadata of objects, or in instruction files; and what one call may say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from botocore.exceptions import ClientError

from .._body.request import SmallBody
from .._body.response import read_bounded
from .._checks import check_suffix, check_text_map
from .._envelope import formats as envelopes
from .._envelope.encoding import print_json
from .._envelope.formats import Envelope
from ..exceptions import (
    ConfigurationError,
    InvalidEnvelopeError,
    MetadataTooLargeError,
    UnsupportedOperationError,
    quoted,
)

Params: TypeAlias = dict[str, Any]
# Sends a request as it is, and returns botocore's response.
RawCall: TypeAlias = Callable[[str, Params], dict[str, Any]]

_MAX_KEY_BYTES = 1024

CONTEXT_PARAMETER = "EncryptionContext"
SUFFIX_PARAMETER = "InstructionFileSuffix"

# What every request about an object must repeat, also those that the caller does not see.
REPEATED_PARAMETERS = (
    "RequestPayer",
    "ExpectedBucketOwner",
    "SSECustomerAlgorithm",
    "SSECustomerKey",
    "SSECustomerKeyMD5",
)
# Whoever may read an object must be able to read its instruction file, which deserves the same protection: at rest, and
# from being deleted as long as the object is locked.
INSTRUCTION_FILE_PARAMETERS = (
    *REPEATED_PARAMETERS,
    "ChecksumAlgorithm",
    "ServerSideEncryption",
    "SSEKMSKeyId",
    "SSEKMSEncryptionContext",
    "BucketKeyEnabled",
    "StorageClass",
    "ACL",
    "GrantFullControl",
    "GrantRead",
    "GrantReadACP",
    "GrantWriteACP",
    "ObjectLockMode",
    "ObjectLockRetainUntilDate",
    "ObjectLockLegalHoldStatus",
)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What one call says beyond boto3's own parameters."""

    encryption_context: Mapping[str, str] | None
    instruction_file_suffix: str | None

    @classmethod
    def pop_from(cls, params: Params) -> CallOptions:
        """Take the extra parameters out of a call's parameters."""
        suffix = params.pop(SUFFIX_PARAMETER, None)
        if suffix is not None:
            check_suffix(suffix)
        return cls(params.pop(CONTEXT_PARAMETER, None), suffix)

    @classmethod
    def pop_suffix_from(cls, params: Params) -> CallOptions:
        """Take the suffix out of the parameters of a call that has no use for an encryption context."""
        return cls.pop_from({SUFFIX_PARAMETER: params.pop(SUFFIX_PARAMETER, None)})

    def as_params(self) -> Params:
        """Return them as parameters again."""
        both = {CONTEXT_PARAMETER: self.encryption_context, SUFFIX_PARAMETER: self.instruction_file_suffix}
        return {name: value for name, value in both.items() if value is not None}


@dataclass(frozen=True, slots=True)
class StoredEnvelope:
    """An envelope as it is to be stored: the object's whole metadata, and perhaps an instruction file and its key."""

    metadata: dict[str, str]
    instruction_file: bytes | None = None
    instruction_file_key: str = ""


@dataclass(frozen=True, slots=True)
class EnvelopeStore:
    """Puts envelopes where a client's options, and one call's, want them, and finds them again."""

    location: str
    suffix: str
    ignores_instruction_files: bool = False

    # --- writing ------------------------------------------------------------------------------------------------------

    def check_put(self, params: Params, call: CallOptions) -> None:
        """Refuse, before anything is sent, an object whose envelope could not be stored.

        Raises:
            UnsupportedOperationError: The key is that of another object's instruction file.
            ConfigurationError: The user metadata holds envelope fields.
            MetadataTooLargeError: There is no room for the envelope.
        """
        suffix = self.suffix_for(call)
        self.check_key(params["Key"], call)
        in_metadata = self._in_metadata(call)
        if not in_metadata and _is_too_long(params["Key"] + suffix):
            raise ConfigurationError(
                f"The key of the instruction file, which is the object's and {quoted(suffix)}, would have more than "
                f"{_MAX_KEY_BYTES} bytes."
            )
        context = call.encryption_context or {}
        check_text_map(context, "EncryptionContext")
        room = len(print_json(context)) if in_metadata and context else 0
        _check_size(_user_metadata(params), room)

    def layout(self, envelope: Envelope, params: Params, call: CallOptions) -> StoredEnvelope:
        """Return an envelope with the object's user metadata, laid out as it is to be stored."""
        metadata = _user_metadata(params)
        if self._in_metadata(call):
            stored = StoredEnvelope({**metadata, **envelopes.emit(envelope)})
        else:
            with_object, body = envelopes.split(envelope)
            stored = StoredEnvelope({**metadata, **with_object}, body, params["Key"] + self.suffix_for(call))
        _check_size(stored.metadata)
        return stored

    def put_instruction_file(self, raw_call: RawCall, stored: StoredEnvelope, params: Params) -> None:
        """Store the instruction file of an object, where it has one.

        It goes after the object: what S3 refuses to put must not cost the object that is there its envelope.
        """
        if stored.instruction_file is None:
            return
        repeated = {name: params[name] for name in INSTRUCTION_FILE_PARAMETERS if name in params}
        own = {
            "Bucket": params["Bucket"],
            "Key": stored.instruction_file_key,
            "Body": SmallBody(stored.instruction_file),
            "Metadata": {envelopes.INSTRUCTION_FILE_MARKER: ""},
        }
        raw_call("PutObject", {**repeated, **own})

    # --- reading ------------------------------------------------------------------------------------------------------

    def find(self, raw_call: RawCall, metadata: Mapping[str, str], params: Params, call: CallOptions) -> Envelope:
        """Return an object's envelope: from its metadata, or else (or where a suffix is given) from its instruction
        file.

        Raises:
            NotEncryptedError: There is none.
            InvalidEnvelopeError: There is one, and it can't be used.
        """
        fields = envelopes.envelope_fields(metadata)
        elsewhere = call.instruction_file_suffix is not None
        complete = envelopes.has_envelope(fields) or not envelopes.may_have_instruction_file(fields)
        if not elsewhere and (complete or self.ignores_instruction_files):
            return envelopes.parse_fields(fields)
        key = params["Key"] + self.suffix_for(call)
        body = _instruction_file(raw_call, key, params)
        if body is not None:
            return envelopes.merge(fields, body)
        if fields or elsewhere:
            raise InvalidEnvelopeError(
                f"The object's instruction file {quoted(key)} does not exist, so its data key is missing."
            )
        return envelopes.parse_fields(fields)

    # --- elsewhere ----------------------------------------------------------------------------------------------------

    def check_key(self, key: object, call: CallOptions, source_key: str = "") -> None:
        """Refuse to write what is no instruction file to where another object may have its own.

        Raises:
            UnsupportedOperationError: The key is that of an instruction file, and no instruction file is copied to it.
        """
        suffix = self.suffix_for(call)
        if str(key).endswith(suffix) and not source_key.endswith(suffix):
            raise UnsupportedOperationError(
                f"Keys that end in {quoted(suffix)} are instruction files of other objects. Choose another key, or "
                "another instruction_file_suffix for this client."
            )

    def instruction_key(self, key: str, call: CallOptions) -> str | None:
        """Return the key of the instruction file that a put of an object would write; None if it would write none."""
        suffix = self.suffix_for(call)
        if self._in_metadata(call) or key.endswith(suffix) or _is_too_long(key + suffix):
            return None
        return key + suffix

    def suffix_for(self, call: CallOptions) -> str:
        """Return the suffix of instruction files in a call."""
        return call.instruction_file_suffix or self.suffix

    def _in_metadata(self, call: CallOptions) -> bool:
        return self.location == "metadata" and call.instruction_file_suffix is None


def _is_too_long(key: str) -> bool:
    return len(key.encode()) > _MAX_KEY_BYTES


def error_code(error: ClientError) -> object:
    """Return S3's code for an error."""
    return error.response.get("Error", {}).get("Code")


def _instruction_file(raw_call: RawCall, key: str, params: Params) -> bytes | None:
    repeated = {name: params[name] for name in REPEATED_PARAMETERS if name in params}
    try:
        response = raw_call("GetObject", {**repeated, "Bucket": params["Bucket"], "Key": key})
    except ClientError as error:
        if error_code(error) in ("NoSuchKey", "404"):
            return None
        raise
    return read_bounded(response["Body"], envelopes.MAX_INSTRUCTION_FILE_BYTES)


def _user_metadata(params: Params) -> dict[str, str]:
    """Return the caller's metadata without the envelope of an earlier read, which would contradict the new one.

    Raises:
        ConfigurationError: It has envelope fields that no read can have returned.
    """
    metadata = params.get("Metadata") or {}
    fields = envelopes.envelope_fields(metadata)
    if fields and not envelopes.is_complete(fields):
        raise ConfigurationError(
            f"Metadata must not contain {quoted(', '.join(sorted(fields)))}: these names belong to "
            "the client's envelope."
        )
    return envelopes.without_envelope(metadata)


def _check_size(metadata: Mapping[str, str], more_bytes: int = 0) -> None:
    size = more_bytes + sum(len(str(name)) + len(str(text)) for name, text in metadata.items())
    if size > envelopes.S3_METADATA_LIMIT_BYTES:
        raise MetadataTooLargeError(
            f"User metadata and envelope have {size} bytes, and S3 keeps {envelopes.S3_METADATA_LIMIT_BYTES} with an "
            'object. envelope_location="instruction_file" stores the envelope in an object of its own.'
        )
