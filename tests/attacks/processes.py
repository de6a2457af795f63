"""What the tests of processes do in a process of their own: fork, end early, run out of room."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from botocore.config import Config
from support.encoder import V2_AES
from support.worlds import AES_KEY

from s3_encryption import S3EncryptionClient

from .large_objects import MIB, OBJECT, LargeObject, Zeros, world

Seen = list[tuple[str, str]]


def _in_child(call: Callable[[], object]) -> Any:
    """Return what a call returns in a forked process, or the name of what it raises."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = call()
        except BaseException as error:
            answer = type(error).__name__
        with os.fdopen(writing, "w") as pipe:
            pipe.write(json.dumps(answer))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answer)


def _puts(client: Any, server: Any, count: int) -> Seen:
    """Put many small objects; return their IVs and data keys as stored."""
    seen: Seen = []
    server.on_put = lambda metadata: seen.append((metadata["x-amz-iv"], metadata["x-amz-key-v2"]))
    for _ in range(count):
        client.put_object(**OBJECT, Body=b"secret")
    return seen


def forked_puts(processes: int, count: int) -> Seen:
    """Let forked processes put objects with the client of their parent, which goes on, too."""
    client, server = world()
    seen = _puts(client, server, count)
    for _ in range(processes):
        seen += _in_child(lambda: _puts(client, server, count))
    return seen + _puts(client, server, count)


def puts_of_one_process(count: int) -> Seen:
    """Put objects with a client of this process's own."""
    return _puts(*world(), count)


def pooled_puts(method: str, processes: int, count: int) -> Seen:
    """Let a pool of processes put objects."""
    with multiprocessing.get_context(method).Pool(processes) as pool:
        return [pair for seen in pool.map(puts_of_one_process, [count] * processes, chunksize=1) for pair in seen]


def forked_in_the_middle(what: str) -> tuple[Any, Any]:
    """Fork while something is half done; return what going on comes to, in the child and in the parent."""
    return {"read": _half_read, "upload": _half_uploaded, "body": _half_sent}[what]()


def _in_child_and_here(go_on: Callable[[], object]) -> tuple[Any, Any]:
    return _in_child(go_on), go_on()


def _half_read() -> tuple[Any, Any]:
    client, _ = world(LargeObject(V2_AES, MIB), enable_delayed_authentication=True)
    body = client.get_object(**OBJECT)["Body"]
    body.read(100)
    return _in_child_and_here(lambda: len(body.read()))


def _half_uploaded() -> tuple[Any, Any]:
    client, _ = world()
    named = {**OBJECT, "UploadId": client.create_multipart_upload(**OBJECT)["UploadId"]}
    first = client.upload_part(**named, PartNumber=1, Body=bytes(5 * MIB))

    def go_on() -> object:
        second = client.upload_part(**named, PartNumber=2, Body=b"the end")
        parts = [{"PartNumber": number, "ETag": part["ETag"]} for number, part in enumerate((first, second), start=1)]
        client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
        return "completed"

    return _in_child_and_here(go_on)


def _half_sent() -> tuple[Any, Any]:
    client, _ = world()
    results: list[tuple[Any, Any]] = []

    def send(request: Any, **_: Any) -> None:
        first, rest = len(request.body.read(MIB)), iter(lambda: request.body.read(MIB), b"")
        results.append(_in_child_and_here(lambda: first + sum(map(len, rest))))

    client.meta.events.register_first("before-send.s3", send)
    client.put_object(**OBJECT, Body=Zeros(3 * MIB))
    return results[0]


# --- downloads that end early -----------------------------------------------------------------------------------------


def download_from(url: str, target: str, limit_bytes: int | None, on_sigterm: str) -> str:
    """Download an object from a server into a file; return the name of the error, and its number."""
    if limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    if on_sigterm == "exit":
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(3))
    # A thread that waits for a server that stalls is not interrupted, in s3transfer as it is: it times out.
    client: Any = S3EncryptionClient(aes_key=AES_KEY, endpoint_url=url, config=Config(read_timeout=1))
    try:
        client.download_file("bucket", "folder/name.txt", target)
    except OSError as error:
        return f"OSError {error.errno}"
    return "done"


# --- files ------------------------------------------------------------------------------------------------------------


def files_opened(way: str, url: str, directory: str) -> list[tuple[str, str]]:
    """Work with objects, and return every file that was opened, or made, meanwhile: its path, and "read" or "write"."""
    client: Any = S3EncryptionClient(aes_key=AES_KEY, endpoint_url=url, buffer_size=MIB)
    act = _WAYS_WITH_FILES[way]
    act(client, directory)  # once before, for all that is imported or looked up at first
    opened: list[tuple[str, str]] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and not isinstance(arguments[0], int):
            path, mode, flags = arguments
            writes = any(letter in mode for letter in "wxa+") if mode else bool(flags & (os.O_WRONLY | os.O_RDWR))
            opened.append((os.fsdecode(path), "write" if writes else "read"))

    sys.addaudithook(note)
    act(client, directory)
    return opened


def _read_in_pieces(client: Any, directory: str) -> None:
    for _ in client.get_object(**NAMED)["Body"].iter_chunks(MIB):
        pass


NAMED = {"Bucket": "bucket", "Key": "folder/name.txt"}
_WAYS_WITH_FILES: dict[str, Callable[[Any, str], object]] = {
    "put": lambda client, directory: client.put_object(**NAMED, Body=bytes(9 * MIB)),
    "get": _read_in_pieces,
    "upload": lambda client, directory: client.upload_file(f"{directory}/source", *NAMED.values()),
    "download": lambda client, directory: client.download_file(*NAMED.values(), f"{directory}/target"),
}
