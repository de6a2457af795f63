"""A round of work: servers and clients are set up, threads work, everything is compared, and nothing may be left."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import sys
import tempfile
import threading
import traceback
import types
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import botocore.endpoint
import pytest
from botocore.config import Config
from support.vectors import AES_KEYS

from s3_encryption import CommitmentPolicy, S3EncryptionClient
from s3_encryption._body.request import EncryptingReader
from s3_encryption._body.response import DecryptingStream
from s3_encryption._crypto.content import ContentKey
from s3_encryption._operations.upload import Upload

from .ledger import MAX_BYTES
from .storm import Shore, Storm
from .work import Worker

# No round may take longer than that, whatever the network does.
HANG_SECONDS = 300
_MIB = 2**20
# What an encrypting client makes for one object, and must not keep.
_PER_OBJECT = (ContentKey, EncryptingReader, DecryptingStream, Upload)
_CLIENTS: dict[str, dict[str, Any]] = {
    "V2": {},
    "V3": {"commitment_policy": CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT},
    "spool": {"buffer_size": _MIB},
    "file": {"envelope_location": "instruction_file"},
}


@dataclass(slots=True)
class Report:
    """What came of one round."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    # What must not have come.
    broken: list[str] = field(default_factory=list)
    resident_bytes: int = 0

    @property
    def successes(self) -> int:
        """How many operations did what they should."""
        return sum(count for (_, outcome), count in self.outcomes.items() if outcome == "success")


def run(seed: str, threads: int, steps: Callable[[], Iterator[object]], largest: int = MAX_BYTES) -> Report:
    """Work a round, and return what came of it.

    Args:
        seed: Decides what the threads do, and which connections come to harm.
        threads: How many work.
        steps: For each thread, an iterator that ends when it has done enough.
        largest: The size of the largest object in bytes.
    """
    report = Report()
    before = _Holdings.now()
    with _no_patience(), tempfile.TemporaryDirectory() as folder, _temporary_files_in(Path(folder, "tmp")) as spools:
        _work(report, seed, threads, steps, Path(folder), largest)
        gc.collect()
        report.broken += before.left_over()
        report.broken += [f"temporary file {path.name}" for path in spools.iterdir()]
    report.resident_bytes = _resident_bytes()
    return report


def _work(
    report: Report, seed: str, threads: int, steps: Callable[[], Iterator[object]], folder: Path, largest: int
) -> None:
    with (
        Shore() as shore,
        Storm(shore.url, seed) as storm,
        Storm(shore.url, seed, ("drop", "delay", "throttle")) as lesser_storm,
        contextlib.ExitStack() as clients,
    ):

        def client(url: str, **options: Any) -> Any:
            return clients.enter_context(contextlib.closing(_client(url, **options)))

        stormy = {name: client(storm.url, **options) for name, options in _CLIENTS.items()}
        ranger = client(lesser_storm.url, enable_unauthenticated_ranges=True)
        workers = [
            Worker(name, f"{seed} {name}", stormy, ranger, _made(folder / name), largest)
            for name in map("worker-{}".format, range(threads))
        ]
        report.broken += _run_all([functools.partial(_steps, worker, steps()) for worker in workers])
        calm = client(shore.url)
        for worker in workers:
            worker.audit(calm)
            report.outcomes += worker.outcomes
            report.broken += worker.broken
        report.faults = storm.faults + lesser_storm.faults


def _steps(worker: Worker, steps: Iterator[object]) -> None:
    for _ in steps:
        worker.step()


def _run_all(tasks: list[Callable[[], None]]) -> list[str]:
    """Run tasks in threads, and return the stacks of those that hang."""
    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_SECONDS)
    hanging = [thread.ident for thread in threads if thread.is_alive()]
    return [
        "hangs:\n" + "".join(traceback.format_stack(frame))
        for ident, frame in sys._current_frames().items()
        if ident in hanging
    ]


def _client(url: str, **options: Any) -> Any:
    plain = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(connect_timeout=10, read_timeout=10, retries={"max_attempts": 2}, max_pool_connections=20),
    )
    return S3EncryptionClient(plain, aes_key=AES_KEYS["aes256"], **options)


# --- what is left over ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Holdings:
    """What the process holds: threads, open files, and objects that belong to one request."""

    threads: frozenset[threading.Thread]
    files: int
    objects: Counter[str]

    @classmethod
    def now(cls) -> _Holdings:
        gc.collect()
        counted = Counter(type(held).__name__ for held in gc.get_objects() if issubclass(type(held), _PER_OBJECT))
        return cls(frozenset(threading.enumerate()), _open_files(), counted)

    def left_over(self) -> list[str]:
        """Return what there is more now."""
        for thread in set(threading.enumerate()) - self.threads:
            thread.join(HANG_SECONDS)
        now = _Holdings.now()
        left = [f"thread {thread.name}" for thread in now.threads - self.threads]
        left += [f"{count} {name} kept" for name, count in (now.objects - self.objects).items()]
        return left + ([f"{now.files - self.files} open files"] if now.files > self.files else [])


def _open_files() -> int:
    return len(os.listdir("/dev/fd"))


def _resident_bytes() -> int:
    """Return how much memory the process has; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        pages = Path("/proc/self/statm").read_text("ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")
    return 0


# --- surroundings -----------------------------------------------------------------------------------------------------


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@contextlib.contextmanager
def _no_patience() -> Iterator[None]:
    """Let botocore retry at once, and nobody keep what urllib3 logs: with a record goes all that its frames hold."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger("urllib3.connection"), "disabled", True)
        patch.setattr(botocore.endpoint, "time", types.SimpleNamespace(sleep=lambda seconds: None))
        yield


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(_made(folder)))
        yield folder
