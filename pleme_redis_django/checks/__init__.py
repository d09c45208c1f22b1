"""Every system check: id, message and hint; one module per zone, registered by ``apps.ready()``.

Ids are ``pleme_redis_django.E0xx`` (errors) and ``W0xx`` (warnings): 001-019 settings, 020-049
jobs, 050-079 cache, locks and Redis, 080-099 realtime. A check that talks to a server is tagged
``deploy=True``, so that ``manage.py check`` alone stays offline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage

from pleme_redis_django.checks import (
    database_waits,
    job_annotations,
    job_storage,
    jobs,
    jobs_deploy,
    limits,
    middleware,
    realtime,
    redis_server,
    redis_settings,
    schedules,
    settings,
    tasks,
)
from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import InvalidSettings

Check = Callable[..., Iterable[CheckMessage]]


def register_all() -> None:
    """Register every check of the package with Django."""
    checks.register(settings.check_settings, "pleme_redis_django")
    for check in (
        settings.check_hooks,
        middleware.check_middleware,
        jobs.check_pools,
        jobs.check_queue_keys,
        jobs.check_job_models,
        jobs.check_database,
        jobs.check_job_events,
        job_annotations.check_annotations,
        limits.check_limits,
        schedules.check_declared_schedules,
        tasks.check_tasks_api,
        database_waits.check_database_waits,
        redis_settings.check_redis,
        realtime.check_realtime,
    ):
        checks.register(_with_valid_settings(check), "pleme_redis_django")
    checks.register(_with_valid_settings(job_storage.check_job_storage), checks.Tags.database)
    checks.register(_with_valid_settings(job_storage.check_fair_indexes), checks.Tags.database)
    for check in (
        jobs_deploy.check_job_tables,
        schedules.check_stored_schedules,
        redis_server.check_redis_server,
    ):
        checks.register(_with_valid_settings(check), "pleme_redis_django", deploy=True)


@cache
def _with_valid_settings(check: Check) -> Check:
    """Return a check that leaves settings that cannot be read to E001, for one check always the same one.

    Django calls ``ready()`` again where a test overrides INSTALLED_APPS, and keeps what is new to it.
    """

    @wraps(check)
    def checked(**kwargs: Any) -> list[CheckMessage]:
        try:
            get_settings()
        except InvalidSettings:
            return []
        return list(check(**kwargs))

    return checked
