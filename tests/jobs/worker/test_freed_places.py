"""FreedPlaces: what waits for the places of ended jobs is let in, and none is forgotten while the store is away."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from pleme_redis_django.jobs.interface.events import StoreUnavailable
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.freed_places import FreedPlaces
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs
from pleme_redis_django.jobs.worker.store_outage import StoreOutage
from pleme_redis_django.testing import MemoryJobStore
from tests.jobs.recording import RecordingSink, claimed


class LimitingStore(MemoryJobStore):
    """Says who ended, lets one in for each, and can be away."""

    supports_limits = True

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[Any] = []
        self.error: Exception | None = None

    def release_after(self, jobs: Sequence[Any]) -> list[str]:
        if self.error is not None:
            raise self.error
        self.ended += jobs
        return [job.queue_name for job in jobs]


class Bench:
    """What a test reads and breaks."""

    def __init__(self, *, keeps_limits: bool = True) -> None:
        self.store, self.sink, self.agenda = LimitingStore(), RecordingSink(), Agenda(60)
        self.store.supports_limits = keeps_limits
        outage = StoreOutage("finish", self.sink, threading.Event())
        self.freed = FreedPlaces(self.store, ReleasedJobs(self.agenda), outage)


def test_who_is_let_in_is_looked_for() -> None:
    bench = Bench()
    job = claimed(bench.store)
    bench.freed.leave([job])
    assert bench.store.ended == [job]
    assert bench.agenda.has_unseen_hint() and not bench.freed


def test_a_store_without_limits_is_not_asked() -> None:
    bench = Bench(keeps_limits=False)
    bench.freed.leave([claimed(bench.store)])
    assert bench.store.ended == [] and not bench.freed and not bench.agenda.has_unseen_hint()


def test_what_fails_is_tried_again_with_the_next() -> None:
    bench = Bench()
    first, next_one = claimed(bench.store), claimed(bench.store)
    bench.store.error = ConnectionError("away")
    bench.freed.leave([first])
    assert bench.freed and bench.sink.of(StoreUnavailable)
    bench.store.error = None
    bench.freed.leave([next_one])
    assert bench.store.ended == [first, next_one] and not bench.freed
