"""Import paths of AWS's own Python client."""

from ._compat.aws import InstructionFileConfig

__all__ = ["InstructionFileConfig"]
