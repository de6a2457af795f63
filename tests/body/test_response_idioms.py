"""The Body of get_object behaves as plain boto3's does on the same plaintext, however it is read."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.response import StreamingBody
from support.encoders import ENCODERS
from support.ways_to_read import BINARY, IDIOMS, MODES, outcome
from support.worlds import StrictWorld


def both_bodies(s3: StrictWorld, content: bytes, format: str, mode: str) -> tuple[Any, Any]:
    """Return the decrypting body of an object, and plain boto3's body of its plaintext."""
    encoded = ENCODERS[format].encode(content)
    s3.store(encoded.body, encoded.metadata, "encrypted")
    s3.store(content, {}, "plain")
    client = s3.client(**ENCODERS[format].options, **MODES[mode])
    ours = client.get_object(**s3.object_at("encrypted"))["Body"]
    return ours, s3.plain.get_object(**s3.object_at("plain"))["Body"]


@pytest.mark.parametrize("format", ["V2", "V2-CBC"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("idiom", IDIOMS)
def test_st_01_st_02_st_07_body_is_read_as_boto3s(s3: StrictWorld, idiom: str, mode: str, format: str) -> None:
    """A way of reading comes to the same result, or the same class of error, as with plain boto3 (ST-01, ST-07)."""
    ours, boto3s = both_bodies(s3, IDIOMS[idiom].content, format, mode)
    expected = outcome(IDIOMS[idiom].read, boto3s)
    assert outcome(IDIOMS[idiom].read, ours) == expected
    ours.close()
    boto3s.close()


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 65535, 65536, 65537, 262143, 262145, 2**20 - 16, 2**20, 2_500_000])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("format", ENCODERS)
def test_pieces_join_to_the_plaintext(s3: StrictWorld, format: str, mode: str, size: int) -> None:
    """Object sizes around the internal buffers make no difference, in any mode and format (CT-11)."""
    content = (BINARY * 13)[:size]
    ours, boto3s = both_bodies(s3, content, format, mode)
    pieces = list(ours.iter_chunks(60_000))
    assert pieces == list(boto3s.iter_chunks(60_000))
    assert b"".join(pieces) == content


def test_body_is_boto3s_own_class(s3: StrictWorld) -> None:
    """The Body is a StreamingBody itself, not a look-alike."""
    ours, boto3s = both_bodies(s3, b"secret", "V2", "memory")
    assert type(ours) is type(boto3s) is StreamingBody or isinstance(ours, StreamingBody)
    ours.close()
    boto3s.close()


@pytest.mark.parametrize("mode", MODES)
def test_body_can_be_uploaded_again(s3: StrictWorld, mode: str) -> None:
    """A Body can be the Body of the next put."""
    ours, _ = both_bodies(s3, BINARY, "V2", mode)
    client = s3.client()
    client.put_object(**s3.object_at("again"), Body=ours)
    assert client.get_object(**s3.object_at("again"))["Body"].read() == BINARY


@pytest.mark.parametrize("mode", MODES)
def test_closed_body_yields_nothing(s3: StrictWorld, mode: str) -> None:
    """After close(), before or after a first read, nothing is released any more; closing twice does no harm."""
    for already_read in (0, 10):
        ours, _ = both_bodies(s3, BINARY, "V2", mode)
        ours.read(already_read)
        ours.close()
        ours.close()
        with pytest.raises(ValueError, match="closed"):
            ours.read()


@pytest.mark.parametrize("mode", MODES)
def test_raw_stream_holds_no_ciphertext(s3: StrictWorld, mode: str) -> None:
    """Whoever reaches for the stream under the Body gets plaintext as well."""
    ours, _ = both_bodies(s3, BINARY, "V2", mode)
    with ours as stream:
        assert stream.read(100) == BINARY[:100]
        assert stream.readinto(bytearray(100)) == 100
        assert not hasattr(stream, "data")
