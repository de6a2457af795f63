"""A server that sends raw bytes: whatever a hostile or broken server can send, in pieces, too much, or not at all.

``servers.RecordingServer`` speaks HTTP properly and misbehaves where it is told to; this one speaks nothing by itself.
Each request is answered by the next script, and by the last one when there are no more.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType

from .servers import LOOPBACK

_RESET_ON_CLOSE = b"\1\0\0\0\0\0\0\0"
_POLL_SECONDS = 0.05

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came in: first line, headers (names in lower case), body."""

    first_line: str
    headers: Mapping[str, str]
    body: bytes
    head: bytes


class Wire:
    """The connection on which one request came, for the script that answers it."""

    def __init__(self, connection: socket.socket, request: RawRequest, is_over: threading.Event) -> None:
        self.request = request
        self.is_open = True
        self._connection = connection
        self._is_over = is_over

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(data)

    def hang_up(self) -> None:
        """Close the connection after this answer."""
        self.is_open = False

    def reset(self) -> None:
        """Break the connection, so that the other side gets an error and not an end."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.is_open = False

    def stall(self) -> None:
        """Send nothing more, until the client hangs up or the test is over."""
        while not self._is_over.is_set() and not select.select([self._connection], [], [], _POLL_SECONDS)[0]:
            pass
        self.is_open = False


Script = Callable[[Wire], None]


# Said by an answer after which the server closes: a client that used the connection again would race with that.
CLOSE = ("Connection", "close")


def http(headers: Headers = (), body: bytes = b"", status: str = "200 OK") -> bytes:
    """Return an answer with exactly these headers, be they right or wrong."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def saying(answer: bytes, *, then: Callable[[Wire], None] = Wire.hang_up) -> Script:
    """Return a script that sends an answer; ``then`` is what becomes of the connection."""

    def script(wire: Wire) -> None:
        wire.send(answer)
        then(wire)

    return script


def keeping_open(wire: Wire) -> None:
    """Wait for the next request on the same connection."""


def in_pieces(answer: bytes, size: int) -> Script:
    """Return a script that sends an answer in so many bytes at a time."""

    def script(wire: Wire) -> None:
        for start in range(0, len(answer), size):
            wire.send(answer[start : start + size])
        wire.hang_up()

    return script


def endless(start: bytes, piece: bytes, most_bytes: int) -> Script:
    """Return a script that repeats a piece until the client has enough; or ``most_bytes``, so that a test ends."""

    def script(wire: Wire) -> None:
        wire.send(start)
        for _ in range(most_bytes // len(piece)):
            wire.send(piece)
        wire.hang_up()

    return script


class ScriptedServer:
    """The server; a context manager that stops it."""

    def __init__(self, *scripts: Script) -> None:
        self.requests: list[RawRequest] = []
        self.connections = 0
        self._scripts = list(scripts)
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.url = f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        # Closing the listener would not wake the thread that waits for a connection; a last connection does.
        socket.create_connection(self._listener.getsockname()).close()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        with self._listener:
            while True:
                connection, _ = self._listener.accept()
                if self._is_over.is_set():
                    connection.close()
                    return
                self.connections += 1
                thread = threading.Thread(target=self._talk, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _talk(self, connection: socket.socket) -> None:
        # A client may hang up whenever it has enough.
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_POLL_SECONDS)
            while (request := self._received(connection)) is not None:
                with self._lock:
                    self.requests.append(request)
                    script = self._scripts[0] if len(self._scripts) == 1 else self._scripts.pop(0)
                connection.settimeout(None)
                wire = Wire(connection, request, self._is_over)
                script(wire)
                connection.settimeout(_POLL_SECONDS)
                if not wire.is_open:
                    return

    def _received(self, connection: socket.socket) -> RawRequest | None:
        data = self._until(connection, b"", lambda data: b"\r\n\r\n" in data)
        if data is None:
            return None
        head, _, body = data.partition(b"\r\n\r\n")
        first_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
        if headers.get("expect") == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(headers.get("content-length", 0))
        whole = self._until(connection, body, lambda data: len(data) >= length)
        return None if whole is None else RawRequest(first_line, headers, whole, head)

    def _until(self, connection: socket.socket, data: bytes, is_enough: Callable[[bytes], bool]) -> bytes | None:
        while not is_enough(data):
            try:
                piece = connection.recv(65536)
            except TimeoutError:
                if self._is_over.is_set():
                    return None
                continue
            if not piece:
                return None
            data += piece
        return data
