"""Where envelopes go: into the metadata of objects, or into instruction files beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .._body.request import SmallBody
from .._checks import check_text_map
from .._envelope import formats, instruction_file
from .._envelope.formats import Envelope, print_json
from ..exceptions import (
    ConfigurationError,
    InvalidEnvelopeError,
    KeyringAnswerError,
    MetadataTooLargeError,
    UnsupportedOperationError,
    quoted,
)
from .call import CONTEXT_PARAMETER, REPEATED_PARAMETERS, Call, Params

_MAX_KEY_BYTES = 1024

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
class Placement:
    """Where the envelope of an object that is being written goes.

    ``user_metadata`` is the caller's own. ``file`` is what the request for the instruction file repeats of the
    object's, with the file's key; None where the envelope goes into the metadata.
    """

    user_metadata: Mapping[str, str]
    file: Params | None

    @classmethod
    def of(cls, call: Call) -> Placement:
        """Return where a call wants the envelope of its object.

        Refuse, before anything is sent, an object whose envelope could not be stored.

        Raises:
            UnsupportedOperationError: The key is that of another object's instruction file.
            ConfigurationError: The user metadata holds envelope fields.
            MetadataTooLargeError: There is no room for the envelope.
        """
        key = call.params["Key"]
        check_key(call, key)
        file = None
        if not _in_metadata(call):
            suffix = suffix_of(call)
            if _is_too_long(key + suffix):
                raise ConfigurationError(
                    f"The key of the instruction file, which is the object's and {quoted(suffix)}, would have more "
                    f"than {_MAX_KEY_BYTES} bytes."
                )
            named = ("Bucket", *INSTRUCTION_FILE_PARAMETERS)
            file = {**{name: call.params[name] for name in named if name in call.params}, "Key": key + suffix}
        context = call.encryption_context
        if context is not None:
            check_text_map(context, CONTEXT_PARAMETER)
        metadata = _user_metadata(call.params)
        _check_size(metadata, len(print_json(context)) if context and file is None else 0)
        return cls(metadata, file)

    def with_envelope(self, envelope: Envelope) -> PlacedEnvelope:
        """Return an envelope in its place, from where it was read as a reader will.

        Raises:
            MetadataTooLargeError: There is no room for it.
            ConfigurationError: It is longer than those that are read.
            KeyringAnswerError: What would be read is not what is written.
        """
        if self.file is None:
            placed = PlacedEnvelope({**self.user_metadata, **formats.emit(envelope)})
        else:
            with_object, content = instruction_file.split(envelope)
            placed = PlacedEnvelope({**self.user_metadata, **with_object}, self.file, content)
        _check_size(placed.metadata)
        if placed.read() != envelope:
            raise KeyringAnswerError("Nobody could read what the keyring wrapped: it would be read as something else.")
        return placed


@dataclass(frozen=True, slots=True)
class PlacedEnvelope:
    """An envelope in its place: the object's whole metadata, and perhaps an instruction file."""

    metadata: dict[str, str]
    file: Params | None = None
    file_content: bytes = b""

    def read(self) -> Envelope:
        """Return the envelope as it is read from there.

        Raises:
            KeyringAnswerError: It is refused, because of what a keyring put into it.
        """
        try:
            if self.file is None:
                return formats.parse(self.metadata)
            return instruction_file.merge(self.metadata, self.file_content)
        except InvalidEnvelopeError as error:
            raise KeyringAnswerError(f"Nobody could read what the keyring wrapped. {error}") from error

    def put_instruction_file(self, call: Call) -> None:
        """Store the instruction file of the object, where it has one.

        It goes after the object: what S3 refuses to put must not cost the object that is there its envelope.
        """
        if self.file is not None:
            marker = {formats.INSTRUCTION_FILE_MARKER: ""}
            body = SmallBody(self.file_content)
            call.send("PutObject", {**self.file, "Body": body, **call.content_md5(body, self.file), "Metadata": marker})


def suffix_of(call: Call) -> str:
    """Return the suffix of instruction files in a call."""
    return call.instruction_file_suffix or call.encryption.settings.instruction_file_suffix


def check_key(call: Call, key: object, source_key: str = "") -> None:
    """Refuse to write what is no instruction file to where another object may have its own.

    Raises:
        UnsupportedOperationError: The key is that of an instruction file, and no instruction file is copied to it.
    """
    suffix = suffix_of(call)
    if str(key).endswith(suffix) and not source_key.endswith(suffix):
        raise UnsupportedOperationError(
            f"Keys that end in {quoted(suffix)} are instruction files of other objects. Choose another key, or "
            "another instruction_file_suffix for this client."
        )


def instruction_key(call: Call, key: str) -> str | None:
    """Return the key of the instruction file that a put of an object would write; None if it would write none."""
    suffix = suffix_of(call)
    if _in_metadata(call) or key.endswith(suffix) or _is_too_long(key + suffix):
        return None
    return key + suffix


def _in_metadata(call: Call) -> bool:
    return call.instruction_file_suffix is None and call.encryption.settings.envelope_location == "metadata"


def _is_too_long(key: str) -> bool:
    return len(key.encode()) > _MAX_KEY_BYTES


def _user_metadata(params: Params) -> dict[str, str]:
    """Return the caller's metadata without the envelope of an earlier read, which would contradict the new one.

    Raises:
        ConfigurationError: It has envelope fields that no read can have returned.
    """
    metadata = params.get("Metadata") or {}
    fields = formats.envelope_fields(metadata)
    if fields and not formats.is_complete(fields):
        raise ConfigurationError(
            f"Metadata must not contain {quoted(', '.join(sorted(fields)))}: these names belong to "
            "the client's envelope."
        )
    return formats.without_envelope(metadata)


def _check_size(metadata: Mapping[str, str], more_bytes: int = 0) -> None:
    size = more_bytes + sum(len(str(name)) + len(str(text)) for name, text in metadata.items())
    if size > formats.S3_METADATA_LIMIT_BYTES:
        raise MetadataTooLargeError(
            f"User metadata and envelope have {size} bytes, and S3 keeps {formats.S3_METADATA_LIMIT_BYTES} with an "
            'object. envelope_location="instruction_file" stores the envelope in an object of its own.'
        )
