"""DelayedEndings: endings that cannot be written now, and wait apart so that they hold up no other."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable

from pleme_redis_django.jobs.interface.events import BurstHeldUp, EndingDelayed, EventSink
from pleme_redis_django.jobs.worker.holdings import Entry

# What cannot be written alone is tried again after this, twice as long each time.
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0


@dataclasses.dataclass(slots=True, kw_only=True)
class _Delayed:
    entry: Entry
    error: Exception
    wait_seconds: float = FIRST_DELAY_SECONDS
    next_try: float = 0.0


class DelayedEndings:
    """Which endings wait apart, and until when; for the finisher's thread."""

    def __init__(self, sink: EventSink, *, burst: bool = False) -> None:
        self._sink = sink
        # A burst waits for them and for nothing else, which is told once.
        self._to_tell = burst
        self._delayed: dict[int, _Delayed] = {}

    def add(self, entry: Entry, error: Exception) -> None:
        """Have an ending wait, longer each time, because of ``error``."""
        held, ending = entry
        delayed = self._delayed.get(id(held))
        if delayed is None:
            delayed = self._delayed[id(held)] = _Delayed(entry=entry, error=error)
            self._sink.emit(EndingDelayed(held.job, ending, error))
        else:
            delayed.entry, delayed.error = entry, error
            delayed.wait_seconds = min(delayed.wait_seconds * 2, LONGEST_DELAY_SECONDS)
        delayed.next_try = time.monotonic() + delayed.wait_seconds

    def due(self, now: float) -> list[Entry]:
        """Return what has waited for long enough by ``now``; it stays here until it is written."""
        return [delayed.entry for delayed in self._delayed.values() if delayed.next_try <= now]

    def tell_when_all_wait(self, held: int) -> None:
        """Tell, in a burst, that all the ``held`` jobs wait here, and what keeps the last one."""
        if self._to_tell and self._delayed and len(self._delayed) == held:
            self._to_tell = False
            self._sink.emit(BurstHeldUp(held, next(reversed(self._delayed.values())).error))

    def forget(self, entries: Iterable[Entry]) -> None:
        """Take note of what was written."""
        if self._delayed:
            for held, _ending in entries:
                self._delayed.pop(id(held), None)

    def last_error(self) -> Exception | None:
        """Return what keeps the latest of them from being written, None when there is none; from any thread."""
        errors = [delayed.error for delayed in list(self._delayed.values())]
        return errors[-1] if errors else None

    def __len__(self) -> int:
        return len(self._delayed)
