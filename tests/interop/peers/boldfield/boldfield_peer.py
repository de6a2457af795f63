"""Interop peer: boldfield's s3-encryption 0.1.3, the old Python client.

It knows the V1 format with an AES master key in object metadata, always makes AES-128 data keys,
and returns the plaintext bytes from get_object.
"""

from __future__ import annotations

import boto3
from peer_protocol import ENDPOINT, Request, cells, load_keys, serve, versions

from s3_encryption.client import S3EncryptionClient

CELLS = cells(["v1-aes"])
CLIENT = S3EncryptionClient(encryption_key=load_keys().aes, client=boto3.client("s3", endpoint_url=ENDPOINT))


def put(request: Request) -> None:
    """Store the body encrypted."""
    CLIENT.put_object(Bucket=request.bucket, Key=request.key, Body=request.body)


def get(request: Request) -> bytes:
    """Return the decrypted object."""
    return bytes(CLIENT.get_object(Bucket=request.bucket, Key=request.key))


if __name__ == "__main__":
    serve(
        peer="boldfield",
        version=versions("s3-encryption", "pycryptodome"),
        writes=CELLS,
        reads=CELLS,
        put=put,
        get=get,
    )
