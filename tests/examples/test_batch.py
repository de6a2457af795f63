"""The nightly job: it does what is to be done, no more, and goes on where it was stopped."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from s3_encryption import S3EncryptionClient

from .conftest import SECRET, Aws, Example, example

SALES = b"region,amount,remark\nnorth,1.10,%s\nsouth,2.25,\nnorth,3.00,\n" % SECRET
SUMMARY = {"north": "4.10", "south": "2.25"}


@dataclass(frozen=True, slots=True)
class Job:
    """The job, and a client of the same kind as its own."""

    example: Example
    aws: Aws
    s3: Any

    def run(self) -> tuple[int, str]:
        """Run the job as cron would, and return its exit code and the last line that it logged."""
        done = subprocess.run(
            [sys.executable, "summarize.py", "reports"],
            cwd=self.example.folder,
            env={**os.environ, "PYTHONWARNINGS": "error"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stderr.splitlines()[-1]

    def sell(self, name: str, sales: bytes = SALES) -> None:
        """Store a file of sales."""
        self.s3.put_object(Bucket="reports", Key=f"sales/{name}.csv.gz", Body=gzip.compress(sales, compresslevel=0))

    def summary(self, name: str) -> Any:
        """Return a summary."""
        return json.load(self.s3.get_object(Bucket="reports", Key=f"summaries/{name}.json")["Body"])


@pytest.fixture
def job(aws: Aws, encrypts: bool, tmp_path: Path) -> Iterator[Job]:
    """Return the job, with sales of three days."""
    aws.make_bucket("reports")
    s3 = S3EncryptionClient(kms_key_id="alias/my-key") if encrypts else boto3.client("s3")
    job = Job(example("batch", "summarize.py", tmp_path, encrypts=encrypts), aws, s3)
    for day in ("1", "2", "3"):
        job.sell(day)
    yield job
    s3.close()


def test_all_files_are_summed_up_once(job: Job) -> None:
    """The first run does everything, the second finds nothing to do."""
    assert job.run() == (0, "3 written, 0 up to date, 0 failed")
    assert [job.summary(day) for day in ("1", "2", "3")] == [SUMMARY] * 3
    assert job.run() == (0, "0 written, 3 up to date, 0 failed")
    job.example.check_stored(job.aws.bodies("reports"))


def test_stopped_job_goes_on_where_it_was(job: Job) -> None:
    """What a former run did not get to, and what has changed since, is done; the rest is left alone."""
    job.run()
    job.aws.plain.delete_object(Bucket="reports", Key="summaries/3.json")
    job.sell("2", SALES.replace(b"2.25", b"5.75"))
    assert job.run() == (0, "2 written, 1 up to date, 0 failed")
    assert job.summary("2") == {"north": "4.10", "south": "5.75"}
    assert job.summary("3") == SUMMARY


def test_bad_file_stops_no_other(job: Job) -> None:
    """A file that is no table, and one that was changed in S3, are reported by the exit code; the others are done."""
    job.sell("1", b"no,such,columns\n1,2,3\n")
    stored = job.aws.plain.get_object(Bucket="reports", Key="sales/2.csv.gz")
    changed = stored["Body"].read()[:-1]
    job.aws.plain.put_object(Bucket="reports", Key="sales/2.csv.gz", Body=changed, Metadata=stored["Metadata"])
    assert job.run() == (1, "1 written, 0 up to date, 2 failed")
    assert job.summary("3") == SUMMARY
