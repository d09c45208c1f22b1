"""The engine's events: one value per event, emitted to one sink.

The engine writes no log line and sends no signal itself. Events carry ids and counts, and jobs by
reference; what a sink prints of them is its own business (ids, never payloads).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.job import AnyJob


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerStarted:
    worker_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerStopped:
    worker_id: str
    given_back: int
    """Jobs that were claimed and are ready again."""
    given_back_running: int
    """How many of them had started."""


@dataclasses.dataclass(frozen=True, slots=True)
class JobsClaimed:
    worker_id: str
    count: int
    by_scan: bool
    """Whether a scan found them, rather than a hint or a free slot: what scans are for, when a hint is lost."""


@dataclasses.dataclass(frozen=True, slots=True)
class JobStarted:
    job: AnyJob


@dataclasses.dataclass(frozen=True, slots=True)
class JobProgressed:
    job: AnyJob
    progress: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class JobEnded:
    job: AnyJob
    ending: Ending


@dataclasses.dataclass(frozen=True, slots=True)
class EndingRefused:
    """The job was no longer this worker's: another one has it, or has finished it."""

    job: AnyJob
    ending: Ending


@dataclasses.dataclass(frozen=True, slots=True)
class EndingDelayed:
    """An ending cannot be written for now; it is tried again apart, while the others are written."""

    job: AnyJob
    ending: Ending
    error: BaseException


@dataclasses.dataclass(frozen=True, slots=True)
class BurstHeldUp:
    """All that a burst still holds has ended, and cannot be written yet; it ends once that is written."""

    count: int
    error: BaseException


@dataclasses.dataclass(frozen=True, slots=True)
class EndingsUnwritten:
    """The process ends, and the store has not taken these endings: their jobs run again."""

    count: int
    error: BaseException | None
    """What kept the last one from being written; None: there was no time left."""


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerDied:
    """A process stopped giving signs of life, and its jobs were taken from it."""

    worker_ids: tuple[str, ...]
    rescued: int


@dataclasses.dataclass(frozen=True, slots=True)
class StaleJobsFound:
    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class JobsExpired:
    """Waiting jobs whose deadline was over ended CANCELLED."""

    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class OverlookedJobsReleased:
    """Jobs waited at a limit or in a line although nothing held them: what should have let them in has died."""

    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class OrphanedJobsHinted:
    """Ready jobs that nobody had claimed were hinted again."""

    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class UnservedJobsFound:
    """Ready jobs wait whose type this process does not know; they run once a worker knows it."""

    counts: Mapping[str, int]
    """Job type -> how many, of the first ones in claim order."""


@dataclasses.dataclass(frozen=True, slots=True)
class JobsPruned:
    """Finished jobs whose retention was over are deleted."""

    deleted: int
    kept: int
    """How many stay although theirs is over: rows of the project refer to them, or deleting them failed."""


@dataclasses.dataclass(frozen=True, slots=True)
class LostClaimsGivenBack:
    """Rows that were RUNNING under this worker's id, and that it did not hold."""

    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class DrainRequested:
    """An operator asked this process to claim no more and to end when its running jobs have."""

    worker_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class RecycleBegun:
    """The process claims no more, lets run what runs, and ends: another one is to take its place."""

    worker_id: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class ProcessLimitReached:
    """The process has run so many jobs, for so long or with so much memory that another one is to take its place."""

    worker_id: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class LeaseLost:
    """This process was silent for too long, and others may have its jobs."""

    worker_id: str
    new_worker_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class EngineBroken:
    """An error that nobody expected has ended a thread of the engine; its pool drains and stops."""

    thread: str
    error: BaseException


@dataclasses.dataclass(frozen=True, slots=True)
class StoreUnavailable:
    operation: str
    error: BaseException


@dataclasses.dataclass(frozen=True, slots=True)
class StoreBack:
    operation: str


@dataclasses.dataclass(frozen=True, slots=True)
class HintsUnavailable:
    """Redis did not answer; ready jobs are found by scanning until it does."""

    error: BaseException


@dataclasses.dataclass(frozen=True, slots=True)
class HintsBack:
    """Redis answers again, after HintsUnavailable."""


@dataclasses.dataclass(frozen=True, slots=True)
class TicksFired:
    """Ticks of schedules were due."""

    enqueued: int
    passed_over: int
    """Those that made no job."""


@dataclasses.dataclass(frozen=True, slots=True)
class ScheduleDisabled:
    """A schedule could not be read at its turn, and fires no more until somebody mends it."""

    name: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class SuspectStarted:
    """A job whose process died before runs alone in this one."""

    job: AnyJob


@dataclasses.dataclass(frozen=True, slots=True)
class SuspectsSeen:
    """Suspects are ready, which this process leaves to a quarantine process."""


Event = (
    WorkerStarted
    | WorkerStopped
    | JobsClaimed
    | SuspectsSeen
    | JobStarted
    | JobProgressed
    | JobEnded
    | EndingRefused
    | EndingDelayed
    | BurstHeldUp
    | EndingsUnwritten
    | WorkerDied
    | StaleJobsFound
    | JobsExpired
    | OverlookedJobsReleased
    | OrphanedJobsHinted
    | UnservedJobsFound
    | JobsPruned
    | LostClaimsGivenBack
    | DrainRequested
    | RecycleBegun
    | ProcessLimitReached
    | LeaseLost
    | EngineBroken
    | StoreUnavailable
    | StoreBack
    | HintsUnavailable
    | HintsBack
    | SuspectStarted
    | TicksFired
    | ScheduleDisabled
)


class EventSink(Protocol):
    """Where events go. ``emit`` must be quick, thread-safe, and must not raise."""

    def emit(self, event: Event, /) -> None: ...


class NullSink:
    """A sink for those who do not care."""

    def emit(self, event: Event, /) -> None:
        """Do nothing."""
