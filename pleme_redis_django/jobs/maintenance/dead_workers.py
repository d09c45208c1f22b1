"""Dead workers: their jobs run again or end, at once if the death was seen, otherwise when the lease has run out."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.events import EventSink, WorkerDied
from pleme_redis_django.jobs.interface.job import AnyJob, JobClaim
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.jobs.interface.workers import WorkerRegistry
from pleme_redis_django.jobs.maintenance.duty import Duty
from pleme_redis_django.jobs.maintenance.endings_of_others import (
    APART_SECONDS,
    ending_after_death,
    ending_after_unseen_death,
)
from pleme_redis_django.jobs.maintenance.rescues import Rescues
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.executing_page import JobExecuted, SeenDeath

SEEN_DEATHS = "seen_deaths"
SWEEPER_ROLE = "sweeper"


class DeadWorkers:
    """Rescues the jobs of workers whose end was seen, and of those whose lease has run out."""

    def __init__(
        self,
        store: JobStore[Any],
        registry: WorkerRegistry,
        rescues: Rescues,
        config: WorkerPoolConfig,
        sink: EventSink,
        agenda: Agenda,
        *,
        burst: bool,
    ) -> None:
        self._store = store
        self._registry = registry
        self._rescues = rescues
        self._config = config
        self._sink = sink
        self._agenda = agenda
        # A burst waits for nothing that is due later.
        self._apart_seconds = 0.0 if burst else APART_SECONDS
        self._seen: list[SeenDeath] = []

    def duties(self, may_sweep: Callable[[], bool]) -> list[Duty]:
        """Return the duties. ``may_sweep``: whether this process may judge others."""
        every_seconds = self._config.lease_sweep_seconds
        return [
            Duty(name=SEEN_DEATHS, run=self.settle_seen_deaths, every_seconds=every_seconds),
            Duty(
                name="dead_workers",
                run=self.sweep,
                every_seconds=every_seconds,
                role=SWEEPER_ROLE,
                condition=may_sweep,
            ),
        ]

    def note(self, death: SeenDeath) -> None:
        """Take note of a worker whose end was seen; from any thread."""
        self._agenda.rescue_begins()
        self._seen.append(death)

    def settle_seen_deaths(self) -> None:
        """Rescue the jobs of those whose ends were seen."""
        if not self._seen:
            return
        seen = list(self._seen)
        worker_ids = [death.worker_id for death in seen]
        draining = self._registry.draining_among(worker_ids)
        executing = {claim for death in seen if death.worker_id not in draining for claim in death.executing}
        # Declared dead only afterwards: otherwise the sweeper, which has not seen these ends, would rescue them too.
        self.rescue(worker_ids, executing)
        settled = [worker_id for worker_id in worker_ids if worker_id not in self._rescues.held_up]
        self._registry.declare_dead(settled)
        self._seen[: len(seen)] = [death for death in seen if death.worker_id in self._rescues.held_up]
        # A burst waits for this, also when there was nothing to rescue.
        self._agenda.rescue_settled(len(settled))

    def sweep(self) -> int:
        """Make the jobs of all dead workers ready again, or end them; return how many."""
        dead = self._registry.sweep()
        if not dead:
            return 0
        rescued = self.rescue(dead)
        # Only now: once the row of a worker is gone, nobody looks for its jobs.
        self._registry.forget([worker_id for worker_id in dead if worker_id not in self._rescues.held_up])
        return rescued

    def rescue(self, worker_ids: Sequence[str], executing: Container[JobExecuted] | None = None) -> int:
        """Rescue every RUNNING job of these workers; return how many were.

        ``executing``: what ran when one of them died of itself. None: nobody saw their ends.
        """
        self._rescues.held_up.clear()
        jobs = self._store.find_jobs_of(worker_ids)
        if not jobs:
            return 0
        vanished: frozenset[str] = frozenset()
        if executing is None:
            vanished = frozenset(worker_ids) - self._registry.draining_among(worker_ids)

        def decide(job: AnyJob, claim: JobClaim) -> Ending:
            # What the worker had only prefetched has no start.
            if claim.worker_id in vanished and getattr(job, "started_at", None) is not None:
                return ending_after_unseen_death(job, claim, self._config, apart_seconds=self._apart_seconds)
            may_have_killed = executing is not None and JobExecuted(job.id, claim.attempt) in executing
            return ending_after_death(
                job, claim, self._config, may_have_killed=may_have_killed, apart_seconds=self._apart_seconds
            )

        rescued = self._rescues.end(jobs, decide)
        if rescued:
            self._sink.emit(WorkerDied(tuple(worker_ids), rescued))
            self._rescues.announce()
        return rescued
