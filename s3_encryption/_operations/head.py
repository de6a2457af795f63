"""head_object: the length of the plaintext, where the metadata tell it, and the user's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._body.ranges import parse_range
from .._crypto.content import AES_GCM, Suite
from .._envelope import formats
from ..exceptions import DecryptionError, InvalidEnvelopeError
from .call import Call
from .parts import parts_count
from .stored_object import in_plaintext_terms, not_satisfiable, plausible_cbc_length, range_told, told_range


def head_object(call: Call) -> dict[str, Any]:
    """Return S3's answer, its lengths those of the plaintext where these are known, and the user's metadata.

    Raises:
        ClientError: The plaintext has no such range or part.
    """
    response: dict[str, Any] = call.send("HeadObject", call.params)
    shown = _shown(response.get("Metadata", {}))
    return response if shown is None else in_plaintext_terms(response, _lengths(call, response, *shown))


def _shown(metadata: Mapping[str, str]) -> tuple[Suite, int | None] | None:
    """Return the suite of an object that shows to be encrypted, and the plaintext length that its writer noted."""
    try:
        fields = formats.envelope_fields(metadata)
        if formats.has_envelope(fields):
            envelope = formats.parse_fields(fields)
            return envelope.suite, envelope.plaintext_length
    except InvalidEnvelopeError:
        # Not this call's business: reading the object will say what is wrong with it.
        return None
    in_a_file = formats.V3.with_object <= fields.keys() and formats.may_have_instruction_file(fields)
    # Only V3 shows without its data key.
    return (AES_GCM, None) if in_a_file else None


def _lengths(call: Call, response: Mapping[str, Any], suite: Suite, noted: int | None) -> dict[str, Any]:
    """Return what is to be told in the place of the ciphertext's lengths: nothing, if the plaintext's are not known."""
    part = told_range(response)
    length = response.get("ContentLength") if part is None else part[2]
    if length is None or (part is None and _is_of_a_part(response)):
        return {}
    plaintext_length = _plaintext_length(suite, noted, length)
    if plaintext_length is None:
        return {}
    if part is None:
        return {"ContentLength": plaintext_length}
    span = _span(call, part, plaintext_length)
    if span is None:
        raise not_satisfiable("HeadObject", response, {"Code": "416", "Message": "Requested Range Not Satisfiable"})
    return {**range_told(span, plaintext_length), "PartsCount": parts_count(call, response, plaintext_length)}


def _is_of_a_part(response: Mapping[str, Any]) -> bool:
    """Return whether an answer that does not say what it is about is about a part."""
    return "PartsCount" in response or response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 206


def _span(call: Call, part: tuple[int, int, int], plaintext_length: int) -> tuple[int, int] | None:
    """Return the span of the plaintext that was asked for; None if there is no such range or part."""
    start, stop, _ = part
    if "Range" in call.params:
        requested = parse_range(call.params["Range"])
        return None if requested is None else requested.span(plaintext_length)
    if 0 < start >= plaintext_length:
        return None
    return start, min(stop, plaintext_length)


def _plaintext_length(suite: Suite, noted: int | None, ciphertext_length: int) -> int | None:
    try:
        exact = suite.plaintext_length(ciphertext_length)
    except DecryptionError:
        return None  # it was cut, which reading it will say
    return plausible_cbc_length(noted, ciphertext_length) if exact is None else exact
