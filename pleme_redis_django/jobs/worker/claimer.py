"""Claimer: the one thread that claims. Each of its turns reads the agenda; no other thread calls it.

It asks the agenda what to look at, asks the store for as many jobs as its lanes have capacity for, and gives
them to the lanes.
"""

from __future__ import annotations

import dataclasses
import threading
from typing import Protocol

from pleme_redis_django.jobs.interface.endings import Ending
from pleme_redis_django.jobs.interface.events import EventSink
from pleme_redis_django.jobs.worker.agenda import Agenda, Look
from pleme_redis_django.jobs.worker.claim_desk import ClaimDesk
from pleme_redis_django.jobs.worker.clearance import Clearance
from pleme_redis_django.jobs.worker.hint_relay import ANYTHING, HintRelay
from pleme_redis_django.jobs.worker.holdings import HeldJob, ending_if_unfinished
from pleme_redis_django.jobs.worker.lane import HOARDED_AFTER_SECONDS, LaneDemand, LaneFeed
from pleme_redis_django.jobs.worker.suspects import SuspectRule, SuspectTurns
from pleme_redis_django.jobs.worker.turning_thread import TurningThread

# A burst ends only when nothing is ready, and this is how often it looks.
BURST_LOOK_SECONDS = 0.1
# While the store holds ready jobs back, this is how often it is asked whether it still does.
HELD_BACK_LOOK_SECONDS = 0.5
# While a suspect runs, the next one may wait this long after its end.
SUSPECT_LOOK_SECONDS = 0.5
# While nothing may be claimed, this is how soon that is asked again.
GATE_LOOK_SECONDS = 0.25


NO_TYPES: frozenset[str] = frozenset()


class WritesEndings(Protocol):
    """What writes how jobs ended: the finisher."""

    def is_behind(self) -> bool: ...
    def add(self, held: HeldJob, ending: Ending) -> None: ...


@dataclasses.dataclass(slots=True)
class _Turn:
    """What one turn has learned."""

    seen_ready: bool = False
    """Whether its look ahead saw something that is ready."""
    leaves_slots_free: bool = False
    """Whether its claims were smaller than what is free, and there may be more for it."""
    is_drained: bool = False
    """In burst mode: whether a look at everything found nothing when all was done."""


class Claimer:
    """Feeds the lanes from the store: woken by hints, free slots, due times and its own scans."""

    def __init__(
        self,
        desk: ClaimDesk,
        demand: LaneDemand,
        agenda: Agenda,
        clearance: Clearance,
        finisher: WritesEndings,
        relay: HintRelay,
        suspects: SuspectTurns,
        sink: EventSink,
        *,
        burst: bool = False,
    ) -> None:
        self._desk = desk
        self._demand = demand
        self._agenda = agenda
        self._clearance = clearance
        self._finisher = finisher
        self._relay = relay
        self._suspects = suspects
        self._burst = burst
        self._turn = _Turn()
        self._looks_for = NO_TYPES
        """Of which types the hint was that the next look ahead is for; none: it is for all."""
        self.thread = TurningThread(
            "claimer",
            self.turn,
            sink,
            agenda,
            operation="claim",
            wake=agenda.woken,
            on_failure=agenda.claims_lost,
        )
        self.dry = threading.Event()
        """Set in burst mode once nothing is ready for this process, and nothing is held."""

    def turn(self) -> float:
        """Do what is to be done now; return for how many seconds there is nothing more."""
        if not self._clearance.is_given() or self._finisher.is_behind():
            return GATE_LOOK_SECONDS
        look, claimed_before = self._agenda.next_look(), self._desk.claimed
        self._note(look)
        by_scan = look.scan and self._look_ahead()
        self._promote_what_is_due(look)
        self._start_next_suspect()
        if self._suspects.rule is SuspectRule.ONLY:
            self._relay.pass_on()  # What became due is for the others.
        else:
            self._feed_lanes(by_scan)
            self._turn.leaves_slots_free = self._demand.leaves_slots_free()
            self._relay.pass_on_unless_taken(
                is_dry=self._demand.is_dry(),
                has_free_slot=self._demand.has_free_slot(),
                left=self._demand.types_left,
            )
            if self._desk.claimed == claimed_before:
                self._note_nothing_claimed(look)
        self.thread.outage.succeeded()
        return self._rest()

    def _note(self, look: Look) -> None:
        self._turn = _Turn()
        if look.named:
            self._demand.hear_of(self._desk.hear_of(_products_named(look)))
        if look.hinted:
            self._relay.owe(look.named or ANYTHING)
            self._demand.expect_work(_types_named(look))
        if look.own_due:
            # Given back at once, it is ready: this process may be too full for it, and others idle.
            self._relay.owe()

    def _look_ahead(self) -> bool:
        seemed_done = self._burst and self._seems_done()
        outlook = self._desk.look_ahead()
        self._agenda.note_next_due(outlook.due_in_seconds)
        if outlook.suspects:
            self._suspects.note_seen()
        self._turn.seen_ready = outlook.ready
        is_empty = self._desk.saw_all and not outlook.ready
        self._turn.is_drained = seemed_done and (is_empty or self._suspects.rule is SuspectRule.ONLY)
        types, self._looks_for = self._looks_for, NO_TYPES
        if outlook.ready:
            self._demand.expect_work(types)
        return outlook.ready

    def _promote_what_is_due(self, look: Look) -> None:
        if not look.own_due and not (self._agenda.is_due() and self._expects_capacity()):
            return
        promoted = self._desk.promote_due_jobs()
        if promoted:
            self._demand.expect_work()
            self._relay.owe()
        if promoted or look.own_due:
            # What is due after these is not known until the next look ahead.
            self._look_ahead()
        if not promoted and self._agenda.is_due():
            self._agenda.leave_due_to_others()

    def _expects_capacity(self) -> bool:
        """Whether a claim would be made if something were ready; a full process leaves due jobs to others."""
        if self._demand.has_capacity():
            return True
        # As soon as a slot is free, what is due is to be seen to.
        self._demand.expect_work()
        return self._demand.has_capacity()

    def _start_next_suspect(self) -> None:
        if not self._suspects.has_turn():
            return
        claimed = self._desk.claim(1, suspects=True)
        self._suspects.note_claimed(claimed)
        for held in claimed:
            self._demand.feed_of(held.job).lane.submit([held])

    def _feed_lanes(self, by_scan: bool) -> None:
        for held in self._demand.take_hoarded():
            self._finisher.add(held, ending_if_unfinished(held))
        self._feed_together(by_scan)
        for feed in self._demand:
            if share := feed.wanted_of_newcomers():
                self._feed(feed, share, by_scan)
            if capacity := feed.wanted():
                self._feed(feed, capacity, by_scan)

    def _feed(self, feed: LaneFeed, count: int, by_scan: bool) -> None:
        claimed = self._desk.claim(count, job_types=feed.lane.job_types, by_scan=by_scan)
        feed.dry = False
        if len(claimed) < count:
            feed.run_dry(self._desk.again_in)
        feed.submit(claimed)

    def _feed_together(self, by_scan: bool) -> None:
        """Claim once for all lanes, as many as fit into each: most often that is all there is."""
        capacity = self._demand.together()
        if not capacity:
            return
        claimed = self._desk.claim(capacity, by_scan=by_scan)
        if len(claimed) < capacity:
            self._demand.run_dry(self._desk.again_in)
        for feed in self._demand:
            feed.submit([held for held in claimed if self._demand.feed_of(held.job) is feed])

    def _note_nothing_claimed(self, look: Look) -> None:
        if look.hinted:
            # The hint may be of a job that is due later, or runs alone.
            self._looks_for = _types_named(look)
            self._agenda.scan_in(0.0)
        elif self._turn.seen_ready and self._demand.is_dry():
            self._agenda.look_again_soon()

    def _rest(self) -> float:
        if self._demand.has_free_slot():
            self._agenda.capacity.set()
        else:
            self._agenda.capacity.clear()
        if self._burst and self._is_done():
            self.dry.set()
        held_back, changed = self._desk.holds_back()
        if changed:
            self._agenda.scan_in(0.0)
        next_in = self._agenda.seconds_until_next(with_due=self._demand.has_capacity())
        waits = [next_in, self._demand.again_in()]
        if self._turn.leaves_slots_free:
            waits.append(0.0)  # Only a job that ends would wake this thread.
        if held_back:
            waits.append(HELD_BACK_LOOK_SECONDS)
        if self._demand.has_waiting():
            waits.append(HOARDED_AFTER_SECONDS)
        if self._suspects.pending:
            waits.append(SUSPECT_LOOK_SECONDS)
        return max(min(waits), 0.0)

    def _is_done(self) -> bool:
        """Whether nothing is left to do; a lane may have run dry beside rows that it did not see."""
        if not self._seems_done():
            return False
        if not self._turn.is_drained and self._look_ahead():
            self._agenda.scan_in(BURST_LOOK_SECONDS)
        return self._turn.is_drained and self._seems_done()

    def _seems_done(self) -> bool:
        return (
            (self._suspects.rule is SuspectRule.ONLY or self._demand.is_dry())
            and self._desk.holds_nothing()
            and not self._suspects.pending
            and self._agenda.nothing_to_come()
        )


def _types_named(look: Look) -> frozenset[str]:
    """Return the types of the jobs that are said to be ready; none where that was not asked."""
    return frozenset(hinted.job_type for hinted in look.named)


def _products_named(look: Look) -> frozenset[str]:
    return frozenset(hinted.product for hinted in look.named if hinted.product)
