"""The package's files as they are, and the order of its rooms."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent.parent / "s3_encryption"
TESTS = Path(__file__).resolve().parent.parent

# From the bottom up: each may import those before it. A folder is one room; inside it, imports only have no circle.
ROOMS = (
    "exceptions",
    "_version",
    "_conflicts",
    "_checks",
    "_botocore",
    "_crypto",
    "_keys",
    "_envelope",
    "_settings",
    "_sealer",
    "_body",
    "_operations",
    "_transfer",
    "_plain_clients",
    "_compat",
    "_typing",
    "client",
    "session",
    "instruction_file_config",
    "materials",
    "__init__",
)

# Dotted names below the package, of modules; a folder's own __init__ is "folder.__init__".
MODULES = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))


def room_of(module: str) -> str:
    """Return the room that a module is in."""
    return module.partition(".")[0]


def tree_of(module: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text("utf-8"))
