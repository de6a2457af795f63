"""The work that is measured. One class for each way to use a client; the cases say how much of it."""

# Work's methods are documented once, there.
# ruff: noqa: D102

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from .clients import BUCKET, Client
from .data import MIB, WrongContentError, check_content, content, write_file

_LOOK_BYTES = 64
_READ_BYTES = MIB


@dataclass(frozen=True)
class Place:
    """Where a piece of work is done: with which client, in which folder, and on which object."""

    client: Client
    folder: Path
    key: str

    @property
    def target(self) -> dict[str, str]:
        """The object, as parameters of a call."""
        return {"Bucket": BUCKET, "Key": self.key}


class Work(Protocol):
    """One kind of work, done again and again with ``run``. What surrounds it is not measured."""

    def store(self, place: Place) -> None:
        """Store the object that the work reads. Once for each client, in another process than the measured one."""

    def prepare(self, place: Place) -> None:
        """Make what the work needs in its own process."""

    def run(self, place: Place) -> None:
        """Do the work once."""

    def check(self, place: Place) -> None:
        """Do the work again, and compare bytes.

        Raises:
            WrongContentError: The client has not done what it should.
        """


class _Writing:
    """Work that stores an object."""

    size: int

    def store(self, place: Place) -> None:
        """Store nothing: the work does it."""

    def check(self, place: Place) -> None:
        self.run(place)
        check_stored(place, self.size)

    def run(self, place: Place) -> None:
        raise NotImplementedError


class _Reading:
    """Work that reads an object, which was stored by the same client."""

    size: int

    def store(self, place: Place) -> None:
        place.client.s3.put_object(**place.target, Body=content(0, self.size))

    def prepare(self, place: Place) -> None:
        """Prepare nothing: the object is there."""


def check_stored(place: Place, size: int) -> None:
    """Pass when the object is the content, encrypted if the client is one that encrypts.

    Raises:
        WrongContentError: It is not.
    """
    with contextlib.closing(place.client.s3.get_object(**place.target)["Body"]) as body:
        check_content(pieces_of(body, _READ_BYTES), 0, size)
    with contextlib.closing(place.client.plain.get_object(**place.target)["Body"]) as raw:
        is_plaintext = raw.read(min(size, _LOOK_BYTES)) == content(0, min(size, _LOOK_BYTES))
    if is_plaintext == place.client.encrypts:
        raise WrongContentError(f"The stored object is {'not ' if place.client.encrypts else ''}encrypted.")


def pieces_of(body: Any, size: int) -> Iterator[bytes]:
    """Yield what a body returns for reads of a size."""
    while piece := body.read(size):
        yield piece


def _drain(pieces: Iterable[bytes], expected: int) -> None:
    if sum(map(len, pieces)) != expected:
        raise WrongContentError("The body has another length than the object.")


# --- put and get of one object ----------------------------------------------------------------------------------------


@dataclass
class PutBytes(_Writing):
    """put_object of bytes."""

    size: int
    body: bytes = b""

    def prepare(self, place: Place) -> None:
        self.body = content(0, self.size)

    def run(self, place: Place) -> None:
        place.client.s3.put_object(**place.target, Body=self.body)


class _FromFile(_Writing):
    path: Path

    def prepare(self, place: Place) -> None:
        self.path = place.folder / f"source-{self.size}"
        write_file(self.path, self.size)


@dataclass
class PutFile(_FromFile):
    """put_object of an open file."""

    size: int

    def run(self, place: Place) -> None:
        with self.path.open("rb") as file:
            place.client.s3.put_object(**place.target, Body=file)


@dataclass
class GetRead(_Reading):
    """get_object, and one read() of everything."""

    size: int

    def run(self, place: Place) -> None:
        _drain([place.client.s3.get_object(**place.target)["Body"].read()], self.size)

    def check(self, place: Place) -> None:
        check_content([place.client.s3.get_object(**place.target)["Body"].read()], 0, self.size)


@dataclass
class GetChunks(_Reading):
    """get_object, and many reads of one size."""

    size: int
    read_bytes: int

    def run(self, place: Place) -> None:
        _drain(self._pieces(place), self.size)

    def check(self, place: Place) -> None:
        check_content(self._pieces(place), 0, self.size)

    def _pieces(self, place: Place) -> Iterator[bytes]:
        return pieces_of(place.client.s3.get_object(**place.target)["Body"], self.read_bytes)


# --- managed transfers ------------------------------------------------------------------------------------------------


@dataclass
class UploadFile(_FromFile):
    """upload_file, as boto3 does it by default: 8 MiB parts from ten threads."""

    size: int

    def run(self, place: Place) -> None:
        place.client.s3.upload_file(str(self.path), BUCKET, place.key)


@dataclass
class UploadPipe(_FromFile):
    """upload_fileobj from a pipe, which another process writes to."""

    size: int

    def run(self, place: Place) -> None:
        with subprocess.Popen(["cat", str(self.path)], stdout=subprocess.PIPE) as process:  # noqa: S603, S607
            place.client.s3.upload_fileobj(process.stdout, BUCKET, place.key)


class _FromUpload(_Reading):
    """Reads an object that was uploaded in parts."""

    def store(self, place: Place) -> None:
        path = place.folder / f"source-{self.size}"
        write_file(path, self.size)
        place.client.s3.upload_file(str(path), BUCKET, place.key)


@dataclass
class DownloadFile(_FromUpload):
    """download_file, as boto3 does it by default: 8 MiB ranges from ten threads."""

    size: int

    def run(self, place: Place) -> None:
        path = self._path(place)
        place.client.s3.download_file(BUCKET, place.key, str(path))
        path.unlink()

    def check(self, place: Place) -> None:
        path = self._path(place)
        place.client.s3.download_file(BUCKET, place.key, str(path))
        with path.open("rb") as file:
            check_content(pieces_of(file, _READ_BYTES), 0, self.size)
        path.unlink()

    def _path(self, place: Place) -> Path:
        return place.folder / "target"


@dataclass
class GetRange(_FromUpload):
    """get_object of a range in the middle."""

    size: int
    start: int
    stop: int

    def run(self, place: Place) -> None:
        _drain([self._read(place)], self.stop - self.start)

    def check(self, place: Place) -> None:
        check_content([self._read(place)], self.start, self.stop)

    def _read(self, place: Place) -> bytes:
        response = place.client.s3.get_object(**place.target, Range=f"bytes={self.start}-{self.stop - 1}")
        data: bytes = response["Body"].read()
        return data


# --- many small objects -----------------------------------------------------------------------------------------------


class _Many:
    """The same small operation, many times, from one or more threads."""

    operations: int
    threads: int
    pool: ThreadPoolExecutor | None = None

    def repeat(self, operation: Callable[[], object]) -> None:
        if self.threads == 1:
            for _ in range(self.operations):
                operation()
            return
        if self.pool is None:
            self.pool = ThreadPoolExecutor(self.threads)
        each = self.operations // self.threads

        def several() -> None:
            for _ in range(each):
                operation()

        for future in [self.pool.submit(several) for _ in range(self.threads)]:
            future.result()


@dataclass
class PutMany(_Many, _Writing):
    """put_object of a small object, many times."""

    size: int
    operations: int
    threads: int = 1
    body: bytes = b""

    def prepare(self, place: Place) -> None:
        self.body = content(0, self.size)

    def run(self, place: Place) -> None:
        self.repeat(lambda: place.client.s3.put_object(**place.target, Body=self.body))


@dataclass
class GetMany(_Many, _Reading):
    """get_object and read() of a small object, many times."""

    size: int
    operations: int
    threads: int = 1

    def run(self, place: Place) -> None:
        self.repeat(lambda: self._read(place))

    def check(self, place: Place) -> None:
        check_content([self._read(place)], 0, self.size)

    def _read(self, place: Place) -> bytes:
        data: bytes = place.client.s3.get_object(**place.target)["Body"].read()
        return data
