"""Reads stored objects through the core alone: envelope, sealer, content cipher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from s3_encryption._crypto.contexts import CipherContext
from s3_encryption._crypto.primitives import Buffer
from s3_encryption._envelope.formats import Envelope, parse
from s3_encryption._envelope.instruction_file import merge
from s3_encryption._sealer import ObjectSealer

from .encoder import Stored


def read(sealer: ObjectSealer, stored: Stored, encryption_context: Mapping[str, str] | None = None) -> bytes:
    """Return the plaintext of an object; nothing of it may come out before all of it was verified."""
    return read_body(sealer, parse(stored.metadata), stored.body, encryption_context)


def read_with_file(
    sealer: ObjectSealer,
    metadata: Mapping[str, str],
    file: bytes,
    body: bytes,
    encryption_context: Mapping[str, str] | None = None,
) -> bytes:
    """Return the plaintext of an object with an instruction file."""
    return read_body(sealer, merge(metadata, file), body, encryption_context)


def read_body(
    sealer: ObjectSealer, envelope: Envelope, body: bytes, encryption_context: Mapping[str, str] | None = None
) -> bytes:
    """Return the plaintext of a body whose envelope is known."""
    content_key = sealer.open(envelope, encryption_context)
    return finish_at_once(content_key.decryptor(plaintext_length=envelope.plaintext_length), body)


def finish_at_once(decryptor: CipherContext, body: Buffer) -> bytes:
    """Return what a decryptor makes of a body; nothing may come out before the end."""
    assert decryptor.update(body) == b""
    return decryptor.finalize()


def pieces(data: bytes, step: int) -> Iterator[bytes]:
    """Return the data cut into pieces of a length."""
    return (data[i : i + step] for i in range(0, len(data), step))


def in_pieces(context: CipherContext, data: bytes, step: int) -> bytes:
    """Return what a context makes of data that arrives piece by piece."""
    return b"".join([*map(context.update, pieces(data, step)), context.finalize()])
