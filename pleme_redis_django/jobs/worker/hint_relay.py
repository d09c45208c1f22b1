"""HintRelay: passes a hint on to another process when this one is too full for what is ready."""

from __future__ import annotations

import time

from pleme_redis_django.jobs.interface.hints import HintQueue

PASS_ON_PAUSE_SECONDS = 1.0


class HintRelay:
    """What this process owes the others; for the claimer's thread."""

    def __init__(self, hints: HintQueue) -> None:
        self._hints = hints
        self._owed = False
        self._next_time = time.monotonic()

    def owe(self) -> None:
        """Take note that something is ready which another process would take if this one cannot."""
        self._owed = True

    def pass_on(self) -> None:
        """Wake another process now if something is owed."""
        if self._owed:
            self._owed = False
            self._hints.nudge()

    def pass_on_unless_taken(self, *, is_dry: bool, has_free_slot: bool) -> None:
        """Wake another process when this one is full and more is ready than it could take."""
        if not self._owed:
            return
        if is_dry:
            self._owed = False
            return
        now = time.monotonic()
        # With a free slot in its other lane this process still listens, and the hint may come back
        # to it at once: without a pause it would go round for as long as the full lane is full.
        if now >= self._next_time or not has_free_slot:
            self._next_time = now + PASS_ON_PAUSE_SECONDS
            self.pass_on()
