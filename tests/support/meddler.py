"""A network that meddles: connections that break, and answers that come before the request was sent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from urllib.parse import urlsplit

# What becomes of a connection, of which the headers of the first request have arrived.
Mischief = Callable[[socket.socket], None]


def cut_after(received_bytes: int) -> Mischief:
    """Take in so many bytes of the body, and break the connection."""

    def cut(connection: socket.socket) -> None:
        _proceed(connection)
        left = received_bytes
        while left > 0 and (piece := connection.recv(min(left, 65536))):
            left -= len(piece)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    return cut


def refuse_at_once(connection: socket.socket) -> None:
    """Answer with 503 where the client asked whether to send the body."""
    connection.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def _proceed(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


class Meddler:
    """A proxy before a server: the first connections come to harm, the others are passed on."""

    def __init__(self, url: str, *mischiefs: Mischief) -> None:
        self._address = (urlsplit(url).hostname or "", urlsplit(url).port or 0)
        self._mischiefs = deque(mischiefs)
        self.heads: list[bytes] = []
        self._is_closing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether all harm was done."""
        return not self._mischiefs

    def __enter__(self) -> Meddler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closing = True
        # Closing the listener would not wake the thread that waits for a connection; a last connection does.
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()

    def _serve(self) -> None:
        with self._listener:
            while True:
                connection, _ = self._listener.accept()
                if self._is_closing:
                    connection.close()
                    return
                threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(1 if self._mischiefs else 65536)
                if not piece:
                    return
                head += piece
            self.heads.append(head)
            if self._mischiefs:
                self._mischiefs.popleft()(connection)
                return
            self._pass_on(connection, head)

    def _pass_on(self, connection: socket.socket, head: bytes) -> None:
        with socket.create_connection(self._address) as server:
            server.sendall(head)
            back = threading.Thread(target=_pump, args=(server, connection), daemon=True)
            back.start()
            _pump(connection, server)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
