"""What a piece of work costs: time, processor time, memory at its peak, and requests."""

from __future__ import annotations

import contextlib
import gc
import json
import resource
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
# What makes Linux forget the highest memory use so far (proc(5)).
_RESET_PEAK = "5"


@dataclass(frozen=True)
class Measurement:
    """What one process has measured.

    ``seconds`` is the median of its repetitions; ``cpu_seconds``, ``requests`` and ``kms_requests`` are their mean.
    ``memory_mib`` is the peak over what the process had when it began.
    """

    seconds: float
    cpu_seconds: float
    memory_mib: float
    requests: float
    kms_requests: float

    def as_json(self) -> str:
        """Return the text that the runner reads."""
        return json.dumps(asdict(self))


def measured(work: Callable[[], None], repeats: int, control: str) -> Measurement:
    """Do some work a number of times. ``control`` is the server's http address."""
    counters = read_counters(control)
    gc.collect()
    memory = _start_of_memory()
    cpu_seconds = time.process_time()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    cpu_seconds = time.process_time() - cpu_seconds
    peak = _peak_of_memory()
    after = read_counters(control)
    return Measurement(
        median(seconds),
        cpu_seconds / repeats,
        max(0, peak - memory) / 1024,
        (after["requests"] - counters["requests"]) / repeats,
        (after["kms_requests"] - counters["kms_requests"]) / repeats,
    )


def read_counters(control: str, path: str = "/__stats") -> dict[str, Any]:
    """Return the server's counters, after it has done what a path of its own says."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(control + path) as response:
        counters: dict[str, Any] = json.load(response)
        return counters


def _start_of_memory() -> int:
    """Return the memory in use, in KiB, and let the peak be counted from now on."""
    with contextlib.suppress(OSError):
        _CLEAR_REFS.write_text(_RESET_PEAK)
    return _status_kib("VmRSS") or _highest_kib()


def _peak_of_memory() -> int:
    return _status_kib("VmHWM") or _highest_kib()


def _highest_kib() -> int:
    # Without Linux's /proc: the highest of the whole process, which misses what stays below an earlier peak.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status_kib(name: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)
