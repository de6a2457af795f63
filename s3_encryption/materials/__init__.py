"""Import paths of AWS's own Python client."""

from ..algorithms import CommitmentPolicy
from ..aws_form import AlgorithmSuite, DefaultCryptoMaterialsManager, KmsKeyring

__all__ = ["AlgorithmSuite", "CommitmentPolicy", "DefaultCryptoMaterialsManager", "KmsKeyring"]
