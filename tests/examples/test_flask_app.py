"""The Flask application: uploads and downloads over HTTP."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from urllib3 import encode_multipart_formdata

from .conftest import SECRET, Aws, Example, example

# Longer than the 8 MiB from which on boto3 uploads in parts.
LARGE = SECRET + os.urandom(9 * 1024 * 1024) + SECRET


@pytest.fixture
def flask_app(aws: Aws, encrypts: bool, tmp_path: Path) -> Example:
    """Return a copy of the application whose bucket is there."""
    aws.make_bucket("uploads")
    return example("flask_app", "app.py", tmp_path, encrypts=encrypts)


@pytest.fixture
def app(flask_app: Example) -> Iterator[ModuleType]:
    """Return the application's module."""
    specification = importlib.util.spec_from_file_location("app", flask_app.folder / "app.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    yield module
    module.s3.close()


@pytest.fixture
def browser(app: ModuleType) -> Any:
    """Return a test client of the application."""
    return app.app.test_client()


@pytest.mark.parametrize("content", [SECRET, LARGE, b""], ids=["small", "large", "empty"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_upload_comes_back(flask_app: Example, browser: Any, aws: Aws, method: str, content: bytes) -> None:
    """A file comes back with its length and type, whether it came as a form or as it is."""
    if method == "POST":
        form, content_type = encode_multipart_formdata({"file": ("report.txt", content, "text/plain")})
        answer = browser.post("/files", data=form, content_type=content_type)
    else:
        answer = browser.put("/files/report.txt", data=content, content_type="text/plain")
    assert answer.status_code == 201
    with browser.get("/files/report.txt") as answer:
        assert answer.status_code == 200
        assert answer.data == content
        assert answer.content_length == len(content)
        assert answer.mimetype == "text/plain"
    assert browser.get("/files").json == ["report.txt"]
    if content:
        flask_app.check_stored(aws.bodies("uploads"))


def test_missing_file_is_not_found(browser: Any) -> None:
    """S3's NoSuchKey is a 404; so is a file that was deleted."""
    assert browser.get("/files/none.txt").status_code == 404
    browser.put("/files/report.txt", data=SECRET)
    assert browser.delete("/files/report.txt").status_code == 204
    assert browser.get("/files/report.txt").status_code == 404


def test_upload_without_a_name_is_refused(browser: Any, aws: Aws) -> None:
    """A name of which nothing is left is no name."""
    assert browser.post("/files", data={"file": (io.BytesIO(SECRET), "../..")}).status_code == 400
    assert aws.bodies("uploads") == []


@pytest.mark.parametrize("encrypts", [True], ids=["encrypted"])
def test_changed_file_is_not_sent(browser: Any, aws: Aws) -> None:
    """Of a file that somebody changed in S3, no byte goes out, and the answer is an error."""
    browser.put("/files/report.txt", data=SECRET)
    stored = aws.plain.get_object(Bucket="uploads", Key="report.txt")
    changed = bytes([stored["Body"].read(1)[0] ^ 1]) + stored["Body"].read()
    aws.plain.put_object(Bucket="uploads", Key="report.txt", Body=changed, Metadata=stored["Metadata"])
    answer = browser.get("/files/report.txt")
    assert answer.status_code == 502
    assert b"eyes" not in answer.data
