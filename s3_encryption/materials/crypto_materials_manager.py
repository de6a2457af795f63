"""Import paths of AWS's own Python client."""

from .._compat.aws import DefaultCryptoMaterialsManager

__all__ = ["DefaultCryptoMaterialsManager"]
