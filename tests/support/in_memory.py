"""Answers a botocore client's requests without a network, so that thousands of reads take seconds."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from urllib3.response import HTTPResponse

from .servers import RecordingServer, Request


def connect(client: Any, server: RecordingServer) -> None:
    """Let a client's requests go straight to a server's ``respond``: all of botocore runs, and no socket."""

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        answer = server.respond(_received(request))
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        raw = HTTPResponse(
            io.BytesIO(b"" if request.method == "HEAD" else answer.body),
            headers=headers,
            status=answer.status,
            request_method=request.method,
            preload_content=False,
        )
        return AWSResponse(request.url, answer.status, raw.headers, raw)

    client.meta.events.register("before-send.s3", send)


def _received(request: AWSPreparedRequest) -> Request:
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    if "aws-chunked" in headers.get("content-encoding", ""):
        raise NotImplementedError("aws-chunked is sent over HTTPS only, which takes a real server")
    body = request.body or b""
    content = bytes(body.read() if hasattr(body, "read") else body)
    url = urlsplit(request.url)
    target = f"{url.path}?{url.query}" if url.query else url.path
    return Request(request.method, target, headers, content, content, {})


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
