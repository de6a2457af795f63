"""Runs a function of the test suite in a process of its own: for what is done to a process, and for its memory."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_TESTS = Path(__file__).resolve().parent.parent
_PROC = Path("/proc/self")

needs_proc = pytest.mark.skipif(not (_PROC / "clear_refs").exists(), reason="memory is measured by Linux's /proc")

_MAIN = """
import importlib, json, sys
module, function, arguments = sys.argv[1:]
print(json.dumps(getattr(importlib.import_module(module), function)(*json.loads(arguments))), flush=True)
"""


def start(function: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start ``package.module:function`` with arguments that JSON can carry."""
    module, _, name = function.partition(":")
    paths = [str(_TESTS), str(_TESTS.parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", _MAIN, module, name, json.dumps(arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **{**pipes, **options})


def run(function: str, *arguments: object) -> Any:
    """Return what such a function returns."""
    with start(function, *arguments) as process:
        try:
            output, errors = process.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 0, errors[-3000:]
    return json.loads(output.splitlines()[-1])


class Memory:
    """Measures by how much the process grows, at the highest, from now on."""

    def __init__(self) -> None:
        gc.collect()
        # Linux forgets the highest so far.
        (_PROC / "clear_refs").write_text("5")
        self._before = _status_kib("VmRSS")

    @property
    def growth_bytes(self) -> int:
        """The highest resident memory since then, less what it was then."""
        return (_status_kib("VmHWM") - self._before) * 1024


def _status_kib(field: str) -> int:
    status = (_PROC / "status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1])
