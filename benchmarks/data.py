"""The content of objects: pseudo-random, the same in every process, and different in every MiB."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@cache
def _block() -> bytes:
    return random.Random(0).randbytes(MIB)  # noqa: S311 - test data needs no secrecy, but a seed


def content(start: int, stop: int) -> bytes:
    """Return a span of the content that all objects begin with."""
    return b"".join(_pieces(start, stop))


def _pieces(start: int, stop: int) -> Iterator[bytes]:
    """Yield a span, a MiB at a time. Each MiB is the same block, rotated by one byte more than the one before."""
    while start < stop:
        number, offset = divmod(start, MIB)
        piece = _rotated(number)[offset : offset + stop - start]
        start += len(piece)
        yield piece


def _rotated(number: int) -> bytes:
    block = _block()
    turn = number % MIB
    return block[turn:] + block[:turn]


def write_file(path: Path, size: int) -> None:
    """Write a file of content, unless it is there already."""
    if path.exists() and path.stat().st_size == size:
        return
    with path.open("wb") as file:
        for piece in _pieces(0, size):
            file.write(piece)


class WrongContentError(Exception):
    """A client has stored or returned other bytes than it should."""


def check_content(pieces: Iterable[bytes], start: int, stop: int) -> None:
    """Pass when pieces of any lengths are the content of a span.

    Raises:
        WrongContentError: They are not.
    """
    position = start
    for piece in pieces:
        if content(position, min(stop, position + len(piece))) != piece:
            raise WrongContentError(f"Other bytes than expected between {position} and {position + len(piece)}.")
        position += len(piece)
    if position != stop:
        raise WrongContentError(f"The content ends at {position}, not at {stop}.")
