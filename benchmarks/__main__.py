"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .cases import CASES, Case, case_named
from .clients import OURS
from .environments import isolated_folder
from .report import Row, as_json, rows_of, table
from .runner import Plan, Runner, pythons
from .server import SetupError, running_server

_RUNS = 5


def main() -> int:
    """Run what the command line asks for, and return the exit status."""
    options = _options()
    before = os.getloadavg()[0]
    plan = Plan(1 if options.quick and options.runs is None else options.runs or _RUNS, options.scheme, options.quick)
    try:
        rows = _run(options.only or list(CASES), plan, options.folder)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    print(table(rows))
    if options.json:
        result = as_json(rows, plan, [before, os.getloadavg()[0]])
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    # A missed target is for people to judge: the machine may be busy. A case that does not work is an error.
    return int(any(row.kind in OURS and not row.is_measured for row in rows))


def _run(cases: list[Case], plan: Plan, parent: Path | None) -> list[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3-benchmark-", dir=parent)))
        server = stack.enter_context(running_server(folder))
        runner = Runner(server, folder, isolated_folder(folder), pythons(_log), plan, _log)
        return [row for case in cases for row in rows_of(case, runner.run(case))]


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure this library, plain boto3 and AWS's own client, side by side, against a local S3.",
        epilog=f"Cases: {', '.join(case.name for case in CASES)}.",
    )
    parser.add_argument("--only", metavar="CASE", type=_case, action="append", help="measure this case (repeatable)")
    parser.add_argument("--runs", type=int, metavar="N", help=f"rounds for each case (default: {_RUNS}, quick: 1)")
    parser.add_argument("--quick", action="store_true", help="do the work once in each process")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results here")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where to put temporary files (several GiB)")
    scheme = parser.add_mutually_exclusive_group()
    scheme.add_argument("--https", dest="scheme", action="store_const", const="https", help="over TLS (default)")
    scheme.add_argument("--http", dest="scheme", action="store_const", const="http", help="in the clear")
    parser.set_defaults(scheme="https")
    return parser.parse_args()


def _case(name: str) -> Case:
    if name not in {case.name for case in CASES}:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(case.name for case in CASES)}")
    return case_named(name)


if __name__ == "__main__":
    sys.exit(main())
