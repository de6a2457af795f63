"""The interoperability matrix: what each peer writes we read, what we write each peer reads.

    python tests/interop/matrix.py [--only PEER ...] [--keep-vectors DIR]

Exit code 1 says that something failed, 0 that nothing did; peers whose toolchain is missing are
skipped by name.
"""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    # As a script it finds neither its own package nor, when that isn't installed, the project's.
    sys.path[:1] = [str(TESTS), str(TESTS.parent)]
    from interop.runner import main

    sys.exit(main())
