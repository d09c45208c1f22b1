"""Elapsed time for deadlines: it never jumps, and continues while the machine is suspended."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns seconds since a fixed, unknown moment."""

if hasattr(time, "CLOCK_BOOTTIME"):

    def elapsed_seconds() -> float:
        """Return seconds since boot; Linux's CLOCK_MONOTONIC stops in suspend, and a lock's TTL does not."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:  # pragma: no cover - macOS has no better clock than the monotonic one
    elapsed_seconds = time.monotonic
