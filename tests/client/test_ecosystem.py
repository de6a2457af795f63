"""Libraries that take file objects read encrypted objects as they read plain ones."""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import pickle
import random
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.parquet
import pytest
import smart_open
from support.worlds import KEY, StrictWorld

from s3_encryption import CommitmentPolicy, DecryptionError, PolicyError

_random = random.Random("ecosystem")
TABLE = pa.table(
    {
        "number": range(60_000),
        "weight": [_random.random() for _ in range(60_000)],
        "name": [f"Größe {_random.randrange(10**9)}" for _ in range(60_000)],
    }
)
LINES = "".join(f"{row['number']},{row['name']}\r\n" for row in TABLE.slice(0, 20_000).to_pylist()).encode()


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    """Return what a library writes into a file."""
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _zip(file: Any) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("empty", b"")
        archive.writestr("lines.csv", LINES)


def _tar(file: Any) -> None:
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo("lines.csv")
        member.size = len(LINES)
        archive.addfile(member, io.BytesIO(LINES))


CONTENTS: Mapping[str, bytes] = {
    "csv": written(lambda file: pyarrow.csv.write_csv(TABLE, file)),
    "csv.gz": gzip.compress(LINES),
    "csv.xz": lzma.compress(LINES),
    "feather": written(lambda file: pyarrow.feather.write_feather(TABLE, file, compression="uncompressed")),
    "parquet": written(lambda file: pyarrow.parquet.write_table(TABLE, file, row_group_size=10_000)),
    "pickle": pickle.dumps(TABLE.to_pydict()),
    "tar": written(_tar),
    "zip": written(_zip),
}


def _columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    return {str(name): column.tolist() for name, column in frame.items()}


def _chunked(file: Any) -> list[dict[str, list[Any]]]:
    with pd.read_csv(file, chunksize=7000) as chunks:
        return [_columns(chunk) for chunk in chunks]


def _row_group(file: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = pyarrow.parquet.ParquetFile(file).read_row_group(3, columns=["name"]).to_pydict()
    return found


def _csv_rows(file: Any) -> list[list[str]]:
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def _unpacked(file: Any) -> bytes:
    with lzma.open(file) as unpacked:
        return unpacked.read()


def _zip_members(file: Any) -> list[bytes]:
    with zipfile.ZipFile(file) as archive:
        return [archive.read(name) for name in reversed(archive.namelist())]


def _tar_members(file: Any) -> list[bytes]:
    with tarfile.open(fileobj=file) as archive:
        return [opened.read() for member in archive if (opened := archive.extractfile(member)) is not None]


# What is read, and how.
READERS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "pandas.read_csv": ("csv", lambda file: _columns(pd.read_csv(file))),
    "pandas.read_csv(chunksize)": ("csv", _chunked),
    "pandas.read_csv(compression)": ("csv.gz", lambda file: _columns(pd.read_csv(file, compression="gzip"))),
    "pyarrow.csv.read_csv": ("csv", lambda file: pyarrow.csv.read_csv(file).to_pydict()),
    "polars.read_csv": ("csv", lambda file: pl.read_csv(file).to_dict(as_series=False)),
    "csv": ("csv.gz", _csv_rows),
    "lzma": ("csv.xz", _unpacked),
    "pickle": ("pickle", pickle.load),
}
# These seek: the index of what they read is at its end.
SEEKING_READERS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "pandas.read_parquet": ("parquet", lambda file: _columns(pd.read_parquet(file))),
    "pandas.read_parquet(columns)": ("parquet", lambda file: _columns(pd.read_parquet(file, columns=["weight"]))),
    "pandas.read_feather": ("feather", lambda file: _columns(pd.read_feather(file))),
    "pyarrow.parquet.read_table": ("parquet", lambda file: pyarrow.parquet.read_table(file).to_pydict()),
    "pyarrow.parquet.ParquetFile": ("parquet", _row_group),
    "polars.read_parquet": ("parquet", lambda file: pl.read_parquet(file).to_dict(as_series=False)),
    "zipfile": ("zip", _zip_members),
    "tarfile": ("tar", _tar_members),
}
MODES: Mapping[str, dict[str, Any]] = {
    "verified": {},
    "on-disk": {"buffer_size": 4096, "commitment_policy": CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT},
    "ranges": {"enable_unauthenticated_ranges": True},
}
modes = pytest.mark.parametrize("mode", MODES)


@pytest.mark.parametrize("reader", [*READERS, *SEEKING_READERS])
@modes
def test_opened_object_is_read_like_a_file(s3: StrictWorld, reader: str, mode: str) -> None:
    """A library reads from ``client.open()`` what it reads from a file of the plaintext."""
    name, read = {**READERS, **SEEKING_READERS}[reader]
    client = s3.client(**MODES[mode])
    client.put_object(**s3.object_at(), Body=CONTENTS[name])
    with client.open(**s3.object_at()) as file:
        assert read(file) == read(io.BytesIO(CONTENTS[name]))
        assert s3.body_stored()[:-16] != CONTENTS[name]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("mode", ["verified", "on-disk"])
def test_body_is_read_like_boto3s(s3: StrictWorld, reader: str, mode: str) -> None:
    """A library that reads front to back reads from a Body what it reads from plain boto3's."""
    name, read = READERS[reader]
    client = s3.client(**MODES[mode])
    client.put_object(**s3.object_at("encrypted"), Body=CONTENTS[name])
    s3.store(CONTENTS[name], {}, "plain")
    with (
        client.get_object(**s3.object_at("encrypted"))["Body"] as ours,
        s3.plain.get_object(**s3.object_at("plain"))["Body"] as boto3s,
    ):
        assert read(ours) == read(boto3s)


def test_row_group_fetches_what_it_needs(s3: StrictWorld) -> None:
    """With the switch for ranges, reading one column of one row group does not fetch the whole object."""
    table = pa.concat_tables([TABLE] * 10)
    content = written(lambda file: pyarrow.parquet.write_table(table, file, compression="none", row_group_size=10_000))
    client = s3.client(enable_unauthenticated_ranges=True)
    client.put_object(**s3.object_at(), Body=content)
    s3.forget()
    with client.open(**s3.object_at()) as file:
        assert _row_group(file)["name"] == TABLE["name"].to_pylist()[30_000:40_000]
    spans = [request.headers["range"].removeprefix("bytes=").split("-") for request in s3.server.of("GET")]
    assert 0 < sum(int(last) - int(first) + 1 for first, last in spans) < len(content) / 2


# --- smart_open -------------------------------------------------------------------------------------------------------


def smartly(s3: StrictWorld, client: Any, mode: str, **options: Any) -> Any:
    """Open an object with smart_open."""
    url = f"s3://{s3.bucket}/{KEY}"
    return smart_open.open(url, mode, transport_params={"client": client}, compression="disable", **options)


@pytest.mark.parametrize("size", [0, 1, 6 * 1024 * 1024, 12 * 1024 * 1024 + 5])
def test_smart_open_writes_and_reads_back(s3: StrictWorld, size: int) -> None:
    """What smart_open writes (by multipart upload) is ciphertext, and reading it front to back needs no switch."""
    content = _random.randbytes(size)
    client = s3.client()
    with smartly(s3, client, "wb") as file:
        file.write(content)
    assert len(s3.body_stored()) == size + 16
    with smartly(s3, client, "rb") as file:
        assert file.read() == content
    assert client.get_object(**s3.object_at())["Body"].read() == content


def test_smart_open_seeks_with_the_switch(s3: StrictWorld) -> None:
    """Seeking reads ranges: with the switch it gives what plain boto3 gives, without it it is refused."""
    content = LINES * 8
    client = s3.client(enable_unauthenticated_ranges=True)
    client.put_object(**s3.object_at(), Body=content)
    with smartly(s3, client, "rb") as file:
        for offset, whence in ((1_000_000, io.SEEK_SET), (-50, io.SEEK_END), (17, io.SEEK_SET)):
            file.seek(offset, whence)
            expected = io.BytesIO(content)
            expected.seek(offset, whence)
            assert file.read(40) == expected.read(40)
    with smartly(s3, s3.client(), "rb") as file, pytest.raises(PolicyError, match="unauthenticated_range"):
        file.seek(1_000_000)


def test_smart_open_reads_nothing_of_a_changed_object(s3: StrictWorld) -> None:
    """A changed object is an error at the first line, as it is for get_object."""
    client = s3.client()
    client.put_object(**s3.object_at(), Body=LINES)
    s3.change_body(lambda body: body[:-1] + bytes([body[-1] ^ 1]))
    with smartly(s3, client, "r", encoding="utf-8") as file, pytest.raises(DecryptionError):
        file.readline()


@pytest.mark.parametrize("reader", ["pandas.read_csv", "csv"])
def test_libraries_read_from_smart_open(s3: StrictWorld, reader: str) -> None:
    """A library on top of smart_open reads what it reads from a file."""
    name, read = READERS[reader]
    client = s3.client()
    client.put_object(**s3.object_at(), Body=CONTENTS[name])
    with smartly(s3, client, "rb") as file:
        assert read(file) == read(io.BytesIO(CONTENTS[name]))
