"""Print, as JSON, what ``django.setup()`` costs this process: milliseconds, MiB of memory, and modules.

DJANGO_SETTINGS_MODULE=tests.packaging.jobs_alone.settings python -m tests.benchmarks.setup_cost
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import django


def resident_mebibytes() -> float:
    """Return how much memory this process has."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


if __name__ == "__main__":
    started = time.perf_counter()
    django.setup()
    took = (time.perf_counter() - started) * 1000
    print(json.dumps({"ms": took, "MiB": resident_mebibytes(), "modules": len(sys.modules)}))
