"""FreedPlaces: once endings are written, has the store let in what waits for the places of those jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pleme_redis_django.jobs.interface.job import AnyJob
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs
from pleme_redis_django.jobs.worker.store_outage import StoreOutage


class FreedPlaces:
    """The places that jobs of one process have left; for the thread that writes endings."""

    def __init__(self, store: JobStore[Any], told: ReleasedJobs, outage: StoreOutage) -> None:
        self._store = store
        self._told = told
        self._outage = outage
        self._is_kept = store.supports_limits
        self._jobs: list[AnyJob] = []

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def leave(self, jobs: Sequence[AnyJob]) -> None:
        """Have others let in for these jobs, whose endings are written; what fails is tried again with the next."""
        if not self._is_kept:
            return
        self._jobs += jobs
        try:
            released = self._store.release_after(self._jobs)
        except Exception as error:
            # The endings are written, and are not to be written again for this.
            self._outage.report(error)
            return
        self._jobs = []
        self._told.tell(released)
