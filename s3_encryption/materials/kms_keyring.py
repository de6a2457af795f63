"""Import paths of AWS's own Python client."""

from ..aws_form import KmsKeyring

__all__ = ["KmsKeyring"]
