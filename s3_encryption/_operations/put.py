"""Writing whole objects: put_object."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from .._body.digests import PlaintextClaims, crc32_of, digest_field, take_claims
from .._body.plaintext import PlaintextSource, check_length
from .._body.request import EncryptingReader, SmallBody, encrypted_in_spool
from .._crypto.contexts import ContentKey
from .._crypto.ghash import Ghash
from .._crypto.keystream import KeystreamSegment
from .._sealer import ObjectSealer
from ..exceptions import UnsupportedOperationError
from .envelope_store import CallOptions, EnvelopeStore, Params, RawCall


@dataclass(frozen=True, slots=True)
class ObjectWriter:
    """Encrypts objects and stores them with their envelopes."""

    sealer: ObjectSealer
    envelopes: EnvelopeStore
    # The algorithm of the checksum that botocore adds to a request that asks for no other.
    default_checksum: str | None

    def put_object(self, raw_call: RawCall, params: Params) -> Any:
        """Store an object encrypted, and return S3's answer."""
        call = CallOptions.pop_from(params)
        if "WriteOffsetBytes" in params:
            raise UnsupportedOperationError(
                "WriteOffsetBytes appends to an object, which would destroy an encrypted one. Write the whole object."
            )
        with PlaintextSource(params.pop("Body", b"")) as source:
            return self._put(raw_call, params, call, source)

    def _put(self, raw_call: RawCall, params: Params, call: CallOptions, source: PlaintextSource) -> Any:
        claims = take_claims(params)
        check_length(source, claims)
        self.envelopes.check_put(params, call)
        small = source.take_small()
        if small is not None:
            # Read and checked before a data key is asked for, and encrypted once, however often botocore reads it.
            claims.check_all(small)
        sealed = self.sealer.seal(call.encryption_context)
        stored = self.envelopes.layout(sealed.envelope, params, call)
        params["Metadata"] = stored.metadata
        if small is not None:
            response = raw_call("PutObject", {**params, **self._small_body(sealed.content_key, small, params, claims)})
        else:
            with _large_body(source, sealed.content_key, claims) as body:
                response = raw_call("PutObject", {**params, "Body": body})
        self.envelopes.put_instruction_file(raw_call, stored, params)
        return response

    def _small_body(self, key: ContentKey, plaintext: bytes, params: Params, claims: PlaintextClaims) -> Params:
        """Return the parameters of a body that is encrypted at once.

        Its checksum goes into a header: botocore would put it behind the body, in chunks.
        """
        body = key.encrypt(plaintext)
        algorithm = params.get("ChecksumAlgorithm", self.default_checksum)
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
