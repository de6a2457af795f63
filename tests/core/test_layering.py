"""The layers of the package: imports point down, without a circle, and the core knows nothing of boto."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.core_process import run_core

PACKAGE = Path(__file__).resolve().parent.parent.parent / "s3_encryption"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))

# From the bottom up: each may import those before it. All other modules are the skin, where boto is.
CORE = (
    "exceptions",
    "algorithms",
    "memory",
    "ciphers",
    "polynomials",
    "ghash",
    "segments",
    "parts",
    "short_gcm",
    "keywrap",
    "keyrings",
    "fields",
    "envelope",
    "engine",
    "ranges",
)
BOTO = frozenset({"boto3", "botocore", "s3transfer"})
MAY_IMPORT_CRYPTO = frozenset({"ciphers", "ghash", "keywrap", "short_gcm"})

all_modules = pytest.mark.parametrize("module", MODULES)
core_modules = pytest.mark.parametrize("module", CORE)


def imported_names(module: str) -> Iterator[str]:
    """Return the full name of each module that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level <= 1
            base = ["s3_encryption"] if node.level else []
            if node.module:
                yield ".".join([*base, node.module])
            else:
                yield from (".".join([*base, alias.name]) for alias in node.names)


def imported_packages(module: str) -> set[str]:
    """Return the top-level packages that a module imports."""
    return {name.partition(".")[0] for name in imported_names(module)}


def imported_siblings(module: str) -> set[str]:
    """Return the modules of this package that a module imports."""
    return {name.split(".")[1] for name in imported_names(module) if name.startswith("s3_encryption.")}


def test_core_is_complete() -> None:
    """Every layer named here exists, and the walk sees the imports that are there."""
    assert set(CORE) <= set(MODULES)
    assert imported_siblings("engine") >= {"algorithms", "ciphers", "envelope", "keyrings"}
    assert imported_packages("ciphers") >= {"Crypto", "hashlib", "s3_encryption"}
    assert imported_packages("client") & BOTO


@core_modules
def test_core_imports_point_down(module: str) -> None:
    """A module of the core imports lower layers only: neither a higher one, nor the skin, nor the package itself."""
    assert imported_siblings(module) <= set(CORE[: CORE.index(module)])
    assert "s3_encryption" not in imported_names(module)


@core_modules
def test_core_does_not_know_boto(module: str) -> None:
    """Bytes and dicts in, bytes and dicts out: no import of boto3, botocore or s3transfer, not even for types."""
    assert not imported_packages(module) & BOTO


@all_modules
def test_only_the_ciphers_import_crypto(module: str) -> None:
    """Cryptography is in three modules, and whoever reviews it need not look elsewhere."""
    if module not in MAY_IMPORT_CRYPTO:
        assert "Crypto" not in imported_packages(module)


def test_imports_have_no_circle() -> None:
    """Taking away modules that import nothing left, again and again, leaves none."""
    left = {module: imported_siblings(module) - {"__init__"} for module in MODULES}
    assert all(siblings <= set(MODULES) for siblings in left.values())
    while left:
        leaves = {module for module, siblings in left.items() if not siblings & left.keys()}
        assert leaves, f"a circle of imports among {sorted(left)}"
        left = {module: siblings for module, siblings in left.items() if module not in leaves}


@all_modules
def test_run_time_dependencies_are_few(module: str) -> None:
    """Nothing is imported but the standard library, boto and pycryptodome."""
    types_only = {"mypy_boto3_s3", "typing_extensions"}
    assert imported_packages(module) - types_only <= {"s3_encryption", "Crypto"} | BOTO | sys.stdlib_module_names


def test_core_works_without_boto() -> None:
    """The core seals and opens an object in an interpreter where boto can't be imported."""
    ended = run_core(
        """
from s3_encryption.engine import Engine
from s3_encryption.envelope import emit, parse
from s3_encryption.keyrings import AesKeyring
from s3_encryption import ghash, ranges
engine = Engine(keyring=AesKeyring(b"k" * 32))
sealed = engine.seal()
decryptor = engine.open(parse(emit(sealed.envelope))).decryptor()
decryptor.update(sealed.content_key.encrypt(b"content"))
print(decryptor.finalize().decode())
"""
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "content\n", "")


def test_core_tests_do_not_import_boto() -> None:
    """The tests of the core need no boto either, so they run in seconds."""
    for path in Path(__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & (BOTO | {"moto"}), path.name


def test_subpackages_hold_names_only() -> None:
    """What is below the package's own modules repeats names for code written elsewhere, and nothing else."""
    paths = sorted(PACKAGE.glob("*/*.py"))
    assert paths
    for path in paths:
        docstring, *statements, names = ast.parse(path.read_text("utf-8")).body
        assert isinstance(docstring, ast.Expr)
        assert isinstance(names, ast.Assign)
        assert all(isinstance(statement, ast.ImportFrom) and statement.level == 2 for statement in statements), path
