"""put_object: a whole object encrypted."""

from __future__ import annotations

import contextlib
from typing import Any

from .._body.plaintext import PlaintextClaims, PlaintextSource, check_length, take_claims
from .._body.request import EncryptingReader, SmallBody, encrypted_in_spool
from .._crypto.content import ContentKey
from .._crypto.ghash import Ghash
from .._crypto.keystream import KeystreamSegment
from ..exceptions import UnsupportedOperationError
from .call import Call
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
    with _encrypted(source, small, sealed.content_key, claims) as body:
        md5 = call.content_md5(body, params) if claims.has_md5 else {}
        response = call.send("PutObject", {**params, "Body": body, **md5})
    placed.put_instruction_file(call)
    return response


def _encrypted(
    source: PlaintextSource, small: bytes | None, key: ContentKey, claims: PlaintextClaims
) -> contextlib.AbstractContextManager[Any]:
    """Return what to send: encrypted at once where it is small, from a temporary file, or made while it is sent."""
    if small is not None:
        return contextlib.nullcontext(SmallBody(key.encrypt(small)))
    if source.length is None or not key.suite.authenticated:
        return encrypted_in_spool(source, key.encryptor(), claims)
    segment = KeystreamSegment(Ghash(key), is_whole=True)
    return EncryptingReader(source, segment, claims, ahead=source.can_be_read_ahead)
