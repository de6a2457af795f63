"""Runs other projects' tests of S3 twice, on plain boto3 and on this client, and compares: make third-party.

Everything is downloaded into .third-party. The run fails when a test fails on this client only, for a reason that is
not listed in suites.py; or passes although a reason is listed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from third_party.suites import SUITES, Suite

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / ".third-party"
PYTHON = WORK / "venv" / "bin" / "python"
TIMEOUT_SECONDS = 900
PLAIN, ENCRYPTING = "plain", "encrypting"


def prepare() -> None:
    """Make the environment, with this package and what the suites need."""
    if not PYTHON.exists():
        venv.create(WORK / "venv", with_pip=True)
    needed = [name for suite in SUITES for name in (suite.requirement, *suite.needs)]
    _pip("install", "--editable", str(ROOT), "moto[s3]", "pytest", *needed)


def unpack(suite: Suite) -> Path:
    """Return the directory of a project's source distribution."""
    directory = WORK / "sources" / suite.requirement
    if not directory.exists():
        sdists = WORK / "sdists" / suite.requirement
        _pip("download", "--no-deps", "--no-binary", suite.project, "--dest", str(sdists), suite.requirement)
        (archive,) = sdists.iterdir()
        with tarfile.open(archive) as tar:
            tar.extractall(directory, filter="data")
    return next(directory.iterdir())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a suite: for each test that was not skipped, whether it passed; how many clients encrypted."""

    passed: Mapping[str, bool]
    encrypting_clients: int

    def __str__(self) -> str:
        return f"{sum(self.passed.values())} of {len(self.passed)} pass"


def run(suite: Suite, source: Path, client: str) -> Outcome:
    """Run a suite on one of the two clients."""
    report, log = (WORK / f"{suite.project}-{client}.{kind}" for kind in ("xml", "log"))
    report.unlink(missing_ok=True)
    own = suite.environment.get("PYTHONPATH", "")
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    environment |= {**suite.environment, "THIRD_PARTY_CLIENT": client, "PYTHONPATH": f"{HERE}{os.pathsep}{own}"}
    environment |= dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    # Neither this project's settings of pytest nor theirs, which need plugins.
    options = ["-q", "--rootdir=.", f"--config-file={os.devnull}", "-p", "no:cacheprovider", "-p", "swap"]
    command = [str(PYTHON), "-m", "pytest", *options, f"--junit-xml={report}", *suite.options, *suite.paths]
    with log.open("w") as printed:
        subprocess.run(
            command,
            cwd=source,
            env=environment,
            stdout=printed,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    if not report.exists():
        sys.exit(f"{suite.project} did not run: see {log}")
    return read(ElementTree.parse(report))  # noqa: S314 - pytest wrote it just now


def read(report: ElementTree.ElementTree[ElementTree.Element]) -> Outcome:
    """Return what a report of pytest says."""
    passed = {
        f"{case.get('classname')}.{case.get('name')}": case.find("failure") is None and case.find("error") is None
        for case in report.iter("testcase")
        if case.find("skipped") is None
    }
    counted = next(entry for entry in report.iter("property") if entry.get("name") == "encrypting_clients")
    return Outcome(passed, int(counted.get("value", "")))


def compare(suite: Suite) -> list[str]:
    """Print how a suite fares on both clients, and return what must not be."""
    source = unpack(suite)
    plain, ours = (run(suite, source, client) for client in (PLAIN, ENCRYPTING))
    print(f"{suite.requirement}: plain boto3: {plain}; this client ({ours.encrypting_clients} made): {ours}")
    failing = {test for test, passed in ours.passed.items() if not passed and plain.passed.get(test, True)}
    reasons = {test: suite.differs.get(test.rpartition(".")[2]) for test in sorted(failing)}
    for test, reason in reasons.items():
        print(f"  {test}: {reason or 'NOT EXPLAINED'}")
    stale = suite.differs.keys() - {test.rpartition(".")[2] for test in failing}
    return [
        *(f"{test} fails on this client only" for test, reason in reasons.items() if not reason),
        *(f"{name} passes, although it is listed" for name in sorted(stale)),
        *(f"{test} did not run on this client" for test in sorted(plain.passed.keys() - ours.passed.keys())),
        *([] if any(plain.passed.values()) else ["no test passes on plain boto3"]),
        *([] if ours.encrypting_clients and not plain.encrypting_clients else ["the clients were not swapped"]),
    ]


def _pip(*arguments: str) -> None:
    subprocess.run([str(PYTHON), "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"], check=True)


def main() -> None:
    """Compare all suites."""
    prepare()
    wrong = [f"{suite.project}: {what}" for suite in SUITES for what in compare(suite)]
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
