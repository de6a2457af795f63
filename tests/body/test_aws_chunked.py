"""ChunkedBody: botocore's own encoding of a body, byte for byte what it means, without its copies."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum
from support import reference
from support.servers import moto_in_process
from support.sources import ChangingSource, Signalled
from support.worlds import StrictWorld

from s3_encryption import S3EncryptionClient
from s3_encryption._body.aws_chunked import ChunkedBody
from s3_encryption._body.plaintext import PlaintextClaims, PlaintextSource
from s3_encryption._body.request import EncryptingReader
from s3_encryption._body.sizes import IO_BLOCK_BYTES
from s3_encryption._botocore import ExpectedRequest
from s3_encryption._crypto.content import AES_GCM, ContentKey
from s3_encryption._crypto.ghash import Ghash
from s3_encryption._crypto.keystream import KeystreamSegment
from s3_encryption.exceptions import BodyChangedError

DATA = random.Random("chunked").randbytes(2 * IO_BLOCK_BYTES + 100_001)
KEY = ContentKey(AES_GCM, bytes(range(32)), bytes(range(12)))
LENGTHS = [
    0,
    1,
    IO_BLOCK_BYTES - 17,
    IO_BLOCK_BYTES - 16,
    IO_BLOCK_BYTES,
    IO_BLOCK_BYTES + 1,
    2 * IO_BLOCK_BYTES,
    len(DATA),
]


def reader_of(body: Any, *, ahead: bool = False) -> EncryptingReader:
    """Return a reader of a body, as put_object makes it."""
    return EncryptingReader(
        PlaintextSource(body), KeystreamSegment(Ghash(KEY), is_whole=True), PlaintextClaims(), ahead=ahead
    )


def sent(body: ChunkedBody) -> bytes:
    """Return all that urllib3 would send. No piece may change while others are read."""
    return b"".join(list(iter(lambda: body.read(128 * 1024), b"")))


def decoded(wire: bytes) -> tuple[bytes, bytes]:
    """Return the payload and the trailer of an aws-chunked body."""
    stream, payload = io.BytesIO(wire), b""
    while size := int(stream.readline(), 16):
        payload += stream.read(size)
        assert stream.read(2) == b"\r\n"
    return payload, stream.read()


@pytest.mark.parametrize("ahead", [False, True], ids=["", "ahead"])
@pytest.mark.parametrize("length", LENGTHS)
def test_body_means_what_botocores_means(length: int, ahead: bool) -> None:
    """Payload and trailer are those that botocore's wrapper makes of the same reader, in each pass."""
    theirs = AwsChunkedWrapper(reader_of(DATA[:length]), Crc32Checksum, "x-amz-checksum-crc32")
    expected = decoded(theirs.read())
    body = ChunkedBody(reader_of(DATA[:length], ahead=ahead))
    for _ in range(2):
        wire = sent(body)
        assert decoded(wire) == expected
        assert len(wire) == len(body)
        assert body.read(1) == b""
        assert body.seek(0) == 0
    assert expected[0] == reference.gcm_encrypt(KEY.key, KEY.iv, DATA[:length])


@pytest.mark.parametrize("ahead", [False, True], ids=["", "ahead"])
def test_memory_of_what_was_sent_is_used_again(ahead: bool) -> None:
    """Who holds one piece at a time, as urllib3 does, makes the body need a few blocks, however long it is."""
    body = ChunkedBody(reader_of(io.BytesIO(bytes(12 * IO_BLOCK_BYTES)), ahead=ahead))
    used: list[Any] = [piece.obj for piece in iter(lambda: body.read(1), b"") if isinstance(piece, memoryview)]
    blocks = {id(memory) for memory in used if len(memory) == IO_BLOCK_BYTES}
    assert len(used) >= 12
    assert len(blocks) <= (4 if ahead else 3)


def test_chunks_are_no_smaller_than_s3_allows() -> None:
    """All but the last chunk have at least 8 KiB."""
    stream, sizes = io.BytesIO(sent(ChunkedBody(reader_of(DATA)))), []
    while size := int(stream.readline(), 16):
        sizes.append(size)
        stream.seek(size + 2, io.SEEK_CUR)
    assert sizes == [IO_BLOCK_BYTES, IO_BLOCK_BYTES, len(DATA) + 16 - 2 * IO_BLOCK_BYTES]


def test_source_that_changed_is_refused_for_good() -> None:
    """RT-02: a second pass over another plaintext sends nothing of it, and no later pass sends anything."""
    source = ChangingSource(DATA)
    body = ChunkedBody(reader_of(source))
    first = sent(body)
    source.content = bytes(len(DATA))
    for _ in range(2):
        body.seek(0)
        with pytest.raises(BodyChangedError):
            sent(body)
    source.content = DATA
    body.seek(0)
    with pytest.raises(BodyChangedError):
        sent(body)
    assert first


def test_what_s3transfer_says_reaches_the_source() -> None:
    """Progress is counted from the moment at which s3transfer says that the body is sent."""
    source = Signalled(DATA)
    body = ChunkedBody(reader_of(source))
    body.signal_transferring()
    body.signal_not_transferring()
    body.enable_callback()
    body.disable_callback()
    assert source.signals == ["transferring", "not transferring"] * 2


def test_body_is_read_again_from_its_start_only() -> None:
    """Botocore goes nowhere else, and anything else would be in the midst of a chunk."""
    with pytest.raises(ValueError, match="from its start only"):
        ChunkedBody(reader_of(DATA)).seek(1)


@pytest.mark.parametrize("size", [None, -1], ids=str)
def test_all_that_is_left_can_be_read_at_once(size: int | None) -> None:
    """Who intercepts requests inside the process, as moto does, reads a body by one call."""
    body = ChunkedBody(reader_of(DATA))
    expected = sent(body)
    body.seek(0)
    start = bytes(body.read(1))
    assert start + body.read(size) == expected
    assert body.read(size) == b""


@pytest.mark.parametrize("size", [None, 64 * 1024], ids=["at-once", "in-pieces"])
def test_handler_that_collects_a_body_gets_what_is_sent(s3_over_tls: StrictWorld, size: int | None) -> None:
    """A handler of before-send that reads the body first keeps what it got, and the body is sent from its start."""
    recorded: list[bytes] = []

    def record(request: Any, **event: Any) -> None:
        recorded.extend(iter(lambda: request.body.read(size), b""))
        request.body.seek(0)

    client = s3_over_tls.new_client()
    client.meta.events.register("before-send.s3.PutObject", record)
    client.put_object(**s3_over_tls.object_at(), Body=io.BytesIO(DATA))
    (put,) = s3_over_tls.server.of("PUT")
    assert b"".join(recorded) == put.raw_body
    assert decoded(b"".join(recorded))[0] == put.body


def test_large_objects_pass_through_moto_in_the_same_process() -> None:
    """What most people test with sees the true body: put_object and parts come back as they were."""
    with moto_in_process():
        client = S3EncryptionClient(aes_key=KEY.key, region_name="us-east-1")
        client.create_bucket(Bucket="in-process")
        client.put_object(Bucket="in-process", Key="put", Body=io.BytesIO(DATA))
        client.upload_fileobj(io.BytesIO(DATA * 8), "in-process", "parts")
        assert client.get_object(Bucket="in-process", Key="put")["Body"].read() == DATA
        assert client.get_object(Bucket="in-process", Key="parts")["Body"].read() == DATA * 8


def test_only_encrypted_bodies_with_a_crc32_are_replaced() -> None:
    """Whatever else botocore sends in chunks stays as it is: other bodies, other checksums, no chunks."""
    reader, spool = reader_of(DATA), object()
    other = AwsChunkedWrapper(reader, Crc32Checksum, "x-amz-checksum-sha256")
    wrapped_spool = AwsChunkedWrapper(spool, Crc32Checksum, "x-amz-checksum-crc32")
    for ours, body in ((reader, reader), (reader, other), (spool, wrapped_spool), (None, DATA), (None, None)):
        request = {"body": body, "headers": {"Transfer-Encoding": "chunked"}}
        params = {} if ours is None else {"Body": ours}
        assert ExpectedRequest(params, frozenset()).prepared(request) is request
    wrapped = AwsChunkedWrapper(reader, Crc32Checksum, "x-amz-checksum-crc32")
    request = {"body": wrapped, "headers": {"Transfer-Encoding": "chunked"}}
    prepared = ExpectedRequest({"Body": reader}, frozenset()).prepared(request)
    assert type(prepared["body"]) is ChunkedBody
    assert prepared["headers"].keys() == {"Content-Length"}


def test_large_put_over_tls_goes_out_with_its_length_and_a_checksum(s3_over_tls: StrictWorld) -> None:
    """S3 learns both lengths, encoded and not, and verifies the CRC-32 behind the body."""
    client = s3_over_tls.client()
    client.put_object(Bucket=s3_over_tls.bucket, Key="large", Body=io.BytesIO(DATA))
    (put,) = [request for request in s3_over_tls.requests if request.method == "PUT"]
    assert put.headers["x-amz-decoded-content-length"] == str(len(DATA) + 16)
    assert int(put.headers["content-length"]) > len(DATA) + 16
    assert "transfer-encoding" not in put.headers
    assert put.headers["content-encoding"] == "aws-chunked"
    assert put.trailers.keys() == {"x-amz-checksum-crc32"}
    assert client.get_object(Bucket=s3_over_tls.bucket, Key="large")["Body"].read() == DATA
