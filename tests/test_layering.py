"""The house: folders in one order, imports that point down without a circle, and a core that knows nothing of boto."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from support.core_process import run_core
from support.house import MODULES, PACKAGE, ROOMS, TESTS, room_of, tree_of
from support.strict_s3 import StrictS3
from support.worlds import served_by

CORE = ("exceptions", "_checks", "_settings", "_crypto", "_keys", "_envelope", "_sealer")
BOTO = frozenset({"boto3", "botocore", "s3transfer"})
# By package: the module that uses it, which is its engine.
CRYPTOGRAPHY = {
    "Crypto": {"_crypto._pycryptodome"},
    "cryptography": {"_crypto._openssl"},
}

# The classes of this package that have a finalizer, be it that of Python's files, which closes them.
CLOSED_BY_PYTHON = sorted(
    {
        thing
        for module in MODULES
        for thing in vars(importlib.import_module(f"s3_encryption.{module}")).values()
        if inspect.isclass(thing) and thing.__module__.startswith("s3_encryption.") and hasattr(thing, "__del__")
    },
    key=lambda made: made.__name__,
)

all_modules = pytest.mark.parametrize("module", MODULES)


def imported_names(module: str) -> Iterator[str]:
    """Yield the full name of each module that a module imports, anywhere in it."""
    folder = ["s3_encryption", *module.split(".")[:-1]]
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) + 1 - node.level] if node.level else []
            named = [*base, *(node.module or "").split(".")] if node.module else base
            for alias in node.names:
                longer = ".".join([*named, alias.name])
                yield longer if longer.removeprefix("s3_encryption.") in MODULES else ".".join(named)


def imported_packages(module: str) -> set[str]:
    """Return the top-level packages that a module imports."""
    return {name.partition(".")[0] for name in imported_names(module)}


def imported_siblings(module: str) -> set[str]:
    """Return the modules of this package that a module imports."""
    names = {name.removeprefix("s3_encryption.") for name in imported_names(module) if name.startswith("s3_encryption")}
    return {name if name in MODULES else f"{name}.__init__" for name in names}


def test_every_room_has_its_place() -> None:
    """The order names every room there is and no other, and the walk sees the imports that are there."""
    assert {room_of(module) for module in MODULES} == set(ROOMS)
    assert imported_siblings("_sealer") >= {"_crypto.content", "_envelope.formats", "exceptions"}
    assert imported_siblings("_envelope.formats") >= {"_envelope.encoding", "_keys.wrap_algorithms"}
    assert imported_packages("client") & BOTO


@all_modules
def test_imports_point_down(module: str) -> None:
    """A module imports lower rooms and its own only, and nothing below ``__init__`` imports the package itself."""
    lower = ROOMS[: ROOMS.index(room_of(module)) + 1]
    assert {room_of(sibling) for sibling in imported_siblings(module)} <= set(lower)


def test_imports_have_no_circle() -> None:
    """Taking away modules that import nothing left, again and again, leaves none."""
    left = {module: imported_siblings(module) for module in MODULES}
    assert all(siblings <= set(MODULES) for siblings in left.values())
    while left:
        leaves = {module for module, siblings in left.items() if not siblings & left.keys()}
        assert leaves, f"a circle of imports among {sorted(left)}"
        left = {module: siblings for module, siblings in left.items() if module not in leaves}


@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) in CORE])
def test_core_does_not_know_boto(module: str) -> None:
    """Bytes and dicts in, bytes and dicts out: no import of boto3, botocore or s3transfer, not even for types."""
    assert not imported_packages(module) & BOTO


@all_modules
def test_only_few_modules_import_crypto(module: str) -> None:
    """Cryptography is in the modules named above, and whoever reviews it need not look elsewhere."""
    for package, modules in CRYPTOGRAPHY.items():
        assert (package in imported_packages(module)) == (module in modules)


@all_modules
def test_run_time_dependencies_are_few(module: str) -> None:
    """Nothing is imported but the standard library, boto and the engines' libraries."""
    types_only = {"mypy_boto3_s3", "typing_extensions"}
    assert imported_packages(module) - types_only <= {"s3_encryption", *CRYPTOGRAPHY} | BOTO | sys.stdlib_module_names


def test_core_works_without_boto() -> None:
    """The core seals and opens an object in an interpreter where boto can't be imported."""
    ended = run_core(
        """
from s3_encryption._sealer import ObjectSealer
from s3_encryption._envelope.formats import emit, parse
from s3_encryption._keys.raw import AesKeyring
from s3_encryption._crypto import ghash
from s3_encryption._settings import Settings
sealer = ObjectSealer(AesKeyring(b"k" * 32), Settings())
sealed = sealer.seal()
decryptor = sealer.open(parse(emit(sealed.envelope))).decryptor()
decryptor.update(sealed.content_key.encrypt(b"content"))
print(decryptor.finalize().decode())
"""
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "content\n", "")


def test_core_tests_do_not_import_boto() -> None:
    """The tests of the core need no boto either, so they run in seconds."""
    folders = [path for folder in ("crypto", "keys", "envelope") for path in (TESTS / folder).glob("*.py")]
    paths = [*folders, *TESTS.glob("test_sealer*.py"), TESTS / "test_exceptions.py"]
    assert len(paths) > len(folders) > 0
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & (BOTO | {"moto"}), path.name


@pytest.mark.parametrize("module", [module for module in MODULES if not module.startswith("_") and "." in module])
def test_public_folders_hold_names_only(module: str) -> None:
    """What stands in folders with public names repeats names for code written elsewhere, and nothing else."""
    docstring, *statements, names = tree_of(module).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(names, ast.Assign)
    assert all(isinstance(statement, ast.ImportFrom) and statement.level == 2 for statement in statements)


@pytest.mark.parametrize("module", [module for module in MODULES if re.match(r"_\w+\.__init__", module)])
def test_private_folders_export_nothing(module: str) -> None:
    """A private folder's ``__init__`` says what the room is for; names are imported from where they are defined."""
    (docstring,) = tree_of(module).body
    assert isinstance(docstring, ast.Expr)


# --- names and sizes --------------------------------------------------------------------------------------------------

MAX_FILE_LINES = 420
MAX_FAN_OUT = 12
MAX_FUNCTION_LINES = 61
MAX_MEDIAN_FUNCTION_LINES = 6
MAX_P90_FUNCTION_LINES = 18
MAX_MODULES_OF_A_SMALL_PUT = 11


def defined_names(module: str) -> Iterator[str]:
    """Yield the names of classes and constants that a module defines at its top level."""
    for node in tree_of(module).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def function_lengths() -> list[int]:
    """Return the lengths in lines of all functions of the package, sorted."""
    nodes = (node for module in MODULES for node in ast.walk(tree_of(module)))
    functions = (node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return sorted((node.end_lineno or 0) - node.lineno + 1 for node in functions)


def test_no_two_classes_or_constants_have_one_name() -> None:
    """Whoever searches for a name finds one thing."""
    places = defaultdict(list)
    for module in MODULES:
        for name in set(defined_names(module)) - {"__all__", "_T"}:
            places[name].append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


@all_modules
def test_no_file_is_too_long(module: str) -> None:
    """A file can be read in one sitting."""
    lines = (PACKAGE / f"{module.replace('.', '/')}.py").read_text("utf-8").splitlines()
    assert len(lines) <= MAX_FILE_LINES


@pytest.mark.parametrize("module", [module for module in MODULES if module != "__init__"])
def test_no_module_knows_too_many_others(module: str) -> None:
    """What a module stands on fits into one head; only the package's face names everything public."""
    types_only = {"_typing"}
    assert len(imported_siblings(module) - types_only) <= MAX_FAN_OUT


@pytest.mark.parametrize("made", CLOSED_BY_PYTHON, ids=lambda made: made.__name__)
def test_what_python_closes_by_itself_may_be_unmade(made: Any) -> None:
    """Python finalizes also objects whose construction failed, and prints what their finalizers raise."""
    unmade = made.__new__(made)
    unmade.__del__()
    if hasattr(unmade, "close"):
        unmade.close()


def test_functions_are_short() -> None:
    """Half of the functions have a few lines, nine of ten fit into a glance, and none needs scrolling."""
    lengths = function_lengths()
    assert len(lengths) > 500
    assert statistics.median(lengths) <= MAX_MEDIAN_FUNCTION_LINES
    assert statistics.quantiles(lengths, n=10)[-1] <= MAX_P90_FUNCTION_LINES
    assert lengths[-1] <= MAX_FUNCTION_LINES


def test_a_small_put_passes_few_modules() -> None:
    """To follow one small put_object, a reader opens few files, beside the engine, which hands bytes to its library."""
    entered = set()

    def note(frame: FrameType, event: str, arg: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            entered.add(".".join(path.relative_to(PACKAGE).with_suffix("").parts))

    with served_by(StrictS3()) as world:
        client = world.client()
        client.put_object(**world.object_at(), Body=b"once before, so that all is loaded")
        before = sys.getprofile()
        sys.setprofile(note)
        try:
            client.put_object(**world.object_at(), Body=bytes(1024))
        finally:
            sys.setprofile(before)
        world.close_clients()
    assert {"client", "_operations.put", "_sealer"} <= entered
    entered -= {f"_crypto._{engine}" for engine in ("openssl", "pycryptodome")}
    assert len(entered) <= MAX_MODULES_OF_A_SMALL_PUT, sorted(entered)


# --- what botocore does not promise -----------------------------------------------------------------------------------


def is_private(name: str) -> bool:
    """Return whether a name is one that its maker keeps to himself."""
    return name.startswith("_") and not name.startswith("__")


def own_private_names() -> set[str]:
    """Return the private names that the package itself defines: functions, classes, variables, attributes of self."""
    nodes = [node for module in MODULES for node in ast.walk(tree_of(module))]
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = {node.name for node in nodes if isinstance(node, definitions)}
    names |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    return {name for name in names if is_private(name)} | {Path(module).stem for module in map(room_of, MODULES)}


OWN_PRIVATE_NAMES = own_private_names()


def foreign_private_names(module: str) -> set[str]:
    """Return the private names of others that a module uses: as attributes, in imports, as texts for getattr."""
    used = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Attribute):
            used.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            used.add(node.value)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            used |= {part for alias in node.names for part in f"{node.module}.{alias.name}".split(".")}
        elif isinstance(node, ast.Import):
            used |= {part for alias in node.names for part in alias.name.split(".")}
    return {name for name in used if is_private(name)} - OWN_PRIVATE_NAMES


@all_modules
def test_only_one_module_uses_private_names_of_others(module: str) -> None:
    """What botocore, boto3 and s3transfer do not promise is in one module, which says what happens without it.

    Of pycryptodome one name is used, for the one thing that it does not offer.
    """
    foreign = foreign_private_names(module)
    if module == "_botocore":
        assert foreign >= {"_raw_stream", "_credentials", "_serializer", "_checksum_name"}
    else:
        assert foreign == ({"_raw_api"} if module == "_crypto._pycryptodome" else set())


# --- where tests stand ------------------------------------------------------------------------------------------------

# Modules without a test file of their name, and what tests them.
TESTED_ELSEWHERE = {
    "_crypto._openssl": "crypto/test_engine.py",
    "_crypto._pycryptodome": "crypto/test_engine.py",
    "_crypto.primitives": "crypto/test_engine.py",
    "_version": "test_readme.py",
    "_typing": "type_checking/test_types.py",
    "_conflicts": "client/test_construction.py",
    "_body.sizes": "body/test_plaintext.py",
    "_compat.aws": "migration",
    "_plain_clients": "client/test_construction.py",
    "_operations.stored_object": "operations/test_get.py",
    "_operations.upload_states": "operations/test_upload.py",
    "instruction_file_config": "migration",
    "client": "client",
    "session": "client/test_session.py",
    "_checks": "test_settings.py",
}


@pytest.mark.parametrize("module", [module for module in MODULES if "__init__" not in module])
def test_path_says_which_tests_cover_a_file(module: str) -> None:
    """``s3_encryption/_room/module.py`` is tested by ``tests/room/test_module.py``, or ``test_module_topic.py``."""
    if module in TESTED_ELSEWHERE or room_of(module) == "materials":
        assert (TESTS / TESTED_ELSEWHERE.get(module, "migration")).exists()
        return
    *folders, name = (part.removeprefix("_") for part in module.split("."))
    folder = TESTS.joinpath(*folders)
    assert [*folder.glob(f"test_{name}.py"), *folder.glob(f"test_{name}_*.py")]


# --- what it stands on ------------------------------------------------------------------------------------------------


def test_floor_that_is_tested_is_the_one_that_is_declared() -> None:
    """The versions of ``make test-floor`` are the lower bounds in setup.cfg."""
    makefile = (PACKAGE.parent / "Makefile").read_text("utf-8")
    configuration = (PACKAGE.parent / "setup.cfg").read_text("utf-8")
    floor = dict(re.findall(r"(\w+)==([\d.]+)", makefile))
    declared = dict(re.findall(r"^    (boto3|pycryptodome|cryptography)>=([\d.]+)$", configuration, re.MULTILINE))
    assert declared.keys() == {"boto3", "pycryptodome", "cryptography"}
    for name, version in declared.items():
        assert floor[name] == (version if version.count(".") > 1 else f"{version}.0")
