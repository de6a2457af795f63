"""A nightly job: sum up each file of sales, and write the sums beside it. Safe to stop at any time, and to run again.

    0 3 * * *  python summarize.py reports

Reads ``sales/<name>.csv.gz`` (columns ``region`` and ``amount``), writes ``summaries/<name>.json``. A summary remembers
which version of its source it is of, so only what is new or has changed is done. One bad file does not stop the others;
the exit code tells.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import logging
import sys
from collections import Counter, defaultdict
from decimal import Decimal, InvalidOperation
from typing import Any

from botocore.exceptions import ClientError

from s3_encryption import S3EncryptionClient, S3EncryptionClientSecurityError

s3 = S3EncryptionClient(kms_key_id="alias/my-key")

SOURCES, SUMMARIES = "sales/", "summaries/"
BAD_SOURCE = (S3EncryptionClientSecurityError, OSError, EOFError, KeyError, ValueError, InvalidOperation)
log = logging.getLogger("summarize")


def main() -> int:
    """Sum up all files, and return 1 if some could not be."""
    parser = argparse.ArgumentParser(description="Sum up each file of sales.")
    parser.add_argument("bucket")
    bucket = parser.parse_args().bucket
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=SOURCES)
    results = Counter(done(bucket, source) for page in pages for source in page.get("Contents", []))
    log.info("%s", ", ".join(f"{results[result]} {result}" for result in ("written", "up to date", "failed")))
    return 1 if results["failed"] else 0


def done(bucket: str, source: dict[str, Any]) -> str:
    """Write the summary of a source, unless there is one, and return what was done."""
    key = SUMMARIES + source["Key"].removeprefix(SOURCES).removesuffix(".csv.gz") + ".json"
    if source_etag_of(bucket, key) == source["ETag"]:
        return "up to date"
    try:
        sums = summary(bucket, source)
    except BAD_SOURCE as error:
        log.error("%s: %s: %s", source["Key"], type(error).__name__, error)
        return "failed"
    text = json.dumps({region: str(amount) for region, amount in sorted(sums.items())})
    s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), Metadata={"source-etag": source["ETag"]})
    return "written"


def source_etag_of(bucket: str, key: str) -> str | None:
    """Return which version of its source a summary is of; None if there is none."""
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    etag: str | None = head["Metadata"].get("source-etag")
    return etag


def summary(bucket: str, source: dict[str, Any]) -> dict[str, Decimal]:
    """Return the sum for each region. The source is read as a stream, and is what was listed, or an error."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    response = s3.get_object(Bucket=bucket, Key=source["Key"], IfMatch=source["ETag"])
    with response["Body"] as body, gzip.open(body, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            sums[row["region"]] += Decimal(row["amount"])
    return sums


if __name__ == "__main__":
    sys.exit(main())
