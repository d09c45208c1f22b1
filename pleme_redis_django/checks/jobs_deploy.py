"""Checks of the job engine that ask the database: only with ``manage.py check --deploy``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage, Warning
from django.db import DatabaseError, connections
from django.utils.connection import ConnectionDoesNotExist

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool, known_types_of_models, valid_pools
from pleme_redis_django.durations import counted
from pleme_redis_django.jobs.definitions.registry import RegistryExecutor
from pleme_redis_django.jobs.interface.executor import DispatchingExecutor, is_async_executor
from pleme_redis_django.models import model_label
from pleme_redis_django.orm_store.handler_threads import MOST_ASYNC_CONNECTIONS

if TYPE_CHECKING:
    from pleme_redis_django.monitoring.reports import UnservedType

# The claimer, the finisher, the heartbeat, maintenance and the statistics have a connection each.
ENGINE_CONNECTIONS = 5
# One that has reached a limit, or whose handler does not end, ends its jobs beside its replacement.
PROCESSES_OF_A_PLACE = 2
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


def connections_of(parts: ConfiguredPool, *, most_slots: int | None = None) -> int:
    """Return how many database connections one process of a pool may hold at most.

    ``most_slots``: of each kind; None: those of the config.
    """
    config, executor = parts.config, parts.executor
    if isinstance(executor, DispatchingExecutor):
        runs_sync, runs_async = bool(executor.sync_job_types()), bool(executor.async_job_types())
    else:
        runs_async = is_async_executor(executor)
        runs_sync = not runs_async
    slots = [config.worker_count * runs_sync, min(config.async_count, MOST_ASYNC_CONNECTIONS) * runs_async]
    if config.isolated or (isinstance(executor, RegistryExecutor) and executor.has_isolated_jobs()):
        # The process of an isolated job has one of its own, beside that of the thread which waits for it.
        slots.append(slots[0])
    return ENGINE_CONNECTIONS + sum(
        slots if most_slots is None else (min(most_slots, each) for each in slots)
    )


def _connections() -> Iterator[CheckMessage]:
    connection = connections[get_settings().database]
    if connection.vendor != "postgresql":
        return
    pools = list(valid_pools())
    places = _places()
    needs = [_Need(parts, max(places[parts.name], 1)) for parts in pools]
    needed = sum(need.connections for need in needs)
    offered = _offered_connections(connection.alias)
    if needed > offered:
        yield Warning(
            f"The worker pools may open {needed} database connections ({', '.join(map(str, needs))}), but the server "
            f"allows {offered} for all its clients together. Each process counts twice, because one that is replaced "
            "works on until its replacement does; the last number is the process that runs suspects.",
            hint="Lower --processes, worker_count or async_count, raise max_connections, or put a connection "
            "pooler before the server.",
            id="pleme_redis_django.W027",
        )


class _Need:
    """How many connections the processes of a pool may hold at one time."""

    def __init__(self, parts: ConfiguredPool, places: int) -> None:
        self._name = parts.name
        self._processes = places * PROCESSES_OF_A_PLACE
        self._of_each = connections_of(parts)
        self._of_quarantine = connections_of(parts, most_slots=1)

    @property
    def connections(self) -> int:
        return self._processes * self._of_each + self._of_quarantine

    def __str__(self) -> str:
        return f"{self._name}: {self._processes} x {self._of_each} + {self._of_quarantine}"


def _places() -> Counter[str]:
    """Return how many processes of each pool are there to stay: the others are counted beside them."""
    # Not at the top, here and below: no worker process needs it.
    from pleme_redis_django.monitoring.reports import worker_reports

    return Counter(
        report.worker.pool
        for report in worker_reports()
        if report.is_alive and not report.worker.is_draining and not report.worker.is_quarantine
    )


def _offered_connections(alias: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('max_connections')::int - "
            "current_setting('superuser_reserved_connections')::int"
        )
        return int(cursor.fetchone()[0])


def _unserved_jobs() -> Iterator[CheckMessage]:
    from pleme_redis_django.monitoring.reports import JobScope, unserved_types

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
