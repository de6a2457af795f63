"""Import paths of AWS's own Python client."""

from ..algorithms import CommitmentPolicy
from ..aws_form import AlgorithmSuite

__all__ = ["AlgorithmSuite", "CommitmentPolicy"]
