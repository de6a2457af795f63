"""What somebody else on the machine, in its logs or in its memory could find. See also ``witness``: it looks always.

That logs and texts of objects show no secret, and that keys can't be pickled, is tested by LK-01 to LK-07 elsewhere.
"""

from __future__ import annotations

import gc
import re
import traceback
from pathlib import Path
from typing import Any

import pytest
from support import child_process
from support.encoder import V2_AES, V3_AES, Kind
from support.secret_search import showing
from support.worlds import StrictWorld

from s3_encryption import S3EncryptionClient
from s3_encryption._crypto.content import ContentKey
from s3_encryption._keys.keyring import DataKey
from s3_encryption.exceptions import DecryptionError

from .bucket import Bucket, spoilt_objects
from .witness import MARKER, MASTER_SECRETS, Witness

ROOT = Path(__file__).resolve().parent.parent.parent
DATA_KEY = bytes.fromhex("5ec2e7" * 10 + "da7a")

# --- errors as error trackers see them --------------------------------------------------------------------------------


@spoilt_objects
def test_lk_05_message_and_stack_of_an_error_show_no_secret(spoilt: str, bucket: Bucket, witness: Witness) -> None:
    """What Python prints of an error, and of all behind it, has neither keys nor plaintext."""
    kind = bucket.write_spoilt(spoilt, data_key=DATA_KEY)
    error = bucket.refused(bucket.client(kind), DecryptionError, kms_calls=1)
    printed = "".join(traceback.TracebackException.from_exception(error).format())
    # The source lines of this file are in it, and MARKER's name with them, but not its text.
    assert showing([DATA_KEY, MARKER, *MASTER_SECRETS], [printed, *map(repr, error.args)]) == []


@spoilt_objects
def test_lk_05_error_trackers_that_record_variables_find_no_key(spoilt: str, bucket: Bucket) -> None:
    """The variables of the frames that an error went through hold keys only within objects that don't show them."""
    kind = bucket.write_spoilt(spoilt, data_key=DATA_KEY)
    error = bucket.refused(bucket.client(kind), DecryptionError, kms_calls=1)
    recorded = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "s3_encryption" in recorded
    # MARKER is in this test's own frames.
    assert showing([DATA_KEY, *MASTER_SECRETS], [recorded]) == []


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["put", "get", "upload", "download"])
def test_lk_08_only_the_files_that_must_be_are_written(
    way: str, s3: StrictWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download writes the target, under its temporary name; a read the spool, without a name; an upload nothing."""
    temporary, directory = tmp_path / "spools", tmp_path / "files"
    for made in (temporary, directory):
        made.mkdir()
    (directory / "source").write_bytes(bytes(9 * 2**20))
    s3.client().put_object(**s3.object_at(), Body=bytes(9 * 2**20))
    monkeypatch.setenv("TMPDIR", str(temporary))
    opened = child_process.run("attacks.processes:files_opened", way, s3.url, str(directory))
    written = {path for path, how in opened if how == "write"}
    allowed = {"get": re.escape(str(temporary)) + "(/.*)?", "download": re.escape(str(directory)) + r"/target\.\w{8}"}
    assert all(re.fullmatch(allowed.get(way, "no file"), path) for path in written)
    assert bool(written) == (way in allowed)
    assert list(temporary.iterdir()) == []
    assert {path.name for path in directory.iterdir()} == {"source", *(["target"] if way == "download" else [])}


# --- memory -----------------------------------------------------------------------------------------------------------


def keys_alive() -> int:
    """Return how many keys of single objects there are in this process."""
    gc.collect()
    return sum(issubclass(type(thing), (ContentKey, DataKey)) for thing in gc.get_objects())


@pytest.mark.parametrize("kind", [V2_AES, V3_AES], ids=str)
def test_lk_10_keys_of_objects_live_no_longer_than_they_are_used(kind: Kind, bucket: Bucket) -> None:
    """After a write, a read and an aborted upload nothing holds their keys. Wiping them is beyond Python."""
    client = bucket.writer(kind)
    before = keys_alive()
    client.put_object(**bucket.world.object_at(), Body=MARKER)
    assert bucket.read(client) == MARKER
    named = {
        **bucket.world.object_at(),
        "UploadId": client.create_multipart_upload(**bucket.world.object_at())["UploadId"],
    }
    assert keys_alive() > before
    client.abort_multipart_upload(**named)
    assert keys_alive() == before


# --- what is documented -----------------------------------------------------------------------------------------------


def pages() -> dict[str, str]:
    """Return the text of every page and every example."""
    found = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.py")]
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in found}


def test_lk_10_lk_13_limits_of_memory_are_documented() -> None:
    """That memory, core dumps and swap of the process hold keys is said, in the README and where security is."""
    assert re.search(r"Memory and swap.*Python can't wipe", pages()["README.md"], re.DOTALL)
    assert re.search(r"Python can't wipe them.*core\s+dumps and swap", pages()["docs/security.md"], re.DOTALL)


HARD_CODED = {
    "key in bytes": r"_key\s*=\s*b[\"']",
    "key in hex": r"[\"'][0-9a-fA-F]{32,}[\"']",
    "key in base64": r"[\"'][A-Za-z0-9+/]{42,}={0,2}[\"']",
    "private key": r"BEGIN (RSA |EC )?PRIVATE KEY",
    "AWS key": r"AKIA[0-9A-Z]{12,}",
    "key in a log": r"(print|log\w*\.\w+|logging\.\w+)\([^)\n]*\b(aes_key|data_key|plaintext_key|rsa_key|secret)\b",
}


@pytest.mark.parametrize("what", HARD_CODED)
def test_lk_14_examples_and_pages_hard_code_and_log_no_key(what: str) -> None:
    """Who copies from the guide or the examples gets a key that is drawn, read from somewhere, or in KMS."""
    found = {name: re.findall(HARD_CODED[what], text) for name, text in pages().items()}
    assert {name: matches for name, matches in found.items() if matches} == {}


def test_lk_07_nothing_of_a_client_becomes_json(bucket: Bucket) -> None:
    """What turns objects into JSON or dictionaries by their attributes meets no key."""
    client: Any = bucket.client(V2_AES)
    assert isinstance(client, S3EncryptionClient)
    assert showing(MASTER_SECRETS, [repr(vars(client)), str(client.__dict__)]) == []
