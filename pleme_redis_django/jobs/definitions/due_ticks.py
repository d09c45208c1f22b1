"""Due ticks: which ticks of a schedule fire at its turn, which were missed, and when its next turn is. Pure."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from itertools import islice, takewhile

from pleme_redis_django.jobs.definitions.schedule_values import CatchUp
from pleme_redis_django.jobs.definitions.timing import COUNTED_TICKS, Timing

# A tick that is later than this was missed, because schedules are looked at every few seconds.
ON_TIME = timedelta(seconds=60)
# One turn of one schedule makes at most this many jobs, however many ticks were missed.
JOBS_A_TURN = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DueTick:
    """One tick that is recorded, with those before it that are not recorded one by one."""

    at: datetime
    fires: bool
    """False: it was missed, as ``catch_up`` has it."""
    passed_over: int = 0
    """How many ticks before it, since the one that is recorded before, fired no job: at most 1,000 are counted."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a schedule does at its turn."""

    ticks: tuple[DueTick, ...]
    next_tick_at: datetime | None
    """None: it has no tick any more."""


def due_ticks(timing: Timing, next_tick_at: datetime, now: datetime, catch_up: CatchUp, limit: int) -> Turn:
    """Return the ticks from ``next_tick_at`` until ``now`` as ``catch_up`` has them, oldest first."""
    if catch_up is CatchUp.ALL:
        return _each(timing, next_tick_at, now, limit)
    following = timing.next_after(next_tick_at)
    if following is None or following > now:
        newest, passed_over = next_tick_at, 0  # The usual case: one is due.
    else:
        newest = timing.last_until(now) or next_tick_at
        passed_over = count_ticks(timing, next_tick_at, newest)
        following = timing.next_after(max(newest, now))
    fires = catch_up is CatchUp.ONE or now - newest <= ON_TIME
    return Turn(ticks=(DueTick(at=newest, fires=fires, passed_over=passed_over),), next_tick_at=following)


def _each(timing: Timing, next_tick_at: datetime, now: datetime, limit: int) -> Turn:
    """Return the last ``limit`` due ticks, and of these at most as many as fit into one turn."""
    due = [
        next_tick_at,
        *takewhile(lambda tick: tick <= now, islice(timing.ticks_after(next_tick_at), limit)),
    ]
    if len(due) > limit:
        due = _last(timing, next_tick_at, now, limit)
    passed_over = count_ticks(timing, next_tick_at, due[0])
    fired = due[:JOBS_A_TURN]
    first = DueTick(at=fired[0], fires=True, passed_over=passed_over)
    rest = tuple(DueTick(at=tick, fires=True) for tick in fired[1:])
    return Turn(ticks=(first, *rest), next_tick_at=timing.next_after(fired[-1]))


def _last(timing: Timing, since: datetime, now: datetime, limit: int) -> list[datetime]:
    """Return the last ``limit`` ticks until ``now``."""
    found: list[datetime] = []
    tick = timing.last_until(now)
    while tick is not None and tick > since and len(found) < limit:
        found.append(tick)
        tick = timing.last_until(tick - timedelta(microseconds=1))
    return found[::-1] or [since]


def count_ticks(timing: Timing, since: datetime, until: datetime) -> int:
    """Return how many ticks there are from ``since``, itself a tick, to before ``until``; at most 1,000."""
    if until <= since:
        return 0
    between = takewhile(lambda tick: tick < until, timing.ticks_after(since))
    return min(1 + sum(1 for _tick in islice(between, COUNTED_TICKS)), COUNTED_TICKS)
