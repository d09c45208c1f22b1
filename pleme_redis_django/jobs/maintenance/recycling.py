"""Recycling: a process that has run long enough, or has grown too large, lets another one take its place.

This bounds what grows in a process, above all a leak. The process still runs what it has claimed, and under a
supervisor it goes on working until the other one does.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.jobs.maintenance.duty import Duty
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.lane import Lane
from pleme_redis_django.jobs.worker.process_memory import occupied_mb

LOOK_SECONDS = 1.0
# So that processes that were started together are not replaced together.
JITTER_SHARE = 0.1


class Recycling:
    """What this process may not exceed, each number up to a tenth smaller than its pool says."""

    def __init__(
        self,
        config: WorkerPoolConfig,
        agenda: Agenda,
        lanes: Sequence[Lane],
        tell: Callable[[str], None],
        *,
        waits: bool,
        clock: Callable[[], float] = time.monotonic,
        occupied_mb: Callable[[], float] = occupied_mb,
        random_share: Callable[[], float] = random.random,
    ) -> None:
        self._agenda = agenda
        self._lanes = lanes
        self._tell = tell
        self._waits = waits
        self._clock = clock
        self._occupied_mb = occupied_mb
        self._started = clock()
        share = 1 - JITTER_SHARE * random_share()
        self._max_jobs = _part(config.max_jobs_per_process, share)
        self._max_age_seconds = _part(config.max_process_age_seconds, share)
        self._max_mb = _part(config.max_process_memory_mb, share)

    def duties(self) -> list[Duty]:
        """Return the duty; none where nothing is bounded."""
        if self._max_jobs is self._max_age_seconds is self._max_mb is None:
            return []
        return [Duty(name="recycling", run=self.look, every_seconds=LOOK_SECONDS)]

    def look(self) -> None:
        """Tell once that this process exceeds something, and ask for its end unless somebody else says when."""
        agenda = self._agenda
        if (
            agenda.leaving.requested.is_set()
            or agenda.leaving.limit_reached
            or not (reason := self._reason())
        ):
            return
        agenda.leaving.limit_reached = reason
        self._tell(reason)
        if not self._waits:
            agenda.leaving.recycle(reason, lets_waiting_run=True)

    def _reason(self) -> str:
        ended = sum(lane.ended() for lane in self._lanes)
        if self._max_jobs is not None and ended >= self._max_jobs:
            return f"it has run {ended:,} jobs"
        age_seconds = self._clock() - self._started
        if self._max_age_seconds is not None and age_seconds >= self._max_age_seconds:
            return f"it has run for {age_seconds:,.0f} s"
        # A process that has run nothing is as large as the next one would be: replacing it would never end.
        if self._max_mb is not None and ended and (now_mb := self._occupied_mb()) >= self._max_mb:
            return f"it occupies {now_mb:,.0f} MB"
        return ""


def _part(limit: float | None, share: float) -> float | None:
    return None if limit is None else limit * share
