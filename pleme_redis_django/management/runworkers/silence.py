"""Silence: ends a child that hangs as a whole; others have taken its jobs by then, and its slots are lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from pleme_redis_django.management.runworkers.places import Place

# A turn that took so long means that this process did not run, as after Ctrl-Z.
AWAY_SECONDS = 10.0


class Silence:
    """How long children may say nothing; for the supervisor's thread. 0 seconds: for ever."""

    def __init__(
        self, max_seconds: float, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_seconds = max_seconds
        self._say = say
        self._clock = clock
        self._looked_at = clock()

    def end_silent(self, places: Iterable[Place]) -> None:
        """Kill the children that were silent for too long."""
        now = self._clock()
        was_away = now - self._looked_at > AWAY_SECONDS
        self._looked_at = now
        for place in places:
            if was_away:
                # The supervisor itself was stopped, most likely with its children: their time starts again.
                place.heard_at = now
            silent = now - place.heard_at
            if place.process is not None and 0 < self._max_seconds < silent:
                self._say(
                    f"A worker process of pool {place.pool} (pid {place.process.pid}) hangs: no heartbeat for "
                    f"{silent:.0f} s; killing it."
                )
                place.heard_at = now
                place.process.kill()
