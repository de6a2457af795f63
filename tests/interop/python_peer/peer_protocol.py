"""What every Python peer of the interoperability matrix shares: its keys and the request loop.

A peer names its cells (`format@location`), hands two functions to `serve`, and is done. Standard
library only, because it runs inside the peers' own environments.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

ENDPOINT = os.environ["INTEROP_ENDPOINT"]


@dataclass(frozen=True)
class Keys:
    """The master keys that all participants share."""

    kms_key_id: str
    aes: bytes
    rsa_private_der: bytes
    rsa_public_der: bytes


@dataclass(frozen=True)
class Request:
    """One put or get, as the runner asked for it."""

    format: str
    location: str
    bucket: str
    key: str
    body: bytes = b""
    context: dict[str, str] = field(default_factory=dict)


def load_keys() -> Keys:
    """Return the keys of the file that INTEROP_KEYS names."""
    with open(os.environ["INTEROP_KEYS"], encoding="utf-8") as file:
        raw = json.load(file)
    return Keys(
        kms_key_id=raw["kms_key_id"],
        aes=bytes.fromhex(raw["aes256"]),
        rsa_private_der=base64.b64decode(raw["rsa2048_pkcs8_der"]),
        rsa_public_der=base64.b64decode(raw["rsa2048_spki_der"]),
    )


def versions(*distributions: str) -> str:
    """Return the installed versions as one line of text."""
    return ", ".join(f"{name} {version(name)}" for name in distributions)


def cells(formats: Iterable[str], *locations: str) -> list[str]:
    """Return each format at each location, `metadata` when no location is given."""
    return [f"{name}@{place}" for name in formats for place in locations or ("metadata",)]


def serve(
    *,
    peer: str,
    version: str,
    writes: list[str],
    reads: list[str],
    put: Callable[[Request], None],
    get: Callable[[Request], bytes],
) -> None:
    """Answer requests from stdin, one JSON line each, until its end."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # A library that prints must not break the protocol.

    def emit(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    def do_put(request: Request) -> dict[str, Any]:
        put(request)
        return {"ok": True}

    def do_get(request: Request) -> dict[str, Any]:
        return {"ok": True, "body": base64.b64encode(get(request)).decode("ascii")}

    operations = {"put": (do_put, writes), "get": (do_get, reads)}

    def answer(line: str) -> dict[str, Any]:
        message = json.loads(line)
        operation, known_cells = operations[message["op"]]
        request = Request(
            format=message["format"],
            location=message["location"],
            bucket=message["bucket"],
            key=message["key"],
            body=base64.b64decode(message.get("body", "")),
            context=message.get("context", {}),
        )
        if f"{request.format}@{request.location}" not in known_cells:
            raise ValueError(f"no {message['op']} of {request.format}@{request.location}")
        return operation(request)

    emit({"peer": peer, "version": version, "writes": writes, "reads": reads})
    for line in sys.stdin:
        try:
            emit(answer(line))
        except Exception as error:  # The peer reports every failure and goes on.
            emit({"ok": False, "error": f"{type(error).__name__}: {error}"})
