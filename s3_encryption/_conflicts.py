"""Checks of the environment, made when the package is imported, before anything else of it."""

from __future__ import annotations

from importlib import metadata

# Distributions whose import name is s3_encryption too: whichever was installed last has overwritten files of the other.
_SAME_IMPORT_NAME = ("amazon-s3-encryption-client-python", "s3-encryption")


def check() -> None:
    """Check that no other distribution claims this package's import name.

    Raises:
        ImportError: One does.
    """
    for name in _SAME_IMPORT_NAME:
        try:
            metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        raise ImportError(
            f"The distribution {name!r} is installed beside s3-encryption-client. Both use the import name "
            "'s3_encryption' and overwrite each other's files: uninstall both, then install the one that you want."
        )


check()
