"""Lease: for how long a process may assume that it counts as alive, and whether it may declare others dead."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]

# A beat that comes later than this after the one before tells of trouble with the database or the network.
GAP_BEATS = 2


def lease_clock() -> float:
    """Return seconds that also pass while the machine is suspended, where the system has such a clock."""
    # time.monotonic() stands still then, and a process that wakes up would believe in its lease.
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class Lease:
    """When the heartbeat was heard last, counted from before each beat was sent."""

    def __init__(self, seconds: float, beat_seconds: float, clock: Clock = lease_clock) -> None:
        self._seconds = seconds
        self.beat_seconds = beat_seconds
        self._gap_seconds = GAP_BEATS * beat_seconds
        self.now = clock
        self._renewed_at = float("-inf")
        self._unbroken_since = float("-inf")

    def begin(self, sent_at: float) -> None:
        """Begin anew, with what was sent then."""
        self._renewed_at = self._unbroken_since = sent_at

    def renew(self, sent_at: float) -> None:
        """Go on, with a beat that was sent then."""
        if sent_at - self._renewed_at > self._gap_seconds:
            self._unbroken_since = sent_at
        self._renewed_at = sent_at

    def is_current(self) -> bool:
        """Whether nobody can have declared this process dead."""
        return self.now() - self._renewed_at < self._seconds

    def is_unbroken(self) -> bool:
        """Whether no beat of the last lease was late: only then may this process sweep.

        After a database outage every process looks silent. Whoever swept at once would take the
        jobs of all live ones; one lease later the live ones have beaten again. Nor does an outage touch all
        alike: one process is cut off at once and is back soon, another one waits for an answer all the while.
        """
        now = self.now()
        if now - self._renewed_at > self._gap_seconds:
            return False
        return self.is_current() and now - self._unbroken_since >= self._seconds


class EndlessLease:
    """The lease of a process that nobody watches: it never ends, and there is nobody to judge."""

    def is_current(self) -> bool:
        """Return True: nobody declares this process dead."""
        return True

    def is_unbroken(self) -> bool:
        """Return False: it knows of no other process."""
        return False
