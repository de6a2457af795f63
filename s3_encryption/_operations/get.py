"""Reading objects: get_object, whole or in ranges, and head_object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from .._body.digests import is_digest_name
from .._body.ranges import ByteRange, cbc_ciphertext_span, content_range, parse_content_range, parse_range
from .._body.response import DecryptingStream, read_bounded, read_up_to
from .._crypto.contexts import Buffer, CipherContext, ContentKey, VerifyFirst
from .._crypto.suites import AES_BLOCK_BYTES, AES_GCM
from .._envelope import formats as envelopes
from .._envelope.formats import Envelope
from .._sealer import ObjectSealer
from ..exceptions import (
    DecryptionError,
    NotEncryptedError,
    PolicyError,
    S3EncryptionClientError,
    UnsupportedOperationError,
)
from .envelope_store import CallOptions, EnvelopeStore, Params, RawCall


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What a client releases, and when. The client's constructor documents them."""

    buffer_size: int
    enable_unauthenticated_ranges: bool
    enable_delayed_authentication: bool
    allow_plaintext_reads: bool


@dataclass(frozen=True, slots=True)
class ObjectReader:
    """Finds the envelopes of objects and decrypts them. Each call's state travels in arguments."""

    sealer: ObjectSealer
    envelopes: EnvelopeStore
    options: ReadOptions

    # --- head ---------------------------------------------------------------------------------------------------------

    def head_object(self, raw_call: RawCall, params: Params) -> dict[str, Any]:
        """Return S3's answer, its ContentLength in plaintext terms where that is known."""
        response = raw_call("HeadObject", params)
        length = response.get("ContentLength")
        if length is None or not params.keys().isdisjoint(("Range", "PartNumber")):
            return response
        try:
            fields = envelopes.envelope_fields(response.get("Metadata", {}))
            plaintext_length = _length_from_fields(fields, length)
        except S3EncryptionClientError:
            # Not this call's business: reading the object will say what is wrong with it.
            return response
        if plaintext_length is not None:
            response = _without_checksums({**response, "ContentLength": plaintext_length})
        return response

    # --- get ----------------------------------------------------------------------------------------------------------

    def get_object(self, raw_call: RawCall, params: Params) -> dict[str, Any]:
        """Return S3's answer with a decrypting Body, and lengths in plaintext terms."""
        call = CallOptions.pop_from(params)
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
        if not (self.options.enable_unauthenticated_ranges or self.options.allow_plaintext_reads):
            raise _range_refused()

    def _decrypted(self, get: _Get, call: CallOptions) -> dict[str, Any]:
        envelope = self.envelope_of(get.raw_call, get.response, get.params, call)
        if envelope is None:
            return get.as_requested()
        if get.status == 200:
            key = self.sealer.open(envelope, call.encryption_context)
            return self._whole_response(get, envelope, key)
        part = self._part_of_response(get, envelope)
        key = self.sealer.open(envelope, call.encryption_context)
        if part.span is None:
            part = self._with_cbc_length(get, part, key)
        if part.is_whole:
            length = part.plaintext_length or 0
            exact = {"ContentLength": length, "ContentRange": content_range(0, length, length)}
            return {**self._whole_response(get, envelope, key), **exact}
        if envelope.suite.mode == "CBC":
            return self._cbc_range(get, envelope, key, part)
        return self._gcm_range_response(get, part, key)

    def envelope_of(
        self, raw_call: RawCall, response: Mapping[str, Any], params: Params, call: CallOptions
    ) -> Envelope | None:
        """Return the envelope of the object that an answer is about; None for a plaintext object that may be read.

        Raises:
            NotEncryptedError: It has none, and plaintext may not be read.
            InvalidEnvelopeError: It has one that can't be used.
        """
        try:
            return self.envelopes.find(raw_call, response.get("Metadata", {}), params, call)
        except NotEncryptedError:
            if not self.options.allow_plaintext_reads:
                raise
            return None

    def _whole_response(self, get: _Get, envelope: Envelope, content_key: ContentKey) -> dict[str, Any]:
        response = get.response
        ciphertext_length = response.get("ContentLength")
        plaintext_length = None
        if ciphertext_length is not None:
            plaintext_length = envelope.suite.plaintext_length(ciphertext_length)

        def new_context(release_unverified: bool) -> CipherContext:
            noted = None if envelope.suite.authenticated else envelope.plaintext_length
            return content_key.decryptor(
                release_unverified=release_unverified,
                plaintext_length=noted,
                ciphertext_length=ciphertext_length,
            )

        stream = DecryptingStream(
            response["Body"],
            new_context,
            ciphertext_length=ciphertext_length,
            buffer_size=self.options.buffer_size,
            release_unverified=self.options.enable_delayed_authentication,
            on_error=partial(_locate, get.params),
        )
        changes: dict[str, Any] = {"Body": StreamingBody(stream, _as_header(plaintext_length))}
        shown_length = plaintext_length
        if shown_length is None:
            shown_length = _plausible_cbc_length(envelope.plaintext_length, ciphertext_length)
        if shown_length is not None:
            changes["ContentLength"] = shown_length
        return _without_checksums({**response, **changes})

    # --- get, a range -------------------------------------------------------------------------------------------------

    def _part_of_response(self, get: _Get, envelope: Envelope) -> _Part:
        """Return what part of the object has come; refuse it, before its key is asked for, if it may not be read.

        Raises:
            PolicyError: It is not the whole object, and unverified ranges are not allowed.
            ClientError: There is no such range in the plaintext.
        """
        received = parse_content_range(get.response.get("ContentRange"))
        if received is None or get.requested is None:
            raise UnsupportedOperationError(f"S3 answered with status {get.status} and a part that was not asked for.")
        part = _Part(*received)
        plaintext_length = envelope.suite.plaintext_length(part.ciphertext_length)
        if plaintext_length is not None:
            return self._release_check(get, part, plaintext_length)
        if not part.all_sent and not self.options.enable_unauthenticated_ranges:
            raise _range_refused()
        return part

    def _release_check(self, get: _Get, part: _Part, plaintext_length: int) -> _Part:
        """Return a part with what was asked of it in plaintext terms, if it may be read."""
        assert get.requested is not None  # otherwise no part would have come
        span = get.requested.span(plaintext_length)
        if span is None:
            raise _invalid_range(plaintext_length, get.response)
        part = replace(part, span=span, plaintext_length=plaintext_length)
        if part.is_whole or (span != (0, plaintext_length) and self.options.enable_unauthenticated_ranges):
            return part
        if span == (0, plaintext_length):
            # All was asked for: an answer without the tag must not turn a verified read into an unverified one.
            raise DecryptionError
        raise _range_refused()

    def _with_cbc_length(self, get: _Get, part: _Part, key: ContentKey) -> _Part:
        """Return a part of a CBC object with its length in plaintext, which the padding of its last block tells."""
        tail_start = part.ciphertext_length - 2 * AES_BLOCK_BYTES
        if part.ciphertext_length % AES_BLOCK_BYTES or part.ciphertext_length < AES_BLOCK_BYTES:
            raise DecryptionError
        response = get.again(ByteRange(max(0, tail_start), part.ciphertext_length))
        tail = read_bounded(response["Body"], 2 * AES_BLOCK_BYTES)
        previous_block = tail[:AES_BLOCK_BYTES] if tail_start >= 0 else key.iv
        context = key.cbc_range_decryptor(previous_block, last=True)
        last_block = context.update(tail[-AES_BLOCK_BYTES:]) + context.finalize()
        return self._release_check(get, part, part.ciphertext_length - AES_BLOCK_BYTES + len(last_block))

    def _gcm_range_response(self, get: _Get, part: _Part, key: ContentKey) -> dict[str, Any]:
        assert part.span is not None  # CBC ranges go another way
        assert part.plaintext_length is not None
        first, last = part.span
        if part.start != first or part.stop < last:
            raise DecryptionError
        window = _Window(key.ctr_context(first), 0, last - first, input_bytes=last - first)
        return self._range_response(get, get.response, part.span, part.plaintext_length, window)

    def _cbc_range(self, get: _Get, envelope: Envelope, key: ContentKey, part: _Part) -> dict[str, Any]:
        """Answer a range of a CBC object by another request, for the blocks that it needs."""
        assert part.span is not None  # it was measured
        assert part.plaintext_length is not None
        get.response["Body"].close()
        start, stop = cbc_ciphertext_span(*part.span, part.ciphertext_length)
        response = get.again(ByteRange(start, stop))
        first = part.span[0]
        previous_block = envelope.iv if first < AES_BLOCK_BYTES else read_up_to(response["Body"], AES_BLOCK_BYTES)
        context = key.cbc_range_decryptor(previous_block, last=stop == part.ciphertext_length)
        window = _Window(context, first % AES_BLOCK_BYTES, part.span[1] - first)
        return self._range_response(get, response, part.span, part.plaintext_length, window)

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
            lambda release_unverified: window if release_unverified else VerifyFirst(window, length),
            ciphertext_length=response.get("ContentLength"),
            buffer_size=self.options.buffer_size,
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
        # A stubbed answer may have none.
        without = 206 if "ContentRange" in self.response else 200
        return int(self.response.get("ResponseMetadata", {}).get("HTTPStatusCode", without))

    def again(self, span: ByteRange) -> dict[str, Any]:
        """Return the answer for another range of the very same object."""
        etag = self.response.get("ETag")
        return check_same(self.raw_call("GetObject", {**pinned(self.params, etag), "Range": str(span)}), etag)

    def as_requested(self) -> dict[str, Any]:
        """Return the answer to the request as the caller made it: for a plaintext object, whose range was widened."""
        if self.requested is None:
            return self.response
        self.response["Body"].close()
        return self.again(self.requested)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the ciphertext, as S3 sent it, and the span of plaintext that was asked for (None: not known yet)."""

    start: int
    stop: int
    ciphertext_length: int
    span: tuple[int, int] | None = None
    plaintext_length: int | None = None

    @property
    def all_sent(self) -> bool:
        """Whether this is all of the ciphertext."""
        return (self.start, self.stop) == (0, self.ciphertext_length)

    @property
    def is_whole(self) -> bool:
        """Whether all of the object was asked for and sent, so that it can be verified."""
        return self.all_sent and self.span is not None and self.span == (0, self.plaintext_length)


class _Window:
    """A context of which only ``length`` bytes of output are wanted, after the first ``skip_bytes``.

    ``input_bytes`` is how many bytes of input the context may see; None means all.
    """

    def __init__(self, inner: CipherContext, skip_bytes: int, length: int, input_bytes: int | None = None) -> None:
        self._inner = inner
        self._skip_bytes = skip_bytes
        self._left = length
        self._input_left = input_bytes

    def output_size(self, size: int) -> int:
        if self._input_left is not None:
            size = min(size, self._input_left)
        return min(max(0, self._inner.output_size(size) - self._skip_bytes), self._left)

    def update_into(self, data: Buffer, output: memoryview) -> int:
        wanted = self._wanted(data)
        if not self._skip_bytes and self._inner.output_size(len(wanted)) == len(output):
            # All that comes out fits.
            self._left -= len(output)
            return self._inner.update_into(wanted, output)
        piece = self._cut(self._inner.update(wanted))
        output[: len(piece)] = piece
        return len(piece)

    def update(self, data: Buffer) -> bytes:
        return self._cut(self._inner.update(self._wanted(data)))

    def _wanted(self, data: Buffer) -> Buffer:
        if self._input_left is None:
            return data
        data = memoryview(data)[: self._input_left]
        self._input_left -= len(data)
        return data

    def finalize(self) -> bytes:
        rest = self._cut(self._inner.finalize())
        if self._left:
            raise DecryptionError
        return rest

    def _cut(self, output: bytes) -> bytes:
        if not self._skip_bytes and len(output) <= self._left:
            self._left -= len(output)
            return output
        skipped = min(self._skip_bytes, len(output))
        self._skip_bytes -= skipped
        kept = output[skipped : skipped + self._left]
        self._left -= len(kept)
        return kept


def pinned(params: Params, etag: str | None) -> Params:
    """Return the parameters of a request about the object with an ETag; not every server has them."""
    return params if etag is None else {**params, "IfMatch": etag}


def check_same(response: dict[str, Any], etag: str | None) -> dict[str, Any]:
    """Return an answer about the object with an ETag, which was asked for by If-Match.

    Raises:
        DecryptionError: It is about another one; its body is closed.
    """
    if response.get("ETag") != etag:
        response["Body"].close()
        raise DecryptionError
    return response


def _length_from_fields(fields: dict[str, str], ciphertext_length: int) -> int | None:
    if envelopes.has_envelope(fields):
        envelope = envelopes.parse_fields(fields)
        exact = envelope.suite.plaintext_length(ciphertext_length)
        return _plausible_cbc_length(envelope.plaintext_length, ciphertext_length) if exact is None else exact
    if envelopes.is_complete(fields) and envelopes.V3.with_object <= fields.keys():
        return AES_GCM.plaintext_length(ciphertext_length)
    return None


def _plausible_cbc_length(noted: int | None, ciphertext_length: int | None) -> int | None:
    """Return the plaintext length that the writer noted, if padding can make it the ciphertext's."""
    if noted is None or ciphertext_length is None or not 0 < ciphertext_length - noted <= AES_BLOCK_BYTES:
        return None
    return noted


def _without_checksums(response: dict[str, Any]) -> dict[str, Any]:
    """Return a response without what it says of the ciphertext's digests, which would mislead about the plaintext."""
    return {name: value for name, value in response.items() if name != "ChecksumType" and not is_digest_name(name)}


def _as_header(length: int | None) -> str | None:
    return None if length is None else str(length)


def _locate(params: Params, error: BaseException) -> None:
    if isinstance(error, S3EncryptionClientError):
        error.about(params.get("Bucket"), params.get("Key"))


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
