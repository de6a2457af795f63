"""Ciphertext that was changed in the bucket: never a byte of plaintext, always one and the same error."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from support.encoder import V2_AES, V2_GCM_KINDS, V3_AES, Encoder, Kind, Stored
from support.reading import finish_at_once
from support.sealers import sealer_with
from support.ways_to_read import MODES, RELEASES, VERIFIED_MODES, Sink

from s3_encryption._envelope.formats import parse
from s3_encryption.exceptions import DecryptionError, InvalidEnvelopeError

from . import counts
from .bucket import Bucket, cuts, extensions, fingerprint, flips
from .uploads import MIB, upload
from .witness import MARKER

PIECE = 64 * 1024
LONG = (random.Random("long").randbytes(PIECE - len(MARKER)) + MARKER) * 8

# How the body is encrypted does not depend on how its key is wrapped.
formats = pytest.mark.parametrize("kind", [V2_AES, V3_AES], ids=["V2", "V3"])
modes = pytest.mark.parametrize("mode", MODES)
WRITERS: dict[str, Callable[[Bucket, Kind, bytes], Stored]] = {
    "ours": lambda bucket, kind, plaintext: bucket.write_ours(kind, plaintext),
    "other": lambda bucket, kind, plaintext: bucket.write(kind, plaintext),
}
writers = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


@writers
@formats
def test_ct_01_every_single_bit_flip_is_refused(
    kind: Kind, write: Callable[[Bucket, Kind, bytes], Stored], bucket: Bucket
) -> None:
    """A change of any single bit of ciphertext or tag is refused, and no change is told from another."""
    stored = write(bucket, kind, MARKER)
    assert bucket.read(bucket.client(kind)) == MARKER
    bucket.all_refused(bucket.client(kind), kind, (Stored(stored.metadata, body) for body in flips(stored.body)))


@pytest.mark.parametrize("mode", ["spool", "delayed"])
@formats
def test_ct_01_flips_are_refused_in_every_mode(kind: Kind, mode: str, bucket: Bucket) -> None:
    """So it is with a spool; and a small object yields nothing by delayed authentication either."""
    stored = bucket.write(kind)
    client = bucket.client(kind, **MODES[mode])
    bucket.all_refused(client, kind, (Stored(stored.metadata, body) for body in flips(stored.body, step=7)))
    sink = Sink()
    with pytest.raises(DecryptionError):
        sink.drain(RELEASES["read(1)"](client.get_object(**bucket.world.object_at())["Body"]))
    assert sink.content == b""


@pytest.mark.parametrize("mode", VERIFIED_MODES)
@formats
def test_ct_02_flips_in_a_multipart_object_release_nothing(kind: Kind, mode: str, bucket: Bucket) -> None:
    """The edges of parts and of the tag in an object of 12 MiB that went up in three parts."""
    client = bucket.writer(kind, **MODES[mode])
    sizes = (5 * MIB, 5 * MIB, 2 * MIB)
    stored = upload(bucket, client, sizes)
    first_bytes = [sum(sizes[:number]) for number in range(4)]
    edges = [*first_bytes, *(first - 1 for first in first_bytes[1:]), len(stored.body) - 1]
    body = bytearray(stored.body)
    for position in edges:
        counts.tried(counts.BIT_FLIPS)
        body[position] ^= 1
        bucket.put(Stored(stored.metadata, bytes(body)))
        answer = client.get_object(**bucket.world.object_at())
        bucket.refused_call(lambda: answer["Body"].read(1), DecryptionError)  # noqa: B023
        body[position] ^= 1


def test_ct_02_flips_at_every_boundary_of_a_long_body_are_refused() -> None:
    """Each 64 KiB boundary and its neighbours, ciphertext's end and tag, in 12 MiB; both formats take turns."""
    encoder, length = Encoder(), 12 * MIB
    boundaries = {edge + near for edge in range(0, length, PIECE) for near in (-1, 0, 1)} - {-1}
    positions = sorted(boundaries | {length - 1, length, length + 15})
    for turn, kind in enumerate((V2_AES, V3_AES)):
        stored = encoder.write(kind, encoder.random_bytes(length))
        key = sealer_with(keyring=encoder.keyring(kind)).open(parse(stored.metadata))
        body = bytearray(stored.body)
        for position in positions[turn::2]:
            counts.tried(counts.BIT_FLIPS)
            body[position] ^= 0x80
            with pytest.raises(DecryptionError):
                finish_at_once(key.decryptor(), body)
            body[position] ^= 0x80
        assert len(finish_at_once(key.decryptor(), body)) == length


@pytest.mark.parametrize("release", RELEASES)
@modes
@formats
def test_ct_04_error_is_sticky(kind: Kind, mode: str, release: str, bucket: Bucket) -> None:
    """After a failure every later call raises the same error: nobody gets an end of file that looks like success."""
    stored = bucket.write(kind, LONG)
    bucket.put(Stored(stored.metadata, stored.body[:-1] + bytes([stored.body[-1] ^ 1])))
    body = bucket.client(kind, **MODES[mode]).get_object(**bucket.world.object_at())["Body"]
    with pytest.raises(DecryptionError) as first:
        body.read()
    for _ in range(2):
        with pytest.raises(DecryptionError) as later:
            Sink().drain(RELEASES[release](body))
        assert later.value is first.value


@modes
@writers
@formats
def test_ct_05_ct_07_every_truncation_is_refused(
    kind: Kind, write: Callable[[Bucket, Kind, bytes], Stored], mode: str, bucket: Bucket
) -> None:
    """A body cut to any length, nothing at all included, ends in one fixed error."""
    stored = write(bucket, kind, MARKER)
    client = bucket.client(kind, **MODES[mode])
    bucket.all_refused(client, kind, (Stored(stored.metadata, body) for body in cuts(stored.body)))


@modes
@formats
def test_ct_05_every_extension_is_refused(kind: Kind, mode: str, bucket: Bucket) -> None:
    """Bytes behind the tag or before the first byte, and a second body behind the first, end in the same error."""
    stored = bucket.write(kind)
    longer = extensions(stored.body, 1, 15, 16, 17, 70_000)
    bucket.all_refused(bucket.client(kind, **MODES[mode]), kind, (Stored(stored.metadata, body) for body in longer))


@modes
@formats
def test_ct_08_zeroed_tag_is_refused(kind: Kind, mode: str, bucket: Bucket) -> None:
    """A tag of zeros is a tag like any other."""
    stored = bucket.write(kind)
    body = stored.body[:-16] + bytes(16)
    bucket.all_refused(bucket.client(kind, **MODES[mode]), kind, iter([Stored(stored.metadata, body)]))


@pytest.mark.parametrize("tag_bytes", [12, 8, 4, 0])
@pytest.mark.parametrize("kind", [*V2_GCM_KINDS, V3_AES], ids=str)
def test_ct_08_tag_can_not_be_shortened(kind: Kind, tag_bytes: int, bucket: Bucket) -> None:
    """Neither with nor without a field that says so is a shorter tag taken; the field is refused before KMS."""
    stored = bucket.write(kind)
    cut = Stored(stored.metadata, stored.body[: len(MARKER) + tag_bytes])
    client = bucket.client(kind)
    bucket.all_refused(client, kind, iter([cut]))
    bucket.put(cut.changed("x-amz-tag-len", str(tag_bytes * 8)))
    bucket.refused(client, InvalidEnvelopeError)


@modes
@formats
def test_ct_10_empty_object_is_authenticated(kind: Kind, mode: str, bucket: Bucket) -> None:
    """The body of an empty object is its tag alone: each of its bits counts, and each byte."""
    stored = bucket.write(kind, b"")
    client = bucket.client(kind, **MODES[mode])
    assert bucket.read(client) == b""
    changed = [*flips(stored.body), *cuts(stored.body), *extensions(stored.body, 1, 16)]
    bucket.all_refused(client, kind, (Stored(stored.metadata, body) for body in changed))


SIZES = (1, 15, 16, 17, 31, 32, 33, PIECE - 1, PIECE, PIECE + 1)
LARGE_SIZES = (5 * MIB - 1, 5 * MIB + 1, 8 * MIB - 1, 8 * MIB + 1)


@modes
@formats
def test_ct_11_intact_object_of_any_size_is_read_exactly(kind: Kind, mode: str, bucket: Bucket) -> None:
    """Sizes around blocks and buffers give their plaintext, in pieces of any size."""
    client = bucket.writer(kind, **MODES[mode])
    for size in (*SIZES, *LARGE_SIZES):
        plaintext = (LONG * 17)[:size]
        bucket.write_ours(kind, plaintext)
        assert bucket.read(client) == plaintext
        for step in (1, 15, 16, 17, 1000) if size < PIECE else (1000, PIECE + 1):
            body = client.get_object(**bucket.world.object_at())["Body"]
            assert b"".join(iter(lambda: body.read(step), b"")) == plaintext  # noqa: B023


@formats
def test_ct_01_random_damage_never_gives_other_plaintext(kind: Kind, bucket: Bucket) -> None:
    """Whatever a hundred random cuts, swaps and repeats make of a body, the answer is the one error."""
    chance = random.Random("damage")
    stored = bucket.write(kind, LONG[:1000])

    def damaged() -> Stored:
        step = chance.randrange(16, 300)
        pieces = [stored.body[start : start + step] for start in range(0, len(stored.body), step)]
        chance.shuffle(pieces)
        return Stored(stored.metadata, b"".join(pieces[: chance.randrange(len(pieces) + 1)]))

    objects = [damaged() for _ in range(100)]
    bucket.all_refused(bucket.client(kind), kind, (other for other in objects if other.body != stored.body))


def test_ct_01_error_names_the_object_and_nothing_else(bucket: Bucket) -> None:
    """The text of the refusal is fixed, but for bucket and key."""
    stored = bucket.write(V3_AES)
    bucket.put(Stored(stored.metadata, bytes(77)))
    error = bucket.refused(bucket.client(V3_AES), DecryptionError)
    assert str(error) == f"{DecryptionError.MESSAGE} [bucket 'bucket', key 'folder/name.txt']"
    assert fingerprint(error)[3:] == (None, None)
