"""The suites: where they come from, and which of their tests expect what an encrypting client must not do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PRESIGNED = "whoever reads by a presigned URL gets ciphertext: only the holder of the key can decrypt"
STORED_SIZE = "listings tell the size of what is stored, 16 bytes more than the plaintext for each object"


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests that come with a project's source distribution.

    ``needs`` is what they import besides, ``paths`` are the ones about S3, ``options`` are pytest's.
    ``differs`` has the tests that fail with an encrypting client, by name, and why that must be so.
    """

    requirement: str
    paths: tuple[str, ...]
    needs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    differs: Mapping[str, str] = field(default_factory=dict)

    @property
    def project(self) -> str:
        """The project's name."""
        return self.requirement.partition("==")[0]


SUITES = (
    # It opens files by smart_open, whose own source distribution has no tests.
    Suite(
        "s3path==0.6.5",
        ("tests",),
        needs=("smart_open[s3]", "requests"),
        differs={
            "test_presigned_url": PRESIGNED,
            "test_presigned_url_expire": PRESIGNED,
            "test_presigned_url_expire_with_timedelta": PRESIGNED,
        },
    ),
    Suite(
        "django-storages==1.14.6",
        ("tests/test_s3.py",),
        needs=("django", "rsa", "cryptography"),
        environment={"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": "."},
    ),
    Suite(
        "luigi==3.8.1",
        ("test/contrib/s3_test.py",),
        needs=("mock",),
        environment={"PYTHONPATH": "test"},
        differs={"test_copy_dir": STORED_SIZE},
    ),
    Suite("celery==5.7.0", ("t/unit/backends/test_s3.py",), options=("-o", "python_classes=test_*")),
)
