"""The world that all participants of a run share: moto's S3 and KMS, a bucket, the master keys."""

from __future__ import annotations

import base64
import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from Crypto.PublicKey import RSA
from moto.moto_server.werkzeug_app import MotoRequestHandler
from moto.server import ThreadedMotoServer

BUCKET = "interop"
REGION = "us-east-1"
AES_KEY_BYTES = 32
RSA_KEY_BITS = 2048
# Nothing of the caller's own AWS set-up may reach a participant.
AWS_SETTINGS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@dataclass(frozen=True)
class MasterKeys:
    """The raw wrapping keys of a run."""

    aes: bytes
    rsa_der: bytes

    @classmethod
    def generate(cls) -> MasterKeys:
        """Return fresh keys."""
        rsa = RSA.generate(RSA_KEY_BITS)
        return cls(aes=secrets.token_bytes(AES_KEY_BYTES), rsa_der=rsa.export_key("DER", pkcs=8))

    @classmethod
    def of_vectors(cls, path: Path) -> MasterKeys:
        """Return the keys that the objects of a vectors file were written with."""
        keys = json.loads(path.read_text(encoding="utf-8"))["master_keys"]
        return cls(
            aes=bytes.fromhex(keys["aes256"]),
            rsa_der=base64.b64decode(keys["rsa2048_pkcs8_der_base64"]),
        )

    def as_json(self, kms_key_id: str) -> str:
        """Return the text of the INTEROP_KEYS file."""
        public_der = RSA.import_key(self.rsa_der).public_key().export_key("DER")
        return json.dumps(
            {
                "kms_key_id": kms_key_id,
                "aes256": self.aes.hex(),
                "rsa2048_pkcs8_der": base64.b64encode(self.rsa_der).decode("ascii"),
                "rsa2048_spki_der": base64.b64encode(public_der).decode("ascii"),
            }
        )


@dataclass(frozen=True)
class Environment:
    """A running S3 and KMS with plain clients for them, and what peers need to get there."""

    endpoint: str
    master_keys: MasterKeys
    kms_key_id: str
    s3: Any
    kms: Any
    peer_variables: dict[str, str]


def without_aws(variables: dict[str, str]) -> dict[str, str]:
    """Return the variables without AWS's, and without a path to Python modules of the caller."""
    return {name: value for name, value in variables.items() if not name.startswith("AWS_") and name != "PYTHONPATH"}


@contextmanager
def running_server() -> Iterator[str]:
    """Run moto's server on loopback, and give its address.

    To `Expect: 100-continue` it would answer twice: Python's request handler does it, and
    werkzeug's once more. Java's client gives up on the second when that comes by itself.
    """
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # It reports every request otherwise.
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with patch.object(MotoRequestHandler, "handle_expect_100", return_value=True):
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield f"http://{host}:{port}"
        finally:
            server.stop()


@contextmanager
def open_environment(master_keys: MasterKeys, work_dir: Path) -> Iterator[Environment]:
    """Run S3 and KMS; the keys file for the peers goes to the work directory."""
    peer_variables = {**without_aws(dict(os.environ)), **AWS_SETTINGS}
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(AWS_SETTINGS)

    with running_server() as endpoint:
        s3 = boto3.client("s3", endpoint_url=endpoint)
        kms = boto3.client("kms", endpoint_url=endpoint)
        s3.create_bucket(Bucket=BUCKET)
        kms_key_id = kms.create_key()["KeyMetadata"]["Arn"]
        keys_file = work_dir / "keys.json"
        keys_file.write_text(master_keys.as_json(kms_key_id), encoding="utf-8")
        peer_variables |= {"INTEROP_ENDPOINT": endpoint, "INTEROP_KEYS": str(keys_file)}
        yield Environment(endpoint, master_keys, kms_key_id, s3, kms, peer_variables)
