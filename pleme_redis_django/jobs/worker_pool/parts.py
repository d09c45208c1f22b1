"""WorkerParts: everything that one process of workers consists of, and in which order it starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pleme_redis_django.jobs.interface.hints import HintQueue
from pleme_redis_django.jobs.interface.workers import WorkerIdentity
from pleme_redis_django.jobs.maintenance.dead_workers import DeadWorkers
from pleme_redis_django.jobs.maintenance.lost_claims import LostClaims
from pleme_redis_django.jobs.maintenance.maintainer import Maintainer
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.call_listener import CallListener
from pleme_redis_django.jobs.worker.claimer import Claimer
from pleme_redis_django.jobs.worker.clearance import Clearance
from pleme_redis_django.jobs.worker.executing_page import ExecutingPage, Stage
from pleme_redis_django.jobs.worker.finisher import Finisher
from pleme_redis_django.jobs.worker.heartbeat import Heartbeat, NoHeartbeat
from pleme_redis_django.jobs.worker.hint_listener import HintListener
from pleme_redis_django.jobs.worker.holdings import Holdings
from pleme_redis_django.jobs.worker.isolation import Isolation
from pleme_redis_django.jobs.worker.lane import Lane
from pleme_redis_django.jobs.worker.time_limits import TimeLimits


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """The parts of a pool, each of which knows only those that stand above it here."""

    identity: WorkerIdentity
    hints: HintQueue
    agenda: Agenda
    holdings: Holdings
    page: ExecutingPage
    heartbeat: Heartbeat | NoHeartbeat
    clearance: Clearance
    finisher: Finisher
    limits: TimeLimits
    isolation: Isolation
    lanes: Sequence[Lane]
    claimer: Claimer
    maintainer: Maintainer
    dead_workers: DeadWorkers
    lost_claims: LostClaims
    hint_listeners: Sequence[HintListener]
    call_listeners: Sequence[CallListener]

    def start(self) -> None:
        """Start every thread."""
        # Before the first claim, or a job that kills at once would look like a process that cannot start.
        self.page.note_stage(Stage.WORKING)
        self.finisher.start()
        self.heartbeat.start()
        self.limits.start()
        for lane in self.lanes:
            lane.start()
        self.claimer.thread.start()
        for hint_listener in self.hint_listeners:
            hint_listener.start()
        for call_listener in self.call_listeners:
            call_listener.start()
        self.maintainer.thread.start()
