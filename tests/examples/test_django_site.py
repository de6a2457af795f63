"""The Django site: its own tests, and the site itself, running."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from .conftest import SECRET, Aws, Example, example

MIB = 1024 * 1024
READABLE_BY_ALL = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::static/*"},
}


@pytest.fixture
def site(aws: Aws, encrypts: bool, tmp_path: Path) -> Example:
    """Return a copy of the site whose buckets are there."""
    aws.make_bucket("documents")
    aws.make_bucket("static")
    aws.plain.put_bucket_policy(Bucket="static", Policy=json.dumps(READABLE_BY_ALL))
    return example("django_site", "mysite/settings.py", tmp_path, encrypts=encrypts)


def manage(site: Example, *arguments: str) -> None:
    """Run manage.py."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=site.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def url(site: Example) -> Iterator[str]:
    """Run the site, and return where it is."""
    manage(site, "migrate", "--verbosity=0")
    server = subprocess.Popen(
        [sys.executable, "manage.py", "runserver", "--noreload", "127.0.0.1:0"],
        cwd=site.folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in server.stdout)
    try:
        yield next(match[0] for match in found if match)
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def test_sites_own_tests_pass(site: Example, aws: Aws) -> None:
    """What the site does with its files is the same with both storages, and whatever S3 ever held is ciphertext."""
    manage(site, "test", *([] if site.encrypts else ["--exclude-tag=encrypted"]))
    site.check_stored(aws.bodies("documents"))
    assert any(b"sans-serif" in body for body in aws.bodies("static"))


def test_upload_in_a_browser_is_encrypted_and_comes_back(site: Example, url: str, aws: Aws) -> None:
    """Of a small and a 20 MiB file, S3 holds ciphertext only; the site shows the right sizes, and sends the files."""
    files = {"small.txt": SECRET, "large.bin": SECRET + os.urandom(20 * MIB) + SECRET}
    with requests.Session() as browser:
        browser.get(url).raise_for_status()
        form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        for name, content in files.items():
            browser.post(url, data={**form, "title": name}, files={"file": (name, content)}).raise_for_status()
        page = browser.get(url).text
        assert "17\xa0bytes" in page
        assert "20.0\xa0MB" in page
        sent_back = [browser.get(url + path).content for path in re.findall(r'href="(/documents/\d+/)"', page)]
    assert sent_back == list(files.values())
    site.check_stored(aws.bodies("documents"))
