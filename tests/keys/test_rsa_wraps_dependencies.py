"""What the library stands on: too old a pycryptodome, or PyCrypto under the same name, is refused at import."""

from __future__ import annotations

import pytest
from support.core_process import run_core


@pytest.mark.parametrize(
    ("version", "is_taken"),
    [
        ("(2, 6, 1, 'final', 0)", False),
        ("(3, 23, '0')", False),
        ("(4, 2, '1')", False),
        ("(4, 3, '0')", True),
        ("(4, 10, '0')", True),
        ("(5, 0, '0')", True),
    ],
)
def test_rs_02_cf_08_pycryptodome_without_implicit_rejection_is_refused(version: str, is_taken: bool) -> None:
    """RS-02: versions before 4.3 tell wrong RSA PKCS#1 v1.5 padding from right one, so the import fails and says so."""
    ended = run_core(f"import Crypto; Crypto.version_info = {version}; import s3_encryption._crypto.engine")
    assert (ended.returncode == 0) is is_taken
    assert ("needs pycryptodome 4.3 or newer" in ended.stderr) is not is_taken
