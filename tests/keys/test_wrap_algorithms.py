"""The table of wrapping algorithms."""

from __future__ import annotations

from s3_encryption._keys.kms import KmsKeyring
from s3_encryption._keys.raw import AesKeyring, RsaKeyring
from s3_encryption._keys.wrap_algorithms import WRAP_ALGORITHMS, names_for


def test_every_wrapping_algorithm_belongs_to_a_keyring() -> None:
    """The keyrings share out the table of wrapping algorithms among them, without a rest and without overlap."""
    shares = [KmsKeyring.wrapping_algorithms, AesKeyring.wrapping_algorithms, RsaKeyring.wrapping_algorithms]
    assert sorted(name for share in shares for name in share) == sorted(WRAP_ALGORITHMS)
    assert [names_for(key_type) for key_type in ("kms", "aes", "rsa")] == shares


def test_what_wraps_here_also_unwraps_here() -> None:
    """AES and RSA algorithms have a function for each direction, and those of KMS have none."""
    for algorithm in WRAP_ALGORITHMS.values():
        is_ours = algorithm.key_type != "kms"
        assert (algorithm.wrap is not None, algorithm.unwrap is not None) == (is_ours, is_ours)


def test_names_and_codes_are_told_apart() -> None:
    """No two algorithms share what a format calls them, and V1, which names none, has one for each kind of key."""
    codes = [algorithm.v3_code for algorithm in WRAP_ALGORITHMS.values() if algorithm.v3_code]
    assert codes == ["12", "02", "22"]
    assert [algorithm.key_type for algorithm in WRAP_ALGORITHMS.values() if algorithm.v1] == ["aes", "rsa"]
    assert [name == algorithm.name for name, algorithm in WRAP_ALGORITHMS.items()] == [True] * 8
