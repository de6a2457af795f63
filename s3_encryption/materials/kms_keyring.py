"""Import paths of AWS's own Python client."""

from .._compat.aws import KmsKeyring

__all__ = ["KmsKeyring"]
