"""Managed transfers: downloads in parallel ranges of ciphertext, verified before anybody sees them; and upload sources.

Uploads need nothing of their own: s3transfer calls the client's put_object and upload_part, which encrypt.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import os
import stat
import tempfile
import threading
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import boto3.exceptions
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.exceptions import ClientError
from s3transfer.compat import seekable
from s3transfer.exceptions import RetriesExceededError
from s3transfer.subscribers import BaseSubscriber
from s3transfer.utils import OSUtils

from .._body.response import processed
from .._body.sizes import READ_BYTES, WRITE_BYTES
from .._botocore import (
    ALLOWED_DOWNLOAD_ARGS,
    DOWNLOAD_FAILED,
    RETRYABLE_DOWNLOAD_ERRORS,
    UNSUPPORTED_BUCKETS,
    client_for_download,
    provide_etag,
)
from .._crypto.content import ContentKey
from .._crypto.contexts import Buffer
from .._crypto.out_of_order import OutOfOrderDecryptor
from .._operations.call import Call, Params, error_code
from .._operations.stored_object import StoredObject, pinned
from ..exceptions import DecryptionError

# What file systems take as a name.
_MAX_NAME_BYTES = 255


class FullReader:
    """A file-like object whose ``read(size)`` is short only at the end.

    s3transfer takes one read for one part, and what a socket or pipe did not deliver at once would be lost.
    """

    def __init__(self, source: Any) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def read(self, size: int | None = -1) -> Any:
        """Return ``size`` bytes, or all that is left."""
        if size is None or size < 0:
            return self._source.read()
        piece = self._source.read(size)
        if not piece or len(piece) >= size:
            return piece
        parts = [piece]
        size -= len(piece)
        while size > 0 and (piece := self._source.read(size)):
            parts.append(piece)
            size -= len(piece)
        return type(parts[0])().join(parts)


@dataclass(frozen=True, slots=True)
class Download:
    """One managed download.

    ``client`` decrypts, ``inner`` is the ordinary client beneath it. ``call`` is about the object, and sends on the
    inner client; ``extra_args`` are those of its parameters that are not the object's name.
    """

    client: Any
    inner: Any
    call: Call
    extra_args: Params
    callback: Callable[[int], Any] | None
    config: TransferConfig

    def into_file(self, filename: Any) -> None:
        """Download into a file. Its name appears, or its old content goes, only when the whole object was verified."""
        if not isinstance(filename, (str, os.PathLike)):
            raise ValueError("Filename must be a string or a path-like object")
        name = os.fspath(filename)
        if OSUtils().is_special_file(name):
            with contextlib.closing(OpenOnWrite(name)) as device:
                self.into_fileobj(device)
            return
        with _new_file(name) as file:
            try:
                self._run(file, writes_unverified=True)
            except RetriesExceededError as error:
                # boto3's download_file, unlike download_fileobj, has an exception of its own for this.
                raise boto3.exceptions.RetriesExceededError(error.last_exception) from error

    def into_fileobj(self, fileobj: Any) -> None:
        """Download into a file-like object, from its start if it can seek; it gets verified bytes only."""
        if not callable(getattr(fileobj, "write", None)):
            raise ValueError("Fileobj must implement write")
        self._run(fileobj, writes_unverified=False)

    def _run(self, sink: Any, *, writes_unverified: bool) -> None:
        self._check_arguments()
        head = self.inner.head_object(**self.call.params)
        # Only s3transfer keeps to a bandwidth.
        is_large = bool(self.config.max_bandwidth) or head["ContentLength"] >= self.config.multipart_threshold
        stored = StoredObject.of(self.call, head) if is_large else None
        envelope = stored.envelope if stored is not None else None
        if stored is not None and envelope is None:
            self._fetch_ranges(sink, stored)
        elif stored is None or envelope is None or not envelope.suite.authenticated:
            _write_all(sink, self._released(), self.callback)
        elif writes_unverified:
            self._fetch(stored, stored.content_key(), plaintext_to=sink)
        else:
            _write_all(sink, self._verified(stored, stored.content_key()))

    def _released(self) -> Generator[bytes, None, None]:
        """Yield what one get_object releases; ask again, as often as s3transfer does, for what broke off."""
        released = ResumeGuard()
        for _ in range(self.config.num_download_attempts):
            try:
                response = self.client.get_object(**pinned(self.call.params, released.etag))
                with contextlib.closing(response["Body"]) as body:
                    yield from released.new_pieces(iter(partial(body.read, READ_BYTES), b""), response.get("ETag"))
                return
            except RETRYABLE_DOWNLOAD_ERRORS as error:
                if released and released.etag is None:
                    raise
                failure = error
            except ClientError as error:
                if error_code(error) != "PreconditionFailed" or DOWNLOAD_FAILED is None:
                    raise
                # In s3transfer's words, which large downloads have from itself.
                raise DOWNLOAD_FAILED(
                    f'Contents of stored object "{self.call.params["Key"]}" in bucket "{self.call.params["Bucket"]}" '
                    "did not match expected ETag."
                ) from error
        raise RetriesExceededError(failure)

    def _verified(self, stored: StoredObject, key: ContentKey) -> Generator[Buffer, None, None]:
        """Fetch the object in ranges, and yield it when it is verified: from memory, or from a spool of ciphertext."""
        if (stored.ciphertext_length or 0) <= self.call.encryption.settings.buffer_size:
            held = io.BytesIO()
            self._fetch(stored, key, plaintext_to=held)
            yield held.getvalue()
            return
        with tempfile.TemporaryFile() as spool:
            self._fetch(stored, key, ciphertext_to=spool)
            spool.seek(0)
            # What comes from the spool is verified once more.
            yield from processed(iter(lambda: spool.read(READ_BYTES), b""), key.decryptor(release_unverified=True))

    def _fetch(
        self,
        stored: StoredObject,
        key: ContentKey,
        *,
        plaintext_to: IO[bytes] | None = None,
        ciphertext_to: IO[bytes] | None = None,
    ) -> None:
        """Fetch the object in ranges, write it wherever it is wanted, and verify it at the end."""
        write = None if plaintext_to is None else partial(_write_at, plaintext_to)
        length = stored.ciphertext_length or 0
        parts = OutOfOrderDecryptor(key, length, self.config.multipart_chunksize, write)

        def take(offset: int, data: bytes) -> None:
            if ciphertext_to is not None:
                _write_at(ciphertext_to, offset, data)
            parts.update(offset, data)

        self._fetch_ranges(_Sink(take), stored)
        parts.verify()

    def _fetch_ranges(self, sink: Any, stored: StoredObject) -> None:
        """Let s3transfer fetch the object as it is stored."""
        subscribers: list[Any] = [PinnedSizeAndETag(stored.ciphertext_length or 0, stored.etag)]
        if self.callback is not None:
            subscribers.append(PlaintextProgress(self.callback, stored.plaintext_length or 0))
        client = client_for_download(self.inner, stored.etag)
        with create_transfer_manager(client, _adapted(self.config)) as manager:
            future = manager.download(
                self.call.params["Bucket"],
                self.call.params["Key"],
                sink,
                self.extra_args,
                subscribers,
            )
            future.result()

    def _check_arguments(self) -> None:
        """Refuse what s3transfer refuses, in its words, also for the downloads that it does not see."""
        for resource, pattern in UNSUPPORTED_BUCKETS.items():
            if pattern.match(str(self.call.params["Bucket"])):
                raise ValueError(
                    f"TransferManager methods do not support {resource} resource. Use direct client calls instead."
                )
        allowed = ALLOWED_DOWNLOAD_ARGS or self.extra_args.keys()
        for name in self.extra_args:
            if name not in allowed:
                raise ValueError(f"Invalid extra_args key '{name}', must be one of: {', '.join(allowed)}")


class ResumeGuard:
    """What was released of an object before a connection broke: it is not taken back, and must come again the same.

    Otherwise the tag, which is verified at the end, would not be about what was released first.
    """

    def __init__(self) -> None:
        self._length = 0
        self._digest = hashlib.sha256()
        # Of the object that it must come from, once there is anything.
        self.etag: str | None = None

    def __bool__(self) -> bool:
        return self._length > 0

    def new_pieces(self, pieces: Iterator[bytes], etag: str | None) -> Iterator[bytes]:
        """Yield what was not released yet.

        Raises:
            DecryptionError: What was released is not how the object begins now.
        """
        left, expected, again = self._length, self._digest.digest(), hashlib.sha256()
        for piece in pieces:
            known, new = piece[:left], piece[left:]
            again.update(known)
            left -= len(known)
            if not left and again.digest() != expected:
                raise DecryptionError
            if new:
                self.etag = etag
                self._length += len(new)
                self._digest.update(new)
                yield new
        if left:
            raise DecryptionError


class OpenOnWrite:
    """A file that is opened when it is first written to: to open a named pipe waits for its reader."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._file: IO[bytes] | None = None

    def write(self, data: Buffer) -> None:
        """Write a piece."""
        if self._file is None:
            self._file = open(self._name, "wb")  # noqa: SIM115 - closed by close
        self._file.write(data)

    def close(self) -> None:
        """Close the file, if it was opened."""
        if self._file is not None:
            self._file.close()


class _Sink:
    """The file that s3transfer writes to: each piece, at its offset, in the order in which they come."""

    def __init__(self, take: Callable[[int, bytes], object]) -> None:
        self._take = take
        self._offset = 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int) -> None:
        """Go where the next piece belongs."""
        self._offset = offset

    def write(self, data: bytes) -> None:
        """Pass on a piece."""
        self._take(self._offset, data)


def _write_all(sink: Any, pieces: Generator[Buffer, None, None], callback: Callable[[int], Any] | None = None) -> None:
    """Write pieces one behind the other, at the start of what can seek, as s3transfer does."""
    with contextlib.closing(pieces):
        for number, piece in enumerate(pieces):
            if number == 0 and seekable(sink):
                sink.seek(0)
            sink.write(bytes(piece))
            if callback is not None:
                callback(len(piece))


def _write_at(file: IO[bytes], position: int, data: Buffer) -> None:
    file.seek(position)
    for start in range(0, len(data), WRITE_BYTES):
        file.write(data[start : start + WRITE_BYTES])


class PinnedSizeAndETag(BaseSubscriber):  # type: ignore[misc]
    """Tells s3transfer size and ETag, so that it need not ask, and every range is of the same object."""

    def __init__(self, size: int, etag: str | None) -> None:
        self._size = size
        self._etag = etag

    def on_queued(self, future: Any, **kwargs: Any) -> None:
        future.meta.provide_transfer_size(self._size)
        provide_etag(future, self._etag)


class PlaintextProgress(BaseSubscriber):  # type: ignore[misc]
    """Progress in plaintext bytes: of a ciphertext that is longer, the last bytes don't count."""

    def __init__(self, callback: Callable[[int], Any], plaintext_length: int) -> None:
        self._callback = callback
        self._limit = plaintext_length
        self._seen = 0
        self._lock = threading.Lock()

    def on_progress(self, future: Any, bytes_transferred: int, **kwargs: Any) -> None:
        # Several threads report at once.
        with self._lock:
            before = min(self._seen, self._limit)
            self._seen += bytes_transferred
            change = min(self._seen, self._limit) - before
        if change:
            self._callback(change)


@contextlib.contextmanager
def _new_file(name: str) -> Iterator[IO[bytes]]:
    """Yield a file that gets its name at the end, if all went well; until then nobody else may read it."""
    ending = f".{uuid.uuid4().hex[:8]}"
    room = _MAX_NAME_BYTES - len(ending)
    # Not Path.with_name, to which a file's name and a folder's are the same.
    folder, last = os.path.split(name)
    temporary = Path(folder, os.fsdecode(os.fsencode(last)[:room]) + ending)
    try:
        with temporary.open("xb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            _set_mode(temporary, 0o600)
            yield file
        _set_mode(temporary, mode)
        temporary.replace(name)
    except BaseException:
        with contextlib.suppress(NotADirectoryError):
            temporary.unlink(missing_ok=True)
        raise


def _set_mode(path: Path, mode: int) -> None:
    # Some mounted file systems have no modes.
    with contextlib.suppress(OSError):
        path.chmod(mode)


def _adapted(config: TransferConfig) -> TransferConfig:
    """Return a configuration under which s3transfer writes to a sink, in few pieces."""
    config = copy.copy(config)
    # The CRT transfer client knows files only.
    config.preferred_transfer_client = "classic"
    if not config.max_bandwidth and config.io_chunksize < READ_BYTES:
        # Each piece goes from thread to thread, so larger ones cost less; as many bytes may wait as before. Where speed
        # is limited, small ones come more steadily.
        config.max_io_queue = max(1, config.max_io_queue * config.io_chunksize // READ_BYTES)
        config.io_chunksize = READ_BYTES
    return config
