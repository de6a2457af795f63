"""Sees what a test makes known: log records, exceptions, texts of objects, files. No key and no plaintext may be there.

Data keys are caught where the library makes or unwraps them; the master keys of the tests and their plaintext marker
are known beforehand.
"""

from __future__ import annotations

import functools
import logging
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from support.secret_search import showing, texts_of_error
from support.vectors import AES_KEYS, RSA_KEY

from s3_encryption import _sealer as sealer
from s3_encryption import client
from s3_encryption._crypto.content import ContentKey
from s3_encryption._envelope import formats as envelope
from s3_encryption._keys import keyring, kms, multi, raw
from s3_encryption.exceptions import S3EncryptionClientError

# 61 bytes: not a whole number of blocks. Plaintext of attacks is this, or has it at the places that matter.
MARKER = b"attack at dawn: nobody but the reader may ever see these word"

# Prime factors and exponent give the private key away; the modulus is public.
MASTER_SECRETS = frozenset(
    [
        *AES_KEYS.values(),
        *(n.to_bytes((n.bit_length() + 7) // 8, "big") for n in (int(RSA_KEY.d), int(RSA_KEY.p), int(RSA_KEY.q))),
    ]
)

_CLIENT_METHODS = (
    "_make_api_call",
    "upload_file",
    "upload_fileobj",
    "download_file",
    "download_fileobj",
    "copy",
    "open",
)
_SHOWN_CLASSES = (
    client.S3EncryptionClient,
    sealer.ObjectSealer,
    sealer.SealedObject,
    envelope.Envelope,
    keyring.WrappedDataKey,
    keyring.DataKey,
    raw.AesKeyring,
    raw.RsaKeyring,
    kms.KmsKeyring,
    multi.MultiKeyring,
    ContentKey,
)
# Left out: the names of events and of their handlers, ten for each call, with nothing of what is passed to them.
_LEVELS = {None: logging.DEBUG, "botocore.hooks": logging.INFO}
# Botocore logs whole bodies; of such a text the ends are kept, where plaintext would begin and end.
_KEPT_CHARACTERS = 8 * 1024


class Witness(logging.Handler):
    """Watches from ``__enter__`` to ``__exit__``; ``check`` fails if it has seen a secret.

    Args:
        directory: The files under it are searched, and temporary files are put there.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(logging.DEBUG)
        self.directory = directory
        self.keys: set[bytes] = set(MASTER_SECRETS)
        # Half of a block is a leak, too.
        self.plaintexts: set[bytes] = {MARKER[start : start + 12] for start in range(0, 48, 12)}
        # Files that hold plaintext because the test wanted it there.
        self.plaintext_files: set[Path] = set()
        self.texts: dict[str, None] = {}
        self._last_error: BaseException | None = None
        self._levels: dict[logging.Logger, int] = {}
        self._patch = pytest.MonkeyPatch()

    # --- watching -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Witness:
        temporary = self.directory / "temporary"
        temporary.mkdir()
        self._patch.setattr(tempfile, "tempdir", str(temporary))
        self._watch_errors()
        for shown in _SHOWN_CLASSES:
            self._after(shown, "__init__", self._note_object)
        self._after(sealer, "derive_committing_key", lambda key, *_: self.keys.add(key))
        for name, level in _LEVELS.items():
            logger = logging.getLogger(name)
            self._levels[logger] = logger.level
            logger.setLevel(level)
        logging.getLogger().addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger().removeHandler(self)
        for logger, level in self._levels.items():
            logger.setLevel(level)
        self._patch.undo()
        self.note_error(None)

    def emit(self, record: logging.LogRecord) -> None:
        """Note a log record, also what its arguments would show."""
        self.note(f"{record.name} {record.getMessage()} {record.args!r}")
        if record.exc_info and record.exc_info[1] is not None:
            self.note(*texts_of_error(record.exc_info[1]))

    def note(self, *texts: str) -> None:
        """Remember texts that came to light."""
        for text in texts:
            is_long = len(text) > 2 * _KEPT_CHARACTERS
            self.texts[text[:_KEPT_CHARACTERS] + text[-_KEPT_CHARACTERS:] if is_long else text] = None

    def note_error(self, error: BaseException | None) -> None:
        """Remember what an exception says. It is looked at when the next one comes: then it has its cause."""
        if error is not self._last_error:
            if self._last_error is not None:
                self.note(*texts_of_error(self._last_error))
            self._last_error = error

    def _note_object(self, thing: Any, *_: Any) -> None:
        self.note(repr(thing), str(thing))
        if isinstance(thing, client.S3EncryptionClient):
            self.note(repr(vars(thing)))
        elif isinstance(thing, ContentKey):
            self.keys.add(thing.key)
        elif isinstance(thing, keyring.DataKey):
            self.keys.add(thing.plaintext)

    def _watch_errors(self) -> None:
        def initialize(error: S3EncryptionClientError, *args: Any) -> None:
            super(S3EncryptionClientError, error).__init__(*args)
            self.note_error(error)

        self._patch.setattr(S3EncryptionClientError, "__init__", initialize, raising=False)
        for name in _CLIENT_METHODS:
            self._patch.setattr(
                client.S3EncryptionClient, name, self._watched(getattr(client.S3EncryptionClient, name))
            )

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except BaseException as error:
                self.note_error(error)
                raise

        return call

    def _after(self, owner: Any, name: str, look: Callable[..., object]) -> None:
        function = getattr(owner, name)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            look(*args)
            return result

        self._patch.setattr(owner, name, call)

    # --- judging ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Fail if a secret is in anything that was seen."""
        self.note_error(None)
        found = showing(self.keys | self.plaintexts, self.texts)
        assert not found, f"secrets are in {len(found)} texts, such as: {found[:3]}"
        leaking = [str(path) for path in self._files() if self._shows(path)]
        assert not leaking, f"secrets are in the files {leaking}"

    def _files(self) -> Iterable[Path]:
        return (path for path in self.directory.rglob("*") if path.is_file())

    def _shows(self, path: Path) -> bool:
        secrets = self.keys if path in self.plaintext_files else self.keys | self.plaintexts
        return bool(showing(secrets, [path.read_bytes().decode("latin-1")]))
