"""Laws that hold for whatever content, keys, envelopes and damage Hypothesis comes up with."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Mapping
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.encoder import AES_KEY, GCM_KINDS, RSA_KEY, Encoder, Kind, to_base64
from support.fake_kms import KMS_KEY_ARN, FakeKms, FakeKmsError
from support.reading import finish_at_once, read
from support.sealers import sealer_with
from support.wraps import wrap_data_key

from s3_encryption._crypto import engine
from s3_encryption._crypto.content import (
    AES_CBC,
    AES_CBC_PKCS7,
    AES_CTR,
    AES_GCM,
    AES_GCM_COMMITTING,
    CommitmentPolicy,
    ContentKey,
    Suite,
)
from s3_encryption._crypto.contexts import CipherContext
from s3_encryption._envelope.encoding import decode_header_text
from s3_encryption._envelope.formats import (
    FORMATS,
    INSTRUCTION_FILE_MARKER,
    RESERVED_FIELDS,
    Envelope,
    emit,
    envelope_fields,
    parse,
)
from s3_encryption._envelope.instruction_file import merge, split
from s3_encryption._keys.aes_wraps import load_aes_key
from s3_encryption._keys.keyring import WrappedDataKey
from s3_encryption._keys.kms import KmsKeyring
from s3_encryption._keys.wrap_algorithms import WRAP_ALGORITHMS, unwrap_data_key
from s3_encryption.exceptions import (
    DecryptionError,
    NotEncryptedError,
    S3EncryptionClientError,
    S3EncryptionClientSecurityError,
)


def law(examples: int) -> settings:
    """Return the settings of a law: the same examples in every run, and no deadline on a busy machine."""
    return settings(deadline=None, derandomize=True, max_examples=examples, database=None)


def content(length: int, seed: int) -> bytes:
    """Return random content."""
    return random.Random(seed).randbytes(length)


suites = st.sampled_from([AES_GCM, AES_GCM_COMMITTING, AES_CBC, AES_CBC_PKCS7])
stream_suites = st.sampled_from([AES_GCM, AES_GCM_COMMITTING, AES_CTR])
seeds = st.integers(0, 2**32)
content_lengths = st.one_of(st.integers(0, 100), st.integers(65_500, 65_600), st.integers(0, 400_000))
cuts = st.lists(st.one_of(st.integers(0, 40), st.integers(60_000, 70_000), st.integers(0, 300_000)), min_size=1)

any_characters = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
# Mail headers' encoded words mean something to S3, and only look like one here.
texts = st.one_of(
    any_characters, st.sampled_from(["=?UTF-8?Q?a?=", "=?utf-8?b?YQ==?= =?", "=?", "?=", "\\u0041", '"', "\\"])
)
descriptions = st.dictionaries(texts, texts, max_size=4)
# The client sets these itself, and refuses them from a caller.
RESERVED_NAMES = frozenset({"aws:x-amz-cek-alg", "kms_cmk_id"})
contexts = descriptions.filter(RESERVED_NAMES.isdisjoint)


def content_key(suite: Suite, seed: int) -> ContentKey:
    """Return a random content key."""
    chance = random.Random(f"key {seed}")
    return ContentKey(suite, chance.randbytes(32), suite.fixed_iv or chance.randbytes(suite.iv_bytes))


def through(filter: CipherContext, data: bytes, lengths: list[int]) -> bytes:
    """Return what a filter makes of data that is cut to these lengths, over and over."""
    output, position = [], 0
    sizes = cycle([*lengths, max(1, len(data) // 7)])
    while position < len(data):
        size = next(sizes)
        output.append(filter.update(data[position : position + size]))
        position += size
    return b"".join([*output, filter.finalize()])


# --- content ----------------------------------------------------------------------------------------------------------


@law(100)
@given(suites, content_lengths, seeds, cuts, cuts, st.booleans())
def test_decryption_undoes_encryption_under_any_cuts(
    suite: Suite, length: int, seed: int, first: list[int], second: list[int], release_unverified: bool
) -> None:
    """Law: decrypt(encrypt(x)) == x, whatever the pieces on the way out and on the way back."""
    plaintext, key = content(length, seed), content_key(suite, seed)
    body = through(key.encryptor(), plaintext, first)
    assert len(body) == suite.ciphertext_length(length)
    assert through(key.decryptor(release_unverified=release_unverified), body, second) == plaintext


@law(100)
@given(st.sampled_from([AES_GCM, AES_GCM_COMMITTING]), content_lengths, seeds, st.data())
def test_changed_byte_of_a_gcm_body_never_gives_plaintext(
    suite: Suite, length: int, seed: int, data: st.DataObject
) -> None:
    """Law: a body with any one byte changed, left out or put in is refused."""
    key = content_key(suite, seed)
    body = key.encrypt(content(length, seed))
    position = data.draw(st.integers(0, len(body) - 1))
    change = bytes([body[position] ^ data.draw(st.integers(1, 255))])
    insertion = bytes([data.draw(st.integers(0, 255))])
    changed = [body[:position] + change + body[position + 1 :], body[:position] + body[position + 1 :]]
    for damaged in (*changed, body[:position] + insertion + body[position:]):
        with pytest.raises(DecryptionError):
            finish_at_once(key.decryptor(), damaged)


@law(200)
@given(stream_suites, st.integers(0, 200_000), seeds, st.data())
def test_kv_05_range_of_a_body_decrypts_to_the_slice(suite: Suite, length: int, seed: int, data: st.DataObject) -> None:
    """KV-05: law: decrypting a slice of the ciphertext gives that slice of the plaintext."""
    plaintext, key = content(length, seed), content_key(suite, seed)
    body = through(key.ctr_context(0), plaintext, [length]) if suite is AES_CTR else key.encrypt(plaintext)
    start = data.draw(st.integers(0, length))
    stop = data.draw(st.integers(start, length))
    assert through(key.ctr_context(start), body[start:stop], [1000]) == plaintext[start:stop]


# --- envelopes --------------------------------------------------------------------------------------------------------

edks = st.binary(min_size=1, max_size=60)
noted_lengths = st.one_of(st.none(), st.just(""), st.integers(0, 10**15 - 1).map(str))


@st.composite
def envelopes(draw: st.DrawFn) -> Envelope:
    """Draw an envelope as this library writes it, of any format, wrap and content that go together."""
    format = draw(st.sampled_from(list(FORMATS.values())))
    fitting = {
        "V1": [a for a in WRAP_ALGORITHMS.values() if a.v1],
        "V2": [a for a in WRAP_ALGORITHMS.values() if not a.v1],
        "V3": [a for a in WRAP_ALGORITHMS.values() if a.v3_code],
    }
    wrap = draw(st.sampled_from(fitting[format.name]))
    contents = {"V1": [AES_CBC], "V2": [AES_GCM, AES_CBC, AES_CBC_PKCS7], "V3": [AES_GCM_COMMITTING]}[format.name]
    suite = draw(st.sampled_from([*contents, AES_CTR] if wrap.name == "AESWrap" else contents))
    # In V1 the length tells the wrap.
    length = draw(st.sampled_from([32, 48] if wrap.name == "AES/ECB" else [49, 256])) if wrap.v1 else None
    edk = draw(edks if length is None else st.binary(min_size=length, max_size=length))
    wrapped = WrappedDataKey(edk, wrap.name, suite.name, draw(descriptions))
    iv_bytes = 28 if suite.committing else suite.iv_bytes
    iv = draw(st.binary(min_size=iv_bytes, max_size=iv_bytes).filter(any))
    commitment = draw(st.binary(min_size=28, max_size=28)) if suite.committing else b""
    noted = draw(noted_lengths)
    optional = {} if noted is None else {"x-amz-unencrypted-content-length": noted}
    return Envelope(
        format.name, suite, wrapped, iv, commitment, {**format.optional_fields_for(wrapped, suite), **optional}
    )


@law(150)
@given(envelopes())
def test_parsing_undoes_printing(envelope: Envelope) -> None:
    """Law: parse(emit(e)) == e, and what is stored is ASCII in names and values, in any case of the names."""
    metadata = emit(envelope)
    assert parse(metadata) == envelope
    assert parse({name.upper(): text for name, text in metadata.items()}) == envelope
    assert all(name.isascii() and text.isascii() and text.isprintable() for name, text in metadata.items())


@law(150)
@given(envelopes())
def test_merging_undoes_splitting(envelope: Envelope) -> None:
    """Law: merge(split(e)) == e, and each field is in one of the two parts."""
    with_object, file = split(envelope)
    assert merge(with_object, file) == envelope
    assert merge({**with_object, "author": "me"}, file) == envelope
    in_file = json.loads(file)
    assert not with_object.keys() & in_file.keys()
    assert {**with_object, **in_file} == emit(envelope)


any_text = st.one_of(st.text(max_size=30), st.sampled_from(["{}", "128", "115", "AAAA", "12", "=?UTF-8?Q?=7B}?="]))
any_metadata = st.dictionaries(st.sampled_from(sorted({*RESERVED_FIELDS, INSTRUCTION_FILE_MARKER})), any_text)


@law(200)
@given(any_metadata)
def test_kv_08_any_metadata_is_parsed_or_refused(metadata: dict[str, str]) -> None:
    """KV-08: law: whatever the fields hold, parsing ends in an envelope that prints as it was, or in our own error."""
    with contextlib.suppress(S3EncryptionClientSecurityError):
        assert emit(parse(metadata)).items() <= envelope_fields(metadata).items()


@law(200)
@given(st.sampled_from(GCM_KINDS[:6] + GCM_KINDS[6:]), st.data())
def test_any_value_of_a_field_is_parsed_or_refused(kind: Kind, data: st.DataObject) -> None:
    """KV-08: law: so it is with one arbitrary value in a good envelope."""
    stored = Encoder().write(kind, b"", edk=b"wrapped")
    metadata = dict(stored.metadata)
    metadata[data.draw(st.sampled_from(sorted(metadata)))] = data.draw(any_text)
    with contextlib.suppress(S3EncryptionClientSecurityError):
        assert emit(parse(metadata)) == envelope_fields(metadata)


any_json = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | any_text, st.lists, max_leaves=3)
any_file = st.one_of(
    st.binary(max_size=60),
    any_metadata.map(lambda fields: json.dumps(fields).encode()),
    st.dictionaries(st.sampled_from(sorted(RESERVED_FIELDS)), any_json).map(lambda fields: json.dumps(fields).encode()),
)


@law(200)
@given(any_metadata, any_file)
def test_kv_08_any_instruction_file_is_merged_or_refused(metadata: dict[str, str], file: bytes) -> None:
    """KV-08: law: whatever an object and its file hold, merging ends in an envelope or in our own error."""
    with contextlib.suppress(S3EncryptionClientSecurityError):
        merged = merge(metadata, file)
        assert parse(emit(merged)) == merged


encoded_words = st.builds(
    "{}=?{}?{}?{}?={}".format,
    texts,
    st.sampled_from(["UTF-8", "us-ascii", "iso-8859-1", "utf-16", "idna", "hex", "", "\0", "é"]),
    st.sampled_from(["Q", "b", "x"]),
    st.sampled_from(["YWJj", "=C3=83=C2=A9", "=FF", "_", "%", "YQ", "\u20ac"]),
    texts,
)


@law(300)
@given(st.one_of(st.text(), st.text(alphabet="=?UTF8-bBqQ_ \0é%s"), st.lists(encoded_words).map(" ".join)))
def test_any_header_text_is_decoded(text: str) -> None:
    """KV-08: law: ASCII without encoded words stays as it is, and any other text gives some text."""
    decoded = decode_header_text(text)
    assert decoded == text or "=?" in text or not text.isascii()


def test_nothing_is_not_an_envelope() -> None:
    """The laws above include the empty case, whose error is the one for objects that are not encrypted."""
    with pytest.raises(NotEncryptedError):
        parse({})


# --- data keys --------------------------------------------------------------------------------------------------------

content_names = st.sampled_from([AES_GCM.name, AES_GCM_COMMITTING.name, AES_CBC.name])
raw_names = {
    key_type: st.sampled_from([a.name for a in WRAP_ALGORITHMS.values() if a.key_type == key_type])
    for key_type in ("aes", "rsa")
}


@law(150)
@given(raw_names["aes"], st.sampled_from([16, 24, 32]), st.sampled_from([16, 24, 32]), content_names, seeds)
def test_unwrapping_undoes_wrapping_by_aes(name: str, key_bytes: int, length: int, bound: str, seed: int) -> None:
    """Law: unwrap(wrap(k)) == k for AES keys and data keys of all sizes."""
    chance = random.Random(seed)
    key, data_key = load_aes_key(chance.randbytes(key_bytes)), chance.randbytes(length)
    assert unwrap_data_key(name, key, wrap_data_key(name, key, data_key, bound), bound) == data_key


@law(30)
@given(raw_names["rsa"], content_names, st.binary(min_size=32, max_size=32))
def test_unwrapping_undoes_wrapping_by_rsa(name: str, bound: str, data_key: bytes) -> None:
    """Law: unwrap(wrap(k)) == k for RSA."""
    key = engine.active.rsa_key(RSA_KEY, None)
    assert unwrap_data_key(name, key, wrap_data_key(name, key, data_key, bound), bound) == data_key


@law(150)
@given(raw_names["aes"], content_names, seeds, st.data())
def test_changed_wrap_by_aes_is_never_unwrapped(name: str, bound: str, seed: int, data: st.DataObject) -> None:
    """Law: a changed encrypted data key gives the uniform error; or, without authentication, another data key."""
    key, data_key = load_aes_key(AES_KEY), content(32, seed)
    wrapped = bytearray(wrap_data_key(name, key, data_key, bound))
    wrapped[data.draw(st.integers(0, len(wrapped) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        unwrapped = unwrap_data_key(name, key, bytes(wrapped), bound)
    except DecryptionError:
        return
    assert name == "AES/ECB"
    assert unwrapped != data_key


# --- whole objects ----------------------------------------------------------------------------------------------------


@law(100)
@given(st.sampled_from(list(CommitmentPolicy)), contexts, st.binary(max_size=100))
def test_sealed_object_can_be_opened_with_its_context(
    policy: CommitmentPolicy, context: dict[str, str], plaintext: bytes
) -> None:
    """Law: what was written with a context is read with the same one, through metadata and through a file."""
    sealer = sealer_with(keyring=KmsKeyring(FakeKms(), KMS_KEY_ARN), commitment_policy=policy)
    sealed = sealer.seal(context)
    body = sealed.content_key.encrypt(plaintext)
    for envelope in (parse(emit(sealed.envelope)), merge(*split(sealed.envelope))):
        assert finish_at_once(sealer.open(envelope, context).decryptor(), body) == plaintext


UNBOUND = frozenset({("aes", "x-amz-matdesc"), ("rsa", "x-amz-matdesc"), ("aes", "x-amz-m"), ("rsa", "x-amz-m")})
LEGACY: dict[str, Any] = {
    "enable_legacy_wrapping_algorithms": True,
    "enable_legacy_unauthenticated_modes": True,
}


@law(250)
@given(st.sampled_from(GCM_KINDS), st.data())
def test_changed_character_of_an_envelope_never_gives_other_plaintext(kind: Kind, data: st.DataObject) -> None:
    """Law: one changed character of any field ends in an error; the description of a raw key binds nothing."""
    encoder = Encoder()
    context: Mapping[str, str] = {"key": "k1"}
    stored = encoder.write(kind, b"plaintext", description=context)
    field = data.draw(st.sampled_from(sorted(stored.metadata)))
    text = stored.metadata[field]
    position = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != text[position]))
    changed = stored.changed(field, text[:position] + character + text[position + 1 :])
    sealer = sealer_with(keyring=encoder.keyring(kind), **LEGACY)
    caller = context if kind.key_type == "kms" else None
    assert read(sealer, stored, caller) == b"plaintext"
    try:
        plaintext = read(sealer, changed, caller)
    except (S3EncryptionClientError, FakeKmsError):
        return
    assert (kind.key_type, field) in UNBOUND
    assert plaintext == b"plaintext"


@law(200)
@given(st.sampled_from(GCM_KINDS[:4] + GCM_KINDS[6:8]), st.data())
def test_changed_byte_of_an_envelope_never_gives_plaintext(kind: Kind, data: st.DataObject) -> None:
    """Law: so it is with any changed byte under the base64 of data key, IV, message id and commitment."""
    encoder = Encoder()
    stored = encoder.write(kind, b"plaintext")
    field = data.draw(st.sampled_from([*kind.fields.values(), *(["x-amz-d"] if kind.format == "V3" else [])]))
    value = bytearray(stored.decoded(field))
    value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((S3EncryptionClientSecurityError, FakeKmsError)):
        read(sealer_with(keyring=encoder.keyring(kind), **LEGACY), stored.changed(field, to_base64(bytes(value))))
