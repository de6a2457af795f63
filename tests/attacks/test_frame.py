"""The frame of the attacks does what it is for: every row has a test, and a leak is found."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from support.encoder import AES_KEY, V2_AES

from s3_encryption._envelope.formats import Envelope
from s3_encryption._keys.raw import AesKeyring
from s3_encryption.exceptions import S3EncryptionClientError

from .bucket import Bucket
from .rows import ALL_ROWS, ROWS, rows_in_name, rows_tested
from .witness import MARKER, Witness

SECRET = bytes.fromhex("c0ffee15900d5eedfeedfacecafebeef")


@pytest.mark.parametrize("table", ROWS)
def test_every_row_has_a_test(table: str) -> None:
    """No row of the catalogue is without a test that names it."""
    of_table = {row for row in ALL_ROWS if row.startswith(table)}
    assert sorted(of_table - rows_tested()) == []


def test_rows_of_tests_are_in_the_catalogue() -> None:
    """A test that names a row which isn't there has a mistake in its name."""
    here = {row for path in Path(__file__).parent.glob("test_*.py") for row in _named_in(path)}
    assert sorted(here - ALL_ROWS) == []


def _named_in(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    names = [line.split()[1].partition("(")[0] for line in lines if line.startswith("def test_")]
    return [row for name in names for row in rows_in_name(name)]


def test_row_of_a_name_is_understood() -> None:
    """A name may begin with several rows; what looks like one later on is not one."""
    assert rows_in_name("test_ct_05_ct_07_cut_object_is_refused") == ["CT-05", "CT-07"]
    assert rows_in_name("test_b6_01_text") == ["B6-01"]
    assert rows_in_name("test_object_ct_05_is_refused") == []


# --- the witness ------------------------------------------------------------------------------------------------------


@pytest.fixture
def inner(tmp_path: Path) -> Witness:
    """Return a witness that knows one more secret than the one that watches all tests."""
    directory = tmp_path / "inner"
    directory.mkdir()
    witness = Witness(directory)
    witness.keys.add(SECRET)
    return witness


class _TalkativeError(S3EncryptionClientError):
    pass


def _log(witness: Witness) -> None:
    logging.getLogger("botocore.anything").debug("answer: %s", {"Plaintext": SECRET})


def _log_exception(witness: Witness) -> None:
    try:
        raise ValueError(SECRET.hex())
    except ValueError:
        logging.getLogger().exception("went wrong")


def _raise(witness: Witness) -> None:
    with pytest.raises(_TalkativeError):
        raise _TalkativeError(f"the key was {SECRET!r}")


def _raise_from(witness: Witness) -> None:
    try:
        raise ValueError(SECRET.hex())
    except ValueError as cause:
        with pytest.raises(_TalkativeError):
            raise _TalkativeError("nothing to see here") from cause


def _show(witness: Witness) -> None:
    AesKeyring(AES_KEY, wrapping_algorithm="AES/GCM", material_description={"key": SECRET.hex()})
    witness._note_object(SECRET)


def _leave_file(witness: Witness) -> None:
    (witness.directory / "temporary" / "spool").write_bytes(b"before" + SECRET + b"after")


LEAKS: dict[str, Callable[[Witness], None]] = {
    "log": _log,
    "logged-exception": _log_exception,
    "exception": _raise,
    "cause": _raise_from,
    "repr": _show,
    "file": _leave_file,
}


@pytest.mark.parametrize("leak", LEAKS)
def test_planted_leak_is_found(leak: str, inner: Witness) -> None:
    """Wherever a secret comes to light, the test fails in which it does."""
    with inner:
        LEAKS[leak](inner)
    with pytest.raises(AssertionError, match="secrets are in"):
        inner.check()


def test_harmless_things_are_no_leak(inner: Witness) -> None:
    """What shows no secret does not fail."""
    with inner:
        logging.getLogger("botocore.anything").debug("answer: %s", {"CiphertextBlob": b"123"})
        (inner.directory / "temporary" / "spool").write_bytes(bytes(1000))
    inner.check()


def test_plaintext_may_be_where_the_test_wants_it(inner: Witness) -> None:
    """A file that the caller asked for holds plaintext; a key in it would still be a leak."""
    target = inner.directory / "target"
    target.write_bytes(MARKER)
    with pytest.raises(AssertionError, match="target"):
        inner.check()
    inner.plaintext_files.add(target)
    inner.check()
    target.write_bytes(SECRET)
    with pytest.raises(AssertionError, match="target"):
        inner.check()
    target.unlink()


def test_data_keys_of_reads_and_writes_are_known(bucket: Bucket, witness: Witness) -> None:
    """The witness has every data key that the library used, and saw its log and its objects."""
    data_key = bucket.encoder.random_bytes(32)
    bucket.write(V2_AES, data_key=data_key)
    client = bucket.client(V2_AES)
    before = len(witness.keys)
    assert bucket.read(client) == MARKER
    assert data_key in witness.keys
    client.put_object(**bucket.world.object_at(), Body=MARKER)
    assert len(witness.keys) == before + 2
    seen = "\n".join(witness.texts)
    assert "botocore.endpoint" in seen
    assert Envelope.__name__ in seen
    assert "AesKeyring(256-bit key" in seen
