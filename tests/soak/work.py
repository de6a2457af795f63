"""The mixed work of one thread: every way to write and to read, on keys of its own, each outcome noted."""

from __future__ import annotations

import io
import random
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import boto3.exceptions
import botocore.exceptions
import s3transfer.exceptions
from boto3.s3.transfer import TransferConfig

from s3_encryption import S3EncryptionClientError

from .ledger import MAX_BYTES, Content, Entry

BUCKET = "bucket"
PART_BYTES = 5 * 2**20
KEYS = 3
# What programs that use boto3 and this library are ready for.
NAMED_ERRORS = (
    S3EncryptionClientError,
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    boto3.exceptions.Boto3Error,
    s3transfer.exceptions.RetriesExceededError,
    s3transfer.exceptions.S3DownloadFailedError,
)
# An answer without a header that it must have ends in a KeyError in boto3's own transfers too.
_HEADERS = ("ContentLength", "ETag", "UploadId")
_PARSERS = ("botocore", "s3transfer")
_TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=3)
_WHOLE_COPY = TransferConfig(multipart_threshold=2 * MAX_BYTES)


class WrongError(Exception):
    """An object is not what was written."""


class Unseekable:
    """A source that can be read once."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        return self._file.read(size)


class Worker:
    """One thread's work.

    Args:
        name: The prefix of its keys.
        seed: Decides what it does.
        clients: Encrypting clients over a network with every fault; which one does what is left to chance.
        ranger: One that may read ranges, over a network that changes no bytes: nothing would notice a change.
        folder: For the files that it downloads.
        largest: The size of the largest object in bytes.
    """

    def __init__(
        self, name: str, seed: str, clients: Mapping[str, Any], ranger: Any, folder: Path, largest: int = MAX_BYTES
    ) -> None:
        self.entries = {f"{name}/{number}": Entry() for number in range(KEYS)}
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.broken: list[str] = []
        self._random = random.Random(seed)
        self._clients = clients
        self._ranger = ranger
        self._folder = folder
        self._largest = largest

    @property
    def operations(self) -> Mapping[str, Callable[[], None]]:
        """What it does, by name."""
        writes: list[Callable[[], None]] = [
            self.put_bytes,
            self.put_stream,
            self.upload_file,
            self.upload_stream,
            self.upload_parts,
            self.copy,
            self.delete,
        ]
        reads: list[Callable[[], None]] = [
            self.get,
            self.get_in_pieces,
            self.get_range,
            self.download_file,
            self.download_stream,
            self.open,
        ]
        return {operation.__name__: operation for operation in (*writes, *reads)}

    def step(self) -> None:
        """Do one thing, and note what came of it."""
        name, operation = self._random.choice(list(self.operations.items()))
        try:
            operation()
        except NAMED_ERRORS as error:
            self.outcomes[name, type(error).__name__] += 1
        except Exception as error:
            self.outcomes[name, type(error).__name__] += 1
            self.broken += [] if _is_boto3s_own(error) else [traceback.format_exc()]
        else:
            self.outcomes[name, "success"] += 1

    # --- writing ------------------------------------------------------------------------------------------------------

    def put_bytes(self) -> None:
        """Put bytes."""
        self._write(lambda client, key, content: client.put_object(Bucket=BUCKET, Key=key, Body=content.data))

    def put_stream(self) -> None:
        """Put a source that can't be rewound."""
        self._write(
            lambda client, key, content: client.put_object(Bucket=BUCKET, Key=key, Body=Unseekable(content.data))
        )

    def upload_file(self) -> None:
        """Upload a file, in parts if it is large."""

        def upload(client: Any, key: str, content: Content) -> None:
            path = self._folder / "source"
            path.write_bytes(content.data)
            client.upload_file(str(path), BUCKET, key, Config=_TRANSFER)

        self._write(upload)

    def upload_stream(self) -> None:
        """Upload a source that can't be rewound, in parts if it is large."""
        self._write(
            lambda client, key, content: client.upload_fileobj(Unseekable(content.data), BUCKET, key, Config=_TRANSFER)
        )

    def upload_parts(self) -> None:
        """Make a multipart upload by hand: a part that fails is sent again, and a failed upload is aborted."""
        self._write(self._in_parts)

    def _in_parts(self, client: Any, key: str, content: Content) -> None:
        named = {"Bucket": BUCKET, "Key": key}
        named["UploadId"] = client.create_multipart_upload(**named)["UploadId"]
        try:
            parts = [
                {"PartNumber": number, "ETag": self._part(client, named, number, content)}
                for number in range(1, max(1, -(-content.size // PART_BYTES)) + 1)
            ]
            client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
        except BaseException:
            with suppress(*NAMED_ERRORS):
                client.abort_multipart_upload(**named)
            raise

    def _part(self, client: Any, named: Mapping[str, str], number: int, content: Content) -> str:
        data = content.data[(number - 1) * PART_BYTES : number * PART_BYTES]
        body: Any = self._random.choice([bytes, io.BytesIO, Unseekable])(data)
        with suppress(*NAMED_ERRORS):
            etag: str = client.upload_part(**named, PartNumber=number, Body=body)["ETag"]
            return etag
        again: str = client.upload_part(**named, PartNumber=number, Body=data)["ETag"]
        return again

    def _write(self, write: Callable[[Any, str, Content], object]) -> None:
        key = self._key()
        content = Content.drawn(self._random, self._largest)
        name, client = self._random.choice(list(self._clients.items()))
        try:
            write(client, key, content)
        except BaseException:
            # An object with an instruction file is stored in two steps.
            self.entries[key].may_have_written([content], torn="file" in name)
            raise
        self.entries[key].wrote([content])

    def copy(self) -> None:
        """Copy an object inside S3."""
        source, target = self._key(), self._key()
        if source == target:
            return
        origin, entry = self.entries[source], self.entries[target]
        call = {"CopySource": {"Bucket": BUCKET, "Key": source}, "Bucket": BUCKET, "Key": target}
        try:
            if self._random.random() < 0.5:
                self._client().copy_object(**call)
            else:
                self._client().copy(**call, Config=_WHOLE_COPY)
        except BaseException:
            entry.may_have_written(origin.candidates, torn=True)
            raise
        entry.wrote(origin.candidates - {None})
        entry.torn = origin.torn

    def delete(self) -> None:
        """Delete an object."""
        key = self._key()
        try:
            self._client().delete_object(Bucket=BUCKET, Key=key)
        except BaseException:
            self.entries[key].may_have_written([None])
            raise
        self.entries[key].wrote([None])

    # --- reading ------------------------------------------------------------------------------------------------------

    def get(self) -> None:
        """Get an object and read it at once."""
        self._read(lambda key: _read(self._client().get_object(Bucket=BUCKET, Key=key)["Body"]))

    def get_in_pieces(self) -> None:
        """Get an object and read it piece by piece."""
        size = self._random.choice([1000, 65_536, 2**20])
        self._read(lambda key: _read(self._client().get_object(Bucket=BUCKET, Key=key)["Body"], size))

    def download_file(self) -> None:
        """Download to a file, which is there only if all is well."""
        path = self._folder / "target"

        def download(key: str) -> bytes:
            try:
                self._client().download_file(BUCKET, key, str(path), Config=_TRANSFER)
            except BaseException:
                if path.exists():
                    raise WrongError("a failed download left a file") from None
                raise
            data = path.read_bytes()
            path.unlink()
            return data

        self._read(download)

    def download_stream(self) -> None:
        """Download to a file-like object."""

        def download(key: str) -> bytes:
            sink = io.BytesIO()
            self._client().download_fileobj(BUCKET, key, sink, Config=_TRANSFER)
            return sink.getvalue()

        self._read(download)

    def open(self) -> None:
        """Open an object as a file, and read it to the end."""

        def read(key: str) -> bytes:
            with self._client().open(BUCKET, key) as file:
                data: bytes = file.read()
            return data

        self._read(read)

    def get_range(self) -> None:
        """Get a range."""
        key = self._key()
        entry = self.entries[key]
        start = self._random.choice([0, 1, 16, 999, 65_535, 2**20])
        stop = start + self._random.choice([1, 16, 17, 1000, 2**20])
        try:
            body = self._ranger.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={start}-{stop - 1}")["Body"]
            data = _read(body)
        except NAMED_ERRORS as error:
            self._check_loss(entry, error)
            raise
        # Nothing verifies a range: where envelope and body may not fit, it may be anything.
        if not entry.torn and not any(
            c and min(stop, c.size) - start == len(data) and c.holds(data, start) for c in entry.candidates
        ):
            raise WrongError(
                f"range {start}-{stop} of {key} has {len(data)} bytes, and holds one of {entry.candidates}"
            )

    def _read(self, read: Callable[[str], bytes]) -> None:
        key = self._key()
        entry = self.entries[key]
        try:
            data = read(key)
        except NAMED_ERRORS as error:
            self._check_loss(entry, error)
            raise
        if not entry.is_right(data):
            raise WrongError(f"{len(data)} bytes of {key}, which holds one of {entry.candidates}")

    @staticmethod
    def _check_loss(entry: Entry, error: Exception) -> None:
        """An object that was stored can't be said not to exist."""
        code = error.response["Error"]["Code"] if isinstance(error, botocore.exceptions.ClientError) else ""
        if None not in entry.candidates and code in ("404", "NoSuchKey"):
            raise WrongError("an object is lost") from error

    # --- afterwards ---------------------------------------------------------------------------------------------------

    def audit(self, client: Any) -> None:
        """Read everything over a good network: every object is what it must be."""
        for key, entry in self.entries.items():
            try:
                data = _read(client.get_object(Bucket=BUCKET, Key=key)["Body"])
            except client.exceptions.NoSuchKey:
                if None not in entry.candidates:
                    self.broken.append(f"{key} is lost")
            except S3EncryptionClientError as error:
                if not entry.torn:
                    self.broken.append(f"{key} can't be read: {error!r}")
            else:
                if not entry.is_right(data):
                    self.broken.append(f"{key} is wrong")

    def _key(self) -> str:
        return self._random.choice(list(self.entries))

    def _client(self) -> Any:
        return self._random.choice(list(self._clients.values()))


def _is_boto3s_own(error: Exception) -> bool:
    """Return whether a plain client would have raised the same: its parsers do, at headers without sense."""
    if isinstance(error, WrongError):
        return False
    if isinstance(error, KeyError) and error.args[0] in _HEADERS:
        return True
    modules = [frame.f_globals["__name__"].split(".")[0] for frame, _ in traceback.walk_tb(error.__traceback__)]
    raised_in = next((name for name in reversed(modules) if name in ("s3_encryption", *_PARSERS)), "")
    return raised_in in _PARSERS


def _read(body: Any, size: int | None = None) -> bytes:
    with closing(body):
        return b"".join(iter(lambda: body.read(size), b"")) if size else bytes(body.read())
