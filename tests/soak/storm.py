"""A bad network, and the S3 behind it: connections that are dropped, delayed, refused, and whose bytes are changed."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.meddler import Meddler
from support.servers import Answer, Request
from support.strict_s3 import StrictS3

if TYPE_CHECKING:
    from types import TracebackType

# Changed bytes are what matters most.
FAULTS = ("drop", "delay", "throttle", "corrupt", "corrupt", "corrupt")
# Most objects are smaller than the largest: a fault must come early to come at all. But it must leave room for success.
_POSITIONS = (0, 150, 300, 600, 1000, 3000, 100_000, 3_000_000)
_DELAY_SECONDS = 0.02
# After a change of its bytes, a conversation may wait for something that never comes.
_IDLE_SECONDS = 2.0
_INTERIM_ANSWER = b"HTTP/1.1 100 Continue\r\n\r\n"
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass(frozen=True, slots=True)
class _Fault:
    """What happens to a connection, after so many bytes in one direction: "up" to the server, or "down"."""

    kind: str
    direction: str
    position: int
    bit: int


class Storm(Meddler):
    """A proxy whose connections all come to harm, sooner or later: otherwise clients would keep to those that don't.

    Args:
        url: The server behind it.
        seed: Decides what happens to which connection, and when.
        kinds: Which faults there are.

    Bytes on the way up are changed in a request's body only: whether its head is genuine, S3 would tell by the
    signature, which the server here does not check.
    """

    def __init__(self, url: str, seed: str, kinds: tuple[str, ...] = FAULTS) -> None:
        self.faults: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._kinds = kinds
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(url)

    def __enter__(self) -> Storm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _drawn(self) -> _Fault:
        with self._lock:
            return _Fault(
                self._random.choice(self._kinds),
                self._random.choice(["up", "down"]),
                int(self._random.choice(_POSITIONS) * (1 + self._random.random())),
                1 << self._random.randrange(8),
            )

    def _handle(self, connection: socket.socket) -> None:
        fault = self._drawn()
        with connection, contextlib.suppress(OSError):
            with self._lock:
                self._open.add(connection)
            try:
                self._converse(connection, fault)
            finally:
                with self._lock:
                    self._open.discard(connection)

    def _converse(self, connection: socket.socket, fault: _Fault) -> None:
        head = _head(connection)
        if not head:
            return
        if fault.kind == "throttle":
            self.faults["throttle"] += 1
            answer = b"HTTP/1.1 503 Slow Down\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(_SLOW_DOWN)
            connection.sendall(answer + _SLOW_DOWN)
            return
        with socket.create_connection(self._address) as server:
            if fault.kind == "corrupt":
                connection.settimeout(_IDLE_SECONDS)
                server.settimeout(_IDLE_SECONDS)
            up, down = self._harms(fault, head, (connection, server))
            server.sendall(head)
            back = threading.Thread(target=_pump, args=(server, connection, down), daemon=True)
            back.start()
            _pump(connection, server, up)
            back.join()

    def _harms(self, fault: _Fault, head: bytes, ends: tuple[socket.socket, ...]) -> tuple[_Harm, _Harm]:
        """Return what happens on the way up, and on the way down."""
        at_last = _Harm(lambda: self.faults.update(["drop at last"]), _POSITIONS[-1], _drop(ends))
        position = fault.position
        if fault.kind == "corrupt" and fault.direction == "up":
            length = _content_length(head)
            if not length:
                return at_last, at_last
            position %= length
        if fault.direction == "down" and b"\r\nexpect: 100-continue" in head.lower():
            # If this breaks off, botocore waits for its end for ever, in every client.
            position += len(_INTERIM_ANSWER)
        act = {"corrupt": _corrupt(fault.bit), "delay": _delay, "drop": _drop(ends)}[fault.kind]
        harm = _Harm(lambda: self.faults.update([f"{fault.kind} {fault.direction}"]), position, act)
        return (harm, at_last) if fault.direction == "up" else (at_last, harm)


@dataclass(slots=True)
class _Harm:
    """Does something, once, to the byte at a position of a stream; ``note`` is called when it has come to that."""

    note: Callable[[], None]
    left: int
    act: Callable[[bytes], bytes]
    is_done: bool = False

    def done_to(self, piece: bytes) -> bytes:
        """Return a piece after what happens to it."""
        if self.is_done:
            return piece
        if self.left >= len(piece):
            self.left -= len(piece)
            return piece
        self.note()
        self.is_done = True
        before, at, after = piece[: self.left], piece[self.left : self.left + 1], piece[self.left + 1 :]
        return before + self.act(at) + after


def _corrupt(bit: int) -> Callable[[bytes], bytes]:
    return lambda byte: bytes([byte[0] ^ bit])


def _delay(byte: bytes) -> bytes:
    time.sleep(_DELAY_SECONDS)
    return byte


def _drop(ends: tuple[socket.socket, ...]) -> Callable[[bytes], bytes]:
    def dropped(byte: bytes) -> bytes:
        for end in ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                end.shutdown(socket.SHUT_RDWR)
        raise ConnectionResetError

    return dropped


def _head(connection: socket.socket) -> bytes:
    # One byte more would belong to the body, at which the counting starts.
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        seen = connection.recv(65536, socket.MSG_PEEK)
        if not seen:
            return b""
        end = (head[-3:] + seen).find(b"\r\n\r\n")
        head += connection.recv(len(seen) if end < 0 else end + 4 - len(head[-3:]))
    return bytes(head)


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


def _pump(source: socket.socket, target: socket.socket, harm: _Harm) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(harm.done_to(piece))
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class Shore(StrictS3):
    """The strict S3, which forgets requests."""

    def reset(self) -> None:
        """Start anew, and empty. That a request broke off is nobody's mistake here."""
        self.broken = [error for error in self.broken if not isinstance(error, ConnectionError)]
        super().reset()

    def respond(self, request: Request) -> Answer:
        """Carry out a request."""
        with self._lock:
            return self.answer(request)
