"""Import paths of AWS's own Python client."""

from .aws_form import InstructionFileConfig

__all__ = ["InstructionFileConfig"]
