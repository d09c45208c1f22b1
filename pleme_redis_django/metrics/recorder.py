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
from pleme_redis_django.metrics.ending_counter import EndingCounter
from pleme_redis_django.metrics.sampler import INTERVAL_SECONDS, Sampler
from pleme_redis_django.metrics.tally_writer import TallyWriter
from pleme_redis_django.models import AbstractJob, model_label
from pleme_redis_django.orm_store.worker_registry import OrmWorkerRegistry

FLUSH_SECONDS = 5.0
FIRST_TURN_SECONDS = 1.0


def statistics_of(
    model: type[AbstractJob], sink: EventSink, *, worker_id: Callable[[], str], burst: bool = False
) -> StatisticsRecorder:
    """Return the statistics of one process that runs jobs of a model; ``tallies.counter`` is the sink of the pool."""
    using = get_settings().database
    tallies = TallyWriter(EndingCounter(sink), job_model=model_label(model), using=using)
    sampler = Sampler(model, OrmWorkerRegistry(using=using), worker_id, using=using)
    return StatisticsRecorder(tallies, sampler, sink, burst=burst)


class StatisticsRecorder:
    """Started beside the worker pool, and stopped after it, so that its last endings are stored."""

    def __init__(
        self,
        tallies: TallyWriter,
        sampler: Sampler,
        sink: EventSink,
        *,
        burst: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tallies = tallies
        self._sampler = sampler
        self._burst = burst
        self._stopping = threading.Event()
        self.outage = StoreOutage("statistics", sink, self._stopping)
        self._clock = clock
        # Processes take their turns apart; each keeps to its own beat, so that no step goes without.
        self._phase = random.uniform(0, FLUSH_SECONDS)  # noqa: S311 - spreads load
        self._next_store = self._next_turn = clock()
        self._thread = threading.Thread(target=self._run, name="pleme-statistics", daemon=True)

    def start(self) -> None:
        # A burst is mostly over sooner, and measures at its end.
        first = INTERVAL_SECONDS if self._burst else FIRST_TURN_SECONDS
        self._next_store = self._next_turn = self._clock() + first
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Store what is left, and end the thread."""
        self._stopping.set()
        self._thread.join(timeout_seconds)

    def turn(self) -> None:
        """Store what was counted and have the sampler take its turn, each when it is due."""
        has_answered = False
        if self._clock() >= self._next_store:
            has_answered = self.tallies.store()
            self._next_store = self._next(FLUSH_SECONDS)
        if self._clock() >= self._next_turn:
            # Before the turn, too: one that fails is not repeated at once.
            self._next_turn = self._next(INTERVAL_SECONDS)
            self._next_turn = self._next(self._sampler.turn())
            has_answered = True
        if has_answered:  # Else the database was asked nothing, and may be away as before.
            self.outage.succeeded()

    def _run(self) -> None:
        while not self._stopping.wait(max(min(self._next_store, self._next_turn) - self._clock(), 0)):
            try:
                self.turn()
            except Exception as error:
                self.outage.wait_after(error)
        self._end()

    def _next(self, interval_seconds: float) -> float:
        """Return the next beat at least half an interval from now: a turn's length delays no later one."""
        beats = round((self._clock() - self._phase) / interval_seconds) + 1
        return beats * interval_seconds + self._phase

    def _end(self) -> None:
        try:
            self.tallies.store()
            if self._burst:
                # There may be no other process that takes the counts.
                self._sampler.turn(is_last=True)
        except Exception as error:
            self.outage.report(error)
        finally:
            connections.close_all()
