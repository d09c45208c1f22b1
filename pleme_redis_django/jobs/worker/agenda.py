"""Agenda: what the claimer has to look at, and when; any thread writes to it, and the claimer reads it.

Nobody calls anybody back: a hint, a free slot, a due time, a lost claim and a rescue are all written here.
Its fields are plain ones with one writer each, or are under a lock where they have several; none is
taken for each job.
"""

from __future__ import annotations

import dataclasses
import random
import threading
import time

from pleme_redis_django.jobs.interface.hints import Hinted
from pleme_redis_django.jobs.worker.leaving import Leaving

# What was due or ready and could not be had is another process's, or locked: it is looked at again after
# one to two times this, so that many processes do not come back together.
LOOK_AGAIN_SECONDS = 1.0

NEVER = float("inf")

# Without a queue of hints the store is scanned this often. With heartbeats and sweeps an idle process
# then makes just under one transaction a second.
SCAN_SECONDS_WITHOUT_HINTS = 2.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What there is to look at now."""

    hinted: bool
    """Something was said to be ready."""
    scan: bool
    """It is time to look ahead."""
    own_due: bool
    """A job that this process gave back or will retry is due."""
    named: frozenset[Hinted] = frozenset()
    """Of which products and types jobs were said to be ready, where it matters."""


class HeardHints:
    """What was said to be ready since the claimer's last look; any thread says it."""

    def __init__(self) -> None:
        self.any = False
        self.is_unnamed = False
        """Whether something of it was said without its product and type."""
        self._lock = threading.Lock()
        self._named: frozenset[Hinted] = frozenset()

    def add_named(self, named: frozenset[Hinted]) -> None:
        """Jobs of these products and types are ready, for whoever takes them first."""
        with self._lock:
            self._named |= named

    def take(self) -> tuple[bool, frozenset[Hinted]]:
        """Return whether something was said to be ready, and what where it matters; forget it."""
        said, self.any = self.any, False
        is_unnamed, self.is_unnamed = self.is_unnamed, False
        with self._lock:
            named, self._named = self._named, frozenset()
        # What others named says nothing of it.
        return said, named | {Hinted()} if named and is_unnamed else named


class Agenda:
    """The next look of one process."""

    def __init__(self, scan_seconds: float) -> None:
        self.woken = threading.Event()
        """Set by whatever is to be looked at before the claimer's next look."""
        self.capacity = threading.Event()
        """Set by the claimer while the process can take a job: a full one leaves hints to the others."""
        self.leaving = Leaving()
        """Whether this process is to end, and why."""
        self._scan_seconds = scan_seconds
        self._heard = HeardHints()
        self._claims_lost = False
        self._next_scan = time.monotonic()
        self._next_due = NEVER
        self._lock = threading.Lock()
        self._own_due = NEVER
        self._rescues = 0
        self.claimed_at = 0.0
        """When jobs were claimed last (monotonic)."""

    def hint(self, named: frozenset[Hinted] = frozenset()) -> None:
        """Something is ready, of these products and types where it matters; from any thread."""
        self.hear_of(named)
        if not named:
            self._heard.is_unnamed = True
        self._heard.any = True
        self.woken.set()

    def hear_of(self, named: frozenset[Hinted]) -> None:
        """Jobs of these products and types are ready, for whoever takes them first; from any thread."""
        if named:
            self._heard.add_named(named)
            self.woken.set()

    def has_unseen_hint(self) -> bool:
        """Whether something was said to be ready since the claimer's last look."""
        return self._heard.any

    def slot_free(self) -> None:
        """A lane has few jobs left, or nothing is held up any more; from any thread."""
        if not self.woken.is_set():
            self.woken.set()

    def scan_soon(self) -> None:
        """Something may have become due, ready, or a suspect; from any thread."""
        self._next_scan = 0.0
        self.woken.set()

    def due_in(self, seconds: float) -> None:
        """A job that this process had becomes due then; from any thread."""
        with self._lock:
            self._own_due = min(self._own_due, time.monotonic() + seconds)
        self.woken.set()

    def claims_lost(self) -> None:
        """A claim may have been committed without this process learning of it; for the claimer."""
        self._claims_lost = True
        self._next_scan = 0.0

    def take_claims_lost(self) -> bool:
        """Return whether claims were lost since the last call; for whoever gives them back."""
        lost, self._claims_lost = self._claims_lost, False
        return lost

    def rescue_begins(self) -> None:
        """Jobs that are RUNNING elsewhere are about to become ready here; from any thread."""
        with self._lock:
            self._rescues += 1

    def rescue_settled(self, count: int) -> None:
        """So many rescues are over; from any thread."""
        with self._lock:
            self._rescues -= count
        self.scan_soon()

    def next_look(self) -> Look:
        """Take what there is to look at now. This and what follows is for the claimer."""
        now = time.monotonic()
        hinted, named = self._heard.take()
        scan = now >= self._next_scan
        if scan:
            self._next_scan = now + self._scan_seconds
        with self._lock:
            own_due = now >= self._own_due
            if own_due:
                self._own_due = NEVER
        return Look(hinted=hinted, scan=scan, own_due=own_due, named=named)

    def note_next_due(self, seconds: float | None) -> None:
        """Take note of when the next job is due; None: none waits."""
        self._next_due = NEVER if seconds is None else time.monotonic() + seconds

    def is_due(self) -> bool:
        """Whether the next job is due."""
        return time.monotonic() >= self._next_due

    def leave_due_to_others(self) -> None:
        """Forget what is due, and look later: another process has made it ready by now, or holds its row."""
        # That one looks ahead, and wakes others when it is full. Else every process would ask for every due
        # job of every queue.
        self._next_due = NEVER
        self.look_again_soon()

    def look_again_soon(self) -> None:
        """Look ahead in a while, apart from other processes."""
        self.look_within(LOOK_AGAIN_SECONDS * (1 + random.random()))  # noqa: S311 - spreads processes

    def look_within(self, seconds: float) -> None:
        """Look ahead by then at the latest."""
        self._next_scan = min(self._next_scan, time.monotonic() + seconds)

    def scan_in(self, seconds: float) -> None:
        """Look ahead then, and not sooner."""
        self._next_scan = time.monotonic() + seconds

    def nothing_to_come(self) -> bool:
        """Whether nothing is due and no rescue is under way."""
        return not self._rescues and time.monotonic() < min(self._next_due, self._own_due)

    def seconds_until_next(self, *, with_due: bool) -> float:
        """Return the seconds until the next look; ``with_due``: or until the next job is due."""
        due = min(self._next_due, self._own_due) if with_due else self._own_due
        return min(self._next_scan, due) - time.monotonic()
