"""The ways in which programs read a response's Body, and the modes in which the client releases plaintext."""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import json
import random
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

MODES: Mapping[str, dict[str, Any]] = {
    "memory": {},
    "spool": {"buffer_size": 1},
    "delayed": {"enable_delayed_authentication": True},
}
VERIFIED_MODES = ("memory", "spool")

_random = random.Random("reading")
LINES = b"".join(b"%d %s\n" % (number, b"x" * _random.randrange(200)) for number in range(1500)) + b"no line end"
BINARY = _random.randbytes(200_003)


def _table() -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([[number, "Grüße", "a,b"] for number in range(5000)])
    return text.getvalue().encode()


def _tar() -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for number in range(3):
            content = _random.randbytes(50_000)
            member = tarfile.TarInfo(f"member-{number}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def _into(body: Any, size: int) -> list[bytes]:
    pieces, buffer = [], bytearray(size)
    while length := body.readinto(buffer):
        pieces.append(bytes(buffer[:length]))
    return pieces


def _copied(body: Any) -> bytes:
    sink = io.BytesIO()
    shutil.copyfileobj(body, sink)
    return sink.getvalue()


def _with(body: Any) -> bytes:
    with body as file:
        content: bytes = file.read()
    return content


def _tells(body: Any) -> list[Any]:
    return [body.tell(), body.read(10), body.tell(), body.read(), body.tell(), body.read(), body.tell()]


def _members(body: Any) -> list[tuple[str, bytes]]:
    with tarfile.open(fileobj=body, mode="r|gz") as tar:
        return [(member.name, file.read()) for member in tar if (file := tar.extractfile(member)) is not None]


def _timed(body: Any) -> bytes:
    body.set_socket_timeout(5)
    content: bytes = body.read()
    return content


def _timed_later(body: Any) -> bytes:
    first: bytes = body.read(1)
    body.set_socket_timeout(5)
    rest: bytes = body.read()
    return first + rest


def _buffered(body: Any) -> list[bytes]:
    return list(io.BufferedReader(body, 1000))


def _text(body: Any) -> list[str]:
    return list(io.TextIOWrapper(body, encoding="utf-8"))


def _buffered_text(body: Any) -> list[str]:
    return list(io.TextIOWrapper(io.BufferedReader(body), encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Idiom:
    """A way to read, and an object to read."""

    read: Callable[[Any], Any]
    content: bytes = LINES


IDIOMS: Mapping[str, Idiom] = {
    "read()": Idiom(lambda body: body.read()),
    "read(None)": Idiom(lambda body: body.read(None)),
    "read(-1)": Idiom(lambda body: body.read(-1)),
    "read(huge)": Idiom(lambda body: body.read(10**12)),
    "read(0)": Idiom(lambda body: [body.read(0), body.read(5), body.read(0), body.read()]),
    "read(7)": Idiom(lambda body: list(iter(lambda: body.read(7), b"")), content=LINES[:5000]),
    "read(65536)": Idiom(lambda body: list(iter(lambda: body.read(65536), b"")), content=BINARY),
    "read-twice": Idiom(lambda body: [body.read(), body.read(), body.read(5)]),
    "read-mixed": Idiom(lambda body: [body.read(1), body.read(1000), body.read(70_000), body.read()], content=BINARY),
    "readinto(1)": Idiom(lambda body: _into(body, 1), content=LINES[:500]),
    "readinto(7)": Idiom(lambda body: _into(body, 7), content=LINES[:5000]),
    "readinto(16)": Idiom(lambda body: _into(body, 16), content=LINES[:5000]),
    "readinto(4096)": Idiom(lambda body: _into(body, 4096), content=BINARY),
    "readline": Idiom(lambda body: [body.readline(), body.readline(), body.read()]),
    "readlines": Idiom(lambda body: body.readlines()),
    "iteration": Idiom(list, content=BINARY),
    "next": Idiom(lambda body: [next(body), next(body)], content=BINARY),
    "iter_lines": Idiom(lambda body: list(body.iter_lines())),
    "iter_lines(keepends)": Idiom(lambda body: list(body.iter_lines(100, keepends=True))),
    "iter_chunks": Idiom(lambda body: list(body.iter_chunks()), content=BINARY),
    "iter_chunks(100000)": Idiom(lambda body: list(body.iter_chunks(100_000)), content=BINARY),
    "with": Idiom(_with),
    "tell": Idiom(_tells),
    "able": Idiom(lambda body: [body.readable(), body.closed, body.read() and body.closed]),
    "seekable": Idiom(lambda body: body.seekable()),
    "fileno": Idiom(lambda body: body.fileno()),
    "len": Idiom(lambda body: len(body)),
    "TextIOWrapper": Idiom(_text),
    "BufferedReader": Idiom(_buffered),
    "TextIOWrapper(BufferedReader)": Idiom(_buffered_text),
    "csv": Idiom(lambda body: list(csv.reader(codecs.getreader("utf-8")(body))), content=_table()),
    "json": Idiom(json.load, content=json.dumps({str(n): n for n in range(20_000)}).encode()),
    "xml": Idiom(lambda body: len(ElementTree.parse(body).getroot()), content=b"<a>" + b"<b/>" * 30_000 + b"</a>"),  # noqa: S314
    "gzip": Idiom(lambda body: gzip.GzipFile(fileobj=body).read(), content=gzip.compress(BINARY)),
    "tarfile": Idiom(_members, content=_tar()),
    "copyfileobj": Idiom(_copied, content=BINARY),
    "set_socket_timeout": Idiom(_timed),
    "set_socket_timeout-after-a-read": Idiom(_timed_later, content=BINARY),
    "set_socket_timeout-in-a-small-object": Idiom(_timed_later, content=b"small"),
}
if sys.version_info >= (3, 11):
    IDIOMS = {**IDIOMS, "file_digest": Idiom(lambda body: hashlib.file_digest(body, "sha256").digest(), content=BINARY)}


def outcome(read: Callable[[Any], Any], body: Any) -> Any:
    """Return what a way of reading comes to: its result, or the class of its exception."""
    try:
        return read(body)
    except Exception as error:
        return type(error)


class Sink:
    """Collects what a body releases, whatever becomes of it."""

    def __init__(self) -> None:
        self.content = b""

    def drain(self, pieces: Iterator[bytes]) -> None:
        """Take all pieces; an error ends it and comes through."""
        for piece in pieces:
            self.content += piece


def _forever(read: Callable[[], bytes]) -> Iterator[bytes]:
    return iter(read, b"")


def _filled(body: Any) -> Iterator[bytes]:
    buffer = bytearray(4096)
    while length := body.readinto(buffer):
        yield bytes(buffer[:length])


def _through_file(body: Any) -> Iterator[bytes]:
    sink = io.BytesIO()
    try:
        shutil.copyfileobj(body, sink)
    finally:
        # What reached the file counts as released.
        with suppress(StopIteration):
            yield sink.getvalue()


# The ways in which plaintext can leave a body, for tests that look at all of it.
RELEASES: Mapping[str, Callable[[Any], Iterator[bytes]]] = {
    "read()": lambda body: _forever(body.read),
    "read(1)": lambda body: _forever(lambda: body.read(1)),
    "read(65536)": lambda body: _forever(lambda: body.read(65536)),
    "readinto": _filled,
    "iteration": iter,
    "iter_lines": lambda body: body.iter_lines(),
    "iter_chunks": lambda body: body.iter_chunks(),
    "readlines": lambda body: iter(body.readlines()),
    "raw-stream": lambda body: _forever(body.__enter__().read),
}
