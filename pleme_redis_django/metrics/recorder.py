"""StatisticsRecorder: the thread of a worker process that stores what it counted, and samples when elected.

It writes nothing for what it did not do: an idle process asks every twenty seconds whether it is the
sampler, and that is all. What a process has counted and not stored yet dies with it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from django.db import connections

from pleme_redis_django.conf import get_settings
from pleme_redis_django.jobs.interface.events import EventSink
from pleme_redis_django.jobs.worker.store_outage import StoreOutage
from pleme_redis_django.metrics import tally
from pleme_redis_django.metrics.ending_counter import EndingCounter
from pleme_redis_django.metrics.sampler import INTERVAL_SECONDS, Sampler
from pleme_redis_django.metrics.tally import QueueKey, Tally
from pleme_redis_django.models import AbstractJob, WorkerTally, model_label
from pleme_redis_django.orm_store import OrmWorkerRegistry
from pleme_redis_django.orm_store.connection import reconnecting

FLUSH_SECONDS = 5.0
FIRST_TURN_SECONDS = 1.0


def statistics_of(
    model: type[AbstractJob], sink: EventSink, *, worker_id: Callable[[], str], burst: bool = False
) -> StatisticsRecorder:
    """Return the statistics of one process that runs jobs of a model; its ``counter`` is the sink of the pool."""
    using = get_settings().database
    return StatisticsRecorder(
        EndingCounter(sink),
        Sampler(model, OrmWorkerRegistry(using=using), worker_id, using=using),
        sink,
        job_model=model_label(model),
        using=using,
        burst=burst,
    )


class StatisticsRecorder:
    """Started beside the worker pool, and stopped after it, so that its last endings are stored."""

    def __init__(
        self,
        counter: EndingCounter,
        sampler: Sampler,
        sink: EventSink,
        *,
        job_model: str,
        using: str,
        burst: bool = False,
    ) -> None:
        self.counter = counter
        self._sampler = sampler
        self._job_model = job_model
        self._using = using
        self._burst = burst
        self._unstored: dict[QueueKey, Tally] = {}
        self._stopping = threading.Event()
        self._patience = StoreOutage("statistics", sink, self._stopping)
        # Processes take their turns apart; each keeps to its own beat, so that no step goes without.
        self._phase = random.uniform(0, FLUSH_SECONDS)  # noqa: S311 - spreads load
        self._thread = threading.Thread(target=self._run, name="pleme-statistics", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Store what is left, and end the thread."""
        self._stopping.set()
        self._thread.join(timeout_seconds)

    def store(self) -> None:
        """Write what was counted since the last call; one row, or none when nothing ended."""
        for key, counted in self.counter.take().items():
            self._unstored.setdefault(key, Tally()).add(counted)
        if self._unstored:
            with reconnecting(self._using):
                row = WorkerTally(job_model=self._job_model, queues=tally.to_json(self._unstored))
                row.save(using=self._using, force_insert=True)
            self._unstored = {}

    def _run(self) -> None:
        # A burst is mostly over sooner, and measures at its end.
        first = INTERVAL_SECONDS if self._burst else FIRST_TURN_SECONDS
        next_store = next_turn = time.monotonic() + first
        while not self._stopping.wait(max(min(next_store, next_turn) - time.monotonic(), 0)):
            try:
                if time.monotonic() >= next_store:
                    self.store()
                    next_store = self._next(FLUSH_SECONDS)
                if time.monotonic() >= next_turn:
                    # Before the turn, too: one that fails is not repeated at once.
                    next_turn = self._next(INTERVAL_SECONDS)
                    next_turn = self._next(self._sampler.turn())
            except Exception as error:
                self._patience.wait_after(error)
            else:
                self._patience.succeeded()
        self._end()

    def _next(self, interval_seconds: float) -> float:
        """Return the next beat at least half an interval from now: a turn's length delays no later one."""
        beats = round((time.monotonic() - self._phase) / interval_seconds) + 1
        return beats * interval_seconds + self._phase

    def _end(self) -> None:
        try:
            self.store()
            if self._burst:
                # There may be no other process that takes the counts.
                self._sampler.turn(is_last=True)
        except Exception as error:
            self._patience.report(error)
        finally:
            connections.close_all()
