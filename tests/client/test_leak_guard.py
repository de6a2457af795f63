"""Whatever writes to S3 through the client, S3 gets nothing of the plaintext, in no spelling, and all is read back.

Each way to write is tried with plain boto3 first: then the search must find the plaintext. So it would find it with the
client, too.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from botocore.config import Config
from support import library_writers, writers
from support.secret_search import spellings_within
from support.servers import Request, make_certificate
from support.strict_s3 import StrictS3
from support.worlds import AES_KEY, KEY, StrictWorld, served_by
from support.writers import MARKER, SMALL_BYTES, Caller, Plaintext

from s3_encryption import CommitmentPolicy

WAYS = {**writers.WAYS, **library_writers.WAYS}
_WANTED = spellings_within(MARKER)
_POLICIES = {
    "V2": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
    "V3": CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
}
# Every two of: the scheme, when botocore adds checksums, and the format.
WIRES = {
    "http-V2": ("http", "when_supported", "V2"),
    "https-V3": ("https", "when_supported", "V3"),
    "http-required-V3": ("http", "when_required", "V3"),
    "https-required-V2": ("https", "when_required", "V2"),
}


def _cases() -> Iterator[Any]:
    """Yield each way over each wire; those of large objects over HTTP and HTTPS in turn, to save time."""
    for position, (name, way) in enumerate(WAYS.items()):
        wires = list(WIRES) if way.size == SMALL_BYTES else [list(WIRES)[position % 2]]
        for wire in wires:
            yield pytest.param(name, wire, id=f"{name}-{wire}")


def leaks(requests: Iterable[Request]) -> list[str]:
    """Return the requests, by their first line, that show the marker: in URL, headers or body, framed or not."""
    return [
        f"{request.method} {request.target[:200]}"
        for request in requests
        if any(spelling in sent for spelling in _WANTED for sent in (request.sent_bytes, request.body))
    ]


@dataclass(frozen=True, slots=True)
class Wire:
    """A server that remembers all it got, and two callers of it."""

    world: StrictWorld
    plain: Caller
    encrypting: Caller

    def stored(self) -> bytes:
        """Return what is stored, as S3 sees it."""
        return self.world.server.objects[f"/{self.world.bucket}/{KEY}"].body

    def read(self) -> bytes:
        """Return what the client reads."""
        with self.encrypting.client.get_object(**self.world.object_at())["Body"] as body:
            content: bytes = body.read()
        return content


@pytest.fixture(scope="module")
def tls_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StrictWorld]:
    """Run a strict S3 over HTTPS."""
    certificate = make_certificate(tmp_path_factory.mktemp("certificate"))
    with served_by(StrictS3(certificate)) as world:
        yield world


@pytest.fixture(scope="module")
def wire_with_callers(
    request: pytest.FixtureRequest, strict_world: StrictWorld, tls_world: StrictWorld
) -> Iterator[Wire]:
    """Return the wire of a name."""
    scheme, checksums, format = WIRES[request.param]
    world = tls_world if scheme == "https" else strict_world
    connection = {**world.connection, "config": Config(request_checksum_calculation=checksums)}
    wire = Wire(world, Caller(connection), Caller(connection, aes_key=AES_KEY, commitment_policy=_POLICIES[format]))
    yield wire
    wire.plain.close()
    wire.encrypting.close()


@pytest.fixture
def wire(wire_with_callers: Wire) -> Iterator[Wire]:
    """Return a wire with an empty bucket at its end."""
    wire_with_callers.world.server.reset()
    yield wire_with_callers
    wire_with_callers.world.server.reset()


@pytest.mark.parametrize(("way", "wire_with_callers"), list(_cases()), indirect=["wire_with_callers"], scope="module")
def test_nothing_of_the_plaintext_is_sent(wire: Wire, way: str, tmp_path: Path) -> None:
    """S3 gets ciphertext and no more; read through the client, it is what plain boto3 would have stored."""
    plaintext = Plaintext.of_size(WAYS[way].size, tmp_path)
    expected = plaintext.content
    if WAYS[way].is_boto3s:
        WAYS[way].write(wire.plain, plaintext)
        assert leaks(wire.world.requests)
        expected = wire.stored()
        wire.world.server.reset()
    WAYS[way].write(wire.encrypting, plaintext)
    assert leaks(wire.world.requests) == []
    assert MARKER in expected
    assert len(wire.stored()) == len(expected) + 16
    assert wire.read() == expected


SPELLINGS: dict[str, Any] = {
    "raw": lambda text: text,
    "hex": lambda text: text.hex().encode(),
    "HEX": lambda text: text.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64-urlsafe": base64.urlsafe_b64encode,
    "quote": lambda text: quote(text).encode(),
    "quote-all": lambda text: quote(text, safe="").encode(),
    "quote_plus": lambda text: quote_plus(text).encode(),
    "utf-16": lambda text: text.decode().encode("utf-16"),
    "repr": lambda text: repr(text).encode(),
}


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_search_finds_the_marker_in_every_spelling(spelling: str, before: int) -> None:
    """The search sees it in URL, header and body, and wherever in an encoded text it begins; and else nothing."""
    encoded = SPELLINGS[spelling](b"x" * before + MARKER + b"more")
    text = encoded.decode("latin-1")
    without = Request("PUT", "/bucket/key", {"name": "text"}, b"body", b"body", {})
    assert leaks([without]) == []
    for request in (
        Request("PUT", f"/bucket/{text}", {}, b"", b"", {}),
        Request("PUT", "/bucket/key", {"x-amz-meta-text": text}, b"", b"", {}),
        Request("PUT", "/bucket/key", {}, encoded, b"", {}),
        Request("PUT", "/bucket/key", {}, b"in frames", encoded, {}),
    ):
        assert leaks([without, request]) != []
