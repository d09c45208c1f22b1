"""Due schedules: fires ticks when they are due, in one process of those that know the same job types."""

from __future__ import annotations

import math

from pleme_redis_django.jobs.interface.events import EventSink, ScheduleDisabled, TicksFired
from pleme_redis_django.jobs.interface.schedules import ScheduleBook
from pleme_redis_django.jobs.maintenance.duty import Duty
from pleme_redis_django.jobs.maintenance.maintainer import Maintainer

DUE_SCHEDULES, DECLARED_SCHEDULES = "due_schedules", "declared_schedules"
DECLARED_AT_START, OLD_TICKS = "declared_schedules_at_start", "old_ticks"
# A schedule that is made or edited meanwhile is noticed after this time at the latest.
LOOK_SECONDS = 15.0
CARETAKING_SECONDS = 60.0
TRY_AGAIN_SECONDS = 5.0


class DueSchedules:
    """The duties about schedules. Two processes that do them at once do no harm: the store fires a tick once."""

    def __init__(self, book: ScheduleBook, maintainer: Maintainer, sink: EventSink) -> None:
        self._book = book
        self._maintainer = maintainer
        self._sink = sink

    def take_on(self) -> None:
        """Have the maintainer do the duties, beginning with what the code declares."""
        # Processes that know different job types are elected separately, so that while two releases run side by
        # side, each schedule is fired by a process that knows its job type.
        key = self._book.key
        # Two roles: a term lasts as long as the interval of its duties asks for, and nothing fires until it is over.
        role, caretaker = f"schedules:{key}", f"schedule_caretaker:{key}"
        self._maintainer.take_on(
            Duty(name=DECLARED_AT_START, run=self._declare_at_start, every_seconds=math.inf),
            Duty(
                name=DECLARED_SCHEDULES,
                run=lambda: self._book.declare(at_start=False),
                every_seconds=CARETAKING_SECONDS,
                role=caretaker,
            ),
            Duty(name=DUE_SCHEDULES, run=self._fire, every_seconds=LOOK_SECONDS, role=role),
            Duty(
                name=OLD_TICKS,
                run=self._book.forget_old_ticks,
                every_seconds=CARETAKING_SECONDS,
                role=caretaker,
            ),
        )
        self._maintainer.do_in(0.0, DECLARED_AT_START)

    def _declare_at_start(self) -> None:
        self._maintainer.do_in(TRY_AGAIN_SECONDS, DECLARED_AT_START)  # Unless it succeeds.
        self._book.declare(at_start=True)
        self._maintainer.put_off(DECLARED_AT_START)
        self._maintainer.do_in(0.0, DUE_SCHEDULES)

    def _fire(self) -> None:
        fired = self._book.fire_due()
        if fired.enqueued or fired.passed_over:
            self._sink.emit(TicksFired(fired.enqueued, fired.passed_over))
        for name, reason in fired.disabled:
            self._sink.emit(ScheduleDisabled(name, reason))
        if fired.due_in_seconds is not None:
            self._maintainer.do_in(max(fired.due_in_seconds, 0.0), DUE_SCHEDULES)
