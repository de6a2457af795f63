"""The examples of the README and of the guide run as printed; and the demonstration runs to its end."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.servers import moto_server_with_key

from s3_encryption import S3EncryptionClient

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
# A block that starts so is not run: it is a piece of that file, which has tests of its own.
_EXCERPT = re.compile(r"# (examples/\S+)\n")


def blocks_of(page: str, language: str = "python") -> list[str]:
    """Return the blocks of a page that are in one language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """Run S3 and KMS, with the key that the pages take for granted, and return their URL."""
    with moto_server_with_key() as url:
        yield url


@pytest.fixture
def plain(aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Go where the pages' examples may run: with ``my-bucket``, and files to upload. Return a plain client."""
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    bucket = boto3.resource("s3").Bucket("my-bucket")
    bucket.create()
    yield bucket.meta.client
    bucket.objects.delete()
    bucket.delete()
    bucket.meta.client.close()


def run(page: str) -> None:
    """Run the blocks of a page, one after the other, as one program."""
    namespace: dict[str, object] = {"__name__": page}
    for block in blocks_of(page):
        if not _EXCERPT.match(block):
            exec(compile(block, page, "exec"), namespace)  # noqa: S102 - the pages are ours


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)])
@pytest.mark.usefixtures("plain")
def test_python_blocks_run_as_printed(page: str) -> None:
    """Every Python block of a page runs, one after the other, against S3 and KMS."""
    run(page)


def test_readme_keeps_its_promise(plain: Any, tmp_path: Path) -> None:
    """What the README's examples store is ciphertext, and what they download is what they uploaded."""
    run("README.md")
    assert b"for our eyes only" not in plain.get_object(Bucket="my-bucket", Key="report.txt")["Body"].read()
    assert (tmp_path / "copy.md").read_bytes() == (ROOT / "README.md").read_bytes()


@pytest.mark.usefixtures("plain")
def test_migration_leaves_what_is_encrypted_as_it_is() -> None:
    """The guide's way to encrypt a bucket takes no ciphertext for plaintext, wherever the envelope is, or run again."""
    locations = ("metadata", "instruction_file")
    for location in locations:
        client = S3EncryptionClient(kms_key_id="alias/my-key", envelope_location=location)
        client.put_object(Bucket="my-bucket", Key=location, Body=location.encode())
    for _ in range(2):
        run("docs/migration.md")
    reader = S3EncryptionClient(kms_key_id="alias/my-key")
    for key, content in {**dict(zip(locations, locations, strict=True)), "from-before.txt": "in the clear"}.items():
        assert reader.get_object(Bucket="my-bucket", Key=key)["Body"].read() == content.encode()
    reader.close()


@pytest.mark.parametrize("page", PAGES)
def test_excerpts_are_what_the_examples_say(page: str) -> None:
    """A block that names a file of the examples is a piece of that file."""
    for block in blocks_of(page):
        if excerpt := _EXCERPT.match(block):
            assert block[excerpt.end() :].strip("\n") in (ROOT / excerpt[1]).read_text()


@pytest.mark.parametrize("page", PAGES)
def test_json_blocks_are_json(page: str) -> None:
    """A policy can be copied into AWS's console as it is printed."""
    for block in blocks_of(page, "json"):
        json.loads(block)


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
