"""The S3 and KMS that the examples can be tried out with."""

from __future__ import annotations

import subprocess
import sys

from .conftest import ROOT

PROGRAM = """
from s3_encryption import S3EncryptionClient
s3 = S3EncryptionClient(kms_key_id="alias/my-key")
for bucket in ("documents", "uploads", "reports"):
    s3.put_object(Bucket=bucket, Key="key", Body=bucket)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read().decode() == bucket
raise SystemExit(7)
"""


def test_command_finds_buckets_and_key() -> None:
    """A command that is run beside it finds what the examples use, and its exit code is passed on."""
    command = [sys.executable, str(ROOT / "examples" / "with_local_aws.py"), sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 7, done.stderr
