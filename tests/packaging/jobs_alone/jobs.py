"""The job, and what of the realtime side a process has imported."""

from __future__ import annotations

import sys

from pleme_redis_django import job

OF_REALTIME = ("channels", "channels_redis", "django_redis", "redis")


def imported() -> list[str]:
    """Return which packages of the realtime side this process has imported."""
    return [name for name in OF_REALTIME if name in sys.modules]


@job
def tell_imports() -> dict[str, list[str]]:
    """Return what the worker process that runs this has imported."""
    return {"imported": imported()}
