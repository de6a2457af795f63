"""The encrypted multipart uploads of this process that are under way."""

from __future__ import annotations

import threading
from collections import OrderedDict

from .._keys.keyring import Keyring, are_same
from ..exceptions import UnsupportedOperationError
from .upload import Upload

# Uploads that are neither completed nor aborted keep their keys here; the oldest go when there are more.
MAX_OPEN_UPLOADS = 10_000


class OpenUploads:
    """The encrypted multipart uploads of this process that are under way, by where they were started and their ids."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uploads: OrderedDict[tuple[str, str], tuple[Upload, Keyring]] = OrderedDict()

    def add(self, place: tuple[str, str], upload: Upload, keyring: Keyring) -> None:
        """Add one; of too many the oldest go."""
        with self._lock:
            self._uploads[place] = upload, keyring
            while len(self._uploads) > MAX_OPEN_UPLOADS:
                forgotten, _ = self._uploads.popitem(last=False)[1]
                forgotten.abort()
                forgotten.close()

    def find(self, place: tuple[str, str], keyring: Keyring) -> Upload | None:
        """Return the upload of an id; None for one that was not started here, or has ended.

        Raises:
            UnsupportedOperationError: It was started under another key.
            CipherStateError: It was started before the process was forked.
        """
        upload, starter = self._uploads.get(place, (None, keyring))
        if upload is None:
            return None
        upload.check_process()
        if not are_same(starter, keyring):
            raise UnsupportedOperationError(
                "Another client of this process started the multipart upload, with another key or keyring. Go on with "
                "that client, or with one that has the same key."
            )
        return upload

    def forget(self, place: tuple[str, str]) -> None:
        """Forget one, and its key."""
        with self._lock:
            self._uploads.pop(place, None)


# An upload belongs to the process, whichever client started it: its id is known to S3, not to a client.
OPEN_UPLOADS = OpenUploads()
