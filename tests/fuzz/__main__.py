"""Fuzz every target, or those that are named, for FUZZ_SECONDS each, and print how many inputs were tried.

    python tests/fuzz [TARGET ...]

An input that fails is printed; as a line of tests/fuzz/corpus/TARGET.txt it becomes a test. Exit code 1 says that
there was one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))
# One input must be dealt with in this time, and within this memory.
INPUT_SECONDS = 5
MEMORY_MIB = 1024

_EXECUTIONS = re.compile(r"number_of_executed_units: (\d+)")


def fuzz(name: str) -> None:
    """Fuzz one target in this process; ends the process."""
    import atheris  # heavy, and not there on every platform

    with atheris.instrument_imports(include=["s3_encryption"]):
        from fuzz.targets import TARGETS, corpus

    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder, "inputs")
        inputs.mkdir()
        for number, data in enumerate([*target.seeds(), *corpus(name)]):
            (inputs / str(number)).write_bytes(data)
        words = Path(folder, "words")
        # One word at least: an empty dictionary counts as a missing one.
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in (*target.words, " ")))
        options = {
            "max_total_time": SECONDS,
            "max_len": target.max_bytes,
            "timeout": INPUT_SECONDS,
            "rss_limit_mb": MEMORY_MIB,
            "print_final_stats": 1,
            "verbosity": 0,
            "dict": words,
            "artifact_prefix": os.environ["FUZZ_FOUND"],
        }

        def check(data: bytes) -> None:
            target.check(data)

        atheris.Setup([name, *(f"-{option}={value}" for option, value in options.items()), str(inputs)], check)
        atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


def main(names: list[str]) -> int:
    """Fuzz targets one after the other, each in a process of its own; return an exit code."""
    from fuzz.targets import TARGETS

    failed = [name for name in names or TARGETS if not _fuzzed(name)]
    print("failed: " + ", ".join(failed) if failed else "nothing failed")
    return bool(failed)


def _fuzzed(name: str) -> bool:
    with tempfile.TemporaryDirectory() as found:
        environment = {**os.environ, "FUZZ_FOUND": f"{found}/"}
        command = [sys.executable, str(FOLDER), "--one", name]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        executions = _EXECUTIONS.search(ended.stderr)
        print(f"{name:20} {executions[1] if executions else '?':>10} inputs in {SECONDS} s", flush=True)
        for path in Path(found).iterdir():
            print(f"failing input ({path.name}):\n{path.read_bytes()!r}")
    if ended.returncode:
        print(ended.stdout[-3000:] + ended.stderr[-3000:])
    return not ended.returncode


if __name__ == "__main__":
    # As a script it finds neither its own package nor, when that isn't installed, the project's.
    sys.path[:1] = [str(FOLDER.parent), str(FOLDER.parent.parent)]
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2])
    sys.exit(main(sys.argv[1:]))
