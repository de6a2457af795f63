"""The main job, for people to watch: files go up encrypted, S3 holds nonsense, they come back, tampering is refused.

Everything runs on this machine: an embedded moto server plays S3 and KMS over real HTTP.
"""

from __future__ import annotations

import io
import logging
import math
import os
import struct
import sysconfig
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from s3_encryption import CommitmentPolicy, DecryptionError, NotEncryptedError, S3EncryptionClient

BUCKET = "demo-bucket"
MIB = 1024 * 1024


def main() -> None:
    """Run the demonstration."""
    with tempfile.TemporaryDirectory() as folder, embedded_aws():
        plain_s3 = boto3.client("s3")
        plain_s3.create_bucket(Bucket=BUCKET)
        files = make_files(Path(folder))
        clients = make_clients()
        for name, client in clients.items():
            heading(f"{name}: upload, look at what S3 holds, read back")
            for path in files:
                round_trip(client, plain_s3, f"{name}/{path.name}", path)
        tamper(clients["AES key"], plain_s3, f"AES key/{files[0].name}")
        refuse_plaintext(clients["AES key"], plain_s3)
        heading("Done: every file came back as it was, and nothing reached S3 in the clear")


@contextmanager
def embedded_aws() -> Iterator[None]:
    """Point boto3 at an S3 and KMS of our own, with credentials that mean nothing."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://{host}:{port}",
        AWS_ACCESS_KEY_ID="demo",
        AWS_SECRET_ACCESS_KEY="demo",  # noqa: S106
        AWS_DEFAULT_REGION="us-east-1",
    )
    try:
        yield
    finally:
        server.stop()


def make_files(folder: Path) -> list[Path]:
    """Return three real files: a text, an image, and an archive of several MiB."""
    text, image, archive = folder / "readme.txt", folder / "rings.png", folder / "library.tar"
    text.write_bytes((Path(__file__).parents[1] / "README.md").read_bytes())
    image.write_bytes(png(256))
    with tarfile.open(archive, "w") as tar:
        for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
            tar.add(path, path.name)
    return [text, image, archive]


def png(side: int) -> bytes:
    """Return a grey PNG image of rings."""
    rows = bytearray()
    for y in range(side):
        rows.append(0)
        rows += bytes(int(127.5 + 127.5 * math.sin(math.hypot(x - side / 2, y - side / 2) / 5)) for x in range(side))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b"")


def make_clients() -> dict[str, Any]:
    """Return three clients that differ only in who holds the wrapping key, and one that writes key commitment."""
    kms_key_id = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    aes_key = os.urandom(32)
    return {
        "KMS key": S3EncryptionClient(kms_key_id=kms_key_id),
        "AES key": S3EncryptionClient(aes_key=aes_key),
        "RSA key": S3EncryptionClient(rsa_key=new_rsa_key()),
        "KMS key, V3": S3EncryptionClient(
            kms_key_id=kms_key_id,
            commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
        ),
    }


def new_rsa_key() -> bytes:
    """Return a new private key as PEM."""
    from Crypto.PublicKey import RSA

    return RSA.generate(2048).export_key()


def round_trip(client: Any, plain_s3: Any, key: str, path: Path) -> None:
    """Upload a file, show what S3 stored, read it back, and compare."""
    with path.open("rb") as file:
        client.put_object(Bucket=BUCKET, Key=key, Body=file)
    stored = plain_s3.get_object(Bucket=BUCKET, Key=key)
    ciphertext = stored["Body"].read()
    original = path.read_bytes()
    if original[:64] in ciphertext:
        raise SystemExit(f"{key} is stored in the clear")
    if client.get_object(Bucket=BUCKET, Key=key)["Body"].read() != original:
        raise SystemExit(f"{key} came back changed")
    print(f"\n{path.name}  ({len(original):,} bytes, {len(original) / MIB:.2f} MiB)")
    print(f"  the file starts   {show(original)}")
    print(f"  S3 holds          {show(ciphertext)}  ({len(ciphertext):,} bytes)")
    print("  read back         identical")
    if path.suffix == ".txt":
        print("  envelope in the object's metadata:")
        for name, value in stored["Metadata"].items():
            print(f"    {name:16} {value if len(value) < 70 else value[:67] + '...'}")


def tamper(client: Any, plain_s3: Any, key: str) -> None:
    """Flip one bit of what S3 holds and show that the client refuses it, in whatever way it is read."""
    heading("Somebody flips one bit in S3")
    stored = plain_s3.get_object(Bucket=BUCKET, Key=key)
    body = bytearray(stored["Body"].read())
    body[100] ^= 1
    plain_s3.put_object(Bucket=BUCKET, Key=key, Body=bytes(body), Metadata=stored["Metadata"])
    ways: dict[str, Callable[[Any], Any]] = {
        "read()": lambda stream: stream.read(),
        "read(1)": lambda stream: stream.read(1),
        "iter_lines()": lambda stream: next(stream.iter_lines()),
    }
    for how, read in ways.items():
        try:
            released = read(client.get_object(Bucket=BUCKET, Key=key)["Body"])
        except DecryptionError as error:
            print(f"\n  {how:14}{type(error).__name__}: {error}")
        else:
            raise SystemExit(f"{how} released {released!r} of a changed object")


def refuse_plaintext(client: Any, plain_s3: Any) -> None:
    """Show that an object without an envelope is not taken for a decrypted one."""
    heading("Somebody replaces the object by a text of their own, unencrypted")
    plain_s3.put_object(Bucket=BUCKET, Key="swapped", Body=io.BytesIO(b"transfer everything to account 1234"))
    try:
        client.get_object(Bucket=BUCKET, Key="swapped")
    except NotEncryptedError as error:
        print(f"\n  {type(error).__name__}: {error}")
    else:
        raise SystemExit("an unencrypted object was accepted")


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n=== {text} ===")


def show(data: bytes) -> str:
    """Return the first bytes as printable text and as hex."""
    head = data[:16]
    return f"{head.hex(' ')}  {''.join(chr(b) if 32 <= b < 127 else '.' for b in head)}"


if __name__ == "__main__":
    main()
