"""What is fuzzed. A target takes bytes, does with them what the library would, and checks what comes out.

Only the library's named errors may come out, with a bounded text that shows nothing raw; and what is parsed must print
as something that is parsed to the same again. A target returns whether its input was accepted.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from support import reference
from support.encoder import AES_KEY, ALL_KINDS, RSA_KEY, Encoder, Kind, instruction_file
from support.sealers import sealer_with
from support.vectors import PEER_VECTORS, VECTORS, Vector

from s3_encryption._body.ranges import content_range, parse_content_range, parse_range
from s3_encryption._crypto import engine
from s3_encryption._crypto.content import AES_CBC, CONTENT_ALGORITHMS, ContentKey
from s3_encryption._envelope.encoding import decode_header_text, parse_description
from s3_encryption._envelope.formats import (
    RESERVED_FIELDS,
    Envelope,
    emit,
    envelope_fields,
    escape_json,
    parse,
    print_json,
)
from s3_encryption._envelope.instruction_file import merge, split
from s3_encryption._keys.aes_wraps import load_aes_key
from s3_encryption._keys.raw import AesKeyring
from s3_encryption._keys.wrap_algorithms import WRAP_ALGORITHMS, unwrap_data_key
from s3_encryption.exceptions import (
    DecryptionError,
    InvalidEnvelopeError,
    S3EncryptionClientError,
    S3EncryptionClientSecurityError,
)

CORPUS = Path(__file__).with_name("corpus")
# Longer than the longest envelope and instruction file that are accepted, for those two; S3's headers are shorter.
MAX_INPUT_BYTES = 70 * 1024
MAX_MESSAGE_CHARACTERS = 1000
_PLAINTEXT = b"what was really encrypted"


@dataclass(frozen=True, slots=True)
class Target:
    """Something to fuzz: the check, good inputs to start from, words that mean something, and the longest input."""

    check: Callable[[bytes], bool]
    seeds: Callable[[], Iterable[bytes]]
    words: Iterable[str] = ()
    max_bytes: int = 8 * 1024


def check_error(error: S3EncryptionClientError) -> None:
    """Check that an error can be logged: a bounded, printable text, and no cause that would say more."""
    message = str(error)
    assert len(message) <= MAX_MESSAGE_CHARACTERS
    assert message.isascii()
    assert message.isprintable()
    assert error.__cause__ is None


def check_uniform(error: DecryptionError) -> None:
    """Check that an error tells nothing about its cause."""
    check_error(error)
    assert (type(error), str(error), error.__context__) == (DecryptionError, DecryptionError.MESSAGE, None)


# --- envelopes --------------------------------------------------------------------------------------------------------


def _as_lines(metadata: Mapping[str, str]) -> bytes:
    return "\n".join(f"{name}:{text}" for name, text in metadata.items()).encode("utf-8", "surrogatepass")


def _from_lines(data: bytes) -> dict[str, str]:
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    return {name: text for name, _, text in (line.partition(":") for line in lines)}


def _check_stable(envelope: Envelope) -> None:
    assert parse(emit(envelope)) == envelope
    assert envelope.plaintext_length is None or envelope.plaintext_length >= 0
    try:
        merged = merge(*split(envelope))
    except InvalidEnvelopeError:
        # White space that JSON allows in a header, and nobody writes into a string of an instruction file.
        assert not all(text.isprintable() for text in envelope.optional_fields.values())
    else:
        assert merged == envelope


def envelope(data: bytes) -> bool:
    """Metadata, a field on each line: it is one envelope, or it is refused."""
    metadata = _from_lines(data)
    try:
        parsed = parse(metadata)
    except S3EncryptionClientSecurityError as error:
        check_error(error)
        return False
    fields = envelope_fields(metadata)
    stored = emit(parsed)
    assert stored == {name: fields[name] for name in stored}
    assert fields.keys() == stored.keys()
    _check_stable(parsed)
    return True


def instruction(data: bytes) -> bool:
    """Metadata, an empty line, and an instruction file: they make one envelope, or they are refused."""
    head, _, body = data.partition(b"\n\n")
    try:
        merged = merge(_from_lines(head), body)
    except S3EncryptionClientSecurityError as error:
        check_error(error)
        return False
    assert len(body) <= 64 * 1024
    _check_stable(merged)
    return True


def description(data: bytes) -> bool:
    """A material description or encryption context: a map of text to text, or refused."""
    text = data.decode("utf-8", "surrogateescape")
    decoded = decode_header_text(text)
    assert decoded == text or "=?" in text or not text.isascii()
    kept = escape_json(decoded)
    # What is escaped already stays as it is, be it nonsense.
    assert "\\" in kept or (kept.isascii() and escape_json(decode_header_text(kept)) == kept)
    try:
        parsed = parse_description(kept, "x-amz-matdesc")
    except S3EncryptionClientSecurityError as error:
        check_error(error)
        return False
    assert all(isinstance(part, str) for pair in parsed.items() for part in pair)
    printed = print_json(parsed)
    assert printed.isascii()
    assert parse_description(printed, "x-amz-matdesc") == parsed
    return True


# --- ranges -----------------------------------------------------------------------------------------------------------


def ranges(data: bytes) -> bool:
    """A Range or Content-Range header, and the number of bytes before it as an object's length."""
    length, _, header = data.decode("utf-8", "surrogateescape").partition(" ")
    total = int(length) if length.isascii() and length.isdigit() and len(length) < 19 else 61
    return any((_checked_range(header, total), _checked_content_range(header)))


def _checked_range(header: str, total: int) -> bool:
    parsed = parse_range(header)
    if parsed is None:
        return False
    assert parse_range(str(parsed)) == parsed
    span = parsed.span(total)
    if span is not None:
        assert 0 <= span[0] < span[1] <= total
        wide = parsed.widened(16).span(total + 16)
        assert wide is not None
        assert wide[0] <= span[0]
        assert wide[1] >= span[1]
        assert parsed.may_cover_all or span != (0, total)
        assert parse_range(f"bytes={span[0]}-{span[1] - 1}") is not None
    return True


def _checked_content_range(header: str) -> bool:
    parsed = parse_content_range(header)
    if parsed is None:
        return False
    start, stop, total = parsed
    assert 0 <= start < stop <= total
    assert parse_content_range(content_range(*parsed)) == parsed
    return True


# --- bodies and data keys ---------------------------------------------------------------------------------------------

_CBC_KEY = ContentKey(AES_CBC, bytes(range(32)), bytes(16))


def padding(data: bytes) -> bool:
    """The blocks under a CBC body, its padding included; a body that is not of whole blocks is taken as it is."""
    whole = not len(data) % 16 and data
    body = reference.cbc_encrypt_blocks(_CBC_KEY.key, _CBC_KEY.iv, data) if whole else data
    expected = _unpadded(data) if whole else None
    outcomes = [_decrypted(body, release_unverified) for release_unverified in (False, True)]
    assert outcomes == [expected, expected]
    return expected is not None


def _decrypted(body: bytes, release_unverified: bool) -> bytes | None:
    decryptor = _CBC_KEY.decryptor(release_unverified=release_unverified)
    try:
        return decryptor.update(body) + decryptor.finalize()
    except DecryptionError as error:
        check_uniform(error)
        return None


def _unpadded(data: bytes) -> bytes | None:
    count = data[-1]
    padded = 1 <= count <= 16 and data.endswith(bytes([count]) * count)
    return data[:-count] if padded else None


_RAW_WRAPS = [name for name, wrap in WRAP_ALGORITHMS.items() if wrap.unwrap is not None]
_SUITES = sorted(CONTENT_ALGORITHMS)
_OAEP_SEED = bytes(20)
_WRAPPING_KEYS = {"aes": load_aes_key(AES_KEY), "rsa": engine.active.rsa_key(RSA_KEY, None)}
# What fits into an OAEP block under a key of 2048 bits: RFC 8017, section 7.1.1.
_MAX_OAEP_BYTES = RSA_KEY.size_in_bytes() - 2 * 20 - 2


def data_key(data: bytes) -> bool:
    """Two bytes for wrap and content algorithm, and what is unwrapped: for OAEP with SHA-1, the payload of the block.

    All the errors are one.
    """
    if len(data) < 2:
        return False
    name, bound = _RAW_WRAPS[data[0] % len(_RAW_WRAPS)], _SUITES[data[1] % len(_SUITES)]
    wrapped = data[2:]
    is_payload = name == "RSA-OAEP-SHA1" and len(wrapped) <= _MAX_OAEP_BYTES
    if is_payload:
        block = reference.oaep_block(wrapped, RSA_KEY.size_in_bytes(), "sha1", _OAEP_SEED)
        wrapped = reference.rsa_encrypt_block(RSA_KEY, block)
    try:
        unwrapped = unwrap_data_key(name, _WRAPPING_KEYS[WRAP_ALGORITHMS[name].key_type], wrapped, bound)
    except DecryptionError as error:
        check_uniform(error)
        return False
    if is_payload:
        assert data[2:] == bytes([len(unwrapped)]) + unwrapped + bound.encode()
    # Without a tag, only the padding tells; every other wrapped key must be one of those that were really made.
    assert is_payload or name in ("AES/ECB", "RSA/ECB/PKCS1Padding") or wrapped in _genuine()
    return True


@functools.cache
def _genuine() -> frozenset[bytes]:
    return frozenset(seed[2:] for seed in _wrapped_keys())


_AES_KINDS = tuple(kind for kind in ALL_KINDS if kind.key_type == "aes")
_ENGINE = sealer_with(
    keyring=AesKeyring(AES_KEY), enable_legacy_wrapping_algorithms=True, enable_legacy_unauthenticated_modes=True
)


def stored_object(data: bytes) -> bool:
    """Metadata, an empty line, and a body, read with an AES key and every legacy switch.

    Nothing can be forged: content that has a tag is that of one of the seeds, or there is none.
    """
    head, _, body = data.partition(b"\n\n")
    try:
        envelope = parse(_from_lines(head))
        decryptor = _ENGINE.open(envelope).decryptor(plaintext_length=envelope.plaintext_length)
        plaintext = decryptor.update(body) + decryptor.finalize()
    except S3EncryptionClientError as error:
        check_error(error)
        return False
    assert plaintext == _PLAINTEXT or not envelope.suite.authenticated
    return True


# --- seeds ------------------------------------------------------------------------------------------------------------


def _samples() -> list[Vector]:
    """Return one stored object of each kind that there is, as its client wrote it."""
    samples: dict[object, Vector] = {}
    for vector in (*VECTORS, *PEER_VECTORS):
        kind = (frozenset(vector.metadata), vector.wrap, vector.content, vector.instruction_file is None)
        samples.setdefault(kind, vector)
    return list(samples.values())


def _envelopes() -> Iterable[bytes]:
    return [_as_lines(vector.metadata) for vector in _samples() if vector.instruction_file is None]


def _instruction_files() -> Iterable[bytes]:
    for vector in _samples():
        if vector.instruction_file is not None:
            yield _as_lines(vector.metadata) + b"\n\n" + vector.instruction_file
    for kind in ALL_KINDS:
        on_object, body = instruction_file(Encoder().write(kind, b"", description={"key": "k1"}))
        yield _as_lines(on_object) + b"\n\n" + body


def _descriptions() -> Iterable[bytes]:
    names = ("x-amz-matdesc", "x-amz-t", "x-amz-m")
    return {vector.metadata[name].encode() for vector in _samples() for name in names if vector.metadata.get(name)}


def _wrapped_keys() -> Iterable[bytes]:
    encoder, content_key = Encoder(), bytes(range(32))
    for index, name in enumerate(_RAW_WRAPS):
        for suite_index, bound in enumerate(_SUITES):
            choice = bytes([index, suite_index])
            if name == "RSA-OAEP-SHA1":
                yield choice + bytes([len(content_key)]) + content_key + bound.encode()
            else:
                yield choice + encoder.wrap(Kind("V2", name, bound), content_key, {})


def _objects() -> Iterable[bytes]:
    for kind in _AES_KINDS:
        stored = Encoder().write(kind, _PLAINTEXT)
        yield _as_lines(stored.metadata) + b"\n\n" + stored.body


_FIELD_WORDS = (*sorted(RESERVED_FIELDS), *sorted(CONTENT_ALGORITHMS), *WRAP_ALGORITHMS, "115", "02", "12", "22", "128")
_JSON_WORDS = (
    "null",
    "true",
    "NaN",
    '""',
    "{}",
    "[]",
    '":"',
    "\\u0041",
    "\\ud800",
    "=?UTF-8?Q?=7B=7D?=",
    "=?utf-8?b?e30=?=",
)

TARGETS: Mapping[str, Target] = {
    "envelope": Target(envelope, _envelopes, _FIELD_WORDS + _JSON_WORDS, MAX_INPUT_BYTES),
    "instruction_file": Target(instruction, _instruction_files, _FIELD_WORDS + _JSON_WORDS, MAX_INPUT_BYTES),
    "description": Target(description, _descriptions, _JSON_WORDS),
    "ranges": Target(
        ranges,
        lambda: [b"61 bytes=0-9", b"61 bytes=5-", b"61 bytes=-5", b"61 bytes 0-9/61"],
        ("bytes=", "bytes ", "999999999999999999"),
        200,
    ),
    "padding": Target(
        padding, lambda: [reference.pkcs7_pad(bytes(size)) for size in (0, 1, 15, 16, 40)], max_bytes=256
    ),
    "data_key": Target(data_key, _wrapped_keys, _SUITES, 512),
    "object": Target(stored_object, _objects, _FIELD_WORDS + _JSON_WORDS),
}


def corpus(name: str) -> list[bytes]:
    """Return the inputs that are kept for a target: those that once failed, or reach what no seed reaches."""
    lines = (CORPUS / f"{name}.txt").read_text("ascii").splitlines()
    return [ast.literal_eval(line) for line in lines if line]
