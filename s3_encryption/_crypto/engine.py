"""Which library AES and RSA come from: pycryptodome, which is always there, or OpenSSL where it is installed.

All calls (``primitives.Engine``) give the same bytes and the same errors under either. Who needs them asks
``engine.active``.
"""

from __future__ import annotations

import os

from .primitives import Engine

VARIABLE = "S3_ENCRYPTION_CRYPTO_ENGINE"


def _pycryptodome() -> Engine:
    from ._pycryptodome import Pycryptodome

    return Pycryptodome()


def _openssl() -> Engine:
    from ._openssl import OpenSsl

    return OpenSsl()


ENGINES = {"openssl": _openssl, "pycryptodome": _pycryptodome}


def load(forced: str | None) -> Engine:
    """Return the engine of a name, or for None the best that is there.

    Raises:
        ImportError: There is no such engine, or it is not usable here.
    """
    if forced is None:
        try:
            return _openssl()
        except ImportError:
            return _pycryptodome()
    if forced not in ENGINES:
        raise ImportError(f"{VARIABLE} must be one of {sorted(ENGINES)}, not {forced!r}.")
    return ENGINES[forced]()


active = load(os.environ.get(VARIABLE) or None)


def crypto_engine() -> str:
    """Return which library encrypts: "openssl" or "pycryptodome".

    OpenSSL is taken where the extra ``s3-encryption-client[openssl]`` is installed. The environment variable
    ``S3_ENCRYPTION_CRYPTO_ENGINE`` names one of the two before the first import; if that one can't be used, the import
    fails.
    """
    return active.name
