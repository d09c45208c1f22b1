"""The rows that operations change, on the database where they are written, and who has a turn or is woken then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connections, transaction
from django.db.models import Exists, Q, QuerySet

from pleme_redis_django.conf import get_settings
from pleme_redis_django.enqueueing.pools import hint_namespace, hints_enabled
from pleme_redis_django.models import AbstractJob, JobStatus
from pleme_redis_django.orm_store.flow.left_places import let_others_in
from pleme_redis_django.orm_store.job_table import JobTable, M


def on_job_database(jobs: QuerySet[M]) -> QuerySet[M]:
    """Return the jobs, unordered, on the database of the queryset or of the settings."""
    # ``QuerySet.db`` would ask the router, which may name a replica.
    chosen: str | None = getattr(jobs, "_db", None)
    return jobs.using(chosen or get_settings().database)


def table_of(jobs: QuerySet[M]) -> JobTable[M]:
    return JobTable(jobs.model, jobs.db)


def locked_by_id(rows: QuerySet[M]) -> QuerySet[M]:
    """Return the rows, for an update inside a transaction that locks them in the order of their ids.

    In the order of the heap, two that change the same jobs could each wait for the other: a deadlock.
    """
    query = rows.query
    if (
        not connections[rows.db].features.has_select_for_update
        or query.distinct
        or query.group_by is not None
    ):
        return rows
    return rows.filter(pk__in=rows.select_for_update(of=("self",)).order_by("pk").values("pk"))


def queue_names_of(jobs: QuerySet[M]) -> list[str]:
    return list(jobs.values_list("queue_name", flat=True).distinct())


def hint_after_commit(table: JobTable[Any], queue_names: Iterable[str]) -> None:
    """Wake a worker of each queue after the commit; one that finds more than it can take wakes the next."""
    names = list(queue_names)
    # No partial: Django logs the __qualname__ of a robust callback that fails, and a partial has none.
    transaction.on_commit(lambda: hint_queues(table.model, names), using=table.using, robust=True)


def waited_for(jobs: QuerySet[M]) -> list[Any]:
    """Return what of the jobs others may wait for: of an order, or ready while somebody waits at a gate. One query.

    Lighter ones wait behind a heavy one that is the first at a gate, and has too few places there.
    """
    let_in = Q(Exists(table_of(jobs).blocked()), status=JobStatus.QUEUED)
    is_heavy = Q(status=JobStatus.BLOCKED, cost__gt=1)
    found = jobs.filter(Q(order_key__isnull=False) | let_in | is_heavy).order_by()
    return list(found.values_list(*_OF_GATES, named=True).distinct())


def waiting_among(jobs: QuerySet[M]) -> list[Any]:
    """Return what the BLOCKED ones of the jobs wait for: nobody lets them in while their rows are held. One query."""
    found = jobs.filter(status=JobStatus.BLOCKED).order_by()
    return list(found.values_list(*_OF_GATES, named=True).distinct())


_OF_GATES = ("product", "job_type", "queue_name", "concurrency_key", "order_key", "cost")


def let_others_in_after_commit(table: JobTable[Any], left: Sequence[Any]) -> None:
    """Let in who waits for the turns and places of changed jobs after the commit, and wake workers for them.

    ``left``: what ``waited_for`` said of them before.
    """
    if left:
        transaction.on_commit(lambda: _let_others_in(table, left), using=table.using, robust=True)


def _let_others_in(table: JobTable[Any], left: Sequence[Any]) -> None:
    if queue_names := let_others_in(table, left):
        hint_queues(table.model, sorted(set(queue_names)))


def call_after_commit(using: str, worker_ids: Iterable[object]) -> None:
    """Have worker processes look at their rows after the commit, instead of at their next sweep."""
    called = [str(worker_id) for worker_id in worker_ids if worker_id]
    transaction.on_commit(lambda: _call_workers(called), using=using, robust=True)


def _call_workers(worker_ids: list[str]) -> None:
    if hints_enabled():
        # Not at the top, here and below: a project without Redis imports no redis.
        from pleme_redis_django.redis_state.wakeups.worker_calls import call_workers

        call_workers(worker_ids)


def hint_queues(model: type[AbstractJob], queue_names: list[str]) -> None:
    if hints_enabled():
        from pleme_redis_django.redis_state.wakeups.redis_hints import RedisHints

        for name in queue_names:
            RedisHints(name, hint_namespace(model)).nudge()
