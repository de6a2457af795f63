"""Run a command beside an S3 and KMS of its own, which end with it: ``with_local_aws.py python script.py ...``.

For trying out the examples without an AWS account. There are the buckets that they use, and a key ``alias/my-key``.
"""

from __future__ import annotations

import json
import subprocess
import sys

import boto3
from demo import embedded_aws

BUCKETS = ("documents", "static", "uploads", "reports")
PUBLIC = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::static/*"},
}


def main() -> int:
    """Run the command of the arguments, and return its exit code."""
    with embedded_aws():
        make_buckets_and_key()
        return subprocess.call(sys.argv[1:])


def make_buckets_and_key() -> None:
    """Make what the examples use: only the bucket of style sheets is open to all."""
    s3, kms = boto3.client("s3"), boto3.client("kms")
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_policy(Bucket="static", Policy=json.dumps(PUBLIC))
    kms.create_alias(AliasName="alias/my-key", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])


if __name__ == "__main__":
    sys.exit(main())
