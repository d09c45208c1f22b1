"""Lost claims: compares the jobs that this process holds with the rows that it should hold, claim by claim.

It finds claims whose COMMIT reply was lost, and jobs that somebody asked to end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pleme_redis_django.jobs.interface.endings import GivenBack
from pleme_redis_django.jobs.interface.events import EventSink, LostClaimsGivenBack
from pleme_redis_django.jobs.interface.store import HeldRow, JobStore
from pleme_redis_django.jobs.interface.workers import WorkerIdentity
from pleme_redis_django.jobs.maintenance.duty import Duty
from pleme_redis_django.jobs.maintenance.rescues import Rescues
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.holdings import Holdings
from pleme_redis_django.jobs.worker.lane import Lane
from pleme_redis_django.jobs.worker.store_outage import StoreOutage

# A worker that has claimed nothing has nothing to reconcile; it still looks now and then.
IDLE_RECONCILE_SECONDS = 30.0
# The share of time that looks may take: while a snapshot is held, they read past every job that has ended meanwhile.
LOOK_SHARE = 1 / 20
LONG_LOOK_SECONDS = 0.1
# Lost claims and, without Redis, requests wait for the next look: not for minutes, even where a look takes seconds.
MAX_PAUSE_SECONDS = 30.0


LOST_CLAIMS = "lost_claims"
REQUESTS = "requests"


class _Pace:
    """When to look next: looks that took long are put off.

    A look that saw something unknown is followed by a second one at the next sweep. Only one: at full load, every look
    that takes long sees jobs that end meanwhile.
    """

    def __init__(self) -> None:
        self._next_look = 0.0
        self._cost_seconds = 0.0
        self._is_second = False

    def is_due(self, now: float) -> bool:
        return now >= self._next_look

    def begin_anew(self) -> None:
        """Have the next look come at once, and a second one at the next sweep if it sees something unknown."""
        self._next_look, self._is_second = 0.0, False

    def looked(self, began: float, ended: float, *, saw_unknown: bool) -> None:
        self._cost_seconds += ended - began
        self._is_second = saw_unknown and not self._is_second
        if self._is_second:
            return
        if self._cost_seconds > LONG_LOOK_SECONDS:
            self._next_look = ended + min(self._cost_seconds / LOOK_SHARE, MAX_PAUSE_SECONDS)
        self._cost_seconds = 0.0


class LostClaims:
    """Looks at the rows under this worker's id."""

    def __init__(
        self,
        store: JobStore[Any],
        holdings: Holdings,
        identity: WorkerIdentity,
        sink: EventSink,
        agenda: Agenda,
        lanes: Sequence[Lane],
        rescues: Rescues,
        outage: StoreOutage,
    ) -> None:
        self._store = store
        self._holdings = holdings
        self._identity = identity
        self._sink = sink
        self._agenda = agenda
        self._lanes = lanes
        self._rescues = rescues
        self._outage = outage
        self._next_idle_look = 0.0
        self._pace = _Pace()
        self._unknown_once: dict[tuple[UUID, int], int | None] = {}
        """Which claims nobody held at the last look, and which claim was under way then."""
        self.nothing_left = False
        """Whether ``give_back_all`` has succeeded: this process holds every job that is RUNNING under its id."""

    def duties(self, every_seconds: float) -> list[Duty]:
        """Return the duties: a sweep, and a look at requests as soon as somebody calls this process."""
        return [
            Duty(name=LOST_CLAIMS, run=self.sweep, every_seconds=every_seconds),
            Duty(name=REQUESTS, run=self.learn_of_requests, every_seconds=float("inf")),
        ]

    def learn_of_requests(self) -> None:
        """Look at once whether held jobs were asked to end, and for nothing else.

        Two looks in quick succession cannot tell a lost claim from one that is under way.
        """
        if len(self._holdings):
            for row in self._store.held_jobs(self._identity.worker_id):
                self._heed(row)

    def sweep(self) -> int:
        """Learn of requests, and give back lost claims; return how many."""
        now = time.monotonic()
        if self._agenda.take_claims_lost():
            self._next_idle_look = now
            self._pace.begin_anew()
        if not self._pace.is_due(now):
            return 0
        if not len(self._holdings) and not self._unknown_once and now < self._next_idle_look:
            return 0
        rows = self._store.held_jobs(self._identity.worker_id)
        looked_at = time.monotonic()
        # Only now: a look often fails because the outage that lost the claims is not over, and has to be repeated.
        self._next_idle_look = now + IDLE_RECONCILE_SECONDS
        for row in rows:
            self._heed(row)
        # A row that is unknown once may be a claim or an ending that is under way; if it is unknown twice, it is lost,
        # unless it may be of a claim that takes so long: one whose jobs wait for their admission.
        claim, unknown = self._holdings.claim_under_way, self._not_held(rows)
        self._pace.looked(now, looked_at, saw_unknown=bool(unknown))
        seen_before, self._unknown_once = self._unknown_once, dict.fromkeys(unknown, claim)
        lost = {key for key in unknown if key in seen_before and (claim is None or seen_before[key] != claim)}
        if not lost:
            return 0
        still_unknown = self._not_held(self._store.held_jobs(self._identity.worker_id))
        given_back = self._give_back([row for key, row in still_unknown.items() if key in lost])
        if given_back:
            self._rescues.announce()
        return given_back

    def give_back_all(self) -> None:
        """Give back what this process does not hold, once it claims no more. Does not raise."""
        try:
            self._give_back(list(self._not_held(self._store.held_jobs(self._identity.worker_id)).values()))
        except Exception as error:
            self._outage.report(error)
        else:
            self.nothing_left = True

    def _not_held(self, rows: Any) -> dict[tuple[UUID, int], HeldRow]:
        return {
            (row.job_id, row.claim.attempt): row
            for row in rows
            if not self._holdings.holds(row.job_id, row.claim.attempt)
        }

    def _give_back(self, lost: list[HeldRow]) -> int:
        if lost:
            # Before: they are nobody's afterwards. One that was asked to end ends here, and leaves its turn too.
            claimed = (
                self._store.find_jobs_of([self._identity.worker_id]) if self._store.supports_limits else []
            )
            found = {job.id: job for job in claimed}
            accepted = self._store.finish_jobs(
                [GivenBack(job_id=row.job_id, claim=row.claim) for row in lost]
            )
            self._sink.emit(LostClaimsGivenBack(len(lost)))
            ended = [row.job_id for row, was_accepted in zip(lost, accepted, strict=True) if was_accepted]
            self._rescues.let_others_in([found[job_id] for job_id in ended if job_id in found])
        return len(lost)

    def _heed(self, row: HeldRow) -> None:
        held = self._holdings.find(row.job_id, row.claim.attempt)
        if held is None:
            return
        if row.deleted:
            held.unwanted = True
        if row.cancel_requested and not held.context.cancel_requested:
            held.context.request_cancel()
            for lane in self._lanes:
                lane.cancel(held)
