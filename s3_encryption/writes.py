"""Writing whole objects: put_object."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from .bodies import (
    Declared,
    EncryptingReader,
    Guard,
    Source,
    check_length,
    encrypted_in_spool,
    take_declared,
)
from .ciphers import ContentKey
from .engine import Engine
from .envelope_store import CallOptions, EnvelopeStore, Params, RawCall
from .exceptions import UnsupportedOperationError


@dataclass(frozen=True, slots=True)
class ObjectWriter:
    """Encrypts objects and stores them with their envelopes."""

    engine: Engine
    envelopes: EnvelopeStore

    def put_object(self, raw_call: RawCall, params: Params) -> Any:
        """Store an object encrypted, and return S3's answer."""
        call = CallOptions.taken_from(params)
        if "WriteOffsetBytes" in params:
            raise UnsupportedOperationError(
                "WriteOffsetBytes appends to an object, which would destroy an encrypted one. Write the whole object."
            )
        source = Source(params.pop("Body", b""))
        declared = check_length(source, take_declared(params))
        self.envelopes.check_put(params, call)
        small = source.take_small()
        if small is not None:
            # Read and checked before a data key is asked for, and encrypted once, however often botocore reads it.
            declared.check_all(small)
        sealed = self.engine.seal(call.encryption_context)
        stored = self.envelopes.to_store(sealed.envelope, params, call)
        params["Metadata"] = stored.metadata
        with _encrypted(source, small, sealed.content_key, declared) as body:
            response = raw_call("PutObject", {**params, "Body": body})
        self.envelopes.put_instruction_file(raw_call, stored, params)
        return response


def _encrypted(
    source: Source,
    small: bytes | None,
    key: ContentKey,
    declared: Declared,
) -> contextlib.AbstractContextManager[Any]:
    """Return what to send for a source: from memory, from a temporary file, or made while it is sent."""
    if small is not None:
        # A bytearray goes out at once; before bytes, botocore would ask the server for leave ("Expect: 100-continue").
        return contextlib.nullcontext(bytearray(key.encrypt(small)))
    if source.length is None:
        return encrypted_in_spool(source, key.encryptor(), declared, Guard())
    length = key.suite.ciphertext_length(source.length)
    return contextlib.nullcontext(EncryptingReader(source, key.encryptor, length, declared, Guard()))
