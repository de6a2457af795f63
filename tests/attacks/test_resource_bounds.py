"""Memory and work stay bounded, whatever the size of an object or the malice of a server.

Memory is that of a child process which does nothing else: its highest resident size, less that before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.child_process import needs_proc, run
from support.encoder import V2_GCM_KINDS
from support.vectors import RSA_KEY
from support.ways_to_read import MODES

from s3_encryption import DataKey, MultiKeyring, RsaKeyring, WrappedDataKey
from s3_encryption._crypto import engine
from s3_encryption.exceptions import DecryptionError, InvalidEnvelopeError

from .bucket import Bucket, Read, reads
from .counts import in_full
from .large_objects import BOMBS, MIB
from .uploads import marked
from .witness import MARKER, Witness

LARGE = 256 * MIB
GIB = 1024 * MIB
BUFFER = 64 * MIB
RSA = V2_GCM_KINDS[4]
ROTATED_KEYS = 1000


def in_child(function: str, *arguments: Any) -> Any:
    """Run one of the functions of ``large_objects``."""
    return run(f"attacks.large_objects:{function}", *arguments)


@needs_proc
@pytest.mark.parametrize(("way", "limit"), [("put_object", 64 * MIB), ("upload_file", 64 * MIB)])
def test_rm_01_upload_is_streamed(way: str, limit: int) -> None:
    """256 MiB are read, encrypted and sent piece by piece."""
    sent, growth = in_child("upload", way, LARGE)
    assert sent == LARGE + 16
    assert growth < limit


@needs_proc
def test_rm_02_read_holds_no_more_than_the_buffer() -> None:
    """Beyond buffer_size the ciphertext is on the disk while it is verified: 256 MiB, read piece by piece."""
    assert_read("read_in_pieces", "V2", BUFFER + 64 * MIB)


@needs_proc
@pytest.mark.parametrize(("format", "length"), [("V2", LARGE), ("V2-CBC", GIB)])
def test_rm_02_cb_13_delayed_read_holds_only_what_is_under_way(format: str, length: int) -> None:
    """Where plaintext is released as it comes, the size of the object does not matter; so it is for CBC content."""
    assert_read("read_delayed", format, 32 * MIB, length)


@needs_proc
def test_cb_13_cbc_content_is_spooled_too() -> None:
    """Padding is checked before the first byte comes out, and the object is not held in memory for that."""
    assert_read("read_in_pieces", "V2-CBC", BUFFER + 64 * MIB)


def assert_read(function: str, format: str, limit: int, length: int = LARGE) -> None:
    """Read a large object to its end within a limit."""
    read_bytes, growth = in_child(function, format, length)
    assert read_bytes == length
    assert growth < limit


@needs_proc
@pytest.mark.parametrize("length", [3 * GIB, 2**36 - 16], ids=["3-GiB", "longest"])
@pytest.mark.parametrize("mode", MODES)
def test_wi_05_rm_02_announced_length_is_not_allocated(mode: str, length: int) -> None:
    """Of what a server announces and does not send, no memory is taken, and the error is botocore's."""
    error, growth = in_child("announced", MODES[mode], length)
    assert error in ("IncompleteReadError", "ResponseStreamingError")
    assert growth < 24 * MIB


@needs_proc
@pytest.mark.parametrize("mode", MODES)
def test_rm_02_body_without_an_end_is_given_up(mode: str) -> None:
    """Beyond what one object can have, reading stops, with the one error; until then memory is bounded as ever."""
    limit = 128 * MIB
    error, growth, taken = in_child("read_endless", MODES[mode], limit)
    assert error == "DecryptionError"
    assert taken < limit + 8 * MIB
    assert growth < BUFFER + 64 * MIB


@needs_proc
def test_dl_10_download_to_a_file_is_streamed() -> None:
    """What is in memory are the ranges under way, as with plain boto3, whatever the object's size."""
    length, growth = in_child("download", LARGE)
    assert length == LARGE
    assert growth < 160 * MIB


@needs_proc
def test_rm_04_many_objects_leave_nothing_behind() -> None:
    """After the first half of many objects, the other half needs no more memory."""
    assert in_child("put_and_get_many", in_full(10_000, otherwise=1000)) < 4 * MIB


@needs_proc
@pytest.mark.parametrize("bomb", BOMBS)
def test_wi_10_rm_05_instruction_file_of_50_mb_is_given_up(bomb: str) -> None:
    """Not more than 64 KiB are taken in, and nothing of it is parsed."""
    error, growth, taken = in_child("read_with_bomb", bomb, 50 * MIB)
    assert error == "InvalidEnvelopeError"
    assert taken < MIB
    assert growth < 10 * MIB


@needs_proc
def test_rm_05_metadata_beyond_the_limit_is_not_parsed() -> None:
    """A server that sends 4 MB of metadata gets an error for it."""
    error, growth = in_child("read_with_metadata", 4 * MIB)
    assert error == "InvalidEnvelopeError"
    # The headers themselves, in the forms in which botocore holds them.
    assert growth < 32 * MIB


def test_rm_07_json_beyond_the_limit_never_reaches_the_parser(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys made to collide in a hash table do no harm: what is parsed is too small for that."""
    parsed: list[int] = []
    loads = json.loads

    def noted(text: str, **options: Any) -> Any:
        parsed.append(len(text))
        return loads(text, **options)

    kind = V2_GCM_KINDS[2]
    stored = bucket.encoder.write(kind, b"")
    flood = json.dumps({f"key{number}": "" for number in range(10_000)})
    client = bucket.client(kind)
    monkeypatch.setattr(json, "loads", noted)
    bucket.put(stored.changed("x-amz-matdesc", flood))
    bucket.refused(client, InvalidEnvelopeError)
    bucket.put_with_file(stored.changed("x-amz-key-v2", None), flood.encode())
    bucket.refused(client, InvalidEnvelopeError)
    assert [size for size in parsed if size > 64 * 1024] == []


@pytest.fixture
def rsa_operations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list to which each use of an RSA private key is added."""
    operations: list[int] = []
    made = type(engine.active.rsa_key(RSA_KEY, None))
    decrypt = made.oaep_decrypt

    def counted(key: Any, digest: str, encrypted: bytes) -> bytes:
        operations.append(len(encrypted))
        return decrypt(key, digest, encrypted)

    monkeypatch.setattr(made, "oaep_decrypt", counted)
    return operations


def test_rm_08_rotation_costs_one_operation_where_descriptions_name_the_key(
    bucket: Bucket, rsa_operations: list[int]
) -> None:
    """Of 1000 RSA keys the one that the object's material description names goes first."""
    keyrings = [RsaKeyring(RSA_KEY, material_description={"key": str(number)}) for number in range(ROTATED_KEYS)]
    bucket.write(RSA, description={"key": str(ROTATED_KEYS - 1)})
    assert bucket.read(bucket.client(RSA, keyring=MultiKeyring(*keyrings))) == MARKER
    assert len(rsa_operations) == 1


def test_rm_08_forged_data_key_costs_one_operation_with_each_key(bucket: Bucket, rsa_operations: list[int]) -> None:
    """A documented limit: what no key unwraps is tried with all 1000, once each; no description changes that."""
    keyrings = [RsaKeyring(RSA_KEY, material_description={"key": str(number)}) for number in range(ROTATED_KEYS)]
    bucket.write(RSA, description={"key": "7"}, edk=b"\0" + bucket.encoder.random_bytes(255))
    bucket.refused(bucket.client(RSA, keyring=MultiKeyring(*keyrings)), DecryptionError)
    assert len(rsa_operations) == ROTATED_KEYS


class WrongKeyring:
    """A keyring that unwraps nothing, and counts."""

    def __init__(self, tried: list[WrappedDataKey]) -> None:
        self._tried = tried

    def generate_data_key(self, content_algorithm: str, encryption_context: Mapping[str, str]) -> DataKey:
        raise NotImplementedError

    def decrypt_data_key(self, wrapped: WrappedDataKey) -> bytes:
        self._tried.append(wrapped)
        raise DecryptionError


@reads
def test_rm_08_each_key_is_tried_once_for_a_read(read: Read, bucket: Bucket, witness: Witness) -> None:
    """Many requests may be one read, such as the ranges of a download: the keys before the right one cost once."""
    tried: list[WrappedDataKey] = []
    keyring = MultiKeyring(*(WrongKeyring(tried) for _ in range(20)), bucket.encoder.keyring(RSA))
    bucket.write(RSA, marked(9 * MIB), description={"key": "of none of them"})
    target = witness.directory / "target"
    witness.plaintext_files.add(target)
    read(bucket.client(RSA, keyring=keyring, enable_unauthenticated_ranges=True), bucket.world.object_at(), target)
    assert len(tried) == 20


@needs_proc
def test_up_14_body_beyond_2_gib_is_stored() -> None:
    """Lengths beyond 31 and 32 bits make no difference: 2 GiB and one byte decrypt to what was given, tag included."""
    assert in_child("upload_verified", 2 * GIB + 1) == 2 * GIB + 17
