"""Objects that other clients wrote: all of them are read, and only with the switches that they need."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.fake_kms import FakeKms
from support.reading import finish_at_once, read_body
from support.sealers import sealer_with
from support.vectors import KMS_RECORDS, PEER_VECTORS, VECTORS, Vector, salamander

from s3_encryption._crypto.content import AES_GCM, CommitmentPolicy, ContentKey
from s3_encryption._envelope.formats import Envelope, emit, parse
from s3_encryption._envelope.instruction_file import merge, split
from s3_encryption.exceptions import DecryptionError, PolicyError

LENGTH = "x-amz-unencrypted-content-length"
ALL_SWITCHES = ("enable_legacy_wrapping_algorithms", "enable_legacy_unauthenticated_modes")


def parametrized(vectors: list[Vector]) -> pytest.MarkDecorator:
    """Return the mark that runs a test once for each vector."""
    return pytest.mark.parametrize("vector", [pytest.param(vector, id=vector.name) for vector in vectors])


EVERY = (*VECTORS, *PEER_VECTORS)
all_vectors = parametrized(list(EVERY))
in_metadata = parametrized([vector for vector in EVERY if vector.instruction_file is None])
in_instruction_files = parametrized([vector for vector in EVERY if vector.instruction_file is not None])
behind_a_switch = parametrized([vector for vector in EVERY if vector.legacy_wrap or vector.unauthenticated])


@pytest.fixture
def kms() -> FakeKms:
    """Return a KMS that knows the data keys of the vectors."""
    kms = FakeKms()
    kms.load(KMS_RECORDS)
    return kms


def envelope_of(vector: Vector) -> Envelope:
    """Return the envelope of a vector, from wherever it is stored."""
    if vector.instruction_file is None:
        return parse(vector.metadata)
    return merge(vector.metadata, vector.instruction_file)


def switched_on(*names: str) -> dict[str, Any]:
    """Return an sealer's options with these switches on."""
    return dict.fromkeys(names, True)


def needed_before_unwrapping(vector: Vector) -> set[str]:
    """Return the switches whose need shows in the metadata."""
    flags = (vector.legacy_wrap, vector.unauthenticated)
    return {name for name, needed in zip(ALL_SWITCHES, flags, strict=True) if needed}


def test_vectors_are_complete() -> None:
    """All vectors are there, and so none of the tests below passes for want of data."""
    assert (len(VECTORS), len(PEER_VECTORS)) == (206, 186)
    assert len({vector.name for vector in EVERY}) == len(EVERY)


@all_vectors
def test_kv_10_vector_decrypts_to_its_plaintext(vector: Vector, kms: FakeKms) -> None:
    """With the right keyring and just the switches that it needs, each object gives its plaintext."""
    sealer = sealer_with(keyring=vector.keyring(kms), **vector.switches)
    assert read_body(sealer, envelope_of(vector), vector.body, vector.encryption_context) == vector.plaintext


@all_vectors
def test_vector_costs_at_most_one_call_to_kms(vector: Vector, kms: FakeKms) -> None:
    """An object under a KMS key is opened by one Decrypt that names the key, any other object by none."""
    sealer_with(keyring=vector.keyring(kms), **vector.switches).open(envelope_of(vector), vector.encryption_context)
    assert [(name, request["KeyId"]) for name, request in kms.calls] == (
        [("decrypt", vector.kms.key_id)] if vector.kms else []
    )


@in_metadata
def test_vector_metadata_survives_parsing(vector: Vector) -> None:
    """Printing the parsed envelope gives back the metadata that the other client stored."""
    assert emit(parse(vector.metadata)) == vector.metadata


@in_instruction_files
def test_vector_instruction_file_survives_parsing(vector: Vector) -> None:
    """Splitting the merged envelope gives back both parts, numbers as text; a length noted on the object moves."""
    assert vector.instruction_file is not None
    envelope = merge(vector.metadata, vector.instruction_file)
    with_object, file = split(envelope)
    stored = {name: str(value) for name, value in json.loads(vector.instruction_file).items()}
    noted = {name: text for name, text in vector.metadata.items() if name == LENGTH}
    assert json.loads(file) == {**noted, **stored}
    assert with_object == {name: text for name, text in vector.metadata.items() if name != LENGTH}
    assert merge(with_object, file) == envelope


@behind_a_switch
def test_legacy_vector_is_refused_by_default(vector: Vector, kms: FakeKms) -> None:
    """A default sealer refuses a legacy object before it asks KMS, and names every switch that would help."""
    with pytest.raises(PolicyError) as caught:
        sealer_with(keyring=vector.keyring(kms)).open(envelope_of(vector), vector.encryption_context)
    named = {name for name in ALL_SWITCHES if name in str(caught.value)}
    assert named == needed_before_unwrapping(vector)
    assert kms.calls == []


@pytest.mark.parametrize("missing", ALL_SWITCHES)
@behind_a_switch
def test_legacy_vector_is_refused_with_one_switch_missing(vector: Vector, missing: str, kms: FakeKms) -> None:
    """DG-16: one switch does not stand in for the other, and the error names the missing one only."""
    sealer = sealer_with(keyring=vector.keyring(kms), **switched_on(*set(ALL_SWITCHES) - {missing}))
    if missing not in needed_before_unwrapping(vector):
        assert read_body(sealer, envelope_of(vector), vector.body, vector.encryption_context) == vector.plaintext
        return
    with pytest.raises(PolicyError, match=missing) as caught:
        sealer.open(envelope_of(vector), vector.encryption_context)
    assert [name for name in ALL_SWITCHES if name in str(caught.value)] == [missing]
    assert kms.calls == []


@parametrized([v for v in VECTORS if v.short_data_key and not v.legacy_wrap])
def test_short_data_key_is_refused_by_default(vector: Vector, kms: FakeKms) -> None:
    """MD-17: a data key of 16 bytes, which only shows after unwrapping, needs the switch for legacy wrapping."""
    with pytest.raises(DecryptionError):
        sealer_with(keyring=vector.keyring(kms)).open(envelope_of(vector))


@all_vectors
def test_strictest_policy_reads_only_committing_vectors(vector: Vector, kms: FakeKms) -> None:
    """KC-11: REQUIRE_ENCRYPT_REQUIRE_DECRYPT reads V3 and refuses V1 and V2 whatever the switches, without KMS."""
    policy = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    keyring = vector.keyring(kms)
    sealer = sealer_with(keyring=keyring, commitment_policy=policy, **switched_on(*ALL_SWITCHES))
    if vector.format == "V3":
        assert read_body(sealer, envelope_of(vector), vector.body, vector.encryption_context) == vector.plaintext
        return
    with pytest.raises(PolicyError, match="key commitment"):
        sealer.open(envelope_of(vector), vector.encryption_context)
    assert kms.calls == []


# --- a ciphertext that two keys open ----------------------------------------------------------------------------------


def test_two_keys_open_one_ciphertext_without_commitment() -> None:
    """KC-05: a documented limit of V2: GCM does not commit to a key, so each of two keys gives a plaintext."""
    case = salamander("v2")
    for key, plaintext in ((case["key1"], case["pt1"]), (case["key2"], case["pt2"])):
        decryptor = ContentKey(AES_GCM, key, case["iv"]).decryptor()
        assert finish_at_once(decryptor, case["ct_and_tag"]) == plaintext
