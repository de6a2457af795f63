"""Looks for secrets in texts, in whatever spelling they may have got there."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus


def spellings(secret: bytes) -> list[str]:
    """Return how a secret may look in a text: raw, hex, base64, repr, as a list of numbers, as one number."""
    base64s = (base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode())
    texts = [secret.hex(), secret.hex().upper(), *(text.rstrip("=") for text in base64s), repr(secret)[2:-1]]
    return [secret.decode("latin-1"), *texts, ", ".join(map(str, secret)), str(int.from_bytes(secret, "big"))]


def spellings_within(secret: bytes) -> list[bytes]:
    """Return how a secret may look in the middle of something that was encoded as a whole, an upload for instance."""
    # In base64, the letters depend on where in a group of three bytes the secret begins; those at its ends, on others.
    base64s = [base64.b64encode(bytes(before) + secret).rstrip(b"=")[4:-2] for before in range(3)]
    urlsafe = [text.replace(b"+", b"-").replace(b"/", b"_") for text in base64s]
    texts = [spelling.encode("latin-1") for spelling in spellings(secret)]
    quoted = [quote(secret).encode(), quote(secret, safe="").encode(), quote_plus(secret).encode()]
    return list(dict.fromkeys([*texts, *base64s, *urlsafe, *quoted, secret.decode("latin-1").encode("utf-16-le")]))


def showing(secrets: Iterable[bytes], texts: Iterable[str]) -> list[str]:
    """Return the texts, cut, that hold one of the secrets in some spelling."""
    texts = list(texts)
    everything = "\n".join(texts)
    wanted = [spelling for secret in secrets for spelling in spellings(secret) if spelling in everything]
    return [text[:200] for text in texts if any(spelling in text for spelling in wanted)]


def behind(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those behind it, suppressed or not."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def texts_of_error(error: BaseException) -> list[str]:
    """Return all texts of an exception and of those behind it, without the source lines of a traceback."""
    return [text for link in behind(error) for text in (str(link), repr(link), repr(link.args), repr(vars(link)))]


def chain(error: BaseException) -> list[str]:
    """Return all texts of an exception and of those behind it, and what Python prints of them."""
    return ["".join(traceback.format_exception(error)), *texts_of_error(error)]
