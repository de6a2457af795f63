"""client.open: an encrypted object as a seekable file."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from support.fake_kms import FakeKms
from support.servers import CHUNKED, WITHOUT_ETAG, changed_headers
from support.worlds import KEY, StrictWorld

from s3_encryption import (
    AesKeyring,
    CommitmentPolicy,
    DecryptionError,
    KmsKeyring,
    LegacyWriteWarning,
    NotEncryptedError,
    UnsupportedOperationError,
)

DATA = random.Random(11).randbytes(3 * 1024 * 1024 + 17)
KMS_KEY_ARN = "arn:aws:kms:us-east-1:111122223333:key/0d990263-018e-4065-a703-eff731de951e"
MODES: dict[str, dict[str, Any]] = {
    "verified": {},
    "verified-on-disk": {"buffer_size": 4096},
    "ranges": {"enable_unauthenticated_ranges": True},
}
FORMATS: dict[str, dict[str, Any]] = {
    "V2": {},
    "V3": {"commitment_policy": CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT},
}

modes = pytest.mark.parametrize("mode", MODES)
formats = pytest.mark.parametrize("format", FORMATS)


def stored(s3: StrictWorld, format: str, mode: str, data: bytes = DATA) -> Any:
    """Store an object, and return a client that reads it in a mode."""
    client = s3.client(**FORMATS[format], **MODES[mode])
    client.put_object(**s3.object_at(), Body=data)
    return client


@formats
@modes
def test_file_behaves_like_one_in_memory(s3: StrictWorld, format: str, mode: str) -> None:
    """Any sequence of seeks and reads gives what the same sequence gives on the plaintext."""
    expected, chance = io.BytesIO(DATA), random.Random(5)
    with stored(s3, format, mode).open(**s3.object_at()) as file:
        for _ in range(60):
            place, size = chance.randrange(len(DATA) + 100), chance.choice([0, 1, 15, 16, 17, 5000, 70_000])
            assert file.seek(place) == expected.seek(place)
            assert file.read(size) == expected.read(size)
            assert file.tell() == expected.tell()
        assert file.seek(-20, io.SEEK_END) == expected.seek(-20, io.SEEK_END)
        assert file.read() == expected.read()


@modes
def test_archives_open_on_it(s3: StrictWorld, mode: str) -> None:
    """The archive readers zipfile and tarfile, which seek, read their members from an encrypted object."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("member", DATA)
    client = stored(s3, "V2", mode, packed.getvalue())
    with client.open(**s3.object_at()) as file, zipfile.ZipFile(file) as archive:
        assert archive.read("member") == DATA
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo("member")
        info.size = len(DATA)
        tar.addfile(info, io.BytesIO(DATA))
    client = stored(s3, "V2", mode, packed.getvalue())
    with client.open(**s3.object_at()) as file, tarfile.open(fileobj=file) as tar:
        member = tar.extractfile("member")
        assert member is not None
        assert member.read() == DATA


@pytest.mark.parametrize("mode", ["verified", "verified-on-disk"])
def test_changed_object_yields_no_byte(s3: StrictWorld, mode: str) -> None:
    """Without the switch for ranges, the first read verifies the whole object, wherever it reads."""
    client = stored(s3, "V2", mode)
    plain = s3.plain.get_object(**s3.object_at())
    body = bytearray(plain["Body"].read())
    body[-1] ^= 1
    s3.plain.put_object(**s3.object_at(), Body=bytes(body), Metadata=plain["Metadata"])
    with client.open(**s3.object_at()) as file:
        file.seek(1000)
        with pytest.raises(DecryptionError):
            file.read(1)


@modes
@pytest.mark.parametrize("bytes_more", [-1000, -1, 1, 16])
def test_length_that_the_head_forges_is_no_length(s3: StrictWorld, mode: str, bytes_more: int) -> None:
    """RG-04: a forged length neither cuts the plaintext off nor adds the decrypted tag to it."""
    client = stored(s3, "V2", mode)
    forged = changed_headers(Content_Length=str(len(DATA) + 16 + bytes_more))
    s3.server.script(forged, method="HEAD", path_end="name.txt")
    with client.open(**s3.object_at()) as file, pytest.raises((DecryptionError, client.exceptions.ClientError)):
        file.read()


@pytest.mark.parametrize("mode", ["verified", "verified-on-disk"])
@pytest.mark.parametrize("place", [0, 2000])
@pytest.mark.parametrize("kept", [16, 116])
def test_cut_object_is_never_an_empty_file(s3: StrictWorld, mode: str, kept: int, place: int) -> None:
    """Also that there is nothing to read is said after verification only."""
    client = stored(s3, "V2", mode, DATA[:3000])
    path = f"/{s3.bucket}/{KEY}"
    s3.server.objects[path] = replace(s3.server.objects[path], body=s3.body_stored()[:kept], checksums={})
    with client.open(**s3.object_at()) as file:
        file.seek(place)
        with pytest.raises(DecryptionError):
            file.read()


def test_plaintext_object_opens_where_it_may_be_read(s3: StrictWorld) -> None:
    """With ``allow_plaintext_reads`` a file of what is stored is opened, and only what is read is fetched."""
    s3.plain.put_object(**s3.object_at(), Body=DATA)
    with pytest.raises(NotEncryptedError, match="allow_plaintext_reads"):
        s3.client().open(**s3.object_at())
    with s3.client(allow_plaintext_reads=True).open(**s3.object_at()) as file:
        file.seek(-10, io.SEEK_END)
        assert file.read() == DATA[-10:]
        file.seek(5)
        assert file.read(7) == DATA[5:12]
        file.seek(0)
        assert file.read() == DATA


@formats
@modes
def test_length_that_a_head_does_not_tell_is_asked_for(s3: StrictWorld, format: str, mode: str) -> None:
    """Where a proxy takes the length out of the answer to a head, a range tells it."""
    client = stored(s3, format, mode)
    s3.server.script(CHUNKED, method="HEAD")
    with client.open(**s3.object_at()) as file:
        file.seek(-20, io.SEEK_END)
        assert file.read() == DATA[-20:]


@pytest.mark.parametrize("argument", [{"Range": "bytes=0-9"}, {"PartNumber": 1}])
def test_part_of_an_object_is_not_opened(s3: StrictWorld, argument: dict[str, Any]) -> None:
    """A file is the whole object; what selects a part is refused before anything is sent."""
    client = stored(s3, "V2", "ranges")
    s3.forget()
    with pytest.raises(UnsupportedOperationError, match="seek"):
        client.open(**s3.object_at(), **argument)
    assert s3.requests == []


@modes
def test_server_without_etags_serves_files(s3: StrictWorld, mode: str) -> None:
    """Then nothing pins the object but its length, and its tag where it is verified."""
    client = stored(s3, "V2", mode)
    s3.server.script(WITHOUT_ETAG, method="HEAD")
    s3.server.script(WITHOUT_ETAG, method="GET", times=10)
    with client.open(**s3.object_at()) as file:
        assert file.read() == DATA


@modes
def test_data_key_is_unwrapped_once(s3: StrictWorld, mode: str) -> None:
    """However much is read and sought, KMS is asked once for a file."""
    kms = FakeKms()
    client = s3.client(keyring=KmsKeyring(kms, KMS_KEY_ARN), **MODES[mode])
    client.put_object(**s3.object_at(), Body=DATA)
    with client.open(**s3.object_at()) as file:
        for place in (2_900_000, 0, 1_500_000):
            file.seek(place)
            assert file.read(10) == DATA[place : place + 10]
    assert kms.count("decrypt") == 1


def test_reading_the_rest_is_one_request(s3: StrictWorld) -> None:
    """What is left of an object comes as one range, and not as hundreds of small ones."""
    client = stored(s3, "V2", "ranges")
    with client.open(**s3.object_at()) as file:
        s3.forget()
        assert file.read() == DATA
    assert len(s3.requests) == 1


def test_object_replaced_while_open_is_an_error(s3: StrictWorld) -> None:
    """A file is one object: what is put in its place is not read as if it were the same."""
    client = stored(s3, "V2", "ranges")
    with client.open(**s3.object_at()) as file:
        assert file.read(1) == DATA[:1]
        client.put_object(**s3.object_at(), Body=DATA[::-1])
        file.seek(2_900_000)
        with pytest.raises(client.exceptions.ClientError, match=r"412|PreconditionFailed"):
            file.read(1)


def test_long_legacy_object_is_refused(s3: StrictWorld) -> None:
    """A CBC object is opened when its plaintext fits into memory, and refused with the reason when it does not."""
    options: dict[str, Any] = {
        "enable_legacy_wrapping_algorithms": True,
        "enable_legacy_unauthenticated_modes": True,
    }
    keyring = AesKeyring(b"legacy key, of thirty-two bytes.", wrapping_algorithm="AESWrap")
    with pytest.warns(LegacyWriteWarning):
        writer = s3.client(keyring=keyring, enable_legacy_writes=True, content_algorithm="AES/CBC/PKCS5Padding")
    writer.put_object(**s3.object_at(), Body=DATA)
    with s3.client(keyring=keyring, **options).open(**s3.object_at()) as file:
        file.seek(100)
        assert file.read(7) == DATA[100:107]
    with pytest.raises(UnsupportedOperationError, match="buffer_size"):
        s3.client(keyring=keyring, buffer_size=1000, **options).open(**s3.object_at())
