"""ClaimDesk: what a worker asks its store for, in its own selection; what is claimed is held from then on."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Hashable, Iterable
from typing import Any

from pleme_redis_django.jobs.interface.context import JobContext, ProgressListener
from pleme_redis_django.jobs.interface.events import EventSink, JobsClaimed
from pleme_redis_django.jobs.interface.job import AnyJob
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.jobs.interface.store import JobStore, Outlook
from pleme_redis_django.jobs.interface.workers import WorkerIdentity
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.holdings import HeldJob, Holdings
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs

PROMOTE_LIMIT = 1000


class ClaimDesk:
    """The store as one worker sees it; for the claimer's thread."""

    def __init__(
        self,
        store: JobStore[Any],
        selection: JobSelection,
        identity: WorkerIdentity,
        holdings: Holdings,
        sink: EventSink,
        agenda: Agenda,
        *,
        on_progress: ProgressListener,
        told: ReleasedJobs | None = None,
    ) -> None:
        self._store = store
        self._selection = selection
        self._identity = identity
        self._holdings = holdings
        self._sink = sink
        self._agenda = agenda
        self._on_progress = on_progress
        self._told = told or ReleasedJobs(agenda)
        self._held_back: Hashable | None = None
        self.claimed = 0
        """How many jobs were claimed since the start."""
        self.again_in: float | None = None
        """In how many seconds the store looks further than at the last claim or look; None: it saw all."""

    def claim(
        self,
        limit: int,
        *,
        job_types: frozenset[str] | None = None,
        suspects: bool = False,
        by_scan: bool = False,
    ) -> list[HeldJob]:
        """Claim jobs and hold them. ``by_scan``: a look ahead, not a hint, found that something is ready."""
        selection = self._selection
        if job_types or suspects:
            job_types = job_types or selection.job_types
            selection = dataclasses.replace(
                selection, job_types=job_types, suspects=suspects, fair=selection.fair and not suspects
            )
        with self._holdings.claiming():
            jobs = self._store.claim_jobs(self._identity.worker_id, limit, selection)
            held = self._newly_held(jobs)
            self._holdings.add(held)
        if released := self._store.released_by_claims():
            self._told.tell(released)
        self._note_what_was_passed_over(selection)
        if self.again_in == 0.0:
            self._agenda.look_within(0.0)
        self.claimed += len(jobs)
        if len(held) < len(jobs):
            self._agenda.scan_in(0.0)  # Fewer than there was room for, though more may be ready.
        if held:
            self._agenda.claimed_at = time.monotonic()
            self._sink.emit(JobsClaimed(self._identity.worker_id, len(held), by_scan))
        return held

    def hear_of(self, products: frozenset[str]) -> Collection[str]:
        """Tell the store of which products jobs are said to be ready; return those that had none so far."""
        return self._store.hear_of(self._selection, products) if products and self._selection.fair else ()

    def look_ahead(self) -> Outlook:
        """Return what is ready and what is due next."""
        outlook = self._store.look_ahead(self._selection)
        self._note_what_was_passed_over(self._selection)
        if self.again_in is not None:
            self._agenda.look_within(self.again_in)
        return outlook

    def promote_due_jobs(self) -> int:
        """Make ready what is due; return how many."""
        return self._store.promote_due_jobs(PROMOTE_LIMIT)

    def holds_back(self) -> tuple[bool, bool]:
        """Return whether the store holds ready jobs back, and whether that is another answer than the last."""
        held_back = self._store.held_back()
        changed, self._held_back = held_back != self._held_back, held_back
        return held_back is not None, changed

    def holds_nothing(self) -> bool:
        """Whether everything that was claimed has its ending."""
        return not len(self._holdings)

    @property
    def saw_all(self) -> bool:
        """Whether the last claim or look saw all that is ready, and passed nothing over for a moment."""
        return self.again_in is None

    def _note_what_was_passed_over(self, selection: JobSelection) -> None:
        self.again_in = self._store.look_again_in(selection)

    def _newly_held(self, jobs: Iterable[AnyJob]) -> list[HeldJob]:
        now, on_progress, held = time.monotonic(), self._on_progress, []
        for job in jobs:
            claim = job.claim
            if claim is None:
                raise TypeError(f"{type(self._store).__name__} returned a claimed job whose .claim is None.")
            # Already held: the store forgot this very claim in a crash, and its handler runs on, now with
            # a claim again.
            if self._holdings.find(job.id, claim.attempt) is None:
                held.append(HeldJob(JobContext(job, claim, on_progress), now))
        return held
