"""Starts: writes down when handlers began, so that a job that ran can be told from one that was only claimed.

A job that ends within a second needs no such write, because its ending says it. The start of a job that was given
back before is written almost at once: it may be the job that takes down whole hosts, and then this is the only trace.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from pleme_redis_django.exceptions import LockedJobs
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.maintenance.duty import Duty
from pleme_redis_django.jobs.maintenance.maintainer import Maintainer
from pleme_redis_django.jobs.worker.holdings import Holdings

STARTS = "starts"
# A job that has run for this long is worth a write of its own.
RECORD_START_AFTER_SECONDS = 1.0
# The same for a job that runs again. Shorter ones, such as the many that an operator retries, cost no write.
RECORD_ANOTHER_START_AFTER_SECONDS = 0.05


class StartRecords:
    """Writes starts at every sweep, and soon after the start of a job that was given back before."""

    def __init__(self, store: JobStore[Any], holdings: Holdings, maintainer: Maintainer) -> None:
        self._store = store
        self._holdings = holdings
        self._maintainer = maintainer
        self._is_noted = False

    def duty(self, every_seconds: float) -> Duty:
        return Duty(name=STARTS, run=self.write, every_seconds=every_seconds)

    def note_start(self) -> None:
        """Take note of the start of a job that was given back before. May be called from any thread."""
        if not self._is_noted:
            self._is_noted = True
            self._maintainer.do_in(RECORD_ANOTHER_START_AFTER_SECONDS, STARTS)

    def write(self) -> None:
        """Write what has run for long enough."""
        self._is_noted = False  # First: what starts from here on is noted anew.
        now = time.monotonic()
        started = []
        for held in self._holdings.running():
            if held.start_recorded or held.started_at is None:
                continue
            if now - held.started_at >= _write_after_seconds(held.runs_again):
                started.append((held, held.started_at))
            elif held.runs_again:
                self.note_start()
        if not started:
            return
        with suppress(LockedJobs):  # They are told again by their endings.
            self._store.record_starts(
                [(held.job.id, held.claim, now - started_at) for held, started_at in started]
            )
        for held, _started_at in started:
            held.start_recorded = True


def _write_after_seconds(runs_again: bool) -> float:
    return RECORD_ANOTHER_START_AFTER_SECONDS if runs_again else RECORD_START_AFTER_SECONDS
