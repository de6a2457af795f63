"""Where downloads go: files that get their name at the end, file-like objects, and pieces at their offsets."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Any

from .._body.sizes import WRITE_BYTES
from .._crypto.primitives import Buffer

# What file systems take as a name.
_MAX_NAME_BYTES = 255


@contextlib.contextmanager
def new_file(name: str) -> Iterator[IO[bytes]]:
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


class OffsetSink:
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


def write_all(sink: Any, pieces: Generator[Buffer, None, None], callback: Callable[[int], Any] | None = None) -> None:
    """Write pieces one behind the other, at the start of what can seek, as s3transfer does."""
    with contextlib.closing(pieces):
        for number, piece in enumerate(pieces):
            if number == 0 and _can_seek(sink):
                sink.seek(0)
            sink.write(bytes(piece))
            if callback is not None:
                callback(len(piece))


def _can_seek(sink: Any) -> bool:
    """Return whether a file-like object can seek: as it says, or as it does where it does not say."""
    if hasattr(sink, "seekable"):
        return bool(sink.seekable())
    if not (hasattr(sink, "seek") and hasattr(sink, "tell")):
        return False
    try:
        sink.seek(0, io.SEEK_CUR)
    except OSError:
        return False
    return True


def is_special_file(name: str) -> bool:
    """Return whether a name is that of a device, a named pipe or a socket: what can't be put in place of another."""
    mode = os.stat(name).st_mode if os.path.exists(name) else 0
    return any(is_such(mode) for is_such in (stat.S_ISCHR, stat.S_ISBLK, stat.S_ISFIFO, stat.S_ISSOCK))


def write_at(file: IO[bytes], position: int, data: Buffer) -> None:
    file.seek(position)
    for start in range(0, len(data), WRITE_BYTES):
        file.write(data[start : start + WRITE_BYTES])
