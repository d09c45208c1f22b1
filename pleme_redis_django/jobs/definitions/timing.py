"""Timing: when a schedule fires, as a value: a cron expression in a zone, or an interval. Pure; times are aware."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from pleme_redis_django.exceptions import InvalidSchedule
from pleme_redis_django.jobs.definitions.cron_expression import checked_cron, last_tick, ticks_after, zone_of
from pleme_redis_django.jobs.definitions.schedule_values import INTERVALS

# Times that every database and every zone can hold, with room for what is added to them.
FIRST_YEAR, LAST_YEAR = 1970, 2999
# Missed ticks are counted up to this number.
COUNTED_TICKS = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The ticks of an expression between which the shortest gap is searched: few, since each row that is read pays for them.
_ANY_YEAR, _FEW_TICKS = datetime(2024, 1, 1, tzinfo=UTC), 10


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a schedule fires: by ``cron`` or by ``interval_seconds``. Once checked, it has exactly one of them."""

    cron: str = ""
    interval_seconds: int | None = None
    timezone: str = "UTC"
    """The zone of the expression, and in which people read the times."""
    starts_at: datetime | None = None
    """No tick is before it; an interval is counted from it, else from 1970-01-01 00:00 UTC."""
    ends_at: datetime | None = None
    """No tick is after it."""

    def checked(self) -> Timing:
        """Return itself, tidied. Raises InvalidSchedule for what is not accepted."""
        zone_of(self.timezone)
        checked_bounds(self.starts_at, self.ends_at)
        if (self.interval_seconds is None) == (not self.cron):
            raise InvalidSchedule("A schedule has either a cron expression or an interval, not both.")
        if self.interval_seconds is None:
            return dataclasses.replace(self, cron=checked_cron(self.cron))
        checked_interval(self.interval_seconds)
        return self

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first tick after ``moment``; None: there are no more."""
        return next(self.ticks_after(moment), None)

    def ticks_after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the ticks after ``moment``, ascending."""
        if self.starts_at is not None:
            moment = max(moment, self.starts_at - timedelta(microseconds=1))
        for tick in self._endless_after(moment):
            if self.ends_at is not None and tick > self.ends_at:
                return
            yield tick

    def last_until(self, moment: datetime) -> datetime | None:
        """Return the last tick until ``moment``, which is included; None: there was none."""
        if self.ends_at is not None:
            moment = min(moment, self.ends_at)
        if self.interval_seconds is None:
            tick = last_tick(self.cron, zone_of(self.timezone), moment)
        else:
            tick = self._anchor + self._intervals_until(moment) * timedelta(seconds=self.interval_seconds)
        return tick if tick is not None and (self.starts_at is None or tick >= self.starts_at) else None

    def upcoming(self, count: int, moment: datetime) -> list[datetime]:
        """Return the next ``count`` ticks after ``moment``, fewer where there are no more."""
        return list(islice(self.ticks_after(moment), count))

    def gap_seconds(self) -> float | None:
        """Return the shortest time between ticks: of an expression, between a few. None: it does not fire twice.

        Zone and bounds are not minded, so that where it is declared and where its row is read find the same.
        """
        if self.interval_seconds is not None:
            return self.interval_seconds
        few = islice(ticks_after(self.cron, zone_of("UTC"), _ANY_YEAR), _FEW_TICKS)
        gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(few)]
        return min(gaps, default=None)

    def _endless_after(self, moment: datetime) -> Iterator[datetime]:
        if self.interval_seconds is None:
            yield from ticks_after(self.cron, zone_of(self.timezone), moment)
            return
        if moment.year > LAST_YEAR:
            return
        step = timedelta(seconds=self.interval_seconds)
        tick = self._anchor + (self._intervals_until(moment) + 1) * step
        while tick.year <= LAST_YEAR:
            yield tick
            tick += step

    def _intervals_until(self, moment: datetime) -> int:
        return (moment - self._anchor) // timedelta(seconds=self.interval_seconds or 1)

    @property
    def _anchor(self) -> datetime:
        return self.starts_at or _EPOCH


def checked_interval(seconds: object) -> int:
    """Return the seconds of an interval. Raises InvalidSchedule for what is not accepted."""
    if isinstance(seconds, int) and INTERVALS.accepts(seconds):
        return seconds
    raise InvalidSchedule(f"The interval is {seconds!r}. Accepted: {INTERVALS}, in seconds.")


def checked_bounds(starts_at: object, ends_at: object) -> None:
    """Raise InvalidSchedule unless both are None or aware times of the accepted years, in this order."""
    for name, moment in (("starts_at", starts_at), ("ends_at", ends_at)):
        if moment is None:
            continue
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise InvalidSchedule(f"{name} is {moment!r}. Accepted: an aware datetime, or None.")
        if not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise InvalidSchedule(
                f"{name} is {moment.isoformat()}. Accepted: a time of the years {FIRST_YEAR} to {LAST_YEAR}."
            )
    if isinstance(starts_at, datetime) and isinstance(ends_at, datetime) and starts_at >= ends_at:
        raise InvalidSchedule(
            f"The schedule ends at {ends_at.isoformat()}, before it starts at {starts_at.isoformat()}."
        )
