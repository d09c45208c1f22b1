"""How much some benchmarks do: by default what takes a minute, by environment variables what takes an hour."""

from __future__ import annotations

import os


def size(variable: str, default: int) -> int:
    """Return the number in an environment variable such as ``BENCH_FINISHED_ROWS=10000000``."""
    return int(os.environ.get(variable, default))
