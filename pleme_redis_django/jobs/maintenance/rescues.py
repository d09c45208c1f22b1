"""Rescues: writes the endings of jobs that their own worker did not end; one that fails does not stop the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from pleme_redis_django.exceptions import BadEnding
from pleme_redis_django.jobs.interface.endings import Ending, Failed
from pleme_redis_django.jobs.interface.events import EventSink, JobEnded
from pleme_redis_django.jobs.interface.failures import failure_of
from pleme_redis_django.jobs.interface.hints import HintQueue
from pleme_redis_django.jobs.interface.job import AnyJob, JobClaim
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.ending_batches import write_parted
from pleme_redis_django.jobs.worker.released_jobs import ReleasedJobs
from pleme_redis_django.jobs.worker.store_outage import StoreOutage

BATCH = 500
UNDECIDABLE = "undecidable"

Decision = Callable[[AnyJob, JobClaim], Ending]


class Rescues:
    """How duties end jobs of others, and tell everybody that some are ready again."""

    def __init__(
        self,
        store: JobStore[Any],
        hints: HintQueue,
        sink: EventSink,
        agenda: Agenda,
        outage: StoreOutage,
        told: ReleasedJobs,
    ) -> None:
        self._store = store
        self._hints = hints
        self._sink = sink
        self._agenda = agenda
        self._outage = outage
        self._told = told
        self.held_up: set[str] = set()
        """Workers with jobs that could not be ended because their rows were locked. It grows until it is cleared."""

    def end(self, jobs: Sequence[AnyJob], decide: Decision) -> int:
        """End each job as ``decide`` says; return how many endings were accepted."""
        ended: list[AnyJob] = []
        for start in range(0, len(jobs), BATCH):
            batch = [(job, claim) for job in jobs[start : start + BATCH] if (claim := job.claim)]
            endings = [_decided(job, claim, decide) for job, claim in batch]
            for (job, _claim), ending, was_accepted in zip(batch, endings, self._write(endings), strict=True):
                if was_accepted:
                    ended.append(job)
                    self._sink.emit(JobEnded(job, ending))
        self.let_others_in(ended)
        return len(ended)

    def let_others_in(self, ended: Sequence[AnyJob]) -> None:
        """Have the store let in what waits for the places of jobs whose endings are written. Does not raise."""
        if not ended or not self._store.supports_limits:
            return
        try:
            released = self._store.release_after(ended)
        except Exception as error:
            # The endings stand. What waits for their places is found by the duty for overlooked jobs.
            self._outage.report(error)
            return
        if released:
            self.announce()
            self._told.tell(released)

    def announce(self) -> None:
        """Have this process and one other look ahead."""
        self._agenda.scan_soon()
        self._hints.nudge()

    def _write(self, endings: Sequence[Ending]) -> Sequence[bool]:
        accepted: dict[UUID, bool] = {}
        for part, answer in write_parted(self._store, endings, part_doubtful=True):
            if not isinstance(answer, Exception):
                accepted.update(zip((ending.job_id for ending in part), answer, strict=True))
            elif isinstance(answer, BadEnding):
                self._outage.report(answer)
            else:
                self.held_up.update(ending.claim.worker_id for ending in part)
        return [accepted.get(ending.job_id, False) for ending in endings]


def _decided(job: AnyJob, claim: JobClaim, decide: Decision) -> Ending:
    try:
        return decide(job, claim)
    # The job's model belongs to the project, and its row may hold anything: it must not spoil the others.
    except Exception as error:
        return _ending_of_undecidable(job, claim, error)


def _ending_of_undecidable(job: AnyJob, claim: JobClaim, error: Exception) -> Ending:
    """Return the ending of a job whose own code or configuration raised while its ending was decided."""
    reason = failure_of(error, job.job_type)
    message = (
        f"The worker {claim.worker_id} did not end this job (attempt {claim.attempt}), and whether it runs again "
        f"could not be decided, because its row or its job model raised {reason.exception_class}: "
        f"{reason.message[:1_000]}"
    )
    failure = dataclasses.replace(reason, error_code=UNDECIDABLE, message=message)
    return Failed(job_id=job.id, claim=claim, failure=failure)
