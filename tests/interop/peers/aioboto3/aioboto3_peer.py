"""Interop peer: the client-side encryption of aioboto3 (`aioboto3.s3.cse`), in object metadata.

Raw AES and RSA keys write the V1 format; KMS writes wrap `kms` with CBC or, authenticated, with
GCM. The API takes no encryption context: on write it is always the key's id, on read it is
whatever the object states, which is how `kms+context` objects are read as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aioboto3.s3.cse import (
    S3CSE,
    AsymmetricCryptoContext,
    CryptoContext,
    KMSCryptoContext,
    SymmetricCryptoContext,
)
from peer_protocol import ENDPOINT, Request, cells, load_keys, serve, versions

KEYS = load_keys()
LOOP = asyncio.new_event_loop()
ENDPOINT_ARGS = {"endpoint_url": ENDPOINT}


def aes_context() -> CryptoContext:
    """Return the context of a raw AES key."""
    return SymmetricCryptoContext(key=KEYS.aes, loop=LOOP)


def rsa_context() -> CryptoContext:
    """Return the context of an RSA key pair."""
    return AsymmetricCryptoContext(
        public_key=AsymmetricCryptoContext.from_der_public_key(KEYS.rsa_public_der),
        private_key=AsymmetricCryptoContext.from_der_private_key(KEYS.rsa_private_der),
        loop=LOOP,
    )


def kms_context(*, authenticated: bool) -> CryptoContext:
    """Return the context of a KMS key, writing GCM when authenticated and CBC otherwise."""
    return KMSCryptoContext(
        keyid=KEYS.kms_key_id,
        kms_client_args=ENDPOINT_ARGS,
        authenticated_encryption=authenticated,
    )


WRITERS: dict[str, Callable[[], CryptoContext]] = {
    "v1-aes": aes_context,
    "v1-rsa": rsa_context,
    "v2-kms-cbc": lambda: kms_context(authenticated=False),
    "v2-kms-gcm": lambda: kms_context(authenticated=True),
}
READERS: dict[str, Callable[[], CryptoContext]] = {
    **WRITERS,
    "v2-kms_context": lambda: kms_context(authenticated=True),
}


OPENED: dict[str, S3CSE] = {}


async def client(format: str) -> S3CSE:
    """Return the client for a format, opened once."""
    if format not in OPENED:
        opened = S3CSE(crypto_context=READERS[format](), s3_client_args=ENDPOINT_ARGS)
        await opened.setup()
        OPENED[format] = opened
    return OPENED[format]


async def store(request: Request) -> None:
    """Store the body encrypted."""
    encrypting = await client(request.format)
    await encrypting.put_object(Bucket=request.bucket, Key=request.key, Body=request.body)


async def fetch(request: Request) -> bytes:
    """Return the decrypted object."""
    decrypting = await client(request.format)
    response = await decrypting.get_object(Bucket=request.bucket, Key=request.key)
    return bytes(await response["Body"].read())


async def close() -> None:
    """Close the clients that were opened."""
    for opened in OPENED.values():
        await opened.close()


if __name__ == "__main__":
    serve(
        peer="aioboto3",
        version=versions("aioboto3", "cryptography"),
        writes=cells(WRITERS),
        reads=cells(READERS),
        put=lambda request: LOOP.run_until_complete(store(request)),
        get=lambda request: LOOP.run_until_complete(fetch(request)),
    )
    LOOP.run_until_complete(close())
