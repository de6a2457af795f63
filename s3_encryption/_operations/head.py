"""head_object: the length of the plaintext, where the metadata tell it."""

from __future__ import annotations

from typing import Any

from .._crypto.content import AES_GCM
from .._envelope import formats
from ..exceptions import S3EncryptionClientError
from .call import Call
from .stored_object import plausible_cbc_length, without_checksums


def head_object(call: Call) -> dict[str, Any]:
    """Return S3's answer, its ContentLength that of the plaintext where it is known."""
    response = call.send("HeadObject", call.params)
    length = response.get("ContentLength")
    if length is None or not call.params.keys().isdisjoint(("Range", "PartNumber")):
        return response
    try:
        plaintext_length = _length_from_fields(formats.envelope_fields(response.get("Metadata", {})), length)
    except S3EncryptionClientError:
        # Not this call's business: reading the object will say what is wrong with it.
        return response
    if plaintext_length is not None:
        response = without_checksums({**response, "ContentLength": plaintext_length})
    return response


def _length_from_fields(fields: dict[str, str], ciphertext_length: int) -> int | None:
    if formats.has_envelope(fields):
        envelope = formats.parse_fields(fields)
        exact = envelope.suite.plaintext_length(ciphertext_length)
        return plausible_cbc_length(envelope.plaintext_length, ciphertext_length) if exact is None else exact
    if formats.is_complete(fields) and formats.V3.with_object <= fields.keys():
        return AES_GCM.plaintext_length(ciphertext_length)
    return None
