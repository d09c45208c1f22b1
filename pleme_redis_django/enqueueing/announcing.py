"""Announcing stored jobs: the hints that wake workers for them, and the signal, after the commit."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from django.db import transaction

from pleme_redis_django.enqueueing.pools import hint_namespace, hints_enabled
from pleme_redis_django.interruption import interruptible, uninterrupted
from pleme_redis_django.jobs.interface.job import QueuedJob
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.orm_store.new_rows import ROWS_PER_STATEMENT
from pleme_redis_django.signals import jobs_enqueued

if TYPE_CHECKING:
    from pleme_redis_django.redis_state.wakeups.redis_hints import RedisHints


def announce(jobs: Sequence[AbstractJob], using: str) -> None:
    """Hint at stored jobs and send ``jobs_enqueued``, once the transaction on ``using`` commits."""
    transaction.on_commit(lambda: _announce_now(jobs), using=using, robust=True)


def hint_after_commit(jobs: Sequence[AbstractJob], using: str) -> None:
    """Hint at jobs of one queue after the commit."""
    # No partial: Django logs the __qualname__ of a robust callback that fails, and a partial has none.
    transaction.on_commit(lambda: _hint_at(jobs), using=using, robust=True)


@uninterrupted
def _announce_now(jobs: Sequence[AbstractJob]) -> None:
    _hint_at(jobs)
    interruptible(jobs_enqueued.send_robust, sender=type(jobs[0]), jobs=jobs)


def wake_workers_of(model: type[AbstractJob], queue_names: Sequence[str]) -> None:
    if hints_enabled():
        for name in queue_names:
            _hints_of(name, hint_namespace(model)).nudge()


def _hint_at(jobs: Sequence[AbstractJob]) -> None:
    if hints_enabled():
        now = datetime.now(UTC)
        queue_name = jobs[0].queue_name
        hints = _hints_of(queue_name, hint_namespace(type(jobs[0])))
        hints.send(queue_name, [_hint(job, now) for job in islice(jobs, ROWS_PER_STATEMENT)])


# Kept: making a new one checks its names and builds its keys, which is a tenth of the call's own time.
@functools.lru_cache(maxsize=1024)
def _hints_of(queue_name: str, namespace: str) -> RedisHints:
    # Here, since redis costs a process 7 MiB and a tenth of a second, which jobs without Redis are spared.
    from pleme_redis_django.redis_state.wakeups.redis_hints import RedisHints

    return RedisHints(queue_name, namespace)


def _hint(job: AbstractJob, now: datetime) -> QueuedJob:
    return QueuedJob(
        job_id=job.id,
        product=job.product,
        job_type=job.job_type,
        retry_count=0,
        max_retries=job.max_retries,
        enqueued_at=now,
    )
