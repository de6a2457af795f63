"""Put, get and head of single objects: the engine and the streams put together over a raw API call.

``raw_call(operation_name, params)`` sends a request as it is and returns botocore's response.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from . import envelope as envelopes
from .algorithms import AES_GCM, BLOCK_BYTES
from .ciphers import Buffer, ContentKey, Filter
from .engine import Engine
from .envelope import Envelope
from .exceptions import (
    ConfigurationError,
    ConfigurationTypeError,
    DecryptionError,
    InvalidEnvelopeError,
    MetadataTooLargeError,
    NotEncryptedError,
    PolicyError,
    S3EncryptionClientError,
    UnsupportedOperationError,
    shown,
)
from .ranges import ByteRange, cbc_ciphertext_span, content_range, parse_content_range, parse_range
from .streams import DecryptingStream, read_body, read_bounded, without_declarations

Params: TypeAlias = dict[str, Any]
RawCall: TypeAlias = Callable[[str, Params], dict[str, Any]]

CONTEXT_PARAMETER = "EncryptionContext"
SUFFIX_PARAMETER = "InstructionFileSuffix"

_OWNER_PARAMETERS = ("RequestPayer", "ExpectedBucketOwner")
_CUSTOMER_KEY_PARAMETERS = ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5")
# Whoever may read an object must be able to read its instruction file, which deserves the same protection at rest.
_INSTRUCTION_FILE_PUT_PARAMETERS = (
    *_OWNER_PARAMETERS,
    *_CUSTOMER_KEY_PARAMETERS,
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
)
_INSTRUCTION_FILE_GET_PARAMETERS = (*_OWNER_PARAMETERS, *_CUSTOMER_KEY_PARAMETERS)
# What an answer may say about a body that is the ciphertext, and would mislead about the plaintext.
_CIPHERTEXT_CHECKSUM_PREFIX = "Checksum"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectOptions:
    """How a client treats objects, besides the engine's rules. The client's constructor documents them."""

    envelope_location: str
    instruction_file_suffix: str
    buffer_size: int
    enable_unauthenticated_ranges: bool
    enable_delayed_authentication: bool
    allow_plaintext_reads: bool


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What one call says beyond boto3's own parameters."""

    encryption_context: Mapping[str, str] | None
    instruction_file_suffix: str | None

    @classmethod
    def taken_from(cls, params: Params) -> CallOptions:
        """Take the extra parameters out of a call's parameters."""
        suffix = params.pop(SUFFIX_PARAMETER, None)
        if suffix is not None:
            check_suffix(suffix)
        return cls(params.pop(CONTEXT_PARAMETER, None), suffix)


def check_suffix(suffix: object) -> None:
    """Pass when an instruction file suffix makes another key in the same bucket.

    Raises:
        ConfigurationError: It does not.
    """
    if not isinstance(suffix, str):
        raise ConfigurationTypeError(f"An instruction file suffix must be a str, not {type(suffix).__name__}.")
    if not suffix or len(suffix) > 256 or not (suffix.isascii() and suffix.isprintable()):
        raise ConfigurationError("An instruction file suffix must be 1 to 256 printable ASCII characters.")


class ObjectStore:
    """Reads and writes encrypted objects. Each call's state travels in arguments; the store itself never changes."""

    def __init__(self, engine: Engine, options: ObjectOptions) -> None:
        self._engine = engine
        self._options = options

    # --- put ----------------------------------------------------------------------------------------------------------

    def put_object(self, raw_call: RawCall, params: Params) -> dict[str, Any]:
        """Encrypt the body, store it with its envelope, and return S3's answer."""
        call = CallOptions.taken_from(params)
        self._check_put(params, call)
        plaintext = read_body(params.get("Body", b""))
        params = without_declarations(params, plaintext)
        metadata = checked_user_metadata(params.get("Metadata"))
        sealed = self._engine.seal(call.encryption_context)
        with_object, instruction_file = self._stored_envelope(sealed.envelope, call)
        params["Metadata"] = {**metadata, **with_object}
        check_metadata_size(params["Metadata"])
        # A bytearray goes out at once; for bytes, botocore would first ask the server by "Expect: 100-continue".
        params["Body"] = bytearray(sealed.content_key.encrypt(plaintext))
        response = raw_call("PutObject", params)
        if instruction_file is not None:
            # After the object: a put that S3 refuses must leave the envelope of the object that is already there.
            raw_call("PutObject", self._instruction_file_put(params, call, instruction_file))
        return response

    def _check_put(self, params: Params, call: CallOptions) -> None:
        if "WriteOffsetBytes" in params:
            raise UnsupportedOperationError(
                "WriteOffsetBytes appends to an object, which would destroy an encrypted one. Write the whole object."
            )
        suffix = self._suffix(call)
        key = params.get("Key")
        if isinstance(key, str) and key.endswith(suffix):
            raise UnsupportedOperationError(
                f"Keys that end in {suffix!r} are instruction files of other objects. Choose another key, or another "
                "instruction_file_suffix for this client."
            )
        if self._in_metadata(call):
            context_bytes = sum(len(n) + len(v) for n, v in dict(call.encryption_context or {}).items())
            check_metadata_size(checked_user_metadata(params.get("Metadata")), context_bytes)

    def _in_metadata(self, call: CallOptions) -> bool:
        return self._options.envelope_location == "metadata" and call.instruction_file_suffix is None

    def _suffix(self, call: CallOptions) -> str:
        return call.instruction_file_suffix or self._options.instruction_file_suffix

    def _stored_envelope(self, envelope: Envelope, call: CallOptions) -> tuple[dict[str, str], bytes | None]:
        return (envelopes.emit(envelope), None) if self._in_metadata(call) else envelopes.split(envelope)

    def _instruction_file_put(self, params: Params, call: CallOptions, body: bytes) -> Params:
        return {
            **{name: params[name] for name in _INSTRUCTION_FILE_PUT_PARAMETERS if name in params},
            "Bucket": params["Bucket"],
            "Key": params["Key"] + self._suffix(call),
            "Body": bytearray(body),
            "Metadata": {envelopes.INSTRUCTION_FILE_MARKER: ""},
        }

    # --- head ---------------------------------------------------------------------------------------------------------

    def head_object(self, raw_call: RawCall, params: Params) -> dict[str, Any]:
        """Return S3's answer, its ContentLength in plaintext terms where that is known."""
        response = raw_call("HeadObject", params)
        length = response.get("ContentLength")
        if length is None or not params.keys().isdisjoint(("Range", "PartNumber")):
            return response
        try:
            fields = envelopes.envelope_fields(response.get("Metadata", {}))
            plaintext_length = _plaintext_length_told_by(fields, length)
        except S3EncryptionClientError:
            # Not this call's business: reading the object will say what is wrong with it.
            return response
        if plaintext_length is not None:
            response = _without_checksums({**response, "ContentLength": plaintext_length})
        return response

    # --- get ----------------------------------------------------------------------------------------------------------

    def get_object(self, raw_call: RawCall, params: Params) -> dict[str, Any]:
        """Return S3's answer with a decrypting Body, and lengths in plaintext terms."""
        call = CallOptions.taken_from(params)
        if "PartNumber" in params:
            raise UnsupportedOperationError(
                "PartNumber selects a part of the ciphertext, which can't be decrypted by itself. Use Range."
            )
        requested = parse_range(params.get("Range"))
        self._check_range_may_be_read(requested)
        # 16 bytes more bring the tag along, so that a range that reaches the end can be verified.
        sent = {**params, "Range": str(requested.widened(AES_GCM.tag_bytes))} if requested else params
        response = raw_call("GetObject", sent)
        try:
            return self._decrypted(_Get(raw_call, params, requested, response), call)
        except BaseException:
            response["Body"].close()
            raise

    def _check_range_may_be_read(self, requested: ByteRange | None) -> None:
        if requested is None or requested.may_cover_all:
            return
        if not (self._options.enable_unauthenticated_ranges or self._options.allow_plaintext_reads):
            raise _range_refused()

    def _decrypted(self, get: _Get, call: CallOptions) -> dict[str, Any]:
        try:
            envelope = self._find_envelope(get, call)
        except NotEncryptedError:
            if not self._options.allow_plaintext_reads:
                raise
            return get.as_requested()
        content_key = self._engine.open(envelope, call.encryption_context)
        if get.status == 206 and get.requested is not None:
            return self._decrypted_range(get, envelope, content_key)
        if get.status != 200:
            raise UnsupportedOperationError(f"S3 answered a request for the whole object with status {get.status}.")
        return self._decrypted_whole(get.response, envelope, content_key, get.params)

    def _find_envelope(self, get: _Get, call: CallOptions) -> Envelope:
        """Return the object's envelope: from its metadata, or else (or by suffix) from its instruction file."""
        metadata = get.response.get("Metadata", {})
        if call.instruction_file_suffix is None and envelopes.has_envelope(metadata):
            return envelopes.parse(metadata)
        leftovers = envelopes.envelope_fields(metadata).keys()
        if call.instruction_file_suffix is None and not envelopes.may_have_instruction_file(leftovers):
            return envelopes.parse(metadata)
        body = self._instruction_file(get, call)
        if body is not None:
            return envelopes.merge(metadata, body)
        if leftovers or call.instruction_file_suffix is not None:
            raise InvalidEnvelopeError(
                f"The object's instruction file {shown(get.params['Key'] + self._suffix(call))} does not "
                "exist, so its data key is missing."
            )
        return envelopes.parse(metadata)

    def _instruction_file(self, get: _Get, call: CallOptions) -> bytes | None:
        names = _INSTRUCTION_FILE_GET_PARAMETERS
        params = {name: get.params[name] for name in names if name in get.params}
        params |= {"Bucket": get.params["Bucket"], "Key": get.params["Key"] + self._suffix(call)}
        try:
            response = get.raw_call("GetObject", params)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                return None
            raise
        return read_bounded(response["Body"], envelopes.MAX_INSTRUCTION_FILE_BYTES)

    def _decrypted_whole(
        self,
        response: dict[str, Any],
        envelope: Envelope,
        content_key: ContentKey,
        params: Params,
    ) -> dict[str, Any]:
        ciphertext_length = response.get("ContentLength")
        plaintext_length = None
        if ciphertext_length is not None:
            plaintext_length = envelope.suite.plaintext_length(ciphertext_length)

        def new_filter(release_unverified: bool) -> Filter:
            noted = None if envelope.suite.authenticated else envelope.plaintext_length
            return content_key.decryptor(release_unverified=release_unverified, plaintext_length=noted)

        stream = DecryptingStream(
            response["Body"],
            new_filter,
            ciphertext_length=ciphertext_length,
            buffer_size=self._options.buffer_size,
            release_unverified=self._options.enable_delayed_authentication,
            on_error=partial(_locate, params),
        )
        changes: dict[str, Any] = {"Body": StreamingBody(stream, _as_header(plaintext_length))}
        shown_length = plaintext_length
        if shown_length is None:
            shown_length = _plausible_cbc_length(envelope.plaintext_length, ciphertext_length)
        if shown_length is not None:
            changes["ContentLength"] = shown_length
        return _without_checksums({**response, **changes})

    # --- get, a range -------------------------------------------------------------------------------------------------

    def _decrypted_range(self, get: _Get, envelope: Envelope, content_key: ContentKey) -> dict[str, Any]:
        received = parse_content_range(get.response.get("ContentRange"))
        if received is None or get.requested is None:
            raise InvalidEnvelopeError("S3 answered a range request without a usable Content-Range.")
        start, stop, ciphertext_length = received
        plaintext_length = envelope.suite.plaintext_length(ciphertext_length)
        if plaintext_length is None:
            return self._cbc_range(get, envelope, content_key, ciphertext_length)
        span = get.requested.span(plaintext_length)
        if span is None:
            raise _invalid_range(plaintext_length, get.response)
        if span == (0, plaintext_length):
            if (start, stop) != (0, ciphertext_length):
                raise DecryptionError
            whole = self._decrypted_whole(get.response, envelope, content_key, get.params)
            return {**whole, "ContentRange": content_range(*span, plaintext_length)}
        if not self._options.enable_unauthenticated_ranges:
            raise _range_refused()
        if start != span[0] or stop < span[1]:
            raise DecryptionError
        window = _Window(content_key.range_decryptor(start), 0, span[1] - span[0], input_bytes=span[1] - start)
        return self._range_response(get, get.response, span, plaintext_length, window)

    def _cbc_range(
        self,
        get: _Get,
        envelope: Envelope,
        content_key: ContentKey,
        ciphertext_length: int,
    ) -> dict[str, Any]:
        """Answer a range of a CBC object by further requests: its padding tells its length, its blocks the rest."""
        if not self._options.enable_unauthenticated_ranges:
            raise _range_refused()
        assert get.requested is not None
        plaintext_length = self._cbc_plaintext_length(get, content_key, ciphertext_length)
        span = get.requested.span(plaintext_length)
        if span is None:
            raise _invalid_range(plaintext_length, get.response)
        start, stop = cbc_ciphertext_span(*span, ciphertext_length)
        response = get.again(ByteRange(start, stop))
        previous_block = envelope.iv if span[0] < BLOCK_BYTES else response["Body"].read(BLOCK_BYTES)
        filter = content_key.cbc_range_decryptor(previous_block, last=stop == ciphertext_length)
        window = _Window(filter, span[0] % BLOCK_BYTES, span[1] - span[0])
        return self._range_response(get, response, span, plaintext_length, window)

    def _cbc_plaintext_length(self, get: _Get, content_key: ContentKey, ciphertext_length: int) -> int:
        tail_start = ciphertext_length - 2 * BLOCK_BYTES
        if ciphertext_length % BLOCK_BYTES or ciphertext_length < BLOCK_BYTES:
            raise DecryptionError
        tail = read_bounded(get.again(ByteRange(max(0, tail_start), ciphertext_length))["Body"], 2 * BLOCK_BYTES)
        previous_block = tail[:BLOCK_BYTES] if tail_start >= 0 else content_key.iv
        filter = content_key.cbc_range_decryptor(previous_block, last=True)
        last_block = filter.update(tail[-BLOCK_BYTES:]) + filter.finalize()
        return ciphertext_length - BLOCK_BYTES + len(last_block)

    def _range_response(
        self,
        get: _Get,
        response: dict[str, Any],
        span: tuple[int, int],
        plaintext_length: int,
        window: _Window,
    ) -> dict[str, Any]:
        length = span[1] - span[0]
        stream = DecryptingStream(
            response["Body"],
            lambda release_unverified: window,
            ciphertext_length=None,
            buffer_size=self._options.buffer_size,
            # There is no tag for a part of an object: that is what the caller has opted in to.
            release_unverified=True,
            on_error=partial(_locate, get.params),
        )
        return _without_checksums(
            {
                **response,
                "Body": StreamingBody(stream, str(length)),
                "ContentLength": length,
                "ContentRange": content_range(*span, plaintext_length),
            }
        )


@dataclass(frozen=True, slots=True)
class _Get:
    """One get_object: how to call, what was asked for, and the first answer."""

    raw_call: RawCall
    params: Params
    requested: ByteRange | None
    response: dict[str, Any]

    @property
    def status(self) -> int:
        return int(self.response["ResponseMetadata"]["HTTPStatusCode"])

    def again(self, span: ByteRange) -> dict[str, Any]:
        """Return the answer for another range of the very same object."""
        self.response["Body"].close()
        params = {**self.params, "Range": str(span), "IfMatch": self.response["ETag"]}
        return self.raw_call("GetObject", params)

    def as_requested(self) -> dict[str, Any]:
        """Return the answer to the request as the caller made it: for a plaintext object, whose range was widened."""
        return self.response if self.requested is None else self.again(self.requested)


class _Window:
    """A filter of which only ``length`` bytes of output are wanted, after the first ``skip_bytes``.

    ``input_bytes`` is how many bytes of input the filter may see; None means all.
    """

    def __init__(self, inner: Filter, skip_bytes: int, length: int, input_bytes: int | None = None) -> None:
        self._inner = inner
        self._skip_bytes = skip_bytes
        self._left = length
        self._input_left = input_bytes

    def update(self, data: Buffer) -> bytes:
        if self._input_left is not None:
            data = data[: self._input_left]
            self._input_left -= len(data)
        return self._cut(self._inner.update(data))

    def finalize(self) -> bytes:
        rest = self._cut(self._inner.finalize())
        if self._left:
            raise DecryptionError
        return rest

    def _cut(self, output: bytes) -> bytes:
        skipped = min(self._skip_bytes, len(output))
        self._skip_bytes -= skipped
        kept = output[skipped : skipped + self._left]
        self._left -= len(kept)
        return kept


def checked_user_metadata(metadata: object) -> dict[str, str]:
    """Return the caller's metadata without the envelope of an earlier read, which would contradict the new one.

    Raises:
        ConfigurationError: It has envelope fields that no read can have returned.
    """
    if not isinstance(metadata, Mapping):
        return {}
    fields = envelopes.envelope_fields(metadata)
    if fields and not envelopes.is_complete(fields):
        raise ConfigurationError(
            f"Metadata must not contain {shown(', '.join(sorted(fields)))}: these names belong to "
            "the client's envelope."
        )
    return envelopes.without_envelope(metadata)


def check_metadata_size(metadata: Mapping[str, str], more_bytes: int = 0) -> None:
    """Pass when S3 can store the metadata.

    Raises:
        MetadataTooLargeError: It can't.
    """
    size = more_bytes + sum(len(str(name)) + len(str(text)) for name, text in metadata.items())
    if size > envelopes.S3_METADATA_LIMIT_BYTES:
        raise MetadataTooLargeError(
            f"User metadata and envelope have {size} bytes, and S3 keeps {envelopes.S3_METADATA_LIMIT_BYTES} with an "
            'object. envelope_location="instruction_file" stores the envelope in an object of its own.'
        )


def _plaintext_length_told_by(fields: Mapping[str, str], ciphertext_length: int) -> int | None:
    if envelopes.has_envelope(fields):
        envelope = envelopes.parse(fields)
        exact = envelope.suite.plaintext_length(ciphertext_length)
        return _plausible_cbc_length(envelope.plaintext_length, ciphertext_length) if exact is None else exact
    if envelopes.is_complete(fields) and envelopes.V3.with_object <= fields.keys():
        return AES_GCM.plaintext_length(ciphertext_length)
    return None


def _plausible_cbc_length(noted: int | None, ciphertext_length: int | None) -> int | None:
    """Return the plaintext length that the writer noted, if padding can make it the ciphertext's."""
    if noted is None or ciphertext_length is None or not 0 < ciphertext_length - noted <= BLOCK_BYTES:
        return None
    return noted


def _without_checksums(response: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in response.items() if not name.startswith(_CIPHERTEXT_CHECKSUM_PREFIX)}


def _as_header(length: int | None) -> str | None:
    return None if length is None else str(length)


def _locate(params: Params, error: Exception) -> None:
    if isinstance(error, S3EncryptionClientError):
        error.at(params.get("Bucket"), params.get("Key"))


def _range_refused() -> PolicyError:
    return PolicyError(
        "A range of an object can't be verified, because its tag covers the whole. "
        "enable_unauthenticated_ranges=True reads ranges without verification; a read of the whole object "
        "needs no switch."
    )


def _invalid_range(plaintext_length: int, response: Mapping[str, Any]) -> ClientError:
    """Return the error that S3 gives for a range that starts behind the end, in plaintext terms."""
    metadata = {**response.get("ResponseMetadata", {}), "HTTPStatusCode": 416}
    error = {
        "Code": "InvalidRange",
        "Message": "The requested range is not satisfiable",
        "ActualObjectSize": str(plaintext_length),
    }
    return ClientError({"Error": error, "ResponseMetadata": metadata}, "GetObject")
