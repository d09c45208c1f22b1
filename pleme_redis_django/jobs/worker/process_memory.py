"""How much memory a process occupies."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

_MB = 1024 * 1024
_STATM = Path("/proc/self/statm")


def occupied_mb() -> float:
    """Return the resident memory of this process; where the system does not tell, the most that it ever was."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MB
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / _MB if sys.platform == "darwin" else most / 1024
