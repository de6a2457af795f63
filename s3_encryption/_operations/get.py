"""get_object: an object decrypted, whole or in ranges."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from .._body.ranges import ByteRange, cbc_ciphertext_span, parse_range
from .._body.response import DecryptingStream, close_body, read_bounded, read_up_to
from .._crypto.content import AES_GCM, ContentKey
from .._crypto.contexts import CipherContext, VerifyFirst, at_once
from .._crypto.primitives import AES_BLOCK_BYTES, Buffer
from ..exceptions import (
    DecryptionError,
    PolicyError,
    S3EncryptionClientError,
    UnsupportedOperationError,
)
from .call import Call, Params, error_code
from .parts import no_such_part, part_refusal, parts_count
from .stored_object import (
    StoredObject,
    in_plaintext_terms,
    not_satisfiable,
    pinned,
    plausible_cbc_length,
    range_told,
    status_of,
    told_range,
)


def get_object(call: Call) -> dict[str, Any]:
    """Return S3's answer with a decrypting Body, and lengths in plaintext terms."""
    if "PartNumber" in call.params:
        return _get_part(call)
    requested = parse_range(call.params.get("Range"))
    _check_range_may_be_read(call, requested)
    # 16 bytes more bring the tag along, so that a range that reaches the end can be verified.
    sent = {**call.params, "Range": str(requested.widened(AES_GCM.tag_bytes))} if requested else call.params
    try:
        response = call.send("GetObject", sent)
    except ClientError as error:
        if requested is not None and error_code(error) == "InvalidRange":
            _tell_plaintext_size(call, requested, error)
        raise
    return _answered(call, requested, response)


def _answered(call: Call, requested: ByteRange | None, response: dict[str, Any]) -> dict[str, Any]:
    try:
        return _decrypted(_Answer(StoredObject.of(call, response), requested, response))
    except BaseException:
        close_body(response["Body"])
        raise


def _tell_plaintext_size(call: Call, requested: ByteRange, error: ClientError) -> None:
    """Let S3's refusal of a range behind the end of the ciphertext tell the plaintext's size.

    Raises:
        ClientError: The refusal in plaintext terms.
        S3EncryptionClientError: The object can't be read.
    """
    told = error.response["Error"]
    if "ActualObjectSize" not in told:
        return
    told["RangeRequested"] = call.params["Range"]
    try:
        # The answer to what there is to be had tells how long the plaintext is, whatever the envelope.
        response = call.send("GetObject", {**call.params, "Range": "bytes=-1"})
    except ClientError:
        return  # there is nothing
    close_body(_answered(call, requested, response)["Body"])


def _get_part(call: Call) -> dict[str, Any]:
    """Return a part of the object as it was uploaded: S3 tells where it is, and then it is a range like any other."""
    try:
        head = call.send("HeadObject", call.params)
    except ClientError as error:
        raise part_refusal(call, error) from None
    part = told_range(head)
    whole = {name: value for name, value in pinned(call.params, head.get("ETag")).items() if name != "PartNumber"}
    if part is None:
        # The server knows no parts, or there are no bytes.
        return get_object(replace(call, params=whole))
    start, stop, _ = part
    try:
        answer = get_object(replace(call, params={**whole, "Range": str(ByteRange(start, stop))}))
    except ClientError as error:
        if error_code(error) != "InvalidRange":
            raise
        if start == 0:
            # Empty, but for tag or padding.
            return _with_parts(get_object(replace(call, params=whole)), 1 if "PartsCount" in head else None)
        raise no_such_part(call.params["PartNumber"], error.response) from None
    total = told_range(answer)
    return _with_parts(answer, None if total is None else parts_count(call, head, total[2]))


def _with_parts(answer: dict[str, Any], count: int | None) -> dict[str, Any]:
    return answer if count is None else {**answer, "PartsCount": count}


def _check_range_may_be_read(call: Call, requested: ByteRange | None) -> None:
    if requested is None or requested.may_cover_all:
        return
    settings = call.encryption.settings
    if not (settings.enable_unauthenticated_ranges or settings.allow_plaintext_reads):
        raise _range_refused()


# 203 is a proxy's way to say that it has changed something; the tag tells whether that was the content.
_WHOLE = (200, 203)


@dataclass(frozen=True, slots=True)
class _Answer:
    """The first answer to a get_object, what object it is about, and what range of that was asked for."""

    stored: StoredObject
    requested: ByteRange | None
    response: dict[str, Any]

    @property
    def status(self) -> int:
        return status_of(self.response)

    @property
    def is_whole(self) -> bool:
        """Whether S3 has sent the whole object, and not as a range that was asked for."""
        part = told_range(self.response)
        unasked = self.requested is None and part is not None and part[:2] == (0, part[2])
        return self.status in _WHOLE or unasked

    @property
    def allows_unverified_ranges(self) -> bool:
        return self.stored.call.encryption.settings.enable_unauthenticated_ranges


def _decrypted(answer: _Answer) -> dict[str, Any]:
    stored = answer.stored
    if stored.envelope is None:
        return _as_requested(answer)
    if answer.is_whole:
        return _whole_response(answer, stored.content_key())
    part = _part_of_response(answer)
    key = stored.content_key()
    if part.span is None:
        part = _with_cbc_length(answer, part, key)
    if part.is_whole:
        return _whole_response(answer, key, part.plaintext_length)
    if key.suite.mode.pads:
        return _cbc_range_response(answer, key, part)
    return _gcm_range_response(answer, key, part)


def _as_requested(answer: _Answer) -> dict[str, Any]:
    """Return the answer to the request as the caller made it: for a plaintext object, whose range was widened."""
    if answer.requested is None:
        return answer.response
    close_body(answer.response["Body"])
    return answer.stored.get(answer.requested)


def _whole_response(answer: _Answer, key: ContentKey, measured: int | None = None) -> dict[str, Any]:
    """Answer with the whole object; ``measured`` is the plaintext's length in bytes, where it was looked up."""
    response, envelope = answer.response, answer.stored.envelope
    assert envelope is not None  # it has a key
    ciphertext_length = response.get("ContentLength")
    plaintext_length = None if ciphertext_length is None else key.suite.plaintext_length(ciphertext_length)

    stated_length = None if key.suite.authenticated else envelope.plaintext_length

    def new_context(release_unverified: bool) -> CipherContext:
        return key.decryptor(
            release_unverified=release_unverified,
            plaintext_length=stated_length,
            ciphertext_length=ciphertext_length,
        )

    settings = answer.stored.call.encryption.settings
    stream = DecryptingStream(
        response["Body"],
        new_context,
        lambda body: key.decrypt(body, stated_length),
        ciphertext_length=ciphertext_length,
        buffer_size=settings.buffer_size,
        release_unverified=settings.enable_delayed_authentication,
        on_error=partial(_name_object, answer.stored.call.params),
    )
    header = None if plaintext_length is None else str(plaintext_length)
    body = StreamingBody(stream, header)
    for length in (plaintext_length, measured, plausible_cbc_length(envelope.plaintext_length, ciphertext_length)):
        if length is not None:
            return {**in_plaintext_terms(response, range_told((0, length), length)), "Body": body}
    return {**in_plaintext_terms(response, {"ContentRange": None}), "Body": body}


# --- a range ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _ResponsePart:
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


def _part_of_response(answer: _Answer) -> _ResponsePart:
    """Return what part of the object has come; refuse it, before its key is asked for, if it may not be read.

    Raises:
        PolicyError: It is not the whole object, and unverified ranges are not allowed.
        ClientError: There is no such range in the plaintext.
    """
    received = told_range(answer.response)
    if received is None or answer.requested is None:
        raise UnsupportedOperationError(f"S3 answered with status {answer.status} and a part that was not asked for.")
    part = _ResponsePart(*received)
    plaintext_length = answer.stored.plaintext_length
    if plaintext_length is not None:
        return _release_check(answer, part, plaintext_length)
    if not part.all_sent and not answer.allows_unverified_ranges:
        raise _range_refused()
    return part


def _release_check(answer: _Answer, part: _ResponsePart, plaintext_length: int) -> _ResponsePart:
    """Return a part with what was asked of it in plaintext terms, if it may be released."""
    assert answer.requested is not None  # otherwise no part would have come
    span = answer.requested.span(plaintext_length)
    if span is None:
        raise _invalid_range(answer, plaintext_length)
    part = replace(part, span=span, plaintext_length=plaintext_length)
    if part.is_whole or (span != (0, plaintext_length) and answer.allows_unverified_ranges):
        return part
    if span == (0, plaintext_length):
        # All was asked for: an answer without the tag must not turn a verified read into an unverified one.
        raise DecryptionError
    raise _range_refused()


def _with_cbc_length(answer: _Answer, part: _ResponsePart, key: ContentKey) -> _ResponsePart:
    """Return a part of a CBC object with its length in plaintext, which the padding of its last block tells."""
    tail_start = part.ciphertext_length - 2 * AES_BLOCK_BYTES
    response = answer.stored.get(ByteRange(max(0, tail_start), part.ciphertext_length))
    tail = read_bounded(response["Body"], 2 * AES_BLOCK_BYTES)
    previous_block = tail[:AES_BLOCK_BYTES] if tail_start >= 0 else key.iv
    context = key.cbc_range_decryptor(previous_block, last=True)
    last_block = context.update(tail[-AES_BLOCK_BYTES:]) + context.finalize()
    return _release_check(answer, part, part.ciphertext_length - AES_BLOCK_BYTES + len(last_block))


def _gcm_range_response(answer: _Answer, key: ContentKey, part: _ResponsePart) -> dict[str, Any]:
    assert part.span is not None  # CBC ranges go another way
    first, last = part.span
    if part.start != first or part.stop < last:
        raise DecryptionError
    window = _Window(key.ctr_context(first), 0, last - first, input_bytes=last - first)
    return _range_response(answer, answer.response, part, window)


def _cbc_range_response(answer: _Answer, key: ContentKey, part: _ResponsePart) -> dict[str, Any]:
    """Answer a range of a CBC object by another request, for the blocks that it needs."""
    assert part.span is not None  # it was measured
    close_body(answer.response["Body"])
    first, last = part.span
    start, stop = cbc_ciphertext_span(first, last, part.ciphertext_length)
    response = answer.stored.get(ByteRange(start, stop))
    previous_block = key.iv if first < AES_BLOCK_BYTES else read_up_to(response["Body"], AES_BLOCK_BYTES)
    context = key.cbc_range_decryptor(previous_block, last=stop == part.ciphertext_length)
    window = _Window(context, first % AES_BLOCK_BYTES, last - first)
    return _range_response(answer, response, part, window)


def _range_response(answer: _Answer, response: dict[str, Any], part: _ResponsePart, window: _Window) -> dict[str, Any]:
    assert part.span is not None  # who calls has seen to both
    assert part.plaintext_length is not None
    length = part.span[1] - part.span[0]
    stream = DecryptingStream(
        response["Body"],
        lambda release_unverified: window if release_unverified else VerifyFirst(window, length),
        lambda body: at_once(VerifyFirst(window, length), body),
        ciphertext_length=response.get("ContentLength"),
        buffer_size=answer.stored.call.encryption.settings.buffer_size,
        # There is no tag for a part of an object: that is what the caller has opted in to.
        release_unverified=True,
        on_error=partial(_name_object, answer.stored.call.params),
    )
    told = in_plaintext_terms(response, range_told(part.span, part.plaintext_length))
    return {**told, "Body": StreamingBody(stream, str(length))}


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


def _name_object(params: Params, error: BaseException) -> None:
    if isinstance(error, S3EncryptionClientError):
        error.about(params.get("Bucket"), params.get("Key"))


def _range_refused() -> PolicyError:
    return PolicyError(
        "A range of an object can't be verified, because its tag covers the whole. "
        "enable_unauthenticated_ranges=True reads ranges without verification; a read of the whole object "
        "needs no switch."
    )


def _invalid_range(answer: _Answer, plaintext_length: int) -> ClientError:
    """Return the error that S3 gives for a range that starts behind the end, in plaintext terms."""
    told = {
        "Code": "InvalidRange",
        "Message": "The requested range is not satisfiable",
        "RangeRequested": answer.stored.call.params["Range"],
        "ActualObjectSize": str(plaintext_length),
    }
    return not_satisfiable("GetObject", answer.response, told)
