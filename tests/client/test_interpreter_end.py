"""A program that ends with a client, a half-read body or an upload in its hands ends as it would with plain boto3."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.vectors import RSA_KEY_DER
from support.worlds import KEY, StrictWorld

ROOT = Path(__file__).resolve().parent.parent.parent
# Beyond what is decrypted in one call, and long enough for a second thread.
SIZE = 5 * 1024 * 1024

_MAKE = """
import contextvars, os, sys
from s3_encryption import S3EncryptionClient

url, bucket, key, rsa_key = sys.argv[1:]
client = S3EncryptionClient(rsa_key=bytes.fromhex(rsa_key), endpoint_url=url, enable_delayed_authentication=True)
body = client.get_object(Bucket=bucket, Key=key)["Body"]
assert len(body.read(10)) == 10
upload = client.create_multipart_upload(Bucket=bucket, Key="other")
client.upload_part(Bucket=bucket, Key="other", UploadId=upload["UploadId"], PartNumber=1, Body=b"small")
# Of modules that are still held, the interpreter clears the names.
held = [client, body, client.open(bucket, key), dict(sys.modules)]
"""
_HOLDERS = {
    "context-variable": "contextvars.ContextVar('held').set(held)",
    "fork-hook": "os.register_at_fork(before=lambda held=held: None)",
    "trace-function": "sys.settrace(lambda *event, held=held: None)",
    "flask-context": "import flask; flask.Flask('app').app_context().push(); flask.g.held = held",
}
_TESTS = """
import os, sys
import pytest
from moto import mock_aws
from s3_encryption import AesKeyring, RsaKeyring, S3EncryptionClient

KEYRINGS = [AesKeyring(bytes(range(32))), RsaKeyring(bytes.fromhex("{rsa_key}"))]
os.register_at_fork(before=lambda kept=(KEYRINGS, dict(sys.modules)): None)

@pytest.mark.parametrize("keyring", KEYRINGS)
@mock_aws
def test_fails(keyring):
    client = S3EncryptionClient(keyring=keyring, region_name="us-east-1")
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="key", Body=bytes({size}))
    body = client.get_object(Bucket="bucket", Key="key")["Body"]
    assert body.read(10) == b"something else"
"""
each_engine = pytest.mark.parametrize("engine", ["openssl", "pycryptodome"])


def ended(engine: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Return how an interpreter ended whose AES is that of an engine."""
    environment = {**os.environ, "S3_ENCRYPTION_CRYPTO_ENGINE": engine}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


@each_engine
@pytest.mark.parametrize("holder", _HOLDERS.values(), ids=_HOLDERS)
def test_program_that_still_holds_a_client_ends_without_a_crash(s3: StrictWorld, engine: str, holder: str) -> None:
    """What outlives the modules may hold a client with a key of its own, a half-read body and an unfinished upload."""
    s3.client(rsa_key=RSA_KEY_DER).put_object(**s3.object_at(), Body=bytes(SIZE))
    program = ended(engine, "-c", _MAKE + holder, s3.server.url, s3.bucket, KEY, RSA_KEY_DER.hex())
    assert (program.returncode, program.stdout, program.stderr) == (0, "", "")


@each_engine
def test_session_of_pytest_with_a_failing_test_ends_without_a_crash(engine: str, tmp_path: Path) -> None:
    """Keyrings in parameters and the frames of a failure live to the end; the exit status is that of a failed test."""
    tests = tmp_path / "test_with_keyrings.py"
    tests.write_text(_TESTS.format(rsa_key=RSA_KEY_DER.hex(), size=SIZE))
    program = ended(engine, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(tests))
    assert (program.returncode, program.stderr) == (1, ""), program.stdout[-3000:]
    assert "2 failed" in program.stdout
