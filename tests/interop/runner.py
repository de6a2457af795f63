"""The run of all peers, and its report.

Every directory in `peers/` is a peer: its setup script builds it into the work directory, its
program answers requests (`peer_process.py`). All meet at one embedded S3 and KMS.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from .comparison import Column, Comparison
from .environment import Environment, MasterKeys, open_environment
from .formats import ALL_CELLS, Participant
from .peer_process import MissingToolchainError, Peer, PeerError
from .stored import VectorWriter

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
PROJECT_VECTORS = PROJECT / "tests" / "vectors" / "vectors.json"


def print_matrix(columns: list[Column]) -> None:
    """Print one row a cell and one column a peer."""
    heads = [column.peer.name for column in columns]
    widths = [max(len(head), len("FAIL")) for head in heads]
    first = max(len(str(cell)) for cell in ALL_CELLS)

    def row(label: str, entries: Iterable[str]) -> None:
        padded = (f"{entry:<{width}}" for entry, width in zip(entries, widths, strict=True))
        print(f"{label:<{first}}  {'  '.join(padded)}".rstrip())

    row("", heads)
    for cell in ALL_CELLS:
        row(str(cell), (column.mark(cell) for column in columns))


def print_section(title: str, lines: Iterable[object]) -> None:
    """Print a titled list, or nothing when it is empty."""
    listed = [f"  {line}" for line in lines]
    if listed:
        print(f"\n{title}\n" + "\n".join(listed))


def find_peers(only: list[str]) -> list[Path]:
    """Return the peers' directories; a name that isn't there is an error."""
    found = {path.name: path for path in sorted((HERE / "peers").iterdir()) if path.is_dir()}
    unknown = set(only) - set(found)
    if unknown:
        sys.exit(f"no such peer: {', '.join(sorted(unknown))} (there are {', '.join(found)})")
    return [path for name, path in found.items() if not only or name in only]


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(prog="matrix.py")
    parser.add_argument("--only", nargs="+", default=[], metavar="PEER", help="compare these peers only")
    parser.add_argument("--against", metavar="PEER", help="compare with this peer in place of our client")
    parser.add_argument("--keep-vectors", type=Path, metavar="DIR", help="store what the peers wrote")
    parser.add_argument(
        "--master-keys",
        type=Path,
        metavar="FILE",
        help="use the master keys of this vectors file, not fresh ones (with --keep-vectors"
        " those of tests/vectors/vectors.json are the default)",
    )
    parser.add_argument(
        "--work-dir",
        type=Path,
        default=PROJECT / ".interop",
        metavar="DIR",
        help="where the peers are installed (default: .interop)",
    )
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="limit for one request")
    return parser.parse_args()


def master_keys(arguments: argparse.Namespace) -> MasterKeys:
    """Return fresh keys, or those that kept vectors must share."""
    path: Path | None = arguments.master_keys
    if path is None and arguments.keep_vectors:
        path = PROJECT_VECTORS
    return MasterKeys.of_vectors(path) if path else MasterKeys.generate()


@dataclass
class Report:
    """What a run found out."""

    columns: list[Column] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def print(self) -> None:
        """Print the matrix, then what failed, then what was skipped."""
        if self.columns:
            print_matrix(self.columns)
        print_section("Versions:", (f"{c.peer.name}: {c.peer.version}" for c in self.columns))
        print_section("Failures:", self.failures)
        print_section("Skipped:", self.skipped)

    @property
    def failures(self) -> list[str]:
        """All failures: peers that did not come up, and cells."""
        return self.broken + [str(f) for column in self.columns for f in column.failures]


class Runner:
    """Takes the peers through the comparison, one after the other."""

    def __init__(self, arguments: argparse.Namespace, environment: Environment) -> None:
        """Prepare a run in this environment."""
        self._arguments = arguments
        self._environment = environment
        self.report = Report()

    def run(self) -> Report:
        """Compare all peers with the reference."""
        if self._arguments.against is None:
            from s3_encryption import S3EncryptionClientError

            from .ours import OurClient

            self._run_peers(OurClient(self._environment), S3EncryptionClientError)
        else:
            (directory,) = find_peers([self._arguments.against])
            with closing(self._peer(directory)) as reference:
                reference.setup()
                reference.start()
                self._run_peers(reference, None)
        return self.report

    def _run_peers(self, reference: Participant, refusal: type[Exception] | None) -> None:
        for directory in find_peers(self._arguments.only):
            with closing(self._peer(directory)) as peer:
                try:
                    self._run_peer(reference, refusal, peer)
                except MissingToolchainError as missing:
                    self.report.skipped.append(f"{peer.name}: {missing}")
                except PeerError as error:
                    self.report.broken.append(f"{peer.name}: {error}")

    def _run_peer(self, reference: Participant, refusal: type[Exception] | None, peer: Peer) -> None:
        started = time.monotonic()
        peer.setup()
        set_up = time.monotonic()
        peer.start()
        vectors = VectorWriter(self._environment, peer.name, peer.version)
        comparison = Comparison(self._environment, reference, peer, refusal, vectors)
        self.report.columns.append(comparison.run())
        if self._arguments.keep_vectors:
            vectors.save(self._arguments.keep_vectors)
        finished = time.monotonic()
        print(
            f"{peer.name}: set up in {set_up - started:.1f} s, compared in {finished - set_up:.1f} s",
            file=sys.stderr,
        )

    def _peer(self, directory: Path) -> Peer:
        return Peer(
            directory,
            self._arguments.work_dir.resolve() / directory.name,
            self._environment.peer_variables,
            self._arguments.timeout,
        )


def main() -> int:
    """Run the matrix, print it, and return the exit code."""
    arguments = parse_arguments()
    arguments.work_dir.mkdir(parents=True, exist_ok=True)
    with open_environment(master_keys(arguments), arguments.work_dir.resolve()) as environment:
        report = Runner(arguments, environment).run()
    report.print()
    return 1 if report.failures else 0
