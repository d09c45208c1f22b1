"""Maintainer: the thread that does duties when they are due; one that fails stops no other."""

from __future__ import annotations

import time
from collections.abc import Callable

from pleme_redis_django.jobs.interface.events import EventSink
from pleme_redis_django.jobs.maintenance.duty import Duty
from pleme_redis_django.jobs.maintenance.elections import Elections
from pleme_redis_django.jobs.worker.agenda import Agenda
from pleme_redis_django.jobs.worker.turning_thread import TurningThread


class Maintainer:
    """Does each duty when it is due, for the first time after its interval.

    ``probe`` asks the store something, because a duty that had nothing to ask can succeed while the store is away.
    """

    def __init__(
        self, name: str, elections: Elections, sink: EventSink, agenda: Agenda, *, probe: Callable[[], object]
    ) -> None:
        self._elections = elections
        self._probe = probe
        self._duties: dict[str, Duty] = {}
        self._next: dict[str, float] = {}
        self._last: Callable[[], None] = lambda: None
        self.thread = TurningThread(name, self.turn, sink, agenda, operation=name, at_end=self._end)

    def take_on(self, *duties: Duty) -> None:
        """Do these duties from now on. To be called before the thread is started."""
        for duty in duties:
            self._duties[duty.name] = duty
            self._next[duty.name] = time.monotonic() + duty.every_seconds

    def end_with(self, last: Callable[[], None]) -> None:
        """Have the thread do this last, before it ends. To be called before it is started."""
        self._last = last

    def do_in(self, seconds: float, name: str) -> None:
        """Do a duty at this time, or earlier if it is due earlier. May be called from any thread."""
        self._next[name] = min(self._next[name], time.monotonic() + seconds)
        self.thread.wake()

    def put_off(self, name: str) -> None:
        """Put a duty off by its whole interval. To be called in the maintainer's own thread."""
        self._next[name] = time.monotonic() + self._duties[name].every_seconds

    def duty(self, name: str) -> Duty:
        return self._duties[name]

    def turn(self) -> float:
        """Do what is due; return the seconds until the next duty. Raises the first error, once all were done."""
        due = [duty for duty in self._duties.values() if self._next[duty.name] <= time.monotonic()]
        errors: list[Exception] = []
        for duty in due:
            self._next[duty.name] = time.monotonic() + duty.every_seconds
            try:
                self._do(duty)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
        if due:
            if self.thread.outage.is_away:
                self._probe()
            self.thread.outage.succeeded()
        return max(min(self._next.values()) - time.monotonic(), 0.0)

    def _end(self) -> None:
        self._last()

    def _do(self, duty: Duty) -> None:
        if duty.condition() and (
            duty.role is None or self._elections.is_elected(duty.role, duty.every_seconds)
        ):
            duty.run()
