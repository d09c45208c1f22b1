"""A sampler to take turns with, and workers' counts as they would store them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError

from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    Failure,
    GivenBack,
    Retried,
)
from pleme_redis_django.jobs.interface.events import JobEnded, NullSink
from pleme_redis_django.jobs.interface.job import JobClaim
from pleme_redis_django.metrics import sampler as sampler_module
from pleme_redis_django.metrics.ending_counter import EndingCounter
from pleme_redis_django.metrics.sampler import Sampler
from pleme_redis_django.metrics.tally import Tally
from pleme_redis_django.metrics.tally_writer import TallyWriter
from pleme_redis_django.models import Election, Job, QueueSample
from pleme_redis_django.orm_store import OrmWorkerRegistry

LABEL = "pleme_redis_django.job"
FAILURE = Failure(message="no", error_code="E", exception_class="E", traceback="", fingerprint="f")


def a_sampler(using: str = "default") -> Sampler:
    worker_id = str(uuid.uuid4())
    return Sampler(Job, OrmWorkerRegistry(using=using), lambda: worker_id, using=using)


def measure_now() -> None:
    """Have a worker process measure the queues at once, whichever did so before."""
    Election.objects.all().delete()
    turn_now(a_sampler(), "default")


def turn_now(sampler: Sampler, using: str) -> float:
    """Take a turn in which the next measurement is due."""
    QueueSample.objects.using(using).update(next_measure_at=None)
    return sampler.turn()


def a_tally_writer(using: str = "default") -> TallyWriter:
    return TallyWriter(EndingCounter(NullSink()), job_model=LABEL, using=using)


def ended(
    kind: str = "completed",
    *,
    product: str = "shop",
    queue: str = "emails",
    waited: float | None = 1.0,
    ran: float = 0.1,
) -> JobEnded:
    """Return the event of a job that came to an end of this kind."""
    job: Any = SimpleNamespace(
        product=product,
        queue_name=queue,
        waited_seconds=waited,
    )
    return JobEnded(job, _ending(kind, ran))


def _ending(kind: str, ran: float) -> Ending:
    claim = JobClaim(worker_id=str(uuid.uuid4()), attempt=1)
    shared: dict[str, Any] = {"job_id": uuid.uuid4(), "claim": claim, "run_seconds": ran}
    match kind:
        case "completed":
            return Completed(**shared)
        case "retried":
            return Retried(**shared, failure=FAILURE, retry_count=1, delay_seconds=60)
        case "failed":
            return Failed(**shared, failure=FAILURE)
        case "cancelled":
            return Cancelled(**shared, failure=FAILURE)
    return GivenBack(**shared)


def counted(*events: JobEnded) -> dict[tuple[str, str], Tally]:
    """Return what a worker process counts of these events."""
    counter = EndingCounter(NullSink())
    for event in events:
        counter.emit(event)
    return counter.take()


def store_endings(events: Iterable[JobEnded], using: str = "default") -> None:
    """Have a worker process count these events and store its counts."""
    writer = a_tally_writer(using)
    for event in events:
        writer.counter.emit(event)
    writer.store()


class SlowCount:
    """Stands before the count of depths: it takes ``seconds`` of a clock of its own, and may fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self.limits: list[int | None] = []
        self.fails = False
        self._now, self._seconds = 0.0, seconds
        self._count = sampler_module.measure_depths
        monkeypatch.setattr(sampler_module, "measure_depths", self.measure)
        monkeypatch.setattr(sampler_module, "time", self)

    def monotonic(self) -> float:
        return self._now

    def measure(self, *given: Any, limit: int | None = None) -> Any:
        self.limits.append(limit)
        self._now += self._seconds
        if self.fails:
            raise OperationalError("canceling statement due to statement timeout")
        return self._count(*given, limit=limit)
