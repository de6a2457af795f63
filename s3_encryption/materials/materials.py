"""Import paths of AWS's own Python client."""

from .._compat.aws import AlgorithmSuite
from .._crypto.content import CommitmentPolicy

__all__ = ["AlgorithmSuite", "CommitmentPolicy"]
