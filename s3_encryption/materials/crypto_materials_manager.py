"""Import paths of AWS's own Python client."""

from ..aws_form import DefaultCryptoMaterialsManager

__all__ = ["DefaultCryptoMaterialsManager"]
