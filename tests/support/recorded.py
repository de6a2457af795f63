"""What a client sends, recorded at the client: for servers that keep no record."""

from __future__ import annotations

from typing import Any


def requests_of(client: Any, operation: str) -> list[dict[str, str]]:
    """Return a list that will hold the headers of each request of one operation."""
    seen: list[dict[str, str]] = []

    def note(request: Any, **kwargs: Any) -> None:
        text = {str(name).lower(): value for name, value in request.headers.items()}
        seen.append({name: value.decode() if isinstance(value, bytes) else str(value) for name, value in text.items()})

    client.meta.events.register(f"before-send.s3.{operation}", note)
    return seen


def calls_of(client: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return a list that will hold operation and parameters of each call that goes out."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def note(model: Any, params: dict[str, Any], **kwargs: Any) -> None:
        seen.append((model.name, dict(params)))

    client.meta.events.register("provide-client-params.s3", note)
    return seen
