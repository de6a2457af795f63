"""Answers of a server that holds a genuine object and does not tell the truth about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from support.encoder import V2_AES_CBC, V3_AES, Encoder, Kind, Stored
from support.scripted_server import CLOSE, Headers, Script, ScriptedServer, Wire, http
from support.worlds import BUCKET, KEY

from s3_encryption import S3EncryptionClient

from .witness import MARKER

OBJECT = {"Bucket": BUCKET, "Key": KEY}
HOSTILE_KINDS = (V3_AES, V2_AES_CBC)
# Without another attempt: what the server does is done once.
CONFIG = Config(read_timeout=20, retries={"total_max_attempts": 1})
IMPATIENT = CONFIG.merge(Config(read_timeout=0.3))

_encoder = Encoder()


def genuine(kind: Kind, plaintext: bytes = MARKER) -> Stored:
    """Return an object as it should come."""
    return _encoder.write(kind, plaintext)


def headers_of(
    stored: Stored, length: object = None, *, keep_alive: bool = False, more: Headers = ()
) -> list[tuple[str, str]]:
    """Return the headers that S3 would send with an object; a length that is ``False`` is left out."""
    announced = len(stored.body) if length is None else length
    return [
        *([("Content-Length", str(announced))] if announced is not False else []),
        *more,
        *([] if keep_alive else [CLOSE]),
        ("ETag", '"etag"'),
        *((f"x-amz-meta-{name}", text) for name, text in stored.metadata.items()),
    ]


def answer_with(
    stored: Stored, body: bytes | None = None, length: object = None, *, keep_alive: bool = False, more: Headers = ()
) -> bytes:
    """Return the answer to a read: of the object, or with another body, length, or further headers."""
    return http(headers_of(stored, length, keep_alive=keep_alive, more=more), stored.body if body is None else body)


def ranges_of(stored: Stored, etag: str = '"etag"') -> Script:
    """Return a script that answers with the range that is asked for, whatever the conditions say."""

    def script(wire: Wire) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", wire.request.headers.get("range", "bytes=0-"))
        assert asked is not None
        length = len(stored.body)
        start, stop = int(asked[1]), min(int(asked[2] or length) + 1, length)
        headers = headers_of(stored, stop - start, more=[("Content-Range", f"bytes {start}-{stop - 1}/{length}")])
        named = [(name, etag if name == "ETag" else text) for name, text in headers]
        wire.send(http(named, stored.body[start:stop], "206 Partial Content"))
        wire.hang_up()

    return script


@contextmanager
def clients_of(
    kind: Kind, *scripts: Script, config: Config = CONFIG, **options: Any
) -> Iterator[tuple[Any, Any, ScriptedServer]]:
    """Run a scripted server; yield an encrypting client, the plain one beneath it, and the server."""
    with ScriptedServer(*scripts) as server:
        plain = boto3.client("s3", endpoint_url=server.url, config=config)
        try:
            client = S3EncryptionClient(plain, keyring=_encoder.keyring(kind), **{**kind.switches, **options})
            yield client, plain, server
        finally:
            plain.close()
