"""Waiting for the end of a job: told through Redis, and by looking at its row where there is none."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

from pleme_redis_django.enqueueing.pools import hints_enabled
from pleme_redis_django.exceptions import (
    InvalidNumber,
    JobNotFound,
    JobUnsuccessful,
    JobWaitTimeout,
    RedisUnavailable,
    WrongTransaction,
)
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.middleware.encryption.reading import decrypted_results
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.ranges import Number
from pleme_redis_django.redis_state.server.flows import Flow, arun, run

J = TypeVar("J", bound=AbstractJob)

TIMEOUTS = Number(0, 3_600)
# The row is looked at so often: at first soon, since most jobs that somebody waits for are short.
FIRST_LOOK_SECONDS = 0.01
LONGEST_LOOK_SECONDS = 1.0

_FIELDS = ("status", "results", "error_message", "error_details", "completed_at", "failed_at", "deleted_at")


class JobWaiter:
    """What ``apps.ready()`` binds to ``job.wait()`` and ``job.await_result()``."""

    def wait(self, job: AbstractJob, timeout_seconds: float) -> Any:
        _refuse_transaction(job)
        return run(_wait(job, timeout_seconds))

    async def await_result(self, job: AbstractJob, timeout_seconds: float) -> Any:
        await sync_to_async(_refuse_transaction)(job)
        return await arun(_wait(job, timeout_seconds))


def _wait(job: AbstractJob, timeout_seconds: float) -> Flow[Any]:
    if not TIMEOUTS.accepts(timeout_seconds):
        raise InvalidNumber(f"The timeout of a wait is {timeout_seconds!r} seconds. Accepted: {TIMEOUTS}.")
    deadline = time.monotonic() + timeout_seconds
    rest = FIRST_LOOK_SECONDS
    # Without a hint first, since a hint is for jobs that have not ended.
    while not (yield _Look(job)):
        left = deadline - time.monotonic()
        if left <= 0:
            raise JobWaitTimeout(
                f"The job {job.id} ({job.job_type}) is {job.status} after {timeout_seconds:g} s. It goes on: wait "
                "again, or ask manage.py jobstats whether a worker serves its queue."
            )
        seconds = min(left, LONGEST_LOOK_SECONDS)
        if not (yield from _is_told(job, seconds)):
            yield _Rest(min(left, rest))
            rest = min(2 * rest, LONGEST_LOOK_SECONDS)
    return _results(job)


def _is_told(job: AbstractJob, seconds: float) -> Flow[bool]:
    """Wait for the notice of the job's end; return False at once where there is no Redis to bring one."""
    if not hints_enabled():
        return False
    # Not at the top: a project without Redis imports no redis.
    from pleme_redis_django.redis_state.wakeups.awaited_jobs import register_wait, wait_for_end

    try:
        yield register_wait(job.id)
        # It may have ended before anybody knew of the wait.
        if not (yield _Look(job)):
            yield wait_for_end(job.id, seconds)
    except RedisUnavailable:
        return False
    return True


@dataclasses.dataclass(frozen=True, slots=True)
class _Look:
    """Reads the job's row into the instance; answers whether the job has ended."""

    job: AbstractJob

    def run(self) -> bool:
        job = self.job
        row = type(job)._base_manager.using(job._state.db).filter(pk=job.pk).values(*_FIELDS).first()
        if row is None or row["deleted_at"] is not None:
            raise JobNotFound(job.id)
        for name, value in row.items():
            setattr(job, name, value)
        return JobStatus(job.status).is_terminal

    async def arun(self) -> bool:
        return await sync_to_async(self.run)()


@dataclasses.dataclass(frozen=True, slots=True)
class _Rest:
    seconds: float

    def run(self) -> None:
        time.sleep(self.seconds)

    async def arun(self) -> None:
        await asyncio.sleep(self.seconds)


def _results(job: AbstractJob) -> Any:
    if job.status == JobStatus.COMPLETED:
        return decrypted_results(job)
    details = job.error_details if isinstance(job.error_details, dict) else {}
    code = details.get("error_code")
    raise JobUnsuccessful(
        f"The job {job.id} ({job.job_type}) ended {job.status}"
        + (f" with the code {code}. " if code else ". ")
        + "Its error_message and error_details say more.",
        status=JobStatus(job.status),
        error_code=code,
    )


def _refuse_transaction(job: AbstractJob) -> None:
    """Refuse a wait in a transaction, whose own jobs start after its commit; the ends of others may stay hidden."""
    using = job._state.db or "default"
    # A TestCase holds a transaction open on each of its databases, where production has none.
    blocks = connections[using].atomic_blocks
    if any(not block._from_testcase for block in blocks):  # type: ignore[attr-defined]  # the stubs lack it
        raise WrongTransaction(
            f'This waits for the job {job.id} inside a transaction on "{using}": a job that the transaction enqueued '
            "starts after its commit. Wait after the commit."
        )
