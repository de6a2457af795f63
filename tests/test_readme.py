"""The README's examples run, in its order, as one program; and the demonstration runs to its end."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from support.servers import moto_server

ROOT = Path(__file__).parents[1]


def test_readme_examples_run_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python block of the README runs, one after the other, against S3 and KMS."""
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), flags=re.DOTALL)
    with moto_server() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        kms = boto3.client("kms")
        kms.create_alias(AliasName="alias/my-key", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
        boto3.client("s3").create_bucket(Bucket="my-bucket")
        namespace: dict[str, object] = {}
        for block in blocks:
            exec(compile(block, "README.md", "exec"), namespace)  # noqa: S102 - the README is ours
        stored = boto3.client("s3").get_object(Bucket="my-bucket", Key="report.txt")["Body"].read()
    assert len(blocks) >= 5
    assert b"for our eyes only" not in stored
    assert (tmp_path / "copy.md").read_bytes() == (ROOT / "README.md").read_bytes()


def test_demo_runs_to_its_end() -> None:
    """The demonstration ends well, and shows both the envelope and the refusal of a changed object."""
    demo = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert demo.returncode == 0, demo.stderr
    for words in ("x-amz-key-v2", "identical", "DecryptionError", "NotEncryptedError", "Done: "):
        assert words in demo.stdout
