"""What stands in ``_botocore``: in a botocore without one of the names, all works on, or is refused in our words.

Each name is renamed in copies of botocore, boto3 and s3transfer, everywhere at once, as their makers would do it.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import botocore.client
import pytest
from botocore.client import BaseClient
from botocore.compat import HAS_CRT
from support.secret_search import spellings_within
from support.servers import make_certificate
from support.strict_s3 import StrictS3
from support.worlds import AES_KEY, BUCKET, RefusingKms, Signature, StrictWorld, served_by

from s3_encryption import S3EncryptionClient, UnsupportedOperationError, _botocore

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("botocore", "boto3", "s3transfer")
MARKER = b"in the clear: 4711 "
OUR_WORDS = "newer than this version of s3-encryption-client knows"
# What becomes of a botocore in which a name is another: "works", or where it is refused.
NAMES = {
    "_raw": "works",
    "_checksum_name": "works",
    "_checksum": "works",
    "_raw_stream": "works",
    "_make_request": "import",
    "_make_api_call": "import",
    "_convert_to_request_dict": "works",
    "_endpoint": "works",
    "make_request": "works",
    "_serializer": "works",
    # Without the CRT, nothing could go past the client.
    "_get_credentials": "import" if HAS_CRT else "works",
    "_credentials": "works",
    "ParamValidator": "works",
    "ParamValidationDecorator": "works",
    "HierarchicalEmitter": "works",
    "BUILTIN_HANDLERS": "works",
    "AwsChunkedWrapper": "works",
    "StreamingChecksumBody": "works",
    "_UNSUPPORTED_BUCKET_PATTERNS": "works",
    "ALLOWED_DOWNLOAD_ARGS": "works",
    "create_transfer_manager": "works",
    "provide_object_etag": "works",
    "S3DownloadFailedError": "works",
    "S3_RETRYABLE_DOWNLOAD_ERRORS": "works",
    "PRESERVED_METADATA_FIELDS": "works",
}
# Run in an interpreter of its own, whose boto is the copy. Prints what works.
WORK = """
import io, os, sys, tempfile
import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from s3_encryption import S3EncryptionClient, UnsupportedOperationError

marker, bucket = sys.argv[1].encode(), sys.argv[2]
small, large = marker * 50, marker * 400_000
parts = TransferConfig(multipart_threshold=5 * 2**20, multipart_chunksize=5 * 2**20)
for scheme, url, verify in (("http", sys.argv[3], None), ("https", sys.argv[4], sys.argv[5])):
    plain = boto3.client("s3", endpoint_url=url, verify=verify, config=Config(retries={"max_attempts": 1}))
    s3 = S3EncryptionClient(plain, aes_key=bytes(range(32)), enable_unauthenticated_ranges=True)
    with tempfile.TemporaryDirectory() as folder:
        path, back = os.path.join(folder, "file"), os.path.join(folder, "back")
        for size, body in (("small", small), ("large", large)):
            key = f"{scheme}-{size}"
            with open(path, "wb") as file:
                file.write(body)
            writes = {
                "bytes": lambda key, body: s3.put_object(Bucket=bucket, Key=key, Body=body),
                "file": lambda key, body: s3.put_object(Bucket=bucket, Key=key, Body=open(path, "rb")),
                "upload_file": lambda key, body: s3.upload_file(path, bucket, key, Config=parts),
                "upload_fileobj": lambda key, body: s3.upload_fileobj(io.BytesIO(body), bucket, key, Config=parts),
            }
            for way, write in writes.items():
                write(f"{key}-{way}", body)
                assert s3.get_object(Bucket=bucket, Key=f"{key}-{way}")["Body"].read() == body, (key, way)
            chunks = s3.get_object(Bucket=bucket, Key=f"{key}-bytes")["Body"].iter_chunks(70_000)
            assert b"".join(chunks) == body
            part = s3.get_object(Bucket=bucket, Key=f"{key}-bytes", Range="bytes=10-99")["Body"].read()
            assert part == body[10:100]
            s3.download_file(bucket, f"{key}-bytes", back, Config=parts)
            with open(back, "rb") as file:
                assert file.read() == body
            s3.copy_object(Bucket=bucket, Key=f"{key}-copy", CopySource={"Bucket": bucket, "Key": f"{key}-bytes"})
            assert s3.get_object(Bucket=bucket, Key=f"{key}-copy")["Body"].read() == body
        upload = {"Bucket": bucket, "Key": f"{scheme}-parts"}
        upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
        sent = [s3.upload_part(**upload, PartNumber=n, Body=b) for n, b in ((1, large), (2, small))]
        listed = [{"PartNumber": n, "ETag": answer["ETag"]} for n, answer in enumerate(sent, start=1)]
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed})
        assert s3.get_object(Bucket=bucket, Key=f"{scheme}-parts")["Body"].read() == large + small
body = s3.get_object(Bucket=bucket, Key=f"{scheme}-large-bytes")["Body"]
try:
    body.set_socket_timeout(20)
except UnsupportedOperationError as error:
    assert sys.argv[7] in str(error)
assert body.read() == large
# The KMS client that is made for a client is of the same caller, or there is none.
caller = {"aws_access_key_id": "somebody", "aws_secret_access_key": "secret", "endpoint_url": sys.argv[3]}
try:
    S3EncryptionClient(boto3.client("s3", **caller), kms_key_id="alias/key").put_object(Bucket=bucket, Key="kms")
except UnsupportedOperationError as error:
    assert sys.argv[7] in str(error)
except ClientError as error:
    assert error.response["Error"]["Code"] == "AccessDeniedException"
print("all works")
"""


@pytest.fixture(scope="module")
def kms_server() -> Iterator[RefusingKms]:
    """Return a KMS that denies everything."""
    with RefusingKms() as server:
        yield server


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StrictWorld, StrictWorld]]:
    """Return a strict S3 over HTTP, and one over HTTPS."""
    certificate = make_certificate(tmp_path_factory.mktemp("certificate"))
    with served_by(StrictS3()) as plain, served_by(StrictS3(certificate)) as tls:
        yield plain, tls


def copy_with(name: str, folder: Path) -> int:
    """Make copies of the packages in a folder, in which a name is another; return how many files have it."""
    word = re.compile(rf"(?<!\w){name}(?!\w)")
    changed = []

    def copied(source: str, target: str) -> None:
        if not source.endswith(".py"):
            os.symlink(source, target)
            return
        text = Path(source).read_text("utf-8")
        if word.search(text):
            changed.append(source)
        Path(target).write_text(word.sub(f"{name}_renamed", text), "utf-8")

    for package in PACKAGES:
        source = Path(importlib.import_module(package).__file__ or "").parent
        data = shutil.ignore_patterns("data", "__pycache__")
        shutil.copytree(source, folder / package, ignore=data, copy_function=copied)
        if (source / "data").exists():
            (folder / package / "data").symlink_to(source / "data")
    return len(changed)


def work_with(folder: Path, worlds: tuple[StrictWorld, StrictWorld], kms_url: str) -> subprocess.CompletedProcess[str]:
    """Return how an interpreter ended that did all kinds of work with the packages in a folder."""
    plain, tls = worlds
    paths = [str(folder), str(ROOT)]
    settings = {"PYTHONPATH": os.pathsep.join(paths), "AWS_ENDPOINT_URL_KMS": kms_url, "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {**os.environ, **settings}
    arguments = [MARKER.decode(), BUCKET, plain.url, tls.url, str(tls.server.certificate), kms_url, OUR_WORDS]
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WORK, *arguments],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_renamed_name_breaks_nothing_and_lets_nothing_out(
    name: str, tmp_path: Path, worlds: tuple[StrictWorld, StrictWorld], kms_server: RefusingKms
) -> None:
    """Whatever name is another tomorrow: all works, or the import is refused in our words; S3 sees no plaintext."""
    for server in (*(world.server for world in worlds), kms_server):
        server.reset()
    if copy_with(name, tmp_path) == 0:
        pytest.skip("this boto has no such name")
    ended = work_with(tmp_path, worlds, kms_server.url)
    sent = [part for world in worlds for request in world.requests for part in (request.sent_bytes, request.body)]
    assert not any(spelling in part for part in sent for spelling in spellings_within(MARKER))
    if NAMES[name] == "works":
        assert (ended.stdout, ended.stderr) == ("all works\n", "")
        assert len(sent) > 20
        assert {Signature.of(request).access_key for request in kms_server.requests} <= {"somebody"}
        assert bool(kms_server.requests) is (name not in ("_credentials", "_get_credentials"))
    else:
        assert "ImportError" in ended.stderr
        assert OUR_WORDS in ended.stderr
        assert sent == []


def test_body_that_goes_out_past_the_guard_is_refused(
    worlds: tuple[StrictWorld, StrictWorld], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If botocore, or who has patched it, sends by another method than the guarded one, nothing leaves."""

    def make_elsewhere(self: Any, model: Any, request: Any, context: Any) -> Any:
        return self._endpoint.make_request(model, request)

    call = botocore.client.BaseClient._make_api_call
    inner = getattr(call, "__wrapped__", call)
    names = tuple("_made_elsewhere" if name == "_make_request" else name for name in inner.__code__.co_names)
    renamed = FunctionType(inner.__code__.replace(co_names=names), inner.__globals__, inner.__name__)
    monkeypatch.setattr(BaseClient, "_made_elsewhere", make_elsewhere, raising=False)
    monkeypatch.setattr(BaseClient, "_make_api_call", renamed)
    for world in worlds:
        world.server.reset()
        client = world.client()
        for body in (b"small", bytes(3 * 2**20)):
            with pytest.raises(UnsupportedOperationError, match=OUR_WORDS):
                client.put_object(**world.object_at(), Body=body)
        assert world.requests == []
        world.close_clients()


@pytest.mark.parametrize("sends", ["make_request", "another_name"])
def test_endpoint_sends_nothing_that_was_not_checked(sends: str) -> None:
    """Before the check no method of the endpoint can be called, whatever its name; what is no method can be read."""
    expected = _botocore.ExpectedRequest({}, frozenset())
    endpoint = SimpleNamespace(**{sends: lambda: "sent"}, host="https://host")
    watched = _botocore.watched({"_endpoint": endpoint}, expected)["_endpoint"]
    assert watched.host == "https://host"
    with pytest.raises(UnsupportedOperationError, match=OUR_WORDS):
        getattr(watched, sends)
    expected.prepared({"body": b"", "headers": {}})
    assert getattr(watched, sends)() == "sent"


def test_unchecked_call_is_an_error_where_no_endpoint_can_be_watched() -> None:
    """Without the endpoint's name, a call in which the check has not run does not pass for a success."""
    expected = _botocore.ExpectedRequest({}, frozenset())
    assert _botocore.watched({}, expected) == {}
    with pytest.raises(UnsupportedOperationError, match=OUR_WORDS):
        expected.check_sent()
    expected.prepared({"body": b"", "headers": {}})
    expected.check_sent()


def test_body_that_botocore_wraps_in_an_unknown_way_is_not_said_to_be_the_users_doing() -> None:
    """Where our body can't be found in an object of botocore's, the words are about botocore."""
    expected = _botocore.ExpectedRequest({"Body": b"ciphertext"}, frozenset())
    wrapper = type("Wrapper", (), {"__module__": "botocore.httpchecksum", "__slots__": ()})()
    with pytest.raises(UnsupportedOperationError, match=OUR_WORDS):
        expected.prepared({"body": wrapper, "headers": {}})


@pytest.mark.parametrize("method", ["put_object", "_make_api_call", "_make_request"])
def test_method_that_was_replaced_in_the_client_beneath_leads_nowhere(
    method: str, worlds: tuple[StrictWorld, StrictWorld]
) -> None:
    """What somebody has put over a method of an ordinary client is not over the method that encrypts."""
    world, _ = worlds
    world.server.reset()
    plain = world.plain_client()
    setattr(plain, method, getattr(plain, method))
    S3EncryptionClient(plain, aes_key=AES_KEY).put_object(**world.object_at(), Body=MARKER)
    assert MARKER not in world.body_stored()
    assert world.client().get_object(**world.object_at())["Body"].read() == MARKER
    world.close_clients()


def test_calls_that_somebody_answers_himself_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that puts its own function in the place of botocore's gets what it returns: nothing was sent."""
    with served_by(StrictS3()) as world:
        client = world.client()
        monkeypatch.setattr(BaseClient, "_make_api_call", lambda self, name, params: {"ETag": name})
        assert client.put_object(**world.object_at(), Body=b"small") == {"ETag": "PutObject"}
        assert world.requests == []


@pytest.mark.parametrize(
    ("patched", "is_refused"),
    [
        (lambda self, name, params: None, False),
        (FunctionType((lambda self: self.other).__code__, {"__name__": "botocore.client"}), True),
    ],
    ids=["somebody's own", "botocore's that calls another"],
)
def test_import_looks_at_botocores_own_call_only(
    patched: Any, is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A patched botocore is no newer botocore: the import is refused only if botocore itself has changed."""
    monkeypatch.setattr(BaseClient, "_make_api_call", patched)
    if is_refused:
        with pytest.raises(ImportError, match=OUR_WORDS):
            _botocore.check_guard()
    else:
        _botocore.check_guard()


def test_session_is_refused_where_credentials_can_not_be_found() -> None:
    """A KMS client of another identity than the S3 client's is never made in silence."""
    with pytest.raises(UnsupportedOperationError, match=OUR_WORDS):
        _botocore.session_of(SimpleNamespace())


def test_downloads_are_pinned_where_s3transfer_does_not_pin_them() -> None:
    """With an s3transfer that knows no ETags, every read of a download names the object by If-Match."""
    asked: list[dict[str, Any]] = []
    client = SimpleNamespace(get_object=lambda **params: asked.append(params), meta="meta")
    pinned: Any = _botocore.PinnedClient(client, '"etag"')
    pinned.get_object(Bucket="bucket", Range="bytes=0-1")
    assert asked == [{"Bucket": "bucket", "Range": "bytes=0-1", "IfMatch": '"etag"'}]
    assert pinned.meta == "meta"
    chosen = _botocore.client_for_download(client, '"etag"')
    assert (chosen is client) is _botocore.PINS_DOWNLOADS
    assert _botocore.client_for_download(client, None) is client
