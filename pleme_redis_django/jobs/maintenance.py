"""Maintenance: the thread that finds what got stuck, in this process and in the cluster.

Every sweep: records starts, gives back rows that are RUNNING under this
worker's id and not held by it, learns of requested cancels; one elected worker rescues the jobs
of dead ones. Every stale check, one elected worker ends jobs that went silent, and hints again
what nobody claimed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Sequence
from typing import Any
from uuid import UUID

from pleme_redis_django.jobs.ending_batches import write_parted
from pleme_redis_django.jobs.endings import Ending
from pleme_redis_django.jobs.engine_thread import EngineThread, OnBroken, tell_nobody
from pleme_redis_django.jobs.events import (
    EventSink,
    JobEnded,
    OrphanedJobsHinted,
    StaleJobsFound,
    UnservedJobsFound,
    WorkerDied,
)
from pleme_redis_django.jobs.executing_page import JobExecuted, SeenDeath
from pleme_redis_django.jobs.heartbeat import Heartbeat
from pleme_redis_django.jobs.hints import HintQueue
from pleme_redis_django.jobs.holdings import HeldJob, Holdings
from pleme_redis_django.jobs.identity import WorkerIdentity, WorkerRegistry
from pleme_redis_django.jobs.job import Job, JobClaim
from pleme_redis_django.jobs.patience import Patience
from pleme_redis_django.jobs.reconciliation import Reconciliation
from pleme_redis_django.jobs.rescue import (
    APART_SECONDS,
    ending_after_death,
    ending_after_unseen_death,
    ending_of_stale,
    ending_of_undecidable,
)
from pleme_redis_django.jobs.starts import StartRecords
from pleme_redis_django.jobs.store import BadEnding, JobStore
from pleme_redis_django.jobs.worker_pool_config import WorkerPoolConfig

SWEEPER_ROLE = "sweeper"
CARETAKER_ROLE = "caretaker"
RESCUE_BATCH = 500


class Maintenance:
    """Layers 3 and 4 of what keeps jobs from being stuck, and the reconciliation of claims."""

    def __init__(
        self,
        store: JobStore[Any],
        registry: WorkerRegistry | None,
        heartbeat: Heartbeat | None,
        hints: HintQueue | None,
        holdings: Holdings,
        identity: WorkerIdentity,
        config: WorkerPoolConfig,
        sink: EventSink,
        *,
        known_types: frozenset[str] | None = None,
        burst: bool = False,
        on_rescue: Callable[[], None] = lambda: None,
        on_cancel: Callable[[HeldJob], None] = lambda held: None,
        on_broken: OnBroken = tell_nobody,
    ) -> None:
        self._store = store
        self._registry = registry
        self._heartbeat = heartbeat
        self._hints = hints
        self._holdings = holdings
        self._identity = identity
        self._config = config
        self._sink = sink
        self._known_types = known_types
        # A burst waits for nothing that is due later.
        self._burst = burst
        self._on_rescue = on_rescue
        self._reconciliation = Reconciliation(store, holdings, identity, sink, on_cancel=on_cancel)
        self._next_stale_check = time.monotonic() + config.stale_check_interval_seconds
        self._elected_until: dict[str, float] = {}
        self._seen_deaths: list[SeenDeath] = []
        self._held_up: set[str] = set()
        """Workers some of whose jobs could not be rescued just now, because their rows were locked."""
        self._next_turn = time.monotonic() + config.lease_sweep_seconds
        self._called = False
        self._wake = threading.Event()
        self._starts = StartRecords(store, holdings, wake=self._wake.set)
        self._nothing_left = False
        self._stopping = threading.Event()
        self._patience = Patience("maintenance", sink, self._stopping)
        self._thread = EngineThread(self._run, "pleme-maintenance", on_broken)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_seconds: float) -> bool:
        """End the thread after the step that it is at, once nothing claims any more.

        Its last step gives back what this worker has claimed and does not hold; False when that
        was not done in time.
        """
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_seconds)
        return self._nothing_left

    def note_death(self, death: SeenDeath) -> None:
        """Rescue the jobs of a worker whose end was seen, at once; from any thread."""
        self._seen_deaths.append(death)
        self._wake.set()

    def has_deaths_to_settle(self) -> bool:
        """Whether jobs of a worker whose end was seen may still be RUNNING."""
        return bool(self._seen_deaths)

    def note_another_start(self) -> None:
        """Record soon that a job runs which had been given back; from any thread."""
        self._starts.note_start()

    def note_call(self) -> None:
        """Learn at once what was asked of held jobs; from any thread."""
        self._called = True
        self._wake.set()

    def expect_lost_claims(self) -> None:
        """Reconcile at the next two sweeps, also while nothing is held; from any thread."""
        self._reconciliation.expect_lost_claims()

    def _run(self) -> None:
        while not self._stopping.is_set():
            next_at = min(self._next_turn, self._starts.due_at)
            self._wake.wait(max(next_at - time.monotonic(), 0.0))
            self._wake.clear()
            if not self._stopping.is_set():
                self._do_what_is_due()
        self._nothing_left = self.give_back_lost_claims()

    def _do_what_is_due(self) -> None:
        if self._called:
            self._called = False
            self._try(self._reconciliation.learn_of_requests)
        if time.monotonic() >= self._starts.due_at:
            self._try(self._starts.write)
        if self._seen_deaths or time.monotonic() >= self._next_turn:
            self._try(self.turn)
            self._next_turn = time.monotonic() + self._config.lease_sweep_seconds

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
            if self._patience.is_away:
                # A step may have had nothing to ask, and its success says nothing then.
                self._store.held_jobs(self._identity.worker_id)
        except Exception as error:
            self._patience.wait_after(error)
        else:
            self._patience.succeeded()

    def turn(self) -> None:
        """Do one round of everything that is due.

        A step that fails stops no other one. Raises, at the end, what the first of them raised.
        """
        self._do_each(
            self._rescue_jobs_of_seen_dead,
            self._starts.write,
            self._reconcile,
            self._sweep,
            self._care,
        )

    def _do_each(self, *steps: Callable[[], object]) -> None:
        errors: list[Exception] = []
        for step in steps:
            try:
                step()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _reconcile(self) -> None:
        if self._reconciliation.sweep():
            self._announce()

    def _sweep(self) -> None:
        if self._may_sweep() and self._is_elected(SWEEPER_ROLE, self._config.lease_sweep_seconds):
            self.rescue_jobs_of_the_dead()

    def _care(self) -> None:
        now = time.monotonic()
        if now < self._next_stale_check:
            return
        self._next_stale_check = now + self._config.stale_check_interval_seconds
        if self._is_elected(CARETAKER_ROLE, self._config.stale_check_interval_seconds):
            self._do_each(self.end_stale_jobs, self.hint_orphaned_jobs, self.report_unserved_jobs)

    def _rescue_jobs_of_seen_dead(self) -> None:
        if self._seen_deaths and self._registry is not None:
            seen = list(self._seen_deaths)
            worker_ids = [death.worker_id for death in seen]
            draining = self._draining_among(worker_ids)
            executing = {
                claim for death in seen if death.worker_id not in draining for claim in death.executing
            }
            # Declared only afterwards: the sweeper, which knows of no evidence, would rescue them too.
            self.rescue_jobs_of(worker_ids, executing)
            settled = [worker_id for worker_id in worker_ids if worker_id not in self._held_up]
            self._registry.declare_dead(settled)
            self._seen_deaths[: len(seen)] = [death for death in seen if death.worker_id in self._held_up]
            # A burst waits for this, also when there was nothing to rescue.
            self._on_rescue()

    def rescue_jobs_of_the_dead(self) -> int:
        """Make the jobs of dead workers ready again, or end them; return how many."""
        assert self._registry is not None
        dead = self._registry.sweep()
        if not dead:
            return 0
        rescued = self.rescue_jobs_of(dead)
        # Only now: a row that is gone leaves jobs behind that nobody looks for.
        self._registry.forget([worker_id for worker_id in dead if worker_id not in self._held_up])
        return rescued

    def rescue_jobs_of(
        self, worker_ids: Sequence[str], executing: Container[JobExecuted] | None = None
    ) -> int:
        """Rescue every RUNNING job of these workers; return how many were.

        ``executing``: what ran when one of them died of itself. None: nobody saw their ends.
        """
        self._held_up.clear()
        jobs = self._store.find_jobs_of(worker_ids)
        if not jobs:
            return 0
        vanished: frozenset[str] = frozenset()
        if executing is None:
            vanished = frozenset(worker_ids) - self._draining_among(worker_ids)
        apart_seconds = 0.0 if self._burst else APART_SECONDS

        def decide(job: Job, claim: JobClaim, config: WorkerPoolConfig) -> Ending:
            # What the worker had only prefetched has no start.
            if claim.worker_id in vanished and getattr(job, "started_at", None) is not None:
                return ending_after_unseen_death(job, claim, config, apart_seconds=apart_seconds)
            may_have_killed = executing is not None and JobExecuted(job.id, claim.attempt) in executing
            return ending_after_death(
                job, claim, config, may_have_killed=may_have_killed, apart_seconds=apart_seconds
            )

        rescued = self._apply(jobs, decide)
        if rescued:
            self._sink.emit(WorkerDied(tuple(worker_ids), rescued))
            self._announce()
        return rescued

    def _draining_among(self, worker_ids: Sequence[str]) -> frozenset[str]:
        return self._registry.draining_among(worker_ids) if self._registry is not None else frozenset()

    def end_stale_jobs(self) -> int:
        """Retry or fail the jobs without a sign of life; return how many."""
        jobs = self._store.find_stale_jobs(self._config.stale_job_threshold_seconds)
        ended = self._apply(jobs, ending_of_stale)
        if ended:
            self._sink.emit(StaleJobsFound(ended))
            self._announce()
        return ended

    def hint_orphaned_jobs(self) -> int:
        """Hint again what is ready and unclaimed; return how many jobs."""
        orphaned = self._store.find_orphaned_jobs()
        if orphaned and self._hints is not None:
            self._hints.enqueue_many(orphaned)
            self._sink.emit(OrphanedJobsHinted(len(orphaned)))
        return len(orphaned)

    def report_unserved_jobs(self) -> int:
        """Tell of ready jobs whose type no handler of this process is known for; return how many."""
        if self._known_types is None:
            return 0
        counts = self._store.count_unserved(self._known_types)
        if counts:
            self._sink.emit(UnservedJobsFound(counts))
        return sum(counts.values())

    def give_back_lost_claims(self) -> bool:
        """Give back, once nothing claims any more, what is not held; False when the store did not answer."""
        try:
            self._reconciliation.give_back_everything_unknown()
        except Exception as error:
            self._patience.report(error)
            return False
        return True

    def _apply(self, jobs: Sequence[Job], decide: Callable[..., Ending]) -> int:
        applied = 0
        for start in range(0, len(jobs), RESCUE_BATCH):
            batch = [(job, claim) for job in jobs[start : start + RESCUE_BATCH] if (claim := job.claim)]
            endings = [self._decided(job, claim, decide) for job, claim in batch]
            for (job, _claim), ending, was_accepted in zip(
                batch, endings, self._finish(endings), strict=True
            ):
                if was_accepted:
                    applied += 1
                    self._sink.emit(JobEnded(job, ending))
        return applied

    def _decided(self, job: Job, claim: JobClaim, decide: Callable[..., Ending]) -> Ending:
        try:
            return decide(job, claim, self._config)
        # The job's model is the project's, and its row may hold anything: it ends alone.
        except Exception as error:
            return ending_of_undecidable(job, claim, error)

    def _finish(self, endings: Sequence[Ending]) -> Sequence[bool]:
        """Write endings; what cannot be written stops no other, and is tried again at another turn."""
        accepted: dict[UUID, bool] = {}
        for part, answer in write_parted(self._store, endings, part_doubtful=True):
            if not isinstance(answer, Exception):
                accepted.update(zip((ending.job_id for ending in part), answer, strict=True))
            elif isinstance(answer, BadEnding):
                self._patience.report(answer)
            else:
                self._held_up.update(ending.claim.worker_id for ending in part)
        return [accepted.get(ending.job_id, False) for ending in endings]

    def _announce(self) -> None:
        self._on_rescue()
        if self._hints is not None:
            self._hints.nudge()

    def _may_sweep(self) -> bool:
        return self._registry is not None and self._heartbeat is not None and self._heartbeat.is_unbroken()

    def _is_elected(self, role: str, interval_seconds: float) -> bool:
        if self._registry is None:
            return True
        # A term of three intervals: the holder renews it every other time, and is replaced soon after it dies.
        # Each job table has its own, since a worker sees no other: pools of one table share the namespace.
        role = f"{role}:{self._config.queue_key}"
        now = time.monotonic()
        if now < self._elected_until.get(role, now):
            return True
        elected = self._registry.elect(role, self._identity.worker_id, 3 * interval_seconds)
        if elected:
            self._elected_until[role] = now + 1.5 * interval_seconds
        return elected
