"""drain_jobs: runs what a test has enqueued, in the calling thread and in the test's transaction.

A test's transaction never commits, so no worker would ever see its jobs. Here the store and
the runner are the ones of a worker; threads, hints, leases and waiting are left out.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.db.models import Model
from django.db.models.functions import Now

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool, configured_pool, executor_of
from pleme_redis_django.event_log import EngineEvents
from pleme_redis_django.job_stores import job_store
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    Failure,
    Retried,
    Snoozed,
)
from pleme_redis_django.jobs.interface.events import EndingRefused, JobEnded, JobsClaimed, JobStarted
from pleme_redis_django.jobs.interface.executor import DispatchingExecutor, is_async_executor, known_job_types
from pleme_redis_django.jobs.interface.job import AnyJob
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.worker.runner import JobRunner, NoSurroundings
from pleme_redis_django.orm_store.atomic_attempts import atomic_attempt
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.testing.commits import as_if_committed

# A job that enqueues itself would otherwise keep a test running for ever.
ENDLESS_ATTEMPTS = 10_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DrainedAttempt:
    """One attempt that ``drain_jobs()`` has run."""

    job: Any
    """The whole row as this attempt left it, or as it was claimed if the handler has deleted the row."""
    ending: Ending


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DrainSummary:
    """What ``drain_jobs()`` has run, in order. Its text names every failure."""

    attempts: tuple[DrainedAttempt, ...]

    @property
    def completed(self) -> list[Any]:
        """The jobs that ended COMPLETED."""
        return self._jobs_with(Completed)

    @property
    def failed(self) -> list[Any]:
        """The jobs that ended FAILED, with no retry left or worth it."""
        return self._jobs_with(Failed)

    @property
    def retried(self) -> list[Any]:
        """The jobs that failed and wait for a retry; a job stands here once for each."""
        return self._jobs_with(Retried)

    @property
    def snoozed(self) -> list[Any]:
        """The jobs that their handlers have put off; a job stands here once for each time."""
        return self._jobs_with(Snoozed)

    @property
    def cancelled(self) -> list[Any]:
        """The jobs that ended CANCELLED."""
        return self._jobs_with(Cancelled)

    @property
    def failures(self) -> list[Failure]:
        """What went wrong, with tracebacks, in order; retried attempts included."""
        found = (getattr(attempt.ending, "failure", None) for attempt in self.attempts)
        return [failure for failure in found if failure is not None]

    def __len__(self) -> int:
        return len(self.attempts)

    def __iter__(self) -> Iterator[DrainedAttempt]:
        return iter(self.attempts)

    def __str__(self) -> str:
        kinds = Counter(type(attempt.ending).__name__.lower() for attempt in self.attempts)
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "nothing was ready"
        lines = [
            f"{attempt.job.job_type}: {failure.exception_class}: {failure.message}"
            for attempt in self.attempts
            if (failure := getattr(attempt.ending, "failure", None)) is not None
        ]
        return "\n  ".join([counts, *lines])

    def _jobs_with(self, kind: type[Ending]) -> list[Any]:
        return [attempt.job for attempt in self.attempts if isinstance(attempt.ending, kind)]


def drain_jobs(
    *,
    limit: int | None = None,
    queue_names: Sequence[str] | None = None,
    with_retries: bool = False,
    with_scheduled: bool = False,
    pool: str = "default",
) -> DrainSummary:
    """Run every ready job, and what those enqueue, until nothing is ready; return what was run.

    ``limit``: stop after so many attempts. ``queue_names``: only of these queues (default: all).
    ``with_retries``, ``with_scheduled``: also run what waits for a retry, or for its ``run_after``,
    without waiting. ``pool``: whose jobs and executor, by its name in the settings.

    Works within a TestCase's transaction and outside of one. A database error of a handler does
    not break the test's transaction, and what a handler leaves to ``transaction.on_commit()`` runs
    after it. Raises AssertionError after 10,000 attempts without a ``limit``.
    """
    _refuse_running_loop()
    return _Drain(configured_pool(pool), queue_names, with_retries, with_scheduled).run(limit)


adrain_jobs = sync_to_async(drain_jobs)
"""Async twin of ``drain_jobs``, for async tests."""


class _InATest(NoSurroundings):
    """Leaves the test's connections alone, and has atomic jobs run in a transaction within the test's."""

    def atomic(self, job: Any) -> AbstractContextManager[Callable[[], None]]:
        return atomic_attempt(job)


class _Drain:
    """One call of ``drain_jobs()``: a worker with one slot that never waits."""

    def __init__(
        self,
        parts: ConfiguredPool,
        queue_names: Sequence[str] | None,
        with_retries: bool,
        with_scheduled: bool,
    ) -> None:
        self._parts = parts
        self._store = job_store(parts)
        self._with_retries = with_retries
        self._with_scheduled = with_scheduled
        self._worker_id = str(uuid.uuid4())
        self._sink = EngineEvents()
        self._selection = JobSelection(
            queue_names=None if queue_names is None else tuple(queue_names),
            product=parts.config.product,
            job_types=known_job_types(parts.executor),
        )
        self._runner = JobRunner(
            executor_of(parts),
            parts.config,
            scope=_InATest(),
            max_results_bytes=get_settings().max_results_bytes,
            store=self._store,
        )

    def run(self, limit: int | None) -> DrainSummary:
        attempts: list[DrainedAttempt] = []
        while (limit is None or len(attempts) < limit) and (job := self._claim()) is not None:
            ending = self._attempt(job)
            attempts.append(DrainedAttempt(job=_whole_row(job), ending=ending))
            if limit is None and len(attempts) >= ENDLESS_ATTEMPTS:
                raise AssertionError(
                    f"drain_jobs() has run {ENDLESS_ATTEMPTS:,} attempts, the last one of {job.job_type}, and jobs "
                    "are still ready: one of them enqueues itself for ever. Name a limit: drain_jobs(limit=...)."
                )
        return DrainSummary(attempts=tuple(attempts))

    def _claim(self) -> AnyJob | None:
        self._make_due()
        for suspects in (False, True):
            selection = dataclasses.replace(self._selection, suspects=suspects)
            for job in self._claim_one(selection):
                return job
        return None

    def _claim_one(self, selection: JobSelection) -> Sequence[AnyJob]:
        store = self._store
        jobs: Sequence[AnyJob] = store.claim_jobs(self._worker_id, 1, selection)
        while not jobs and (again_in := store.look_again_in(selection)) is not None:
            time.sleep(again_in)
            jobs = store.claim_jobs(self._worker_id, 1, selection)
        return jobs

    def _make_due(self) -> None:
        pending = JobTable(self._parts.model, get_settings().database).pending()
        if self._with_retries:
            pending.filter(retry_count__gt=0).update(run_after=Now())
        if self._with_scheduled:
            pending.filter(retry_count=0).update(run_after=Now())
        self._store.end_expired_jobs(ENDLESS_ATTEMPTS)
        self._store.promote_due_jobs(ENDLESS_ATTEMPTS)
        # What an enqueue leaves to the commit of its transaction, which a test's never has.
        self._store.release_overlooked(at_once=True)

    def _attempt(self, job: AnyJob) -> Ending:
        assert job.claim is not None
        # Progress needs no write of its own: the last report rides with the ending.
        context = JobContext(job, job.claim, lambda context: None)
        context.bounds = self._runner.bounds_of(job)
        self._sink.emit(JobsClaimed(self._worker_id, 1, False))
        self._sink.emit(JobStarted(job))
        with as_if_committed():
            ending = self._run(context)
        (accepted,) = self._store.finish_jobs([ending])
        self._store.release_after([job])
        self._sink.emit(JobEnded(job, ending) if accepted else EndingRefused(job, ending))
        if _was_interrupted(ending):
            raise KeyboardInterrupt
        return ending

    def _run(self, context: JobContext) -> Ending:
        if not _is_async(self._parts.executor, context.job.job_type):
            return self._runner.run(context)
        # async_to_sync, not asyncio.run: the handler's ORM calls come back to this thread, and so
        # to the connection that holds the test's transaction.
        return async_to_sync(self._runner.arun)(context)


def _whole_row(job: Any) -> Any:
    """Return the job as it is stored now: a claim loads only some fields, and not the result."""
    if not isinstance(job, Model):
        return job
    return type(job)._base_manager.using(job._state.db).filter(pk=job.pk).first() or job


def _is_async(executor: Any, job_type: str) -> bool:
    if isinstance(executor, DispatchingExecutor):
        return job_type in executor.async_job_types()
    return is_async_executor(executor)


def _was_interrupted(ending: Ending) -> bool:
    # The runner makes an ending of everything; Ctrl-C in a test is meant for the test.
    failure: Failure | None = getattr(ending, "failure", None)
    return failure is not None and failure.exception_class == "builtins.KeyboardInterrupt"


def _refuse_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("drain_jobs() was called in an event loop. In an async test: await adrain_jobs().")
