"""Managed downloads: in parallel ranges of ciphertext, verified before anybody sees them.

Uploads need nothing of their own: s3transfer calls the client's put_object and upload_part, which encrypt.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import os
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

import boto3.exceptions
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from s3transfer.exceptions import RetriesExceededError
from s3transfer.subscribers import BaseSubscriber

from .._body.response import closing_body, processed
from .._body.sizes import READ_BYTES
from .._body.spool import VerifiedSpool
from .._botocore import (
    ALLOWED_DOWNLOAD_ARGS,
    DOWNLOAD_FAILED,
    RETRYABLE_DOWNLOAD_ERRORS,
    UNSUPPORTED_BUCKETS,
    client_for_download,
    provide_etag,
    transfer_manager,
)
from .._crypto.content import ContentKey
from .._crypto.out_of_order import OutOfOrderDecryptor
from .._crypto.primitives import Buffer
from .._operations.call import Call, Params, error_code
from .._operations.stored_object import StoredObject, pinned
from ..exceptions import DecryptionError
from .sinks import OffsetSink, OpenOnWrite, is_special_file, new_file, write_all, write_at


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
        if is_special_file(name):
            with contextlib.closing(OpenOnWrite(name)) as device:
                self.into_fileobj(device)
            return
        with new_file(name) as file:
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
        # Ranges can be asked for where the length is told. Only s3transfer keeps to a bandwidth.
        length = head.get("ContentLength")
        is_large = length is not None and (self.config.max_bandwidth or length >= self.config.multipart_threshold)
        stored = StoredObject.of(self.call, head) if is_large else None
        envelope = stored.envelope if stored is not None else None
        if stored is not None and envelope is None:
            self._fetch_ranges(sink, stored)
        elif stored is None or envelope is None or not envelope.suite.authenticated:
            write_all(sink, self._released(), self.callback)
        elif writes_unverified:
            self._fetch(stored, stored.content_key(), plaintext_to=sink)
        else:
            write_all(sink, self._verified(stored, stored.content_key()))

    def _released(self) -> Generator[bytes, None, None]:
        """Yield what one get_object releases; ask again, as often as s3transfer does, for what broke off."""
        released = ResumeGuard()
        for _ in range(self.config.num_download_attempts):
            try:
                response = self.client.get_object(**pinned(self.call.params, released.etag))
                with closing_body(response["Body"]) as body:
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
        with VerifiedSpool() as spool:
            self._fetch(stored, key, ciphertext_to=spool)
            # What comes from the spool is verified once more.
            yield from processed(spool.pieces(), key.decryptor(release_unverified=True))

    def _fetch(
        self,
        stored: StoredObject,
        key: ContentKey,
        *,
        plaintext_to: IO[bytes] | None = None,
        ciphertext_to: VerifiedSpool | None = None,
    ) -> None:
        """Fetch the object in ranges, write it wherever it is wanted, and verify it at the end."""
        write = None if plaintext_to is None else partial(write_at, plaintext_to)
        length = stored.ciphertext_length or 0
        parts = OutOfOrderDecryptor(key, length, self.config.multipart_chunksize, write)

        def take(offset: int, data: bytes) -> None:
            if ciphertext_to is not None:
                ciphertext_to.write_at(offset, data)
            parts.update(offset, data)

        self._fetch_ranges(OffsetSink(take), stored)
        parts.verify()

    def _fetch_ranges(self, sink: Any, stored: StoredObject) -> None:
        """Let s3transfer fetch the object as it is stored."""
        subscribers: list[Any] = [PinnedSizeAndETag(stored.ciphertext_length or 0, stored.etag)]
        if self.callback is not None:
            subscribers.append(PlaintextProgress(self.callback, stored.plaintext_length or 0))
        client = client_for_download(self.inner, stored.etag)
        with transfer_manager(client, _adapted(self.config)) as manager:
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
