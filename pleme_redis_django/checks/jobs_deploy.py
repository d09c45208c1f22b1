"""Checks of the job engine that ask the database: only with ``manage.py check --deploy``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Warning
from django.db import DatabaseError, connections
from django.utils.connection import ConnectionDoesNotExist

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool, known_types_of_models, valid_pools
from pleme_redis_django.durations import counted
from pleme_redis_django.jobs.interface.executor import DispatchingExecutor, is_async_executor
from pleme_redis_django.models import model_label
from pleme_redis_django.monitoring.reports import JobScope, UnservedType, unserved_types, worker_reports

# The claimer, the finisher, the heartbeat, maintenance and the statistics have a connection each.
ENGINE_CONNECTIONS = 5
_NAMED_TYPES = 5


def check_job_tables(**_kwargs: Any) -> Iterator[CheckMessage]:
    """W027: too few database connections. W028: jobs of unknown types wait. W029: nobody answers."""
    try:
        yield from _connections()
        yield from _unserved_jobs()
    except (DatabaseError, ConnectionDoesNotExist) as error:
        yield Warning(
            f'The job tables in the database "{get_settings().database}" could not be read: '
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}.",
            hint="Start the server, and run manage.py migrate.",
            id="pleme_redis_django.W029",
        )


def connections_of(parts: ConfiguredPool) -> int:
    """Return how many database connections one process of a pool may hold at most."""
    config, executor = parts.config, parts.executor
    if isinstance(executor, DispatchingExecutor):
        runs_sync, runs_async = bool(executor.sync_job_types()), bool(executor.async_job_types())
    else:
        runs_async = is_async_executor(executor)
        runs_sync = not runs_async
    return ENGINE_CONNECTIONS + config.worker_count * runs_sync + config.async_count * runs_async


def _connections() -> Iterator[CheckMessage]:
    connection = connections[get_settings().database]
    if connection.vendor != "postgresql":
        return
    pools = list(valid_pools())
    alive = Counter(report.worker.pool for report in worker_reports() if report.is_alive)
    processes = {parts.name: max(alive[parts.name], 1) for parts in pools}
    needed = sum(processes[parts.name] * connections_of(parts) for parts in pools)
    offered = _offered_connections(connection.alias)
    if needed > offered:
        shares = ", ".join(
            f"{parts.name}: {processes[parts.name]} x {connections_of(parts)}" for parts in pools
        )
        yield Warning(
            f"The worker pools may open {needed} database connections ({shares}), but the server allows {offered} "
            "for all its clients together.",
            hint="Lower --processes, worker_count or async_count, raise max_connections, or put a connection "
            "pooler before the server.",
            id="pleme_redis_django.W027",
        )


def _offered_connections(alias: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('max_connections')::int - "
            "current_setting('superuser_reserved_connections')::int"
        )
        return int(cursor.fetchone()[0])


def _unserved_jobs() -> Iterator[CheckMessage]:
    for model, known in known_types_of_models().items():
        unserved = [] if known is None else unserved_types(known, JobScope(model=model))
        if unserved:
            jobs = counted(sum(one.jobs for one in unserved), "ready job")
            yield Warning(
                f"{jobs} in {model_label(model)} with types that this code does not know: {_named(unserved)}. "
                "They wait until a worker knows them.",
                hint="Deploy the code that has these jobs, register the new name with @job(name=...), or delete "
                "the jobs in the admin.",
                id="pleme_redis_django.W028",
            )


def _named(unserved: list[UnservedType]) -> str:
    text = ", ".join(f"{one.job_type} ({one.jobs})" for one in unserved[:_NAMED_TYPES])
    more = len(unserved) - _NAMED_TYPES
    return f"{text} and {more} more" if more > 0 else text
