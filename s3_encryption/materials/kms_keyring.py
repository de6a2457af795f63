"""Import paths of AWS's own Python client."""

from .._compat.aws import AwsKmsKeyring as KmsKeyring

__all__ = ["KmsKeyring"]
