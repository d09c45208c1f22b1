"""The job, and what of the realtime side a process has imported."""

from __future__ import annotations

import sys

from pleme_redis_django import job

OF_REALTIME = ("channels", "channels_redis", "django_redis", "redis")

NEEDED_BY_OTHERS = (
    "django.contrib.auth.views",
    "django.core.management.commands.migrate",
    "pleme_redis_django.admin",
    "pleme_redis_django.adoption",
    "pleme_redis_django.management.runworkers.lean_supervisor",
    "pleme_redis_django.management.runworkers.supervisor",
    "pleme_redis_django.management.runworkers.supervising",
    "pleme_redis_django.middleware.encryption.job_middleware",
    "pleme_redis_django.monitoring",
    "pleme_redis_django.testing",
    "tests.packaging.jobs_alone.urls",
)


def imported() -> list[str]:
    """Return which packages of the realtime side this process has imported."""
    return [name for name in OF_REALTIME if name in sys.modules]


@job
def tell_imports() -> dict[str, list[str]]:
    """Return what the worker process that runs this has imported."""
    return {
        "imported": imported(),
        "needed_by_others": [name for name in NEEDED_BY_OTHERS if name in sys.modules],
    }
