"""The ways in which libraries on top of boto3 write to S3, given a client or a session of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import smart_open
from django.conf import settings
from django.core.files import File
from django.core.files.base import ContentFile
from storages.backends.s3 import S3Storage

from .uploads import MIB
from .worlds import BUCKET, KEY
from .writers import TARGET, Caller, Plaintext, Way, Write, in_both_sizes

if not settings.configured:
    settings.configure()

# --- smart_open -------------------------------------------------------------------------------------------------------


def _smartly(caller: Caller, mode: str, **more: Any) -> Any:
    params = {"client": caller.client, "min_part_size": 5 * MIB, **more}
    return smart_open.open(f"s3://{BUCKET}/{KEY}", mode, transport_params=params, compression="disable")


def _smart_open_bytes(caller: Caller, plaintext: Plaintext) -> None:
    with _smartly(caller, "wb") as file:
        for start in range(0, len(plaintext.content), MIB):
            file.write(plaintext.content[start : start + MIB])


def _smart_open_text(caller: Caller, plaintext: Plaintext) -> None:
    with _smartly(caller, "w") as file:
        file.write(plaintext.content.decode())


def _smart_open_in_one_put(caller: Caller, plaintext: Plaintext) -> None:
    with _smartly(caller, "wb", multipart_upload=False) as file:
        file.write(plaintext.content)


# --- django-storages --------------------------------------------------------------------------------------------------


class _Storage(S3Storage):  # type: ignore[misc]
    """Storage that uses a caller's session."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        connection = dict(caller.connection)
        super().__init__(bucket_name=BUCKET, client_config=connection.pop("config"), **connection)

    def _create_session(self) -> Any:
        return self._caller.session


def _with_storage(write: Callable[[Any, Plaintext], object]) -> Write:
    def call(caller: Caller, plaintext: Plaintext) -> None:
        storage = _Storage(caller)
        write(storage, plaintext)
        caller.kept(storage.connection.meta.client)

    return call


def _save_file(storage: Any, plaintext: Plaintext) -> None:
    with plaintext.path.open("rb") as file:
        assert storage.save(KEY, File(file)) == KEY


def _open_and_write(storage: Any, plaintext: Plaintext) -> None:
    with storage.open(KEY, "wb") as file:
        for start in range(0, len(plaintext.content), MIB):
            file.write(plaintext.content[start : start + MIB])


def _open_and_write_text(storage: Any, plaintext: Plaintext) -> None:
    with storage.open(KEY, "w") as file:
        file.write(plaintext.content.decode())


# --- pandas -----------------------------------------------------------------------------------------------------------


def _frame(plaintext: Plaintext) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(plaintext.content), names=["number", "text"])


def _to_csv(frame: pd.DataFrame, file: Any) -> None:
    frame.to_csv(file, index=False)


def _to_parquet(frame: pd.DataFrame, file: Any) -> None:
    frame.to_parquet(file, compression=None)


def _through_memory(save: Callable[[pd.DataFrame, Any], None]) -> Write:
    def write(caller: Caller, plaintext: Plaintext) -> None:
        file = io.BytesIO()
        save(_frame(plaintext), file)
        caller.client.put_object(**TARGET, Body=file.getvalue())
        file.seek(0)
        caller.client.upload_fileobj(file, BUCKET, KEY)

    return write


def _through_smart_open(save: Callable[[pd.DataFrame, Any], None]) -> Write:
    def write(caller: Caller, plaintext: Plaintext) -> None:
        with _smartly(caller, "wb") as file:
            save(_frame(plaintext), file)

    return write


WAYS: Mapping[str, Way] = {
    **in_both_sizes({"L5-smart_open-bytes": _smart_open_bytes}, large=12 * MIB),
    "L5-smart_open-text": Way(_smart_open_text),
    "L5-smart_open-in-one-put": Way(_smart_open_in_one_put),
    **in_both_sizes({"L3-django-storages-save": _with_storage(_save_file)}),
    "L3-django-storages-save-content": Way(
        _with_storage(lambda storage, plaintext: storage.save(KEY, ContentFile(plaintext.content)))
    ),
    **in_both_sizes({"L4-django-storages-open-and-write": _with_storage(_open_and_write)}),
    "L4-django-storages-open-and-write-text": Way(_with_storage(_open_and_write_text)),
    **in_both_sizes(
        {
            "AL-02-pandas-csv": _through_memory(_to_csv),
            "AL-02-pandas-parquet": _through_memory(_to_parquet),
            "L5-pandas-csv-smart_open": _through_smart_open(_to_csv),
            "L5-pandas-parquet-smart_open": _through_smart_open(_to_parquet),
        }
    ),
}
