"""The ways in which programs write to S3 with boto3: each works with plain boto3, and with an encrypting client."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import s3transfer
import s3transfer.manager
from boto3.s3.transfer import S3Transfer, TransferConfig, create_transfer_manager

from s3_encryption import S3EncryptionClient, S3EncryptionSession

from .sources import pipe_with
from .uploads import MIB, Upload
from .worlds import BUCKET, KEY

# With signs that a URL spells in another way.
MARKER = b"plain+text / for its owner & nobody else?"
SMALL_BYTES = 20_000
LARGE_BYTES = 9 * MIB
TARGET = {"Bucket": BUCKET, "Key": KEY}


@dataclass(frozen=True, slots=True)
class Plaintext:
    """What is written: numbered lines, each with the marker; also as a file."""

    content: bytes
    path: Path

    @classmethod
    def of_size(cls, size: int, folder: Path) -> Plaintext:
        """Make lines of about so many bytes."""
        line = b"%08d," + MARKER + b"\n"
        content = b"".join(line % number for number in range(size // len(line % 0)))
        path = folder / "plaintext.csv"
        path.write_bytes(content)
        return cls(content, path)

    def parts(self) -> list[bytes]:
        """Return it in parts of 5 MiB."""
        return [self.content[start : start + 5 * MIB] for start in range(0, len(self.content), 5 * MIB)]


class Caller:
    """A program that uses boto3. Its session encrypts, with these options, or does not; all else is the same."""

    def __init__(self, connection: Mapping[str, Any], **encryption_options: Any) -> None:
        self.connection = connection
        self.encryption_options = encryption_options
        self.session = S3EncryptionSession(**encryption_options) if encryption_options else boto3.Session()
        self._made: list[Any] = []

    @functools.cached_property
    def client(self) -> Any:
        """A client."""
        return self.kept(self.session.client("s3", **self.connection))

    @functools.cached_property
    def client_over_a_client(self) -> Any:
        """A client that is made from one that does not encrypt."""
        plain = self.kept(boto3.client("s3", **self.connection))
        return S3EncryptionClient(plain, **self.encryption_options) if self.encryption_options else plain

    @functools.cached_property
    def resource(self) -> Any:
        """A resource."""
        resource = self.session.resource("s3", **self.connection)
        self.kept(resource.meta.client)
        return resource

    @property
    def plain_resource(self) -> Any:
        """Return a resource that does not encrypt."""
        resource = boto3.resource("s3", **self.connection)
        self.kept(resource.meta.client)
        return resource

    def kept(self, client: Any) -> Any:
        """Return a client that will be closed."""
        self._made.append(client)
        return client

    def close(self) -> None:
        """Close all connections."""
        while self._made:
            self._made.pop().close()


Write = Callable[[Caller, Plaintext], object]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to write, and how much; and whether plain boto3 has it, too."""

    write: Write
    size: int = SMALL_BYTES
    is_boto3s: bool = True


def in_both_sizes(writes: Mapping[str, Write], large: int = LARGE_BYTES) -> dict[str, Way]:
    """Return each way twice: for a small object, and for one that goes in parts."""
    sizes = {"small": SMALL_BYTES, f"{large // MIB}MiB": large}
    return {f"{name}-{label}": Way(write, size) for name, write in writes.items() for label, size in sizes.items()}


# --- clients ----------------------------------------------------------------------------------------------------------


def _put(make_body: Callable[[Plaintext], Any], **params: Any) -> Write:
    return lambda caller, plaintext: caller.client.put_object(**TARGET, Body=make_body(plaintext), **params)


def _put_file(caller: Caller, plaintext: Plaintext) -> None:
    with plaintext.path.open("rb") as file:
        caller.client.put_object(**TARGET, Body=file)


def _put_pipe(caller: Caller, plaintext: Plaintext) -> None:
    with pipe_with(plaintext.content) as pipe:
        caller.client.put_object(**TARGET, Body=pipe)


def _upload_file(caller: Caller, plaintext: Plaintext) -> None:
    caller.client.upload_file(str(plaintext.path), BUCKET, KEY)


def _upload_file_over_a_client(caller: Caller, plaintext: Plaintext) -> None:
    caller.client_over_a_client.upload_file(str(plaintext.path), BUCKET, KEY)


def _upload_fileobj(caller: Caller, plaintext: Plaintext) -> None:
    with plaintext.path.open("rb") as file:
        caller.client.upload_fileobj(file, BUCKET, KEY)


def _upload_a_body(caller: Caller, plaintext: Plaintext) -> None:
    client, first = caller.client, {"Bucket": BUCKET, "Key": "first"}
    client.put_object(**first, Body=plaintext.content)
    client.upload_fileobj(client.get_object(**first)["Body"], BUCKET, KEY)


def _copied(copy: Callable[[Any, dict[str, str]], object]) -> Write:
    def write(caller: Caller, plaintext: Plaintext) -> None:
        client, source = caller.client, {"Bucket": BUCKET, "Key": "source"}
        client.put_object(**source, Body=plaintext.content)
        copy(client, source)

    return write


def _parts(caller: Caller, plaintext: Plaintext) -> None:
    upload = Upload(caller.client)
    for number, part in enumerate(plaintext.parts(), start=1):
        upload.send(number, part)
    upload.complete()


def _parts_from_a_pool(caller: Caller, plaintext: Plaintext) -> None:
    """Upload as awswrangler does: from one thread for each part."""
    upload, parts = Upload(caller.client), plaintext.parts()
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(upload.send, range(1, len(parts) + 1), parts))
    upload.complete()


def _below_the_methods(caller: Caller, plaintext: Plaintext) -> None:
    caller.client._make_api_call("PutObject", {**TARGET, "Body": plaintext.content})


def _method_of_the_class(caller: Caller, plaintext: Plaintext) -> None:
    client = caller.client
    type(client).put_object(client, **TARGET, Body=plaintext.content)


def _s3_transfer(caller: Caller, plaintext: Plaintext) -> None:
    with S3Transfer(caller.client) as transfer:
        transfer.upload_file(str(plaintext.path), BUCKET, KEY)


def _boto3s_manager(caller: Caller, plaintext: Plaintext) -> None:
    with create_transfer_manager(caller.client, TransferConfig()) as manager:
        manager.upload(str(plaintext.path), BUCKET, KEY).result()


def _s3transfers_manager(caller: Caller, plaintext: Plaintext) -> None:
    with s3transfer.manager.TransferManager(caller.client) as manager, plaintext.path.open("rb") as file:
        manager.upload(file, BUCKET, KEY).result()


def _s3transfers_first(caller: Caller, plaintext: Plaintext) -> None:
    """Upload with the class that s3transfer began with, and still has."""
    s3transfer.S3Transfer(caller.client).upload_file(str(plaintext.path), BUCKET, KEY)


_REPLACE = {"MetadataDirective": "REPLACE", "Metadata": {"owner": "somebody"}}
_CLIENTS = {
    "AL-01-put_object-bytes": Way(_put(lambda plaintext: plaintext.content)),
    "AL-01-put_object-bytearray": Way(_put(lambda plaintext: bytearray(plaintext.content))),
    "AL-01-put_object-str": Way(_put(lambda plaintext: plaintext.content.decode())),
    "AL-01-put_object-memory": Way(_put(lambda plaintext: io.BytesIO(plaintext.content))),
    "AL-01-put_object-sha256": Way(_put(lambda plaintext: plaintext.content, ChecksumAlgorithm="SHA256")),
    "AL-01-put_object-pipe-small": Way(_put_pipe, is_boto3s=False),
    "AL-01-put_object-pipe-9MiB": Way(_put_pipe, LARGE_BYTES, is_boto3s=False),
    **in_both_sizes(
        {
            "AL-01-put_object-file": _put_file,
            "AL-01-upload_file": _upload_file,
            "AL-01-upload_fileobj": _upload_fileobj,
            "AL-01-upload_fileobj-of-a-body": _upload_a_body,
            "L1-upload_file-over-a-client": _upload_file_over_a_client,
            "AL-02-S3Transfer": _s3_transfer,
            "AL-02-create_transfer_manager": _boto3s_manager,
            "AL-02-TransferManager": _s3transfers_manager,
            "AL-02-s3transfer.S3Transfer": _s3transfers_first,
            "AL-08-copy": _copied(lambda client, source: client.copy(source, BUCKET, KEY)),
        }
    ),
    "AL-08-copy_object": Way(_copied(lambda client, source: client.copy_object(**TARGET, CopySource=source))),
    "AL-08-copy_object-REPLACE": Way(
        _copied(lambda client, source: client.copy_object(**TARGET, CopySource=source, **_REPLACE))
    ),
    "AL-01-parts-9MiB": Way(_parts, LARGE_BYTES),
    "AL-01-parts-from-a-pool-9MiB": Way(_parts_from_a_pool, LARGE_BYTES),
    "AL-13-_make_api_call": Way(_below_the_methods),
    "AL-13-method-of-the-class": Way(_method_of_the_class),
}


# --- resources --------------------------------------------------------------------------------------------------------


def _resource(write: Callable[[Any, Plaintext], object]) -> Write:
    return lambda caller, plaintext: write(caller.resource, plaintext)


def _with_another_client(caller: Caller, plaintext: Plaintext) -> None:
    resource = caller.plain_resource
    resource.meta.client = caller.client
    resource.Bucket(BUCKET).upload_file(str(plaintext.path), KEY)


def _made_over_a_client(caller: Caller, plaintext: Plaintext) -> None:
    resource = type(caller.plain_resource)(client=caller.client)
    resource.Bucket(BUCKET).upload_file(str(plaintext.path), KEY)


def _parts_of_a_resource(resource: Any, plaintext: Plaintext) -> None:
    # Without an algorithm for checksums, S3 wants none of the parts at the end.
    upload = resource.Object(BUCKET, KEY).initiate_multipart_upload()
    answers = [upload.Part(number).upload(Body=part) for number, part in enumerate(plaintext.parts(), start=1)]
    parts = [{"PartNumber": number, "ETag": answer["ETag"]} for number, answer in enumerate(answers, start=1)]
    upload.complete(MultipartUpload={"Parts": parts})


_RESOURCES = {
    "L2-meta.client.put_object": Way(
        _resource(lambda s3, plaintext: s3.meta.client.put_object(**TARGET, Body=plaintext.content))
    ),
    "L2-Object.put": Way(_resource(lambda s3, plaintext: s3.Object(BUCKET, KEY).put(Body=plaintext.content))),
    "L2-ObjectSummary.put": Way(
        _resource(lambda s3, plaintext: s3.ObjectSummary(BUCKET, KEY).put(Body=plaintext.content))
    ),
    "L2-Bucket.put_object": Way(
        _resource(lambda s3, plaintext: s3.Bucket(BUCKET).put_object(Key=KEY, Body=plaintext.content))
    ),
    **in_both_sizes(
        {
            "L2-Object.upload_file": _resource(
                lambda s3, plaintext: s3.Object(BUCKET, KEY).upload_file(str(plaintext.path))
            ),
            "L2-Object.upload_fileobj": _resource(
                lambda s3, plaintext: s3.Object(BUCKET, KEY).upload_fileobj(io.BytesIO(plaintext.content))
            ),
            "L2-Bucket.upload_file": _resource(
                lambda s3, plaintext: s3.Bucket(BUCKET).upload_file(str(plaintext.path), KEY)
            ),
            "L2-Bucket.upload_fileobj": _resource(
                lambda s3, plaintext: s3.Bucket(BUCKET).upload_fileobj(io.BytesIO(plaintext.content), KEY)
            ),
            "L2-with-another-client": _with_another_client,
            "L2-made-over-a-client": _made_over_a_client,
        }
    ),
    "L2-MultipartUpload-9MiB": Way(_resource(_parts_of_a_resource), LARGE_BYTES),
}

WAYS: Mapping[str, Way] = {**_CLIENTS, **_RESOURCES}
