"""Data keys wrapped by another algorithm than the object says, changed, or for another kind of key."""

from __future__ import annotations

from typing import Any

import pytest
from Crypto.Cipher import AES
from Crypto.PublicKey import RSA
from support.encoder import (
    AES_KEY,
    ALL_KINDS,
    RSA_KEY,
    V1_AES,
    V2_AES,
    V2_GCM_KINDS,
    V2_KMS,
    V3_AES,
    V3_KINDS,
    Kind,
    Stored,
    to_base64,
)

from s3_encryption import AesKeyring, RsaKeyring
from s3_encryption._keys import wrap_algorithms as keywrap
from s3_encryption.exceptions import (
    ConfigurationError,
    ConfigurationTypeError,
    DecryptionError,
    InvalidEnvelopeError,
    KeyringMismatchError,
    PolicyError,
)

from . import counts
from .bucket import Bucket, cuts, extensions, fingerprint, flips
from .witness import MARKER

LEGACY: dict[str, Any] = {
    "enable_legacy_wrapping_algorithms": True,
    "enable_legacy_unauthenticated_modes": True,
}
REFUSED = (InvalidEnvelopeError, PolicyError, DecryptionError, KeyringMismatchError)
AES_WRAP = V2_GCM_KINDS[3]

switches = pytest.mark.parametrize("options", [{}, LEGACY], ids=["default", "legacy"])
aes_kinds = pytest.mark.parametrize("kind", [V2_AES, V3_AES, AES_WRAP], ids=str)


@switches
def test_wr_01_wr_02_context_is_not_lost_by_relabelling(options: dict[str, Any], bucket: Bucket) -> None:
    """kms+context that says to be kms is refused before KMS, with the right context, another one, and none."""
    stored = bucket.write(V2_KMS, description={"p": "alpha"})
    bucket.put_changed(stored, "x-amz-wrap-alg", "kms")
    for context in ({"p": "alpha"}, {"p": "beta"}, {}, None):
        params: dict[str, Any] = {} if context is None else {"EncryptionContext": context}
        error = bucket.refused(bucket.client(V2_KMS, **options), (InvalidEnvelopeError, PolicyError), **params)
        assert isinstance(error, InvalidEnvelopeError if options else PolicyError)


def test_wr_01_wrap_of_v3_has_no_older_name(bucket: Bucket) -> None:
    """V3 has no kms: its code is not known, and the field of V2 is not allowed."""
    kind = V3_KINDS[0]
    stored = bucket.write(kind, description={"p": "alpha"})
    for field, text in (("x-amz-w", "11"), ("x-amz-w", "kms"), ("x-amz-wrap-alg", "kms")):
        bucket.put_changed(stored, field, text)
        bucket.refused(bucket.client(kind, **LEGACY), InvalidEnvelopeError, EncryptionContext={"p": "alpha"})


WRAPS = [kind.wrap for kind in V2_GCM_KINDS]
# None: without a name, the data key counts as wrapped by AES/ECB or RSA PKCS#1 v1.5, by its length.
RELABELLED = [(kind, wrap) for kind in V2_GCM_KINDS for wrap in [*WRAPS, None] if wrap != kind.wrap]


@switches
@pytest.mark.parametrize(("kind", "wrap"), RELABELLED, ids=str)
def test_wr_04_wr_05_relabelled_wrap_is_refused(
    kind: Kind, wrap: str | None, options: dict[str, Any], bucket: Bucket
) -> None:
    """No wrap passes for another one, with and without the switches, and no cause tells how far it came."""
    stored = bucket.encoder.write(kind, MARKER)
    bucket.put_changed(stored, "x-amz-wrap-alg", wrap)
    error = bucket.refused(bucket.client(kind, **options), REFUSED)
    assert fingerprint(error)[3:] == (None, None)


V1_RELABELLED = [("AES/ECB", wrap) for wrap in ("AES/GCM", "AESWrap")] + [
    ("RSA/ECB/PKCS1Padding", wrap) for wrap in ("RSA-OAEP-SHA1", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding")
]


@switches
@pytest.mark.parametrize(("wrap", "label"), V1_RELABELLED)
def test_wr_04_wr_05_data_key_of_v1_does_not_pass_for_a_newer_wrap(
    wrap: str, label: str, options: dict[str, Any], bucket: Bucket
) -> None:
    """The way back: what was wrapped as in V1 is no data key of V2."""
    kind = Kind("V1", wrap, "AES/CBC/PKCS5Padding")
    edk = bucket.encoder.wrap(kind, bucket.encoder.random_bytes(32), {})
    labelled = Kind("V2", label, "AES/GCM/NoPadding")
    bucket.write(labelled, edk=edk)
    client = bucket.client(labelled, **{**options, **labelled.switches})
    assert fingerprint(bucket.refused(client, DecryptionError))[3:] == (None, None)


@pytest.mark.parametrize("code", ["12", "02", "22"])
@pytest.mark.parametrize("kind", V3_KINDS, ids=str)
def test_wr_07_code_of_another_kind_of_key_is_refused(kind: Kind, code: str, bucket: Bucket) -> None:
    """In V3 another code is another kind of key, which the keyring is not."""
    stored = bucket.write(kind)
    client = bucket.client(kind)
    if stored.metadata["x-amz-w"] == code:
        assert bucket.read(client) == MARKER
        return
    counts.tried(counts.METADATA_MUTATIONS)
    used = "x-amz-t" if code == "12" else "x-amz-m"
    description = stored.metadata[kind.description_field]
    bucket.put(stored.changed(kind.description_field, None).changed(used, description).changed("x-amz-w", code))
    bucket.refused(client, KeyringMismatchError)


@pytest.mark.parametrize("keyring_kind", [V2_KMS, V2_AES, V2_GCM_KINDS[4]], ids=lambda kind: kind.key_type)
@pytest.mark.parametrize("kind", ALL_KINDS, ids=str)
def test_wr_07_keyring_of_another_kind_is_told_before_any_key_is_used(
    kind: Kind, keyring_kind: Kind, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names both, the wrap and the keyring."""
    bucket.write(kind)
    keyring = bucket.encoder.keyring(keyring_kind)
    client = bucket.world.client(keyring=keyring, **LEGACY)
    if kind.key_type == keyring_kind.key_type:
        assert bucket.read(client) == MARKER
        return
    # Whoever unwrapped would look up how.
    monkeypatch.setattr(keywrap, "WRAP_ALGORITHMS", {})
    error = bucket.refused(client, KeyringMismatchError)
    assert kind.wrap in str(error)
    assert type(keyring).__name__ in str(error)


def with_data_key(kind: Kind, stored: Stored, edk: bytes) -> Stored:
    """Return an object with another encrypted data key."""
    return stored.changed(kind.fields["edk"], to_base64(edk))


@aes_kinds
def test_wr_08_wr_10_every_flipped_bit_of_an_aes_wrap_is_refused(kind: Kind, bucket: Bucket) -> None:
    """Nonce, ciphertext, tag and integrity value: each bit counts, and each failure looks the same."""
    stored = bucket.write(kind)
    edk = stored.decoded(kind.fields["edk"])
    bucket.all_refused(bucket.client(kind), kind, (with_data_key(kind, stored, changed) for changed in flips(edk)))


@aes_kinds
def test_wr_08_wr_10_aes_wrap_of_another_length_is_refused(kind: Kind, bucket: Bucket) -> None:
    """Cut to any length or longer, an encrypted data key ends in the same error; nothing at all is no envelope."""
    stored = bucket.write(kind)
    client = bucket.client(kind)
    edk = stored.decoded(kind.fields["edk"])
    for changes in (cuts(edk, start=1), extensions(edk, 1, 8, 16)):
        bucket.all_refused(client, kind, (with_data_key(kind, stored, changed) for changed in changes))
    bucket.put(with_data_key(kind, stored, b""))
    bucket.refused(client, InvalidEnvelopeError)


def test_wr_11_aes_ecb_wrap_ends_in_the_uniform_error(bucket: Bucket) -> None:
    """Wrong padding, wrong lengths and the blocks of another object's data key end like a wrong content key."""
    ours, other = bucket.write(V1_AES), bucket.write(V1_AES)
    mine, theirs = (stored.decoded("x-amz-key") for stored in (ours, other))
    ecb = AES.new(AES_KEY, AES.MODE_ECB)
    wrong = [
        *(mine[:length] for length in (15, 17, 32, 33, 47)),
        bytes(ecb.encrypt(bytes(47) + b"\x11")),
        bytes(ecb.encrypt(bytes(48))),
        theirs,
        mine[:16] + theirs[16:],
        theirs[:16] + mine[16:],
        mine[16:32] + mine[:16] + mine[32:],
    ]
    bucket.all_refused(bucket.client(V1_AES), V1_AES, (with_data_key(V1_AES, ours, edk) for edk in wrong))
    # More bytes than AES/ECB makes are taken for RSA.
    bucket.put(with_data_key(V1_AES, ours, mine + bytes(16)))
    bucket.refused(bucket.client(V1_AES), KeyringMismatchError)


@pytest.mark.parametrize("kind", [V2_AES, V3_AES, V1_AES, AES_WRAP], ids=str)
def test_wr_08_wr_10_wrap_under_another_key_has_the_same_error(kind: Kind, bucket: Bucket) -> None:
    """A wrong AES key of any size is not told from a changed object."""
    bucket.write(kind)
    refusals = set()
    for key in (AES_KEY[:16], AES_KEY[:24], AES_KEY[::-1]):
        client = bucket.client(kind, keyring=AesKeyring(key))
        refusals.add(fingerprint(bucket.refused(client, DecryptionError)))
    assert len(refusals) == 1


MASTER_KEYS: dict[str, tuple[str, Any, type[ConfigurationError]]] = {
    **{f"aes-{n}-bytes": ("aes_key", b"k" * n, ConfigurationError) for n in (0, 8, 15, 17, 33)},
    "aes-zeros": ("aes_key", bytes(32), ConfigurationError),
    "aes-text": ("aes_key", "k" * 32, ConfigurationTypeError),
    "rsa-512": ("rsa_key", None, ConfigurationError),
    "rsa-number": ("rsa_key", 65537, ConfigurationTypeError),
    "rsa-text": ("rsa_key", "no key", ConfigurationError),
}
# Made once: 1024 bits, and a modulus of 512 bits that is nobody's.
SHORT_RSA_KEYS = (RSA.construct((2**511 + 111, 65537)), RSA.construct((2**1023 + 1155, 65537)))


@pytest.mark.parametrize("name", MASTER_KEYS)
def test_wr_13_unusable_master_key_is_refused_at_construction(name: str, bucket: Bucket) -> None:
    """AES keys have 16, 24 or 32 bytes and are no text, RSA keys at least 2048 bits; nothing is sent before that."""
    option, key, error = MASTER_KEYS[name]
    for candidate in SHORT_RSA_KEYS if key is None else (key,):
        bucket.refused_call(lambda: bucket.world.client(**{option: candidate}), error)  # noqa: B023
    assert bucket.world.requests == []


@pytest.mark.parametrize("kind", [V2_GCM_KINDS[4], V3_KINDS[2]], ids=str)
def test_wr_13_public_key_writes_and_does_not_read(kind: Kind, bucket: Bucket) -> None:
    """What it wrote the private key reads; reading with it alone is refused clearly."""
    public = bucket.writer(kind, keyring=RsaKeyring(RSA_KEY.public_key()))
    public.put_object(**bucket.world.object_at(), Body=MARKER)
    assert "private" in str(bucket.refused(public, KeyringMismatchError))
    assert bucket.read(bucket.client(kind)) == MARKER
