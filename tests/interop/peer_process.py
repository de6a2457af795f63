"""A peer: another client in a process of its own, spoken to in JSON lines."""

from __future__ import annotations

import base64
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from .environment import BUCKET, without_aws
from .formats import Cell

SKIPPED = 77
SETUP_TIMEOUT_SECONDS = 1800.0
HELLO_TIMEOUT_SECONDS = 120.0
# One that keeps on hanging or dying must not be started again for every cell.
BREAKDOWNS_BEFORE_GIVING_UP = 3
END_TIMEOUT_SECONDS = 10.0


class PeerError(Exception):
    """The peer answered with an error, with nonsense, or not in time."""


class MissingToolchainError(Exception):
    """The peer's toolchain is missing; the text says what would help."""


class Peer:
    """One peer's process: started on demand, ended and started again when it hangs."""

    def __init__(self, directory: Path, work_dir: Path, variables: dict[str, str], timeout_seconds: float) -> None:
        """Describe the peer; `setup` and `start` do the work."""
        self.name = directory.name
        self.version = "?"
        self.writes: frozenset[Cell] = frozenset()
        self.reads: frozenset[Cell] = frozenset()
        self._directory = directory
        self._work_dir = work_dir
        self._variables = variables
        self._timeout_seconds = timeout_seconds
        self._breakdowns = 0
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def setup(self) -> None:
        """Install or build the peer; quick when that was done before."""
        script = next(self._directory.glob("setup.*"), None)
        if script is None:
            raise PeerError("has no setup.sh or setup.py")
        self._work_dir.mkdir(parents=True, exist_ok=True)
        interpreter = {".sh": "bash", ".py": sys.executable}[script.suffix]
        try:
            done = subprocess.run(
                [interpreter, script, self._work_dir],
                env=without_aws(dict(os.environ)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SETUP_TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise PeerError(f"setup took over {SETUP_TIMEOUT_SECONDS:.0f} s") from None
        if done.returncode == SKIPPED:
            raise MissingToolchainError(last_line(done.stdout) or "its setup named no reason")
        if done.returncode:
            reason = last_line(done.stderr) or last_line(done.stdout)
            raise PeerError(f"setup ended with exit code {done.returncode}: {reason}")

    def start(self) -> None:
        """Start the process and take in its hello."""
        self._lines = queue.SimpleQueue()
        with open(self._work_dir / "stderr.log", "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [self._work_dir / "run"],
                cwd=self._work_dir,
                env=self._variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        threading.Thread(target=pump, args=(self._process.stdout, self._lines), daemon=True).start()
        hello = self._answer(HELLO_TIMEOUT_SECONDS)
        try:
            self.version = str(hello["version"])
            self.writes = frozenset(map(Cell.parse, hello["writes"]))
            self.reads = frozenset(map(Cell.parse, hello["reads"]))
        except (KeyError, TypeError, ValueError) as error:
            raise PeerError(f"not a hello: {error}") from error

    def put(self, cell: Cell, key: str, body: bytes, context: dict[str, str]) -> None:
        """Have the peer write an object."""
        self._ask("put", cell, key, context, body=base64.b64encode(body).decode("ascii"))

    def get(self, cell: Cell, key: str, context: dict[str, str]) -> bytes:
        """Have the peer read an object."""
        return base64.b64decode(self._ask("get", cell, key, context)["body"])

    def close(self) -> None:
        """End the process: by end of input, or by force when that doesn't help."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        try:
            process.stdin.close()
            process.wait(END_TIMEOUT_SECONDS)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            end_session(process)

    def _ask(self, operation: str, cell: Cell, key: str, context: dict[str, str], **more: str) -> dict[str, Any]:
        message = {
            "op": operation,
            "format": cell.format.name,
            "location": cell.location,
            "bucket": BUCKET,
            "key": key,
            "context": context,
            **more,
        }
        if self._process is None:
            self._restart()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            print(json.dumps(message), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._ended() from None
        answer = self._answer(self._timeout_seconds)
        if answer.get("ok") is not True:
            raise PeerError(str(answer.get("error", answer)))
        return answer

    def _restart(self) -> None:
        if self._breakdowns >= BREAKDOWNS_BEFORE_GIVING_UP:
            raise PeerError(f"not asked again after {self._breakdowns} breakdowns")
        self.start()

    def _answer(self, timeout_seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=timeout_seconds)
        except queue.Empty:
            self._kill()
            raise PeerError(f"no answer within {timeout_seconds:.0f} s") from None
        if not line:
            raise self._ended()
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            self._kill()
            raise PeerError(f"not a JSON object on stdout: {line[:200]!r}")
        return answer

    def _ended(self) -> PeerError:
        """Return the error for a process that went away by itself."""
        process = self._process
        code = None if process is None else process.wait(END_TIMEOUT_SECONDS)
        self._process = None
        self._breakdowns += 1
        log = (self._work_dir / "stderr.log").read_text(encoding="utf-8", errors="replace")
        return PeerError(f"the process ended with exit code {code}: {last_line(log)}")

    def _kill(self) -> None:
        process, self._process = self._process, None
        self._breakdowns += 1
        if process is not None:
            end_session(process)


def pump(stream: IO[str], lines: queue.SimpleQueue[str]) -> None:
    """Pass on the lines of a stream, and an empty one at its end."""
    for line in stream:
        lines.put(line)
    lines.put("")


def end_session(process: subprocess.Popen[str]) -> None:
    """Kill the process and its children, which share the session made for it."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_line(text: str) -> str:
    """Return the last line that isn't blank."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
