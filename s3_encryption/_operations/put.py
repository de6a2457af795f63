"""put_object: a whole object encrypted."""

from __future__ import annotations

import contextlib
from typing import Any

from .._body.plaintext import PlaintextClaims, PlaintextSource, check_length, crc32_of, digest_field, take_claims
from .._body.request import EncryptingReader, SmallBody, encrypted_in_spool
from .._crypto.content import ContentKey
from .._crypto.ghash import Ghash
from .._crypto.keystream import KeystreamSegment
from ..exceptions import UnsupportedOperationError
from .call import Call, Params
from .placement import Placement


def put_object(call: Call) -> Any:
    """Store an object encrypted, and return S3's answer."""
    if "WriteOffsetBytes" in call.params:
        raise UnsupportedOperationError(
            "WriteOffsetBytes appends to an object, which would destroy an encrypted one. Write the whole object."
        )
    with PlaintextSource(call.params.pop("Body", b"")) as source:
        return _put(call, source)


def _put(call: Call, source: PlaintextSource) -> Any:
    params = call.params
    claims = take_claims(params)
    check_length(source, claims)
    placement = Placement.of(call)
    small = source.take_small()
    if small is not None:
        # Read and checked before a data key is asked for, and encrypted once, however often botocore reads it.
        claims.check_all(small)
    sealed = call.encryption.sealer.seal(call.encryption_context)
    placed = placement.with_envelope(sealed.envelope)
    params["Metadata"] = placed.metadata
    if small is not None:
        response = call.send("PutObject", {**params, **_small_body(call, sealed.content_key, small, claims)})
    else:
        with _large_body(source, sealed.content_key, claims) as body:
            response = call.send("PutObject", {**params, "Body": body})
    placed.put_instruction_file(call.send)
    return response


def _small_body(call: Call, key: ContentKey, plaintext: bytes, claims: PlaintextClaims) -> Params:
    """Return the parameters of a body that is encrypted at once.

    Its checksum goes into a header: botocore would put it behind the body, in chunks.
    """
    body = key.encrypt(plaintext)
    algorithm = call.params.get("ChecksumAlgorithm", call.encryption.default_checksum)
    if algorithm == "CRC32":
        return {"Body": SmallBody(body), "ChecksumCRC32": crc32_of(body)}
    if algorithm is None and "ContentMD5" in claims.digests:
        return {"Body": SmallBody(body), **digest_field("ContentMD5", [body])}
    return {"Body": SmallBody(body)}


def _large_body(
    source: PlaintextSource, key: ContentKey, claims: PlaintextClaims
) -> contextlib.AbstractContextManager[Any]:
    """Return what to send for a large source: from a temporary file, or made while it is sent."""
    if source.length is None or not key.suite.authenticated:
        return encrypted_in_spool(source, key.encryptor(), claims)
    segment = KeystreamSegment(Ghash(key), is_whole=True)
    return EncryptingReader(source, segment, claims, ahead=source.can_be_read_ahead)
