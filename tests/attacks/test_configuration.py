"""Safe unless told otherwise, in so many words: defaults, and what can't change them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.encoder import V1_AES, V2_AES, V2_AES_CBC, V3_AES, Kind
from support.worlds import AES_KEY, StrictWorld

import s3_encryption
from s3_encryption import CommitmentPolicy, S3EncryptionClient
from s3_encryption.exceptions import NotEncryptedError, PolicyError

from .bucket import Bucket
from .witness import MARKER

PACKAGE = Path(inspect.getfile(s3_encryption)).parent
STRICT = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
STRICTEST = {"commitment_policy": STRICT}


def test_cf_01_every_switch_is_off_by_default() -> None:
    """All options that are on or off are off: none of them makes anything safer."""
    parameters = inspect.signature(S3EncryptionClient.__new__).parameters.values()
    switches = {parameter.name: parameter.default for parameter in parameters if isinstance(parameter.default, bool)}
    assert len(switches) >= 6
    assert set(switches.values()) == {False}


def test_cf_01_default_writes_v2_and_reads_authenticated_content_only(bucket: Bucket) -> None:
    """The project's decision: V2, which every deployed reader knows; legacy, plain and partial reads are refused."""
    client = bucket.client(V2_AES)
    client.put_object(**bucket.world.object_at(), Body=MARKER)
    assert bucket.get().metadata["x-amz-cek-alg"] == "AES/GCM/NoPadding"
    bucket.refused_call(lambda: client.get_object(**bucket.world.object_at(), Range="bytes=1-2"), PolicyError)
    for kind in (V1_AES, V2_AES_CBC):
        bucket.write(kind)
        bucket.refused(bucket.world.client(aes_key=AES_KEY), PolicyError)
    bucket.put_raw("folder/name.txt", MARKER)
    bucket.refused(client, NotEncryptedError)


@pytest.mark.parametrize("kind", [V2_AES, V2_AES_CBC, V1_AES], ids=str)
def test_cf_01_strictest_policy_takes_nothing_but_v3(kind: Kind, bucket: Bucket) -> None:
    """With one keyword, key commitment is written, and demanded."""
    strict = bucket.client(V3_AES, **STRICTEST)
    strict.put_object(**bucket.world.object_at(), Body=MARKER)
    assert bucket.get().metadata["x-amz-c"] == "115"
    assert bucket.read(strict) == MARKER
    bucket.write(kind)
    bucket.refused(bucket.client(kind, **STRICTEST), PolicyError)


READABLE = {
    CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT: {"V2", "V3"},
    CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT: {"V2", "V3"},
    STRICT: {"V3"},
}


@pytest.mark.parametrize("kind", [V2_AES, V3_AES], ids=str)
@pytest.mark.parametrize("policy", READABLE, ids=lambda policy: policy.name)
def test_cf_02_policy_decides_what_is_written_and_what_is_read(
    policy: CommitmentPolicy, kind: Kind, bucket: Bucket
) -> None:
    """All three policies, for objects of either format; contradictions are refused at construction, elsewhere."""
    client = bucket.client(kind, commitment_policy=policy)
    client.put_object(**bucket.world.object_at(), Body=MARKER)
    assert ("x-amz-c" in bucket.get().metadata) == policy.name.startswith("REQUIRE_ENCRYPT")
    assert bucket.read(client) == MARKER
    bucket.write(kind)
    if kind.format in READABLE[policy]:
        assert bucket.read(client) == MARKER
    else:
        bucket.refused(client, PolicyError)


def test_cf_04_options_can_not_be_changed_afterwards(bucket: Bucket) -> None:
    """What decides on reading and writing is frozen; so is what it consists of."""
    client = bucket.client(V2_AES)
    encryption = client._encryption
    frozen: list[Any] = [encryption, encryption.sealer, encryption.settings]
    for thing in frozen:
        for field in dataclasses.fields(thing):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(thing, field.name, True)


ENVIRONMENT = {
    name.upper(): value
    for prefix in ("", "s3_encryption_", "aws_s3_encryption_", "aws_")
    for name, value in {
        f"{prefix}allow_plaintext_reads": "true",
        f"{prefix}enable_legacy_wrapping_algorithms": "true",
        f"{prefix}enable_legacy_unauthenticated_modes": "true",
        f"{prefix}enable_unauthenticated_ranges": "true",
        f"{prefix}enable_plaintext_presigned_uploads": "true",
        f"{prefix}commitment_policy": "FORBID_ENCRYPT_ALLOW_DECRYPT",
        f"{prefix}disable": "1",
    }.items()
}
CONFIG_FILE = """
[default]
region = us-east-1
s3 =
    allow_plaintext_reads = true
    preferred_transfer_client = crt
    payload_signing_enabled = false
    multipart_threshold = 1
request_checksum_calculation = when_required
response_checksum_validation = when_required
"""


@pytest.mark.parametrize("options", [{}, STRICTEST], ids=["default", "strictest"])
def test_cf_07_environment_and_config_files_weaken_nothing(
    options: dict[str, Any], s3: StrictWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they say is boto3's business; encryption, verification and refusals are as the constructor has them."""
    (tmp_path / "config").write_text(CONFIG_FILE)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    client = s3.new_client(session=boto3.Session(), **options)
    client.put_object(**s3.object_at(), Body=MARKER)
    (tmp_path / "source").write_bytes(bytes(1000))
    client.upload_file(str(tmp_path / "source"), s3.bucket, "uploaded")
    assert not [request for request in s3.requests if MARKER in request.raw_body or bytes(100) in request.raw_body]
    assert client.get_object(**s3.object_at())["Body"].read() == MARKER
    s3.store(b"in the clear", {})
    with pytest.raises(NotEncryptedError):
        client.get_object(**s3.object_at())


def test_cf_07_package_never_looks_at_the_environment() -> None:
    """No module reads environment variables, command lines or files of settings, but to choose an engine."""
    looks = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv", "argv"):
                looks.append(path.name)
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                looks += [path.name] * bool(names & {"configparser", "argparse"})
    # The command line tool, where there is one, is a program of its own.
    assert set(looks) <= {"engine.py", "cli.py", "__main__.py"}
