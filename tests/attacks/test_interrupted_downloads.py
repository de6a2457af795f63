"""Downloads to files that end early: the disk is full, the process is told to go. What was there stays as it was."""

from __future__ import annotations

import errno
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import child_process
from support.encoder import V2_AES
from support.scripted_server import CLOSE, ScriptedServer, Wire, http
from support.worlds import StrictWorld

from s3_encryption import CommitmentPolicy

from .hostile import genuine, headers_of
from .large_objects import MIB
from .witness import MARKER, Witness

EXISTING = b"EXISTING"
SIZES = {"small": 2 * MIB, "in ranges": 12 * MIB}
policies = pytest.mark.parametrize("policy", list(CommitmentPolicy)[:2], ids=lambda policy: policy.name)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return a file with content, alone in its directory."""
    directory = tmp_path / "downloads"
    directory.mkdir()
    path = directory / "target"
    path.write_bytes(EXISTING)
    return path


def others(target: Path) -> list[Path]:
    """Return what is beside a file that is still what it was."""
    assert target.read_bytes() == EXISTING
    return [path for path in target.parent.iterdir() if path != target]


@policies
@pytest.mark.parametrize("size", SIZES)
def test_dl_04_full_disk_leaves_the_target_untouched(
    s3: StrictWorld, target: Path, size: str, policy: CommitmentPolicy
) -> None:
    """When no more can be written, the system's own error comes through, and nothing is left behind."""
    s3.client(commitment_policy=policy).put_object(**s3.object_at(), Body=bytes(SIZES[size]))
    ending = child_process.run("attacks.processes:download_from", s3.url, str(target), MIB, "default")
    assert ending == f"OSError {errno.EFBIG}"
    assert others(target) == []


@pytest.fixture
def stalled() -> Iterator[tuple[str, threading.Event]]:
    """Run a server that stalls in the middle of a body; yield its URL, and an event for when it does."""
    stored = genuine(V2_AES, MARKER * 200_000)
    under_way = threading.Event()

    def answer(wire: Wire) -> None:
        headers = [CLOSE, *headers_of(stored, keep_alive=True)]
        if wire.request.first_line.startswith("HEAD"):
            wire.send(http(headers))
            wire.hang_up()
            return
        wire.send(http(headers, stored.body[: len(stored.body) // 2]))
        under_way.set()
        wire.stall()

    with ScriptedServer(answer) as server:
        yield server.url, under_way


def told_to_go(url: str, under_way: threading.Event, target: Path, number: int, on_sigterm: str) -> int:
    """Download, and send a signal in the middle; return how the process ended."""
    with child_process.start("attacks.processes:download_from", url, str(target), None, on_sigterm) as process:
        try:
            assert under_way.wait(60)
            process.send_signal(number)
            process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 3), (signal.SIGINT, -signal.SIGINT)], ids=["SIGTERM", "Ctrl-C"]
)
def test_dl_04_process_that_exits_on_a_signal_leaves_nothing_behind(
    number: int, code: int, stalled: tuple[str, threading.Event], target: Path
) -> None:
    """Ctrl-C, and SIGTERM where a service turns it into an exit, clean up: the target is what it was, and alone."""
    assert told_to_go(*stalled, target, number, "exit") == code
    assert others(target) == []


def test_dl_04_process_that_is_killed_leaves_the_target_untouched(
    stalled: tuple[str, threading.Event], target: Path, witness: Witness
) -> None:
    """A documented limit: without a handler SIGTERM is like SIGKILL. The target is what it was; what may be left beside
    it is under a random name, and nobody else can read it.
    """
    assert told_to_go(*stalled, target, signal.SIGTERM, "default") == -signal.SIGTERM
    left = others(target)
    assert len(left) <= 1
    assert [stat.S_IMODE(path.stat().st_mode) for path in left] == [0o600] * len(left)
    witness.plaintext_files.update(left)
