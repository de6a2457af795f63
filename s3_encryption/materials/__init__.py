"""Import paths of AWS's own Python client."""

from .._compat.aws import AlgorithmSuite, DefaultCryptoMaterialsManager
from .._compat.aws import AwsKmsKeyring as KmsKeyring
from .._crypto.content import CommitmentPolicy

__all__ = ["AlgorithmSuite", "CommitmentPolicy", "DefaultCryptoMaterialsManager", "KmsKeyring"]
