"""A user's type checker on the public types: environments with boto3-stubs and without, and the samples in both."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import boto3
import pytest

from s3_encryption import S3EncryptionClient
from s3_encryption import _typing as typed
from s3_encryption._settings import KEY_OPTIONS, Settings

SAMPLES = Path(__file__).parent / "samples"
PACKAGE = Path(inspect.getfile(S3EncryptionClient)).parent
LIBRARIES = ("boto3", "botocore", "s3transfer", "Crypto")
STUBS = ("boto3-stubs", "botocore-stubs", "s3transfer-stubs", "mypy_boto3_s3")

both = pytest.mark.parametrize("stubs", [True, False], ids=["with-stubs", "without-stubs"])
_REPORTED = re.compile(r"^\S+?:(\d+): error: .*\[([a-z-]+)\]$", flags=re.MULTILINE)
_EXPECTED = re.compile(r"# error: ([a-z-]+)(, always)?$")


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Return the interpreters of two environments that users may have: with stubs (True), and without."""
    return {stubs: _environment(tmp_path_factory.mktemp("environment"), stubs=stubs) for stubs in (True, False)}


def _environment(directory: Path, *, stubs: bool) -> Path:
    venv.create(directory, symlinks=True)
    installed = Path(sysconfig.get_path("purelib"))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = directory / "lib" / version / "site-packages"
    for name in (*LIBRARIES, *(STUBS if stubs else ())):
        (packages / name).symlink_to(installed / name)
    (packages / "s3_encryption").symlink_to(PACKAGE)
    return directory / "bin" / "python"


def check(interpreter: Path, *options: str) -> str:
    """Return what mypy prints about something, in an environment."""
    cache = interpreter.parent.parent / "cache"
    fixed = ("--strict", "--config-file=", f"--python-executable={interpreter}", f"--cache-dir={cache}", "--no-pretty")
    command = [sys.executable, "-m", "mypy", *fixed, *options]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=interpreter.parent, check=False)
    assert ended.returncode in (0, 1), ended.stderr
    return ended.stdout


@both
def test_correct_programs_pass(environments: dict[bool, Path], stubs: bool) -> None:
    """Code without mistakes has no errors, whether or not its author has installed the stubs."""
    assert check(environments[stubs], str(SAMPLES / "usage.py")).startswith("Success")


def test_client_has_the_types_of_boto3s(environments: dict[bool, Path]) -> None:
    """With the stubs, the client is an S3Client, its bodies, pages and answers are typed, and so are sessions."""
    assert check(environments[True], str(SAMPLES / "with_stubs.py")).startswith("Success")


@both
def test_mistakes_are_found(environments: dict[bool, Path], stubs: bool) -> None:
    """Misspelt and wrong arguments are errors, at the lines where they are and nowhere else."""
    sample = SAMPLES / "mistakes.py"
    marked = [(number, _EXPECTED.search(line)) for number, line in enumerate(sample.read_text().splitlines(), start=1)]
    expected = {(number, mark[1]) for number, mark in marked if mark and (stubs or mark[2])}
    reported = {(int(number), code) for number, code in _REPORTED.findall(check(environments[stubs], str(sample)))}
    assert expected
    assert reported == expected


def test_what_checkers_see_fits_the_stubs(environments: dict[bool, Path]) -> None:
    """The module that is for type checkers only has no errors with the stubs."""
    printed = check(environments[True], "--follow-imports=silent", str(PACKAGE / "_typing.py"))
    assert printed.startswith("Success"), printed


def test_constructors_keywords_are_complete() -> None:
    """Type checkers know each keyword of the constructor, and no other."""
    parameters = inspect.signature(S3EncryptionClient.__new__).parameters.values()
    own = {parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY}
    boto3s = inspect.signature(boto3.Session.client).parameters.keys() - {"self", "service_name"}
    assert typed.KeywordOptions.__annotations__.keys() == own | boto3s


def test_options_have_the_types_of_the_table() -> None:
    """What type checkers know of an option is what the table of options says."""
    types = {name: type_ for name, (type_, _) in KEY_OPTIONS.items()} | inspect.get_annotations(Settings)
    told = {name: reference.__forward_arg__ for name, reference in typed.Options.__annotations__.items()}
    assert {name: told[name] for name in types} == types
