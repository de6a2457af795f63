"""Servers on the loopback interface: moto's S3 and KMS, and a base for servers that record and misbehave.

A ``RecordingServer`` keeps every request as it came in, and does what it was scripted to do: refuse, hang up, cut a
body short. Subclasses say what a request is answered with. Nothing here knows S3; ``strict_s3`` does.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import logging
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import boto3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto import mock_aws
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from typing_extensions import Self

LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.01
_ENDLESS_BYTES = 32 * 1024 * 1024


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """Run moto, quietly, and yield its URL: S3 and KMS in one."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextlib.contextmanager
def moto_server_with_key() -> Iterator[str]:
    """Do the same with the KMS key that the guide and the examples take for granted, ``alias/my-key``."""
    with moto_server() as url:
        kms = boto3.client("kms", endpoint_url=url)
        # All of moto's servers in one process are one account.
        with contextlib.suppress(kms.exceptions.AlreadyExistsException):
            kms.create_alias(AliasName="alias/my-key", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
        kms.close()
        yield url


@contextlib.contextmanager
def moto_in_process() -> Iterator[None]:
    """Let moto answer in this process, without a server.

    ``with mock_aws()`` would empty it first, and with it moto's servers, which hold the same and which others count on.
    """
    mock = mock_aws()
    mock.start(reset=False)
    try:
        yield
    finally:
        mock.stop(remove_data=False)


# --- what is exchanged ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in.

    ``headers`` have lower-case names. ``raw_body`` is the body on the wire, freed of HTTP's own chunks only; ``body``
    is also freed of the frames of ``aws-chunked``, whose trailing headers are in ``trailers``.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    raw_body: bytes
    body: bytes
    trailers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The path without the query, unquoted."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def metadata(self) -> dict[str, str]:
        """S3's user metadata, the prefix removed from the names."""
        prefix = "x-amz-meta-"
        return {name.removeprefix(prefix): text for name, text in self.headers.items() if name.startswith(prefix)}

    @property
    def sent_bytes(self) -> bytes:
        """All that left the client: request line, headers, body."""
        lines = [f"{self.method} {self.target}", *(f"{name}: {text}" for name, text in self.headers.items())]
        return "\n".join(lines).encode() + b"\n\n" + self.raw_body


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    ``announced_length`` is the Content-Length where it shall differ from the body's. ``chunked`` leaves the length out,
    ``endless`` repeats the body until the client has enough, ``hang_up`` closes the connection instead of answering.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    announced_length: int | None = None
    chunked: bool = False
    endless: bool = False
    hang_up: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to misbehave: what the answer is changed to, and whether the request is carried out before."""

    change: Callable[[Answer], Answer]
    carried_out: bool = True


def refusal(status: int, code: str) -> Fault:
    """Refuse with one of S3's error codes, and do nothing."""
    body = f"<Error><Code>{code}</Code><Message>scripted</Message></Error>".encode()
    return Fault(lambda answer: Answer(status, {"Content-Type": "application/xml"}, body), carried_out=False)


def cut_body(sent_bytes: int) -> Fault:
    """Announce the whole body, send the first bytes of it, and close the connection."""
    return Fault(lambda answer: replace(answer, body=answer.body[:sent_bytes], announced_length=len(answer.body)))


def changed_headers(**headers: str) -> Fault:
    """Answer with other headers; in their names, ``_`` stands for ``-``."""
    changes = {name.replace("_", "-"): text for name, text in headers.items()}
    return Fault(lambda answer: replace(answer, headers={**answer.headers, **changes}))


def _without_etag(answer: Answer) -> Answer:
    return replace(answer, headers={name: text for name, text in answer.headers.items() if name.lower() != "etag"})


WITHOUT_ETAG = Fault(_without_etag)
# Uses up one turn of a script, so that a later request meets the next fault.
NO_FAULT = Fault(lambda answer: answer)
HANG_UP = Fault(lambda answer: replace(answer, hang_up=True), carried_out=False)
CHUNKED = Fault(lambda answer: replace(answer, chunked=True))
ENDLESS = Fault(lambda answer: replace(answer, chunked=True, endless=True))


@dataclass(slots=True)
class _Script:
    """A fault, and which requests it is for: the next ``times`` ones of the method whose path ends so."""

    fault: Fault
    method: str
    path_end: str
    times: int

    def takes(self, request: Request) -> bool:
        if self.times and request.method == self.method and request.path.endswith(self.path_end):
            self.times -= 1
            return True
        return False


# --- the server -------------------------------------------------------------------------------------------------------


class RecordingServer:
    """An HTTP server (with ``certificate``, HTTPS) that records all requests; a context manager that stops it.

    Subclasses override ``answer``. An exception there is a mistake of the test suite: it is raised on leaving.
    """

    scheme = "http"

    def __init__(self, certificate: Path | None = None) -> None:
        self.requests: list[Request] = []
        self.broken: list[BaseException] = []
        self._scripts: list[_Script] = []
        self._lock = threading.Lock()
        self._http = _HttpServer(self)
        self.certificate = certificate
        if certificate is not None:
            self.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"{self.scheme}://{LOOPBACK}:{self._http.server_address[1]}"

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request: here, success and nothing else."""
        return Answer()

    def script(self, fault: Fault, *, method: str, path_end: str = "", times: int = 1) -> None:
        """Misbehave at the next requests of the method whose path ends so."""
        self._scripts.append(_Script(fault, method, path_end, times))

    def of(self, method: str) -> list[Request]:
        """Return the recorded requests of one method."""
        return [request for request in self.requests if request.method == method]

    def reset(self) -> None:
        """Start anew: nothing recorded, nothing scripted. A mistake of the test suite so far is raised."""
        self.requests.clear()
        self._scripts.clear()
        broken, self.broken = self.broken, []
        if broken:
            raise broken[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        if error is None:
            self.reset()

    def respond(self, request: Request) -> Answer:
        """Record a request, carry it out unless a fault prevents that, and return the answer as the fault has it."""
        with self._lock:
            self.requests.append(request)
            fault = next((script.fault for script in self._scripts if script.takes(request)), None)
            answer = self.answer(request) if fault is None or fault.carried_out else Answer()
        return answer if fault is None else fault.change(answer)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, recorder: RecordingServer) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.recorder = recorder

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients may close at any time, and a TLS client may refuse: neither is this server's mistake.
        return


class _Handler(BaseHTTPRequestHandler):
    """Reads one request after the other from a connection, and sends the recorder's answers."""

    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    server: _HttpServer

    def log_message(self, format: str, *args: Any) -> None:
        return

    def handle_expect_100(self) -> bool:
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def _exchange(self) -> None:
        try:
            answer = self.server.recorder.respond(self._received())
        except Exception as error:
            self.server.recorder.broken.append(error)
            raise
        self._send(answer)

    # The names that http.server asks for.
    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _exchange  # noqa: N815

    def _received(self) -> Request:
        headers = {name.lower(): text for name, text in self.headers.items()}
        chunked = headers.get("transfer-encoding") == "chunked"
        raw = self._read_chunks() if chunked else self.rfile.read(int(headers.get("content-length", 0)))
        framed = "aws-chunked" in headers.get("content-encoding", "")
        body, trailers = _unframed(raw) if framed else (raw, {})
        return Request(self.command, self.path, headers, raw, body, trailers)

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while length := int(self.rfile.readline(), 16):
            body += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def _send(self, answer: Answer) -> None:
        self.close_connection = answer.hang_up or answer.announced_length is not None or answer.chunked
        if answer.hang_up:
            return
        self.send_response(answer.status)
        for name, text in self._headers_of(answer).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(answer)
        self.wfile.flush()

    def _headers_of(self, answer: Answer) -> dict[str, str]:
        length = len(answer.body) if answer.announced_length is None else answer.announced_length
        framing = {"Transfer-Encoding": "chunked"} if answer.chunked else {"Content-Length": str(length)}
        return {**framing, **answer.headers}

    def _send_body(self, answer: Answer) -> None:
        if not answer.chunked:
            self.wfile.write(answer.body)
            return
        chunk = b"%x\r\n%s\r\n" % (len(answer.body), answer.body) if answer.body else b""
        if not answer.endless:
            self.wfile.write(chunk + b"0\r\n\r\n")
            return
        # No client should take that much; one that does is cut off, so that its test fails and ends.
        for _ in range(_ENDLESS_BYTES // len(chunk)):
            self.wfile.write(chunk)


def _unframed(raw: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the payload and the trailing headers of an aws-chunked body."""
    payload, position = bytearray(), 0
    while True:
        line_end = raw.index(b"\r\n", position)
        length = int(raw[position:line_end].split(b";")[0], 16)
        position = line_end + 2
        if not length:
            break
        payload += raw[position : position + length]
        position += length + 2
    lines = [line.partition(b":") for line in raw[position:].split(b"\r\n") if line]
    return bytes(payload), {name.decode().lower(): text.decode().strip() for name, _, text in lines}


def make_certificate(directory: Path) -> Path:
    """Make a certificate for the loopback address, signed by itself, and return the file with it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, LOOPBACK)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file = directory / "loopback.pem"
    file.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()) + certificate.public_bytes(pem))
    return file
