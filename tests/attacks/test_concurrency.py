"""One client in many threads, tasks, greenlets and processes, and in the middle of itself."""

from __future__ import annotations

import asyncio
import io
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import child_process
from support.encoder import V2_KMS, V3_KMS
from support.worlds import StrictWorld

from .bucket import Bucket
from .witness import MARKER

kinds = pytest.mark.parametrize("kind", [V2_KMS, V3_KMS], ids=str)


def in_child(function: str, *arguments: Any) -> Any:
    """Run one of the functions of ``processes``."""
    return child_process.run(f"attacks.processes:{function}", *arguments)


# --- processes --------------------------------------------------------------------------------------------------------


def assert_all_different(seen: list[list[str]], count: int) -> None:
    """Pass when so many objects were put, each with an IV and a data key of its own."""
    assert len(seen) == count
    assert [len({pair[index] for pair in seen}) for index in (0, 1)] == [count, count]


def test_co_04_forked_processes_draw_other_random_numbers() -> None:
    """A client that was made before a fork serves parent and children: no IV and no data key comes twice."""
    assert_all_different(in_child("forked_puts", 4, 25), 6 * 25)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_co_04_pools_of_processes_draw_other_random_numbers(method: str) -> None:
    """The same for multiprocessing's pools, each process with its own client."""
    assert_all_different(in_child("pooled_puts", method, 2, 25), 2 * 25)


FORKED = {"read": 2**20 - 100, "upload": "completed", "body": 3 * 2**20 + 16}


@pytest.mark.parametrize("what", FORKED)
def test_co_04_what_is_half_done_is_for_the_parent_alone(what: str) -> None:
    """Of a keystream in use the child gets an error with a name; the parent goes on as if nothing had happened."""
    assert in_child("forked_in_the_middle", what) == ["CipherStateError", FORKED[what]]


# --- tasks and greenlets ----------------------------------------------------------------------------------------------


@kinds
def test_co_07_tasks_keep_their_contexts(kind: Any, bucket: Bucket) -> None:
    """What a call says travels in its arguments: tasks that take turns in threads never meet each other's."""
    client = bucket.writer(kind)

    async def both(number: int) -> bytes:
        named = {**bucket.world.object_at(str(number)), "EncryptionContext": {"of": str(number)}}
        await asyncio.to_thread(client.put_object, **named, Body=MARKER + bytes([number]))
        answer = await asyncio.to_thread(client.get_object, **named)
        content: bytes = await asyncio.to_thread(answer["Body"].read)
        return content

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*(both(number) for number in range(40)))

    assert asyncio.run(all_of_them()) == [MARKER + bytes([number]) for number in range(40)]


def test_co_07_greenlets_keep_their_contexts(s3: StrictWorld) -> None:
    """The same under gevent, whose monkey patches make thread-locals those of greenlets."""
    assert child_process.run("attacks.greenlets:put_and_get", s3.url, 40) == [True] * 40


# --- in the middle ----------------------------------------------------------------------------------------------------


class Interruption(BaseException):
    """What a signal handler raises."""


class Interrupted(io.BytesIO):
    """A source in whose n-th read a signal arrives."""

    def __init__(self, content: bytes, at_read: int) -> None:
        super().__init__(content)
        self._reads_left = at_read

    def read(self, size: int | None = -1) -> bytes:
        if not self._reads_left:
            signal.raise_signal(signal.SIGUSR1)
        self._reads_left -= 1
        return super().read(size)


@pytest.fixture
def on_signal() -> Iterator[Callable[[Callable[[], object]], object]]:
    """Return a function that says what a signal does."""
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda action: signal.signal(signal.SIGUSR1, lambda *_: action())
    signal.signal(signal.SIGUSR1, before)


SIZES = {"small": MARKER, "large": MARKER * 60_000}


@kinds
@pytest.mark.parametrize("at_read", [0, 1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_co_08_put_after_an_interrupted_one_starts_afresh(
    kind: Any, size: str, at_read: int, bucket: Bucket, on_signal: Any
) -> None:
    """What a handler raises comes through, nothing is stored, and the next put has a data key and an IV of its own."""

    def interrupt() -> None:
        raise Interruption

    on_signal(interrupt)
    client, content = bucket.writer(kind), SIZES[size]
    try:
        client.put_object(**bucket.world.object_at(), Body=Interrupted(content, at_read))
    except Interruption:
        assert bucket.world.server.objects == {}
    before = bucket.kms.count("generate_data_key")
    client.put_object(**bucket.world.object_at(), Body=content)
    assert bucket.read(client) == content
    assert bucket.kms.count("generate_data_key") == before + 1


@kinds
def test_co_08_handler_may_use_the_client(kind: Any, bucket: Bucket, on_signal: Any) -> None:
    """A put within a put, by a signal handler, is another object with a context of its own."""
    client = bucket.writer(kind)
    inner, outer = ({**bucket.world.object_at(name), "EncryptionContext": {"of": name}} for name in ("inner", "outer"))
    on_signal(lambda: client.put_object(**inner, Body=b"from the handler"))
    client.put_object(**outer, Body=Interrupted(MARKER, 0))
    assert [client.get_object(**named)["Body"].read() for named in (inner, outer)] == [b"from the handler", MARKER]
