"""OrmScheduleBook: the ScheduleBook of the engine, on the tables Schedule and ScheduleTick."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, transaction

from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.jobs.definitions.registry import JobRegistry, registry
from pleme_redis_django.jobs.interface.schedules import FiredTicks
from pleme_redis_django.jobs.interface.workers import WorkerIdentity
from pleme_redis_django.orm_store.connection import is_harmless, reconnecting, writing
from pleme_redis_django.schedules.declaring import declare
from pleme_redis_django.schedules.firing import Fired, disable_unloadable, fire, fire_waiting
from pleme_redis_django.schedules.moments import aware, stored
from pleme_redis_django.schedules.tables import Clock, awaiting, database_now, firing, ticks

SCHEDULES_A_TURN = 100
# A tick that waits for the end of a job is asked for so often.
WAITING_SECONDS = 1.0
# A schedule whose transaction the database refused, as for a lock, is tried again after this; others fire meanwhile.
PUT_OFF_SECONDS = 5.0
# How far ahead the next tick is searched; the engine searches again sooner.
AHEAD = timedelta(seconds=30)
REMEMBER_TICKS = timedelta(days=30)
OLD_TICKS_A_TURN = 1_000
Step = Callable[[str, Sequence[int], datetime], Fired]

logger = logging.getLogger("pleme_redis_django.schedules")


class OrmScheduleBook:
    """Not for several threads. ``clock`` tells the time of the database, ``identity`` which process this is."""

    def __init__(
        self,
        *,
        using: str = "default",
        clock: Clock = database_now,
        jobs: JobRegistry = registry,
        identity: WorkerIdentity | None = None,
    ) -> None:
        self.using = using
        self._clock = clock
        self._identity = identity
        self._types = sorted(definition.name for definition in jobs)
        self._put_off: dict[int, float] = {}

    @property
    def key(self) -> str:
        text = "\n".join(self._types).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=8).hexdigest()

    def fire_due(self) -> FiredTicks:
        # One transaction: where nothing is due, a turn costs the database no more than that.
        with reconnecting(self.using), transaction.atomic(using=self.using):
            now = self._clock(self.using)
            waiting = list(awaiting(self.using, self._types)[:SCHEDULES_A_TURN])
            due = self._due(now)
            due_in = None if due else self._due_in(now)
        fired = self._fire(fire_waiting, [row_id for row_id, is_ready in waiting if is_ready], now)
        fired.add(self._fire(fire, due, now))
        if due:
            with reconnecting(self.using):
                # One that has not fired, since somebody holds its row, is not asked for again at once.
                goes_on = fired.is_behind or len(due) == SCHEDULES_A_TURN
                due_in = 0.0 if goes_on else self._due_in(now)
        if waiting or fired.passed_over:
            due_in = WAITING_SECONDS if due_in is None else min(due_in, WAITING_SECONDS)
        return FiredTicks(
            enqueued=fired.enqueued,
            passed_over=fired.passed_over,
            disabled=tuple(fired.disabled),
            due_in_seconds=due_in,
        )

    def declare(self, *, at_start: bool) -> None:
        worker_id = None if self._identity is None else self._identity.worker_id
        with writing(self.using):
            declare(self.using, self._clock(self.using), at_start=at_start, worker_id=worker_id)

    def forget_old_ticks(self) -> int:
        with writing(self.using):
            before = stored(self._clock(self.using) - REMEMBER_TICKS)
            old = ticks(self.using).filter(fired_at__lt=before).order_by("fired_at")
            ids = list(old.values_list("id", flat=True)[:OLD_TICKS_A_TURN])
            deleted, _by_model = ticks(self.using).filter(id__in=ids).delete()
        return deleted

    def _due(self, now: datetime) -> list[int]:
        """Return what is due: ids alone, since a row may be one that cannot be loaded."""
        monotonic = time.monotonic()
        self._put_off = {row_id: until for row_id, until in self._put_off.items() if until > monotonic}
        # A job of an unknown type is left to a process that knows it: of a newer release, maybe.
        rows = firing(self.using).filter(job_type__in=self._types, next_tick_at__lte=stored(now))
        rows = rows.exclude(id__in=list(self._put_off)).order_by("next_tick_at")
        return list(rows.values_list("id", flat=True)[:SCHEDULES_A_TURN])

    def _due_in(self, now: datetime) -> float | None:
        soon = firing(self.using).filter(
            job_type__in=self._types, next_tick_at__range=(stored(now), stored(now + AHEAD))
        )
        first = soon.order_by("next_tick_at").values_list("next_tick_at", flat=True).first()
        return None if first is None else (aware(first) - now).total_seconds()

    def _fire(self, step: Step, ids: Sequence[int], now: datetime) -> Fired:
        """Fire the schedules in one transaction; when that fails, each in its own, so that one stops no other."""
        if not ids:
            return Fired()
        try:
            with writing(self.using):
                return step(self.using, ids, now)
        except Exception as error:
            if isinstance(error, DatabaseError | InterfaceError) and not is_harmless(error):
                raise  # Nothing of a schedule: the database.
            if len(ids) == 1:
                return self._set_aside(ids[0], error)
        fired = Fired()
        for row_id in ids:
            fired.add(self._fire(step, [row_id], now))
        return fired

    def _set_aside(self, row_id: int, error: Exception) -> Fired:
        """Put off a schedule that met a lock; disable one that cannot be loaded or fired at all."""
        if _is_passing(error):
            self._put_off[row_id] = time.monotonic() + PUT_OFF_SECONDS
            logger.warning("a schedule is tried again schedule_id=%s error=%s", row_id, type(error).__name__)
            return Fired()
        with writing(self.using):
            return disable_unloadable(self.using, row_id, error)


def _is_passing(error: Exception) -> bool:
    """Whether the same may succeed at another time: a lock, a deadlock, a slot that is contended."""
    if isinstance(error, DataError | IntegrityError):
        return False
    return isinstance(error, DatabaseError | PlemeError)
