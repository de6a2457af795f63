"""How properties are tested: with the same examples on every machine, and nothing written to disk."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

reproducible = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
