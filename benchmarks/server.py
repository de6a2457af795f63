"""Builds and runs the native S3 server that the clients are measured against."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .cases import Network
from .meter import read_counters

_SOURCES = Path(__file__).with_name("server")
_COMPILE = ["-std=c11", "-D_DEFAULT_SOURCE", "-O3", "-Wall", "-Wextra", "-pthread"]
_LIBRARIES = ["-lssl", "-lcrypto"]
# Three clients' copies of the largest object, and room to replace one.
_STORE_MIB = 6 * 1024
# Touched beforehand, so that the first client does not pay for the server's fresh memory.
_PREPARED_MIB = 1024


class SetupError(Exception):
    """Something that the benchmarks need is missing or fails; the message says what."""


@dataclass(frozen=True)
class Server:
    """A running server. ``certificate`` is what its TLS endpoint is to be trusted by."""

    http: str
    https: str
    certificate: Path

    def apply(self, network: Network) -> None:
        """Behave as a network does, from now on."""
        settings = {
            "round_trip_us": network.round_trip_ms * 1000,
            "bytes_per_second": network.bytes_per_second,
            "kms_delay_us": network.kms_delay_ms * 1000,
        }
        self.command("set?" + "&".join(f"{name}={value:.0f}" for name, value in settings.items()))

    def forget_objects(self) -> None:
        """Drop all that is stored."""
        self.command("reset")

    def command(self, path: str) -> None:
        """Send one of the server's own requests."""
        read_counters(self.http, f"/__{path}")


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """Build a server in a folder, run it while the block lasts, and yield how to reach it."""
    program, certificate, key = _build(folder), folder / "certificate.pem", folder / "key.pem"
    _make_certificate(certificate, key)
    process = subprocess.Popen(  # noqa: S603 - built here
        [str(program), str(certificate), str(key), str(_STORE_MIB)],
        stdin=subprocess.PIPE,  # the server ends when this is closed, however this process ends
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None  # a pipe was asked for
        ports = json.loads(process.stdout.readline() or "null")
        if ports is None:
            raise SetupError("The server did not start.")
        server = Server(f"http://127.0.0.1:{ports['http']}", f"https://127.0.0.1:{ports['https']}", certificate)
        server.command(f"set?prepare_mib={_PREPARED_MIB}")
        yield server
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()


def _build(folder: Path) -> Path:
    program = folder / "s3-server"
    sources = sorted(str(path) for path in _SOURCES.glob("*.c"))
    _run([_tool("cc", "a C compiler"), *_COMPILE, *sources, "-o", str(program), *_LIBRARIES], "OpenSSL's headers")
    return program


def _make_certificate(certificate: Path, key: Path) -> None:
    """Make a certificate for the loopback address that is good for a day."""
    _run(
        [
            *(_tool("openssl", "OpenSSL"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", str(certificate), "-keyout", str(key)),
        ],
        "OpenSSL 1.1.1 or newer",
    )


def _tool(name: str, what: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise SetupError(f"The benchmarks need {what} ({name}).")
    return path


def _run(command: list[str], needed: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode:
        raise SetupError(f"{Path(command[0]).name} failed; it needs {needed}.\n{result.stderr}")
