"""What the tests of memory and time do in a process of their own: large objects, on an S3 that holds none of them.

The objects hold zeros, encrypted on the fly by pycryptodome; what is uploaded is counted and dropped. No network.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
from base64 import b64decode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from Crypto.Cipher import AES
from support.child_process import Memory
from support.encoder import AES_KEY, V2_AES, V2_AES_CBC, Encoder, Kind
from urllib3.response import HTTPResponse

from s3_encryption import S3EncryptionClient
from s3_encryption._crypto import contexts as ciphers

MIB = 2**20
OBJECT = {"Bucket": "bucket", "Key": "name"}
DATA_KEY, IV = bytes(range(32)), bytes(range(16))
_PIECE = bytes(MIB)
_ONE_PASS = Config(request_checksum_calculation="when_required")


def zeros_in(length: int) -> Any:
    """Yield so many zeros in pieces."""
    for start in range(0, length, MIB):
        yield memoryview(_PIECE)[: min(MIB, length - start)]


class Zeros(io.RawIOBase):
    """A source of zeros of a known length."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length, self.position = length, 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.length}[whence]
        return self.position

    def read(self, size: int | None = -1) -> bytes:
        left = self.length - self.position
        piece = bytes(left if size is None or size < 0 else min(size, left))
        self.position += len(piece)
        return piece


class _Ciphertext(io.RawIOBase):
    """A part of the stored body of an object of zeros, made while it is read."""

    def __init__(self, transform: Callable[[bytes], bytes], ending: bytes, start: int, stop: int, end: int) -> None:
        super().__init__()
        self._transform, self._ending = transform, ending
        self._position, self._stop, self._end = start, stop, end

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        left = self._stop - self._position
        size = left if size is None or size < 0 else min(size, left)
        body_end = self._end - len(self._ending)
        made = self._transform(bytes(max(0, min(size, body_end - self._position))))
        self._position += len(made)
        ending_from = self._position - body_end
        rest = self._ending[ending_from : ending_from + size - len(made)] if len(made) < size else b""
        self._position += len(rest)
        return made + rest


class LargeObject:
    """An object of zeros as S3 has it."""

    def __init__(self, kind: Kind, length: int) -> None:
        iv = IV[:12] if kind is V2_AES else IV
        self.metadata = dict(Encoder().write(kind, b"", data_key=DATA_KEY, iv=iv).metadata)
        self._is_gcm = kind is V2_AES
        self.length = length + 16
        self._ending = self._tag(length) if self._is_gcm else b""

    @staticmethod
    def _tag(length: int) -> bytes:
        cipher = AES.new(DATA_KEY, AES.MODE_GCM, nonce=IV[:12])
        for piece in zeros_in(length):
            cipher.encrypt(piece)
        return bytes(cipher.digest())

    def part(self, start: int, stop: int) -> BinaryIO:
        """Return a part of the body; of CBC content, all of it."""
        if self._is_gcm:
            ctr = AES.new(DATA_KEY, AES.MODE_CTR, nonce=IV[:12], initial_value=2 + start // 16)
            ctr.encrypt(bytes(start % 16))
            return _Ciphertext(ctr.encrypt, self._ending, start, stop, self.length)  # type: ignore[return-value]
        return _CbcZeros(self.length)  # type: ignore[return-value]


class _CbcZeros(io.RawIOBase):
    """The whole body of a CBC object of zeros, whose length is one of whole blocks."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self._cipher = AES.new(DATA_KEY, AES.MODE_CBC, iv=IV)
        self._plaintext, self._made = Zeros(length - 16), b""
        self._is_padded = False

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0
        while len(self._made) < size and not self._is_padded:
            piece = self._plaintext.read(MIB)
            self._is_padded = not piece
            self._made += self._cipher.encrypt(piece or b"\x10" * 16)
        piece, self._made = self._made[:size], self._made[size:]
        return piece


class NowhereS3:
    """Answers a client's requests: reads are of one large object, or of given ones; uploads are counted and dropped."""

    def __init__(self, client: Any, large: LargeObject | None = None) -> None:
        self.large = large
        # Answers by the end of a key: headers and a body to read from.
        self.others: dict[str, tuple[dict[str, str], Any]] = {}
        self.received_bytes = 0
        self.on_put: Callable[[dict[str, str]], object] = lambda metadata: None
        self.on_piece: Callable[[bytes], object] = lambda piece: None
        client.meta.events.register("before-send.s3", self._send)

    def _send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        handle = {"PUT": self._put, "POST": self._post}.get(request.method, self._get)
        status, headers, body = handle(request)
        method = request.method
        raw = HTTPResponse(body, headers=headers, status=status, preload_content=False, request_method=method)
        return AWSResponse(request.url, status, raw.headers, raw)

    def _put(self, request: AWSPreparedRequest) -> tuple[int, dict[str, str], Any]:
        prefix, body = "x-amz-meta-", request.body
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        self.on_put({name.removeprefix(prefix): headers[name] for name in headers if name.startswith(prefix)})
        if hasattr(body, "read"):
            while piece := body.read(MIB):
                self.received_bytes += len(piece)
                self.on_piece(piece)
        else:
            self.received_bytes += len(body or b"")
            self.on_piece(bytes(body or b""))
        return 200, {"ETag": '"etag"', "Content-Length": "0"}, io.BytesIO()

    def _post(self, request: AWSPreparedRequest) -> tuple[int, dict[str, str], Any]:
        is_start = "uploads" in parse_qs(urlsplit(request.url).query, keep_blank_values=True)
        name = "InitiateMultipartUploadResult" if is_start else "CompleteMultipartUploadResult"
        document = f"<{name}><UploadId>id</UploadId><ETag>etag</ETag></{name}>".encode()
        return 200, {"Content-Length": str(len(document))}, io.BytesIO(document)

    def _get(self, request: AWSPreparedRequest) -> tuple[int, dict[str, str], Any]:
        path = urlsplit(request.url).path
        for ending, (headers, body) in self.others.items():
            if path.endswith(ending):
                return 200, headers, body
        assert self.large is not None
        length = self.large.length
        headers = {"ETag": '"etag"', **{f"x-amz-meta-{name}": text for name, text in self.large.metadata.items()}}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", _text(request.headers.get("Range", "")))
        start, stop = (int(wanted[1]), int(wanted[2] or length - 1) + 1) if wanted else (0, length)
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{length}"
        headers["Content-Length"] = str(stop - start)
        body = io.BytesIO() if request.method == "HEAD" else self.large.part(start, stop)
        return 206 if wanted else 200, headers, body


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def world(large: LargeObject | None = None, kind: Kind = V2_AES, **options: Any) -> tuple[Any, NowhereS3]:
    """Return an encrypting client, and its S3."""
    plain = boto3.client("s3", endpoint_url="https://127.0.0.1:1", config=_ONE_PASS)
    client = S3EncryptionClient(plain, keyring=Encoder().keyring(kind), **{**kind.switches, **options})
    return client, NowhereS3(plain, large)


# --- what is done in the process --------------------------------------------------------------------------------------


def upload(way: str, length: int) -> tuple[int, int]:
    """Upload a sparse file; return the bytes that were sent, and the growth."""
    client, server = world()
    client.put_object(**OBJECT, Body=b"first")
    server.received_bytes = 0
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "source"
        with path.open("wb") as file:
            file.truncate(length)
        memory = Memory()
        with path.open("rb") as file:
            if way == "put_object":
                client.put_object(**OBJECT, Body=file)
            else:
                client.upload_file(str(path), OBJECT["Bucket"], OBJECT["Key"])
        return server.received_bytes, memory.growth_bytes


class _ZerosCheck:
    """Decrypts what is sent, and sees that it is zeros with a right tag."""

    def __init__(self, metadata: Mapping[str, str]) -> None:
        wrapped, iv = (b64decode(metadata[name]) for name in ("x-amz-key-v2", "x-amz-iv"))
        unwrapping = AES.new(AES_KEY, AES.MODE_GCM, nonce=wrapped[:12])
        unwrapping.update(metadata["x-amz-cek-alg"].encode())
        data_key = unwrapping.decrypt_and_verify(wrapped[12:-16], wrapped[-16:])
        self._cipher = AES.new(data_key, AES.MODE_GCM, nonce=iv)
        self._tail = b""

    def update(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        data = self._tail + piece
        self._tail = data[-16:]
        plaintext = self._cipher.decrypt(data[:-16])
        assert plaintext == bytes(len(plaintext))

    def finish(self) -> None:
        """Compare the tag."""
        self._cipher.verify(self._tail)


def upload_verified(length: int) -> int:
    """Upload zeros of any length, which must decrypt to that, tag included; return the bytes that were sent."""
    client, server = world()
    checks: list[_ZerosCheck] = []
    server.on_put = lambda metadata: checks.append(_ZerosCheck(metadata))
    server.on_piece = lambda piece: checks[0].update(piece)
    client.put_object(**OBJECT, Body=Zeros(length))
    checks[0].finish()
    return server.received_bytes


def read_in_pieces(format: str, length: int, **options: Any) -> tuple[int, int]:
    """Read an object piece by piece; return the bytes that came, and the growth."""
    kind = {"V2": V2_AES, "V2-CBC": V2_AES_CBC}[format]
    client, _ = world(LargeObject(kind, length), kind, **options)
    body = client.get_object(**OBJECT)["Body"]
    memory = Memory()
    total = sum(map(len, body.iter_chunks(MIB)))
    return total, memory.growth_bytes


def read_delayed(format: str, length: int) -> tuple[int, int]:
    """Do the same with plaintext released as it comes."""
    return read_in_pieces(format, length, enable_delayed_authentication=True)


def download(length: int) -> tuple[int, int]:
    """Download an object into a file; return its size, and the growth."""
    client, _ = world(LargeObject(V2_AES, length))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "target"
        memory = Memory()
        client.download_file(OBJECT["Bucket"], OBJECT["Key"], str(path))
        return path.stat().st_size, memory.growth_bytes


def announced(mode: dict[str, Any], length: int) -> tuple[str, int]:
    """Read an object of which far more is announced than comes; return the error's class, and the growth."""
    large = LargeObject(V2_AES, 100)
    client, server = world(large, **mode)
    headers = {f"x-amz-meta-{name}": text for name, text in large.metadata.items()}
    server.others["name"] = ({**headers, "ETag": '"etag"', "Content-Length": str(length)}, io.BytesIO(bytes(100)))
    memory = Memory()
    return _ending(lambda: client.get_object(**OBJECT)["Body"].read()), memory.growth_bytes


def read_endless(mode: dict[str, Any], limit: int) -> tuple[str, int, int]:
    """Read an object whose body has no length and no end; GCM's limit, beyond which no object can be, is made smaller.

    Return the error's class, the growth, and how much was read.
    """
    ciphers.GcmDecryptor.max_input_bytes = limit
    large = LargeObject(V2_AES, 100)
    client, server = world(large, **mode)
    headers = {f"x-amz-meta-{name}": text for name, text in large.metadata.items()}
    body = Counted(bytes, 64 * limit)
    server.others["name"] = ({**headers, "ETag": '"etag"'}, body)
    memory = Memory()

    def read() -> None:
        for _ in client.get_object(**OBJECT)["Body"].iter_chunks(MIB):
            pass

    return _ending(read), memory.growth_bytes, body.read_bytes


def _ending(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return "nothing"


class Counted(io.RawIOBase):
    """A body that counts what is read of it."""

    def __init__(self, make: Callable[[int], bytes], length: int) -> None:
        super().__init__()
        self.read_bytes = 0
        self._make, self._left = make, length

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        piece = self._make(self._left if size is None or size < 0 else min(size, self._left))
        self._left -= len(piece)
        self.read_bytes += len(piece)
        return piece


BOMBS: dict[str, Callable[[int], bytes]] = {
    "blanks": lambda size: b" " * size,
    "deep": lambda size: b"[" * size,
    "keys": lambda size: (b'{"x-amz-key-v2":"' + b'a","b":"' * (size // 8 + 1))[:size],
    "digits": lambda size: (b'{"a":' + b"9" * size)[:size],
}


def read_with_bomb(bomb: str, length: int) -> tuple[str, int, int]:
    """Read an object whose instruction file is a bomb; return the error, the growth, and how much of it was read."""
    client, server = world()
    body = Counted(BOMBS[bomb], length)
    server.others[".instruction"] = ({"Content-Length": str(length), "ETag": '"file"'}, body)
    server.others["name"] = ({"Content-Length": "16", "ETag": '"etag"'}, io.BytesIO(bytes(16)))
    memory = Memory()
    return _ending(lambda: client.get_object(**OBJECT)), memory.growth_bytes, body.read_bytes


def read_with_metadata(size: int) -> tuple[str, int]:
    """Read an object with an envelope of such a size; return the error, and the growth."""
    large = LargeObject(V2_AES, 100)
    client, _ = world(large)
    large.metadata["x-amz-matdesc"] = json.dumps({str(number): "" for number in range(size // 8)})
    memory = Memory()
    return _ending(lambda: client.get_object(**OBJECT)), memory.growth_bytes


def put_and_get_many(count: int) -> int:
    """Put and get many small objects with one client; return the growth of the second half over the first."""
    client, _ = world(LargeObject(V2_AES, 100))

    def both(times: int) -> None:
        for _ in range(times):
            client.put_object(**OBJECT, Body=b"small")
            client.get_object(**OBJECT)["Body"].read()

    both(count // 2)
    memory = Memory()
    both(count // 2)
    return memory.growth_bytes
