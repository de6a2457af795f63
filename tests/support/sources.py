"""Bodies to upload that behave in the ways files and sockets do, and in ways they should not."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable
from typing import Any, BinaryIO


class ChangingSource(io.RawIOBase):
    """A seekable source whose content may change while it is read.

    ``changes`` maps numbers of reads to new contents: the content is changed just before that read.
    """

    def __init__(self, content: bytes, changes: dict[int, bytes] | None = None) -> None:
        super().__init__()
        self.content = content
        self.changes = changes or {}
        self.reads = 0
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self.content)}[whence]
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return what the content has at the current position now."""
        self.content = self.changes.pop(self.reads, self.content)
        self.reads += 1
        stop = len(self.content) if size is None or size < 0 else self._position + size
        piece = self.content[self._position : stop]
        self._position += len(piece)
        return piece


class Huge(ChangingSource):
    """A source of a length that it only says it has; reading it is a mistake."""

    def __init__(self, length: int) -> None:
        super().__init__(b"")
        self._length = length

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = self._length + offset if whence == io.SEEK_END else offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        assert size == 0  # which only asks whether the transfer goes on
        return b""


class ShortReads(io.BytesIO):
    """A seekable source that returns less than it is asked for."""

    def __init__(self, content: bytes, most: int) -> None:
        super().__init__(content)
        self._most = most

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


class SlowSource(io.BytesIO):
    """A seekable source whose reads, from the n-th on, take until ``go_on`` is set; ``reading`` says that one does."""

    def __init__(self, content: bytes, from_read: int) -> None:
        super().__init__(content)
        self.go_on = threading.Event()
        self.reading = threading.Event()
        self._fast = from_read

    def read(self, size: int | None = -1) -> bytes:
        self._fast -= 1
        if self._fast < 0:
            self.reading.set()
            self.go_on.wait(10)
            self.reading.clear()
        return super().read(size)


class BrokenSource(io.BytesIO):
    """A seekable source that fails at its n-th read, and at every n-th after it."""

    def __init__(self, content: bytes, failure: BaseException, at_read: int = 0) -> None:
        super().__init__(content)
        self.reads = 0
        self._failure = failure
        self._at_read = at_read

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        if self.reads > self._at_read:
            raise self._failure
        return super().read(size)


class Answers:
    """A body whose ``read`` returns what it was told to, one after the other, and at last nothing."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def read(self, size: int = -1) -> Any:
        return self._answers.pop(0) if self._answers else b""


class WrongLater(io.BytesIO):
    """A seekable source. From the n-th byte on, ``wrong`` makes of size and right bytes what a read returns."""

    def __init__(self, content: bytes, start: int, wrong: Callable[[int, bytes], Any]) -> None:
        super().__init__(content)
        self._start = start
        self._wrong = wrong

    def read(self, size: int | None = -1) -> Any:
        left = self._start - self.tell()
        if size is None or size < 0:
            return self._wrong(len(self.getvalue()), super().read())
        return super().read(min(size, left)) if left > 0 else self._wrong(size, super().read(size))


class WrongLaterReadOnce:
    """The same, of a source that can't seek."""

    def __init__(self, content: bytes, start: int, wrong: Callable[[int, bytes], Any]) -> None:
        self.read = WrongLater(content, start, wrong).read


class Signalled(io.BytesIO):
    """A source that notes what it is told of the transfer."""

    def __init__(self, content: bytes = b"") -> None:
        super().__init__(content)
        self.signals: list[str] = []

    def signal_transferring(self) -> None:
        self.signals.append("transferring")

    def signal_not_transferring(self) -> None:
        self.signals.append("not transferring")


class Unseekable:
    """A body that can be read once: what ``seekable`` and ``tell`` say of it is up to the caller."""

    def __init__(self, content: bytes, tell: Callable[[], int] | None = None, seekable: bool | None = None) -> None:
        self._file = io.BytesIO(content)
        if tell is not None:
            self.tell = tell
        if seekable is not None:
            self.seekable = lambda: seekable

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


def pipe_with(content: bytes) -> BinaryIO:
    """Return the end of a pipe from which the content can be read; a thread writes into the other one."""
    reading, writing = os.pipe()

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), open(writing, "wb") as file:
            file.write(content)

    threading.Thread(target=write, daemon=True).start()
    return open(reading, "rb")
