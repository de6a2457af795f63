"""The README's examples run, in its order, as one program."""

from __future__ import annotations

import re
from pathlib import Path

import boto3

README = Path(__file__).parents[1] / "README.md"


def test_readme_examples_run_as_printed(aws_endpoint: str, capsys: object) -> None:
    """Every Python block of the README runs, one after the other, against S3 and KMS."""
    kms = boto3.client("kms")
    kms.create_alias(AliasName="alias/my-key", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    boto3.client("s3").create_bucket(Bucket="my-bucket")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 4
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), namespace)  # noqa: S102 - the README is ours
    assert namespace["body"] is not None
