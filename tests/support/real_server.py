"""A real S3 server from PyPI: SeaweedFS, in a process of its own, with its data in a folder that goes away."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

from .servers import LOOPBACK

# SeaweedFS speaks gRPC on each port plus this. Both are below the ports that systems give to connections (from 32,768
# on Linux, 49,152 elsewhere): those another test may be given between our look and the server's start.
_GRPC_OFFSET = 10_000
_PORTS = range(11_000, 21_000)
_START_SECONDS = 60.0


def seaweedfs_binary() -> str | None:
    """Return the path of the server's program; None where it is not installed."""
    beside_python = Path(sysconfig.get_path("scripts")) / "weed"
    return str(beside_python) if beside_python.exists() else shutil.which("weed")


@contextlib.contextmanager
def seaweedfs(folder: Path, access_key: str, secret_key: str) -> Iterator[str]:
    """Run SeaweedFS with one user, and yield its S3 URL."""
    program = seaweedfs_binary()
    assert program is not None  # the caller has looked
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config, data = folder / "s3.json", folder / "data"
    config.write_text(json.dumps({"identities": [identity]}))
    data.mkdir()
    master, volume, filer, s3 = _free_ports(4)
    options = {
        "dir": data,
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        "master.port": master,
        "master.volumeSizeLimitMB": 128,
        "volume.port": volume,
        "volume.max": 8,
        "filer.port": filer,
        "s3.port": s3,
        # Not needed, and their ports are fixed.
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.config": config,
    }
    arguments = [f"-{name}={value}" for name, value in options.items()]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [program, f"-logdir={folder}", "server", "-s3", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            if not _listens(process, s3):
                log_text = (folder / "log.txt").read_text(errors="replace")
                raise RuntimeError(f"SeaweedFS did not start. Its log:\n{log_text[-5000:]}")
            yield f"http://{LOOPBACK}:{s3}"
        finally:
            # Its data is not needed any more, and asked politely it takes half a minute.
            process.kill()
            process.wait()


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return True
        time.sleep(0.1)
    return False


def _free_ports(count: int) -> list[int]:
    free: list[int] = []
    while len(free) < count:
        port = random.choice(_PORTS)
        if port not in free and all(map(_is_free, (port, port + _GRPC_OFFSET))):
            free.append(port)
    return free


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
