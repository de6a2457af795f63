"""The example of tests of one's own."""

from __future__ import annotations

import subprocess
import sys

from .conftest import ROOT


def test_own_tests_pass() -> None:
    """They need nothing but what is installed: no server, no configuration."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "."]
    folder = ROOT / "examples" / "own_tests"
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
