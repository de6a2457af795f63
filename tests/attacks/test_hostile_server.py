"""What a hostile or broken server answers: a genuine object, and lies about it. See ``hostile``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from support.encoder import V2_AES_CBC, V3_AES, Kind
from support.scripted_server import CLOSE, Headers, Script, ScriptedServer, Wire, http, in_pieces, keeping_open, saying
from support.ways_to_read import MODES, RELEASES, VERIFIED_MODES, Sink
from support.worlds import KEY

from s3_encryption.exceptions import DecryptionError, InvalidEnvelopeError, S3EncryptionClientError

from .hostile import HOSTILE_KINDS, IMPATIENT, OBJECT, answer_with, clients_of, genuine, headers_of, ranges_of
from .witness import MARKER

LARGE = MARKER * 2500
# What may end a read: an error of this library, or one of botocore's. Never MemoryError, never a parser's own.
NAMED = (S3EncryptionClientError, BotoCoreError, ClientError)

kinds = pytest.mark.parametrize("kind", HOSTILE_KINDS, ids=str)
modes = pytest.mark.parametrize("mode", MODES)


def read(client: Any) -> bytes:
    """Return what a read of the object gives."""
    with client.get_object(**OBJECT)["Body"] as body:
        content: bytes = body.read()
    return content


def ending(call: Callable[[], object]) -> object:
    """Return what a call returns, or the class of what it raises."""
    try:
        return call()
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("missing", [1, 16, 20, len(LARGE) // 2])
@pytest.mark.parametrize("release", RELEASES)
def test_wi_01_short_body_is_an_error_also_where_plaintext_is_released_early(release: str, missing: int) -> None:
    """Whoever has asked for plaintext before it is verified gets a prefix of it, and then botocore's error."""
    stored = genuine(V3_AES, LARGE)
    script = saying(answer_with(stored, stored.body[:-missing], length=len(stored.body)))
    with clients_of(V3_AES, script, enable_delayed_authentication=True) as (client, _, _):
        sink = Sink()
        with pytest.raises(IncompleteReadError):
            sink.drain(RELEASES[release](client.get_object(**OBJECT)["Body"]))
    assert LARGE.startswith(sink.content)
    assert len(sink.content) < len(LARGE)


@kinds
@modes
@pytest.mark.parametrize("between", [0, 4000, 2**17], ids=["at-once", "4000", "128-KiB"])
def test_wi_02_bytes_behind_the_announced_ones_are_nobodys_answer(between: int, kind: Kind, mode: str) -> None:
    """What follows the announced body is not part of it, and not taken for the answer to the next request."""
    smuggled = bytes(between) + answer_with(genuine(kind, b"smuggled in"))
    first = saying(answer_with(genuine(kind), keep_alive=True) + smuggled, then=keeping_open)
    second = saying(answer_with(genuine(kind, b"the second object")))
    with clients_of(kind, first, second, **MODES[mode]) as (client, _, server):
        assert [read(client), read(client)] == [MARKER, b"the second object"]
        assert len(server.requests) == 2


def chunked(body: bytes) -> bytes:
    """Return a body in two chunks."""
    middle = len(body) // 2
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:middle], body[middle:])) + b"0\r\n\r\n"


@kinds
@modes
def test_wi_04_body_without_a_length_is_verified(kind: Kind, mode: str) -> None:
    """In chunks, or up to the end of the connection: it is read, and verified to its last byte."""
    stored = genuine(kind, LARGE)
    in_chunks = http([*headers_of(stored, False), ("Transfer-Encoding", "chunked")], chunked(stored.body))
    with clients_of(kind, saying(in_chunks), saying(answer_with(stored, length=False)), **MODES[mode]) as (client, *_):
        assert [read(client), read(client)] == [LARGE, LARGE]


@modes
def test_wi_04_body_without_a_length_that_is_cut_is_an_error(mode: str) -> None:
    """Where only the end of the connection tells the end of the body, the tag tells whether it came too early."""
    stored = genuine(V3_AES, LARGE)
    cut = stored.body[: len(stored.body) // 2]
    in_chunks = http([*headers_of(stored, False), ("Transfer-Encoding", "chunked")], chunked(cut)[:-5])
    with clients_of(V3_AES, saying(answer_with(stored, cut, False)), saying(in_chunks), **MODES[mode]) as (client, *_):
        for _ in range(2):
            with pytest.raises((*NAMED, ResponseStreamingError)):
                read(client)


@kinds
@modes
@pytest.mark.parametrize("length", ["-5", "0", "1", "abc", "", "1e3", str(10**15), str(3 * 2**30)])
def test_wi_05_false_length_is_an_error_and_costs_no_memory(kind: Kind, mode: str, length: str) -> None:
    """Whatever is announced, 100 bytes come: an error with a name, also where plain boto3 has none.

    That nothing of the announced size is allocated is measured by the test of RM-02.
    """
    stored = genuine(kind)
    script = saying(answer_with(stored, stored.body + bytes(20), length=length))
    with clients_of(kind, script, **MODES[mode]) as (client, plain, _):
        result = ending(lambda: read(client))
        oracle = ending(lambda: plain.get_object(**OBJECT)["Body"].read())
    if isinstance(result, type):
        assert issubclass(result, NAMED) or result is oracle
    else:
        # Nothing was announced that can be compared: then the body ends with the connection, and is verified.
        assert isinstance(oracle, bytes)
        assert result == MARKER


STATUSES = {
    "301": ("301 Moved Permanently", "PermanentRedirect"),
    "403": ("403 Forbidden", "AccessDenied"),
    "404-key": ("404 Not Found", "NoSuchKey"),
    "404-bucket": ("404 Not Found", "NoSuchBucket"),
    "416": ("416 Range Not Satisfiable", "InvalidRange"),
    "500": ("500 Internal Server Error", "InternalError"),
    "503": ("503 Slow Down", "SlowDown"),
}
ELSEWHERE = ("x-amz-bucket-region", "eu-west-1")
CALLS: dict[str, Callable[[Any], object]] = {
    "get_object": lambda client: client.get_object(**OBJECT),
    "head_object": lambda client: client.head_object(**OBJECT),
    "put_object": lambda client: client.put_object(**OBJECT, Body=MARKER),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", STATUSES)
def test_wi_07_er_02_refusal_is_the_error_of_plain_boto3(status: str, call: str) -> None:
    """Class, text, code and status of S3's errors are those of plain boto3, so that handlers go on matching."""
    line, code = STATUSES[status]
    document = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    body = b"" if call == "head_object" else document
    # Of a redirect, the region is followed once, and at the same endpoint: test_rt_13 has the one that leads somewhere.
    headers = [("Content-Length", str(len(body))), ("Content-Type", "application/xml"), ELSEWHERE, CLOSE]
    script = saying(http(headers, body, line))
    with clients_of(V3_AES, script) as (client, plain, _):
        errors = []
        for each in (client, plain):
            with pytest.raises(ClientError) as caught:
                CALLS[call](each)
            error = caught.value
            metadata = error.response["ResponseMetadata"]
            errors.append((type(error), str(error), error.response["Error"], metadata["HTTPStatusCode"]))
        assert errors[0] == errors[1]
        assert isinstance(caught.value, client.exceptions.NoSuchKey) == (status == "404-key" and call != "head_object")


@kinds
@modes
@pytest.mark.parametrize("sent", [0, 10])
def test_wi_08_stalled_body_ends_by_the_read_timeout(kind: Kind, mode: str, sent: int) -> None:
    """The client's own read_timeout is for the body as well; nothing of the object comes out."""
    stored = genuine(kind, LARGE)
    script = saying(answer_with(stored, stored.body[:sent], length=len(stored.body)), then=Wire.stall)
    with clients_of(kind, script, config=IMPATIENT, **MODES[mode]) as (client, *_):
        sink = Sink()
        with pytest.raises(ReadTimeoutError):
            sink.drain(RELEASES["read(65536)"](client.get_object(**OBJECT)["Body"]))
    assert sink.content == b""


@kinds
def test_wi_08_body_that_drips_is_read(kind: Kind) -> None:
    """As with plain boto3, a body of which every byte comes in time is read, however slowly."""
    with clients_of(kind, in_pieces(answer_with(genuine(kind)), 1)) as (client, *_):
        assert read(client) == MARKER


def many_headers(count: int, size: int) -> Headers:
    """Return so many metadata headers of such a size."""
    return [(f"x-amz-meta-{number}", "v" * size) for number in range(count)]


@kinds
@pytest.mark.parametrize(("count", "size"), [(1000, 10), (1, 2**20)], ids=["1000-headers", "1-MB-line"])
def test_wi_11_flood_of_headers_is_botocores_error(kind: Kind, count: int, size: int) -> None:
    """More than the HTTP library takes ends in the error that plain boto3 raises."""
    stored = genuine(kind)
    script = saying(http([*headers_of(stored), *many_headers(count, size)], stored.body))
    with clients_of(kind, script) as (client, plain, _):
        results = [ending(lambda each=each: each.get_object(**OBJECT)) for each in (client, plain)]  # type: ignore[misc]
    assert results[0] == results[1]
    assert isinstance(results[0], type)
    assert issubclass(results[0], HTTPClientError)


@kinds
def test_wi_11_headers_that_just_fit_change_nothing(kind: Kind) -> None:
    """80 headers of 60 KB beside the envelope: the object is read."""
    stored = genuine(kind)
    script = saying(http([*headers_of(stored), *many_headers(80, 60_000)], stored.body))
    with clients_of(kind, script) as (client, *_):
        assert read(client) == MARKER


IMPOSSIBLE_LENGTHS = [
    *((V3_AES, length) for length in (0, 15, 2**36 - 15, 10**15)),
    *((V2_AES_CBC, length) for length in (0, 15, 17, 10**15 + 1)),
]
impossible_lengths = pytest.mark.parametrize(("kind", "length"), IMPOSSIBLE_LENGTHS, ids=str)


@modes
@impossible_lengths
def test_wi_05_impossible_length_is_refused_before_the_body_is_read(kind: Kind, length: int, mode: str) -> None:
    """No object of the format has such a length: get_object itself fails, while nothing of the body has come."""
    script = saying(answer_with(genuine(kind), b"", length=length))
    with clients_of(kind, script, **MODES[mode]) as (client, *_), pytest.raises(DecryptionError, match=KEY):
        client.get_object(**OBJECT)


@impossible_lengths
def test_wi_05_impossible_length_in_a_content_range_is_refused_before_the_body_is_read(kind: Kind, length: int) -> None:
    """It is the length of the whole that counts, however short the part is."""
    stored = genuine(kind)
    total = max(length, 1)
    more = [("Content-Range", f"bytes 0-0/{total}")]
    script = saying(http(headers_of(stored, 1, more=more), b"", "206 Partial Content"))
    options = {"enable_unauthenticated_ranges": True}
    with clients_of(kind, script, **options) as (client, *_), pytest.raises(DecryptionError, match=KEY):
        client.get_object(**OBJECT, Range="bytes=0-0")


@impossible_lengths
def test_wi_05_impossible_length_stops_downloads_and_files(kind: Kind, length: int, tmp_path: Path) -> None:
    """Where the length is asked for first, no request for the body follows."""
    head = http(headers_of(genuine(kind), length), b"")
    with clients_of(kind, saying(head), saying(head)) as (client, _, server):
        with pytest.raises(DecryptionError, match=KEY):
            client.open(**OBJECT)
        if kind is V3_AES and length:
            with pytest.raises(DecryptionError, match=KEY):
                client.download_file(**OBJECT, Filename=tmp_path / "f", Config=TransferConfig(multipart_threshold=1))
        assert {request.first_line.partition(" ")[0] for request in server.requests} == {"HEAD"}
    assert list(tmp_path.glob("f*")) == []


FORGERIES: dict[str, Headers] = {
    "etag": [("ETag", "nonsense")],
    "type": [("Content-Type", "application/x-evil")],
    "date": [("Last-Modified", "Thu, 01 Jan 1970 00:00:00 GMT")],
    "range": [("Accept-Ranges", "none"), ("Content-Range", "bytes 0-3/4")],
    "encoding": [("Content-Encoding", "gzip")],
    "parts": [("x-amz-mp-parts-count", "10000")],
    "checksum-type": [("x-amz-checksum-type", "COMPOSITE")],
}


@kinds
@pytest.mark.parametrize("mode", VERIFIED_MODES)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_wi_14_forged_headers_decide_nothing(forgery: str, mode: str, kind: Kind) -> None:
    """What a server says of an object changes no byte of it, and no verification."""
    stored = genuine(kind)
    spoilt = stored.body[:-1] + bytes([stored.body[-1] ^ 0x80])
    scripts = [saying(answer_with(stored, body, more=FORGERIES[forgery])) for body in (stored.body, spoilt)]
    with clients_of(kind, *scripts, **MODES[mode]) as (client, *_):
        assert read(client) == MARKER
        with pytest.raises(S3EncryptionClientError):
            read(client)


@kinds
def test_wi_14_header_that_comes_twice_is_refused(kind: Kind) -> None:
    """Two values for one field of the envelope are no value, whichever comes first and however it is spelt."""
    stored, other = genuine(kind), genuine(kind)
    name = kind.fields["iv"]
    for spelt in (f"x-amz-meta-{name}", f"X-AMZ-META-{name.upper()}"):
        again = (spelt, other.metadata[name])
        for headers in ([*headers_of(stored), again], [again, *headers_of(stored)]):
            script = saying(http(headers, stored.body))
            with clients_of(kind, script) as (client, *_), pytest.raises(InvalidEnvelopeError):
                read(client)


def redirect(status: str, url: str) -> Script:
    """Return a script that points to another host."""
    return saying(
        http([("Location", f"{url}/bucket/folder/name.txt"), ("Content-Length", "0"), ELSEWHERE, CLOSE], status=status)
    )


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent"])
def test_wi_16_redirect_to_another_host_is_not_followed(status: str, call: str) -> None:
    """Neither ciphertext nor envelope goes to a host that a server names; the error is plain boto3's."""
    with (
        ScriptedServer(saying(answer_with(genuine(V3_AES)))) as elsewhere,
        clients_of(V3_AES, redirect(status, elsewhere.url)) as (client, plain, server),
    ):
        results = [ending(lambda each=each: CALLS[call](each)) for each in (client, plain)]  # type: ignore[misc]
        assert results[0] == results[1]
        assert (elsewhere.connections, server.connections > 0) == (0, True)


# --- reads of several requests ----------------------------------------------------------------------------------------

REQUESTS_OF_A_CBC_RANGE = 3
FAILURES: dict[str, Script] = {
    "500": saying(http([CLOSE, ("Content-Length", "0")], status="500 Internal Server Error")),
    "404": saying(http([CLOSE, ("Content-Length", "0")], status="404 Not Found")),
    "412": saying(http([CLOSE, ("Content-Length", "0")], status="412 Precondition Failed")),
    "416": saying(http([CLOSE, ("Content-Length", "0")], status="416 Range Not Satisfiable")),
    "redirect": saying(http([CLOSE, ELSEWHERE, ("Content-Length", "0")], status="307 Temporary Redirect")),
    "nothing": lambda wire: wire.hang_up(),
    "reset": lambda wire: wire.reset(),
    "no HTTP": saying(b"what?\r\n\r\n"),
    "cut": saying(http([CLOSE, ("Content-Length", "16")], b"cut", "206 Partial Content")),
}


@pytest.mark.parametrize("failing", range(REQUESTS_OF_A_CBC_RANGE))
@pytest.mark.parametrize("failure", FAILURES)
def test_wi_07_wi_01_failure_of_any_request_of_a_read_has_a_name(failure: str, failing: int) -> None:
    """A range of CBC content takes three requests: whichever fails, the error has a name, and nothing comes out."""
    good = ranges_of(genuine(V2_AES_CBC, MARKER * 5))
    scripts = [FAILURES[failure] if number == failing else good for number in range(REQUESTS_OF_A_CBC_RANGE)]
    # A redirect makes botocore ask again, and here it gets what it asks for.
    with clients_of(V2_AES_CBC, *scripts, good, enable_unauthenticated_ranges=True) as (client, _, server):
        result = ending(lambda: client.get_object(**OBJECT, Range="bytes=20-60")["Body"].read())
        assert len(server.requests) > failing
    if isinstance(result, bytes):
        assert failure == "redirect"
        assert result == (MARKER * 5)[20:61]
    else:
        assert issubclass(result, NAMED)  # type: ignore[arg-type]


@pytest.mark.parametrize("replaced", [1, 2])
def test_rg_10_other_object_in_a_later_request_is_noticed(replaced: int) -> None:
    """Also where a server ignores If-Match, the parts of one read are of one object: the ETag says so, or it ends."""
    one, other = ranges_of(genuine(V2_AES_CBC, MARKER * 5)), ranges_of(genuine(V2_AES_CBC, MARKER[::-1] * 5), '"other"')
    scripts = [other if number == replaced else one for number in range(REQUESTS_OF_A_CBC_RANGE)]
    with clients_of(V2_AES_CBC, *scripts, enable_unauthenticated_ranges=True) as (client, _, server):
        with pytest.raises(NAMED):
            client.get_object(**OBJECT, Range="bytes=20-60")["Body"].read()
        assert [request.headers.get("if-match") for request in server.requests[1:]] == ['"etag"'] * replaced
