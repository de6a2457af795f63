"""The Python environments of the clients.

AWS's client has one of its own, because its import name is this library's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from .clients import OURS
from .server import Server, SetupError

AWS_PACKAGE = "amazon-s3-encryption-client-python"
AWS_VERSION = "4.0.0"
# What both environments must have alike, for the comparison to be one of the clients.
_SHARED_PACKAGES = ("boto3", "botocore", "s3transfer")
_INSTALL_SECONDS = 600


def aws_python() -> Path:
    """Return the Python that has AWS's client, in an environment that is made when it is not there yet.

    Raises:
        SetupError: It can't be installed.
    """
    folder = Path(sys.prefix) / "benchmark-aws-client"
    python, done = folder / "bin" / "python", folder / ".ready"
    wanted = [f"{AWS_PACKAGE}=={AWS_VERSION}", *(f"{name}=={version(name)}" for name in _SHARED_PACKAGES)]
    if done.exists() and done.read_text() == "\n".join(wanted):
        return python
    try:
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run(  # noqa: S603
            [str(python), "-m", "pip", "install", "--quiet", *wanted],
            check=True,
            capture_output=True,
            timeout=_INSTALL_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or str(error).encode()
        raise SetupError(detail.decode(errors="replace").strip()) from None
    done.write_text("\n".join(wanted))
    return python


def isolated_folder(folder: Path) -> Path:
    """Return a folder to start processes in: it has this package, and nothing else that could be imported."""
    path = folder / "import"
    path.mkdir()
    (path / "benchmarks").symlink_to(Path(__file__).parent, target_is_directory=True)
    return path


def variables(server: Server, kind: str) -> Mapping[str, str]:
    """Return the environment variables of measured processes: none of the user's AWS set-up or proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "BOTO_", "PYTHON")) and not name.lower().endswith("_proxy")
    }
    engine = {"S3_ENCRYPTION_CRYPTO_ENGINE": kind} if kind in OURS else {}
    return kept | {
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_CA_BUNDLE": str(server.certificate),
        **engine,
    }
