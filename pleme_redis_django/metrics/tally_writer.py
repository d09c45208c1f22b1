"""TallyWriter: stores the counts of a worker process for the sampler."""

from __future__ import annotations

from pleme_redis_django.metrics import tally
from pleme_redis_django.metrics.ending_counter import EndingCounter
from pleme_redis_django.metrics.tally import QueueKey, Tally
from pleme_redis_django.models import WorkerTally
from pleme_redis_django.orm_store.connection import reconnecting


class TallyWriter:
    """Keeps counts until they can be stored. Not for several threads."""

    def __init__(self, counter: EndingCounter, *, job_model: str, using: str) -> None:
        self.counter = counter
        self._job_model = job_model
        self._using = using
        self._unstored: dict[QueueKey, Tally] = {}

    def store(self) -> bool:
        """Write what was counted since the last call; one row, or none when nothing ended. Return whether one was."""
        for key, counted in self.counter.take().items():
            self._unstored.setdefault(key, Tally()).add(counted)
        if not self._unstored:
            return False
        with reconnecting(self._using):
            row = WorkerTally(job_model=self._job_model, queues=tally.to_json(self._unstored))
            row.save(using=self._using, force_insert=True)
        self._unstored = {}
        return True
