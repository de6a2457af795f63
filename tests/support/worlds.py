"""What the client tests are set in: an S3 server, a plain client as the oracle, and encrypting clients."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import ClientError

from s3_encryption import S3EncryptionClient
from support.strict_s3 import StrictS3

from .servers import Answer, RecordingServer, Request
from .vectors import AES_KEYS

BUCKET = "bucket"
KEY = "folder/name.txt"
AES_KEY = AES_KEYS["aes256"]
_KEY_OPTIONS = {"keyring", "kms_key_id", "aes_key", "rsa_key"}


class World:
    """A bucket on some S3 server. Clients that are made here are closed at the end."""

    def __init__(self, url: str, bucket: str = BUCKET, **client_options: Any) -> None:
        self.url = url
        self.bucket = bucket
        self._client_options = client_options
        self._clients: list[Any] = []
        self.plain = self.plain_client()
        self._clients.clear()

    def plain_client(self, **options: Any) -> Any:
        """Return a new ordinary client."""
        return self._kept(boto3.client("s3", endpoint_url=self.url, **{**self._client_options, **options}))

    def client(self, **options: Any) -> Any:
        """Return an encrypting client over ``plain``: with ``AES_KEY``, unless a key is among the options.

        Quickly made; but its connections and event handlers are those of ``plain``.
        """
        return S3EncryptionClient(self.plain, **_with_key(options))

    def new_client(self, **options: Any) -> Any:
        """Return the same, with an S3 client of its own; the options may be boto3's, too."""
        options = {"endpoint_url": self.url, **self._client_options, **_with_key(options)}
        return self._kept(S3EncryptionClient(**options))

    @property
    def connection(self) -> dict[str, Any]:
        """What boto3 must be told to reach the server."""
        return {"endpoint_url": self.url, **self._client_options}

    def object_at(self, key: str = KEY) -> dict[str, Any]:
        """Return the parameters that name an object."""
        return {"Bucket": self.bucket, "Key": key}

    def body_stored(self, key: str = KEY) -> bytes:
        """Return the stored body, as anybody sees it."""
        with self.plain.get_object(**self.object_at(key))["Body"] as body:
            stored: bytes = body.read()
        return stored

    def metadata_stored(self, key: str = KEY) -> dict[str, str]:
        """Return the stored user metadata."""
        metadata: dict[str, str] = self.plain.head_object(**self.object_at(key))["Metadata"]
        return metadata

    def change_body(self, change: Callable[[bytes], bytes], key: str = KEY) -> None:
        """Store another body under the same metadata."""
        self.store(change(self.body_stored(key)), self.metadata_stored(key), key)

    def change_metadata(self, key: str = KEY, **changes: str | None) -> None:
        """Store other metadata for the same body; ``_`` in a name stands for ``-``, None removes the field."""
        changed = {**self.metadata_stored(key), **{name.replace("_", "-"): text for name, text in changes.items()}}
        self.store(self.body_stored(key), {name: text for name, text in changed.items() if text is not None}, key)

    def store(self, body: bytes, metadata: Mapping[str, str], key: str = KEY) -> None:
        """Store an object as it is."""
        self.plain.put_object(**self.object_at(key), Body=body, Metadata=dict(metadata))

    def close_clients(self) -> None:
        """Close the connections of all clients that were made, except those of ``plain``."""
        while self._clients:
            self._clients.pop().close()

    def close(self) -> None:
        """Close all connections."""
        self.close_clients()
        self.plain.close()

    def _kept(self, client: Any) -> Any:
        self._clients.append(client)
        return client


class StrictWorld(World):
    """A bucket on the strict S3, which remembers every request."""

    def __init__(self, server: StrictS3) -> None:
        trusting = {} if server.certificate is None else {"verify": str(server.certificate)}
        super().__init__(server.url, **trusting)
        self.server = server

    @property
    def requests(self) -> list[Request]:
        """What the server got since the last ``forget``."""
        return self.server.requests

    def forget(self) -> None:
        """Forget the requests so far."""
        self.server.requests.clear()

    def stored_keys(self) -> list[str]:
        """Return the keys of all objects in the bucket."""
        return sorted(path.removeprefix(f"/{self.bucket}/") for path in self.server.objects)


@contextlib.contextmanager
def served_by(server: StrictS3) -> Iterator[StrictWorld]:
    """Yield a bucket on a server, which stops at the end."""
    with server, contextlib.closing(StrictWorld(server)) as world:
        yield world


class RefusingKms(RecordingServer):
    """A KMS that denies everything, and so shows who asked."""

    def answer(self, request: Request) -> Answer:
        """Deny access."""
        headers = {"Content-Type": "application/x-amz-json-1.1"}
        return Answer(400, headers, b'{"__type":"AccessDeniedException","message":"denied by the test"}')


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed a request, for which region and service."""

    access_key: str
    region: str
    service: str

    @classmethod
    def of(cls, request: Request) -> Signature:
        """Read it from the Authorization header."""
        scope = request.headers["authorization"].partition("Credential=")[2].partition(",")[0]
        access_key, _, region, service, _ = scope.split("/")
        return cls(access_key, region, service)


def _with_key(options: dict[str, Any]) -> dict[str, Any]:
    return options if options.keys() & _KEY_OPTIONS else {"aes_key": AES_KEY, **options}


class ReadOnce:
    """A body that can be read once, front to back, and not be rewound."""

    def __init__(self, content: bytes, most: int | None = None) -> None:
        self._rest = content
        self._most = most

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes, and at most ``most``."""
        limits = [limit for limit in (size if size >= 0 else None, self._most) if limit is not None]
        length = min(limits, default=len(self._rest))
        piece, self._rest = self._rest[:length], self._rest[length:]
        return piece


def error_of(call: Callable[[], object]) -> ClientError:
    """Return the ClientError that a call raises."""
    try:
        call()
    except ClientError as error:
        return error
    raise AssertionError("the call did not fail")
