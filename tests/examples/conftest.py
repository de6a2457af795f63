"""The examples, as they are and with plain boto3 in the client's place, and an S3 and KMS for them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.servers import moto_server_with_key

ROOT = Path(__file__).parents[2]
SECRET = b"for our eyes only"


@dataclass(frozen=True, slots=True)
class Aws:
    """Where S3 and KMS are, and a plain client for S3."""

    url: str
    plain: Any

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket that keeps what is overwritten and deleted, so that all can be looked at in the end."""
        self.plain.create_bucket(Bucket=bucket)
        self.plain.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def bodies(self, bucket: str) -> list[bytes]:
        """Return the bodies of all objects that there ever were."""
        pages = self.plain.get_paginator("list_object_versions").paginate(Bucket=bucket)
        versions = [version for page in pages for version in page.get("Versions", [])]
        return [
            self.plain.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])["Body"].read()
            for version in versions
        ]


@pytest.fixture(scope="session")
def aws_url() -> Iterator[str]:
    """Run S3 and KMS for the examples, and return their URL."""
    with moto_server_with_key() as url:
        yield url


@pytest.fixture
def aws(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """Point boto3 to S3 and KMS, here and in processes that are started; buckets that were made are gone afterwards."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_url)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    s3 = boto3.resource("s3")
    there = {bucket.name for bucket in s3.buckets.all()}
    yield Aws(aws_url, s3.meta.client)
    for bucket in s3.buckets.all():
        if bucket.name not in there:
            bucket.object_versions.delete()
            bucket.delete()
    s3.meta.client.close()


@dataclass(frozen=True, slots=True)
class Example:
    """A copy of an example, and whether it encrypts."""

    folder: Path
    encrypts: bool

    def check_stored(self, bodies: list[bytes]) -> None:
        """Check that what S3 holds is ciphertext; without encryption, that this check would have noticed."""
        assert bodies
        assert any(SECRET in body for body in bodies) is not self.encrypts


@pytest.fixture(params=["encrypted", "plain"])
def encrypts(request: pytest.FixtureRequest) -> bool:
    """Run a test on an example as it is, and on what it was before encryption came: plain boto3 is the oracle."""
    return bool(request.param == "encrypted")


def example(name: str, switched_file: str, tmp_path: Path, *, encrypts: bool) -> Example:
    """Copy an example. Without encryption, take back the change that its page in the guide shows."""
    folder = tmp_path / name
    shutil.copytree(ROOT / "examples" / name, folder, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3"))
    if not encrypts:
        file = folder / switched_file
        file.write_text(_taken_back(file.read_text(), ROOT / "docs" / f"{name.partition('_')[0]}.md"))
    return Example(folder, encrypts)


def _taken_back(text: str, page: Path) -> str:
    diffs = re.findall(r"^```diff\n(.*?)^```$", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert diffs, f"{page.name} does not show what to change"
    for diff in diffs:
        lines = diff.splitlines(keepends=True)
        after = "".join(line[1:] for line in lines if line[0] != "-")
        before = "".join(line[1:] for line in lines if line[0] != "+")
        assert text.count(after) == 1, f"{page.name} shows a change that the example has not"
        text = text.replace(after, before)
    return text
