"""HintRelay: passes a hint on to another process when this one is too full for what is ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from pleme_redis_django.jobs.interface.hints import ANY_TYPE, Hinted, HintQueue, NamesJobs

PASS_ON_PAUSE_SECONDS = 1.0
# What may be for any job.
ANYTHING = frozenset({Hinted()})


class HintRelay:
    """What this process owes the others; for the claimer's thread."""

    def __init__(self, hints: HintQueue) -> None:
        self._hints = hints
        self._naming = hints if isinstance(hints, NamesJobs) else None
        self._owed: set[Hinted] = set()
        """Of which products and types the ready jobs are that something is owed for."""
        self._next_time = time.monotonic()

    def owe(self, named: Collection[Hinted] = ANYTHING) -> None:
        """Take note that something is ready which another process would take if this one cannot."""
        self._owed |= set(named)

    def pass_on(self, left: Callable[[], Collection[str]] = lambda: (ANY_TYPE,)) -> None:
        """Wake another process now if something is owed.

        ``left`` returns a type of each lane that more is ready for.
        """
        if not self._owed:
            return
        owed, self._owed = self._owed, set()
        if self._naming is None:
            self._hints.nudge()
            return
        types = {hinted.job_type for hinted in owed}
        # What was said of any type was looked for here: it is of the lanes that more is ready for.
        told_types = left() if ANY_TYPE in types else types
        # A fair pool would learn of a product that has come only at its next look at all of them.
        self._naming.nudge_for(told_types, {hinted.product for hinted in owed if hinted.product})

    def pass_on_unless_taken(
        self, *, is_dry: bool, has_free_slot: bool, left: Callable[[], Collection[str]] = lambda: (ANY_TYPE,)
    ) -> None:
        """Wake another process when this one is full and more is ready than it could take."""
        if not self._owed:
            return
        if is_dry:
            self._owed.clear()
            return
        now = time.monotonic()
        # With a free slot in its other lane this process still listens, and the hint may come back
        # to it at once: without a pause it would go round for as long as the full lane is full.
        if now >= self._next_time or not has_free_slot:
            self._next_time = now + PASS_ON_PAUSE_SECONDS
            self.pass_on(left)
