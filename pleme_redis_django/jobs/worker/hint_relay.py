"""HintRelay: passes a hint on to another process when this one is too full for what is ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from pleme_redis_django.jobs.interface.hints import ANY_TYPE, HintQueue, NamesJobs

PASS_ON_PAUSE_SECONDS = 1.0


class HintRelay:
    """What this process owes the others; for the claimer's thread."""

    def __init__(self, hints: HintQueue) -> None:
        self._hints = hints
        self._naming = hints if isinstance(hints, NamesJobs) else None
        self._owed = False
        self._types: set[str] = set()
        """Of which types the ready jobs are that something is owed for."""
        self._next_time = time.monotonic()

    def owe(self, job_types: Collection[str] = (ANY_TYPE,)) -> None:
        """Take note that something is ready which another process would take if this one cannot."""
        self._owed = True
        self._types |= set(job_types)

    def pass_on(self, left: Callable[[], Collection[str]] = lambda: (ANY_TYPE,)) -> None:
        """Wake another process now if something is owed.

        ``left`` returns a type of each lane that more is ready for.
        """
        if self._owed:
            types = self._forget()
            if self._naming is not None:
                # What was said of any type was looked for here: it is of the lanes that more is ready for.
                self._naming.nudge_for(left() if ANY_TYPE in types else types)
            else:
                self._hints.nudge()

    def pass_on_unless_taken(
        self, *, is_dry: bool, has_free_slot: bool, left: Callable[[], Collection[str]] = lambda: (ANY_TYPE,)
    ) -> None:
        """Wake another process when this one is full and more is ready than it could take."""
        if not self._owed:
            return
        if is_dry:
            self._forget()
            return
        now = time.monotonic()
        # With a free slot in its other lane this process still listens, and the hint may come back
        # to it at once: without a pause it would go round for as long as the full lane is full.
        if now >= self._next_time or not has_free_slot:
            self._next_time = now + PASS_ON_PAUSE_SECONDS
            self.pass_on(left)

    def _forget(self) -> set[str]:
        """Return of which types what was owed is, which is owed no more."""
        self._owed = False
        types, self._types = self._types, set()
        return types
