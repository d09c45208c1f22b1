"""Every system check: id, message and hint; one module per zone, registered by ``apps.ready()``.

Ids are ``pleme_redis_django.E0xx`` (errors) and ``W0xx`` (warnings): 001-019 settings, 020-049
jobs, 050-079 cache, locks and Redis, 080-099 realtime. A check that talks to a server is tagged
``deploy=True``, so that ``manage.py check`` alone stays offline.
"""

from __future__ import annotations

from django.core import checks

from pleme_redis_django.checks import jobs, jobs_deploy, realtime, redis_server, redis_settings, settings


def register_all() -> None:
    """Register every check of the package with Django."""
    for check in (
        settings.check_settings,
        jobs.check_pools,
        jobs.check_queue_keys,
        jobs.check_job_models,
        jobs.check_database,
        redis_settings.check_redis,
        realtime.check_realtime,
    ):
        checks.register(check, "pleme_redis_django")
    checks.register(jobs_deploy.check_job_tables, "pleme_redis_django", deploy=True)
    checks.register(redis_server.check_redis_server, "pleme_redis_django", deploy=True)
