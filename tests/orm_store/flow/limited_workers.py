"""Workers of random lives: what they hold, how their jobs end, and how others rescue what the dead ones held."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    GivenBack,
    Retried,
    Snoozed,
)
from pleme_redis_django.jobs.interface.failures import engine_failure
from pleme_redis_django.jobs.interface.hints import NoHints
from pleme_redis_django.jobs.interface.job import AnyJob
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.jobs.maintenance.dead_workers import DeadWorkers
from pleme_redis_django.jobs.maintenance.rescues import Rescues
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs
from pleme_redis_django.jobs.worker.store_outage import StoreOutage
from tests.jobs.recording import RecordingSink

# A job that has run out of time is retried, or fails.
ENDINGS = [Completed, Completed, Failed, Cancelled, GivenBack, Retried, Retried, Snoozed]
AGAIN_IN_SECONDS = 1_800
FAILURE = engine_failure("test", "as the test asked", "test")


class Worker:
    """One process: what it has claimed, what it runs, and whose places it has not given away yet."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.id = str(uuid4())
        self.claimed: list[Any] = []
        self.running: list[Any] = []
        self.ended: list[Any] = []


def ending_of(job: Any, kind: type[Ending]) -> Ending:
    """Return the ending of a job; a later attempt is due within an hour."""
    fields: dict[str, Any] = {"job_id": job.id, "claim": job.claim}
    if kind in (Failed, Cancelled, Retried):
        fields["failure"] = FAILURE
    if kind in (Retried, Snoozed):
        fields["retry_count"] = job.retry_count + (kind is Retried)
        fields["delay_seconds"] = AGAIN_IN_SECONDS
    return kind(**fields)


class DiesAfterTheEndings(Rescues):
    """Rescues of a process that is killed before it lets others in."""

    def let_others_in(self, ended: Sequence[AnyJob]) -> None:
        pass


def rescue_all(store: Any, registry: Any, *, dies: bool) -> int:
    """Sweep dead workers as the duty does; return how many jobs were rescued."""
    agenda, sink = Agenda(60), RecordingSink()
    outage = StoreOutage("rescue", sink, threading.Event())
    kind = DiesAfterTheEndings if dies else Rescues
    rescues = kind(store, NoHints(), sink, agenda, outage, ReleasedJobs(agenda))
    rescued = DeadWorkers(store, registry, rescues, WorkerPoolConfig(), sink, agenda, burst=True).sweep()
    assert not outage.is_away, outage.error
    return rescued
