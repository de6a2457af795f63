"""The cases: what is measured, how often, and what this library is to reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .clients import DEFAULT_OPTIONS, ClientOptions
from .data import GIB, KIB, MIB
from .work import (
    DownloadFile,
    GetChunks,
    GetMany,
    GetRange,
    GetRead,
    PutBytes,
    PutFile,
    PutMany,
    UploadFile,
    UploadPipe,
    Work,
)

# As much as this library holds in memory by default while it verifies an object.
BUFFER_MIB = 64


@dataclass(frozen=True)
class Network:
    """What the server adds: a delay before every answer, a limit of each connection, a delay of the key service."""

    round_trip_ms: float = 0
    bytes_per_second: int = 0
    kms_delay_ms: float = 0


LOCAL = Network()


@dataclass(frozen=True)
class Target:
    """What is to be reached: at least so much of plain boto3's speed, with at most so much more memory."""

    openssl: float | None = None
    pycryptodome: float | None = None
    memory_mib: int | None = None

    @property
    def ratios(self) -> Mapping[str, float | None]:
        """The least speed, by engine."""
        return {"openssl": self.openssl, "pycryptodome": self.pycryptodome}


NO_TARGET = Target()


@dataclass(frozen=True)
class Case:
    """One row of the report.

    ``work`` is made anew in each process, which does it ``repeats`` times. Once is ``volume`` bytes, or so many
    operations if ``counts_operations``.
    """

    name: str
    title: str
    work: Callable[[], Work]
    volume: int
    target: Target
    options: ClientOptions = DEFAULT_OPTIONS
    network: Network = LOCAL
    repeats: int = 1
    counts_operations: bool = False


_DELAYED = ClientOptions(delayed_authentication=True)
_WAN = Network(bytes_per_second=100_000_000)
_FAR = Network(round_trip_ms=5)
_FAR_KMS = Network(kms_delay_ms=10)


def _puts(size: int, repeats: int) -> list[Case]:
    mib = size // MIB
    target = Target(1.1, 1.0, 16)
    bytes_title, file_title = f"put_object, {mib} MiB of bytes", f"put_object, file of {mib} MiB"
    return [
        Case(f"put-bytes-{mib}m", bytes_title, lambda: PutBytes(size), size, target, repeats=repeats),
        Case(f"put-file-{mib}m", file_title, lambda: PutFile(size), size, target, repeats=repeats),
    ]


def _get(size: int, repeats: int, target: Target) -> Case:
    mib = size // MIB
    title = f"get_object, {mib} MiB, read()"
    return Case(f"get-read-{mib}m", title, lambda: GetRead(size), size, target, repeats=repeats)


def _chunks(label: str, read_bytes: int, *, verified: bool) -> Case:
    size = 256 * MIB
    how = "verified" if verified else "delayed"
    return Case(
        f"get-chunks-{label}-{how}",
        f"get_object, 256 MiB, read({label.upper()}), {how}",
        lambda: GetChunks(size, read_bytes),
        size,
        Target(0.65 if read_bytes == MIB else None, None, BUFFER_MIB + 16) if verified else Target(0.95, 0.65, 16),
        DEFAULT_OPTIONS if verified else _DELAYED,
        repeats=2,
    )


def _transfers() -> list[Case]:
    size = 512 * MIB
    upload, download = (lambda: UploadFile(size)), (lambda: DownloadFile(size))
    return [
        Case("upload-file", "upload_file, 512 MiB", upload, size, Target(1.1, 1.0, 32), repeats=2),
        Case(
            "upload-pipe",
            "upload_fileobj from a pipe, 512 MiB",
            lambda: UploadPipe(size),
            size,
            Target(1.0, 0.9, 64),
            repeats=2,
        ),
        Case("download-file", "download_file, 512 MiB", download, size, Target(1.25, 1.1, 64), repeats=2),
        Case(
            "upload-file-wan",
            "upload_file, 512 MiB, 100 MB/s per connection",
            upload,
            size,
            Target(0.95, 0.95, 32),
            network=_WAN,
        ),
        Case(
            "download-file-wan",
            "download_file, 512 MiB, 100 MB/s per connection",
            download,
            size,
            NO_TARGET,
            network=_WAN,
        ),
    ]


def _pieces() -> list[Case]:
    return [
        Case(
            "get-1k-reads",
            "get_object, 16 MiB, read(1K), delayed",
            lambda: GetChunks(16 * MIB, KIB),
            16 * MIB,
            Target(2.0, 1.8, 8),
            _DELAYED,
            repeats=8,
        ),
        Case(
            "get-range",
            "get_object, 1 MiB range of 1 GiB",
            lambda: GetRange(GIB, 500 * MIB + 1, 501 * MIB + 1),
            MIB,
            Target(0.9, 0.75, 8),
            ClientOptions(ranges=True),
            repeats=200,
        ),
    ]


def _small(
    name: str,
    title: str,
    work: Callable[[], Work],
    operations: int,
    target: Target,
    *,
    network: Network = LOCAL,
    options: ClientOptions = DEFAULT_OPTIONS,
    size: str = "1 KiB",
) -> Case:
    return Case(
        f"small-{name}",
        f"{size} objects, {title}",
        work,
        operations,
        target,
        options,
        network,
        repeats=3,
        counts_operations=True,
    )


def _small_objects() -> list[Case]:
    many, threads = 800, 16
    pooled = ClientOptions(max_pool_connections=threads)
    v3 = ClientOptions(committing=True)
    kms = ClientOptions(kms=True)
    put_16, get_16 = Target(1.1, None, 8), Target(0.9, None, 8)
    return [
        _small("put", "put", lambda: PutMany(KIB, many), many, Target(1.0, None, 8)),
        _small("get", "get", lambda: GetMany(KIB, many), many, Target(0.95, None, 8)),
        _small("put-16", "put, 16 threads", lambda: PutMany(KIB, many, threads), many, put_16, options=pooled),
        _small("get-16", "get, 16 threads", lambda: GetMany(KIB, many, threads), many, get_16, options=pooled),
        _small("put-v3", "put, V3", lambda: PutMany(KIB, many), many, NO_TARGET, options=v3),
        _small("get-v3", "get, V3", lambda: GetMany(KIB, many), many, NO_TARGET, options=v3),
        _small("put-1m", "put, one thread", lambda: PutMany(MIB, 100), 100, Target(1.05, None, 16), size="1 MiB"),
        _small("get-1m", "get, one thread", lambda: GetMany(MIB, 100), 100, Target(0.95, None, 16), size="1 MiB"),
        _small("put-far", "put, 5 ms round trip", lambda: PutMany(KIB, 100), 100, Target(1.7, 1.7, 8), network=_FAR),
        _small("get-far", "get, 5 ms round trip", lambda: GetMany(KIB, 100), 100, Target(1.0, 0.95, 8), network=_FAR),
        _small(
            "put-kms",
            "put, KMS 10 ms away",
            lambda: PutMany(KIB, 50),
            50,
            NO_TARGET,
            network=_FAR_KMS,
            options=kms,
        ),
        _small(
            "get-kms",
            "get, KMS 10 ms away",
            lambda: GetMany(KIB, 50),
            50,
            NO_TARGET,
            network=_FAR_KMS,
            options=kms,
        ),
    ]


CASES: tuple[Case, ...] = (
    *_puts(64 * MIB, repeats=5),
    *_puts(256 * MIB, repeats=2),
    _get(64 * MIB, 5, Target(1.1, 1.0, 16)),
    _get(256 * MIB, 2, Target(1.0, 0.85, 16)),
    _chunks("64k", 64 * KIB, verified=False),
    _chunks("1m", MIB, verified=False),
    _chunks("64k", 64 * KIB, verified=True),
    _chunks("1m", MIB, verified=True),
    *_pieces(),
    *_transfers(),
    *_small_objects(),
)


def case_named(name: str) -> Case:
    """Return a case by its name."""
    return next(case for case in CASES if case.name == name)
