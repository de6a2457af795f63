"""head_object: the length of the plaintext, where the metadata tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._body.ranges import parse_range
from .._crypto.content import AES_GCM
from .._envelope import formats
from ..exceptions import S3EncryptionClientError
from .call import Call
from .parts import parts_count
from .stored_object import in_plaintext_terms, not_satisfiable, plausible_cbc_length, range_told, told_range


def head_object(call: Call) -> dict[str, Any]:
    """Return S3's answer, its lengths those of the plaintext where these are known.

    Raises:
        ClientError: The plaintext has no such range or part.
    """
    response: dict[str, Any] = call.send("HeadObject", call.params)
    part = told_range(response)
    length = response.get("ContentLength") if part is None else part[2]
    if length is None or (part is None and _is_of_a_part(response)):
        return response
    try:
        plaintext_length = _length_from_fields(formats.envelope_fields(response.get("Metadata", {})), length)
    except S3EncryptionClientError:
        # Not this call's business: reading the object will say what is wrong with it.
        return response
    if plaintext_length is None:
        return response
    if part is None:
        return in_plaintext_terms(response, {"ContentLength": plaintext_length})
    span = _span(call, part, plaintext_length)
    if span is None:
        raise not_satisfiable("HeadObject", response, {"Code": "416", "Message": "Requested Range Not Satisfiable"})
    parts = {"PartsCount": parts_count(call, response, plaintext_length)}
    return in_plaintext_terms(response, {**range_told(span, plaintext_length), **parts})


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


def _length_from_fields(fields: dict[str, str], ciphertext_length: int) -> int | None:
    if formats.has_envelope(fields):
        envelope = formats.parse_fields(fields)
        exact = envelope.suite.plaintext_length(ciphertext_length)
        return plausible_cbc_length(envelope.plaintext_length, ciphertext_length) if exact is None else exact
    if formats.is_complete(fields) and formats.V3.with_object <= fields.keys():
        return AES_GCM.plaintext_length(ciphertext_length)
    return None
