"""Runs code in a fresh interpreter that holds the core of the library alone, without boto."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PACKAGE_DIRECTORY = Path(__file__).resolve().parent.parent.parent / "s3_encryption"

# The package's own __init__ imports the client, and so boto: a bare module takes its place.
_PRELUDE = f"""
import sys, types
package = types.ModuleType("s3_encryption")
package.__path__ = [{str(_PACKAGE_DIRECTORY)!r}]
sys.modules["s3_encryption"] = package
for name in ("boto3", "botocore", "s3transfer"):
    sys.modules[name] = None
"""


def run_core(code: str) -> subprocess.CompletedProcess[str]:
    """Return how a fresh interpreter ended that ran some code, in which boto can't be imported."""
    return subprocess.run(
        [sys.executable, "-c", _PRELUDE + code], capture_output=True, text=True, timeout=60, check=False
    )
