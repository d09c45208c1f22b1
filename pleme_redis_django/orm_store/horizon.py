"""Horizon: up to which due time all ready jobs were looked at, so that only later ones need be read again.

Jobs that this worker may not take (of types that it does not know, of another product, of a paused queue)
stand in the index in claim order like all others, and a claim reads past them: 40 ms for 300,000, also when
nothing is ready. So a look at everything that was slow and left nothing behind sets a horizon at the
time when it began. What becomes ready since is due later as a rule, and the next looks read only that, of
every priority. What is due earlier (its transaction took long, or somebody changed its priority) is found by
the next look at everything: as soon as that has cost a twentieth of the time since. Looks behind the horizon that have
become slow, because what ended since is dead and not forgotten yet, set a later one as soon as they leave nothing.

A look at everything that takes long is made in pieces the next time (see ``LongLook``). Its horizon is the time of
the first piece, and holds while the others are read.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from pleme_redis_django.orm_store import claim_position, long_look
from pleme_redis_django.orm_store.claim_position import COMMIT_SECONDS, ClaimedUpTo
from pleme_redis_django.orm_store.long_look import LongLook, Piece
from pleme_redis_django.orm_store.pauses import NOTHING_PAUSED, Pauses

# Who goes on with a look has jobs of others to claim before.
SOON_SECONDS = 0.001


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TimedLook:
    """A look at ready jobs that has begun."""

    started: float
    asked_at: datetime | None = None
    """The database's time before it; None: it was not asked for."""


class Horizon:
    """The horizon of one worker in one selection; for the thread that claims."""

    def __init__(
        self,
        database_time: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
        lets_in: Callable[[], bool] = lambda: False,
    ):
        self._database_time = database_time
        self._lets_in = lets_in
        self._clock = clock
        self._is_in_pieces = False
        self._long_look: LongLook | None = None
        self._slow_looks = 0
        self._slow_later_looks = 0
        self._since: datetime | None = None
        self._until = 0.0
        self._round_trip_seconds = 0.0
        self._pauses = NOTHING_PAUSED
        self._is_partial = False

    def since(self, pauses: Pauses) -> datetime | None:
        """Return from which due time on the next look reads; None: it looks at everything.

        With other pauses than the horizon was set with, jobs that were passed over may be free.
        """
        return self._since if self._clock() < self._until and pauses == self._pauses else None

    def everything_in(self) -> float | None:
        """Return in how many seconds everything is looked at again, or on; None: the last look saw everything."""
        if self._long_look is not None:
            return max(self._long_look.next_piece_in(), SOON_SECONDS)
        return max(self._until - self._clock(), 0.0) if self._is_partial else None

    def begin(self) -> TimedLook:
        """Begin a look. Only where it would set a horizon, the database is asked for its time before."""
        asked_at = None
        if self._slow_looks >= claim_position.SLOW_CLAIMS - 1:
            before = self._clock()
            asked_at = self._database_time()
            self._round_trip_seconds = self._clock() - before
        return TimedLook(started=self._clock(), asked_at=asked_at)

    def looks_in_pieces(self, pauses: Pauses) -> bool:
        """Return whether the next look at everything is made in pieces; one with other pauses begins anew."""
        if self._long_look is not None and pauses != self._pauses:
            self._long_look = None
        return self._is_in_pieces

    def is_piece_due(self) -> bool:
        """Return whether a look is under way whose next piece may be read."""
        return self._long_look is not None and not self._long_look.next_piece_in()

    @property
    def read_up_to(self) -> ClaimedUpTo | None:
        """Behind which row the next piece begins; None: at the head."""
        return self._long_look.position if self._long_look else None

    def saw_piece(self, look: TimedLook, piece: Piece, pauses: Pauses, *, is_enough: bool) -> None:
        """Take note of a piece of a look, and whether as many of its jobs were claimed as were wanted.

        Of one whose jobs others took meanwhile nothing is left either: the look goes on behind it.
        """
        now = self._clock()
        under_way, self._long_look = self._long_look, None
        self._since, self._is_partial = None, False
        if is_enough:
            self._is_in_pieces = False  # There are enough jobs.
            return
        if piece.last is None and under_way is None and not self._is_slow(look, len(piece.ids)):
            self._is_in_pieces = False  # It was not long.
            return
        long = under_way or LongLook(piece.asked_at, self._clock)
        long.read(piece, now - look.started)
        self._pauses = pauses
        self._since = long.asked_at - timedelta(seconds=COMMIT_SECONDS)
        if piece.last is None:
            self._slow_later_looks = 0
            self._until = now + self._seconds_without(long.cost_seconds)
            if long.is_outdated:
                self._is_partial, self._until = True, now
        else:
            self._long_look, self._until = long, float("inf")

    def look_again(self) -> None:
        """Look at everything next: jobs have become ready that are due before the horizon.

        A long look comes to its end first. Begun anew each time, it might never do so.
        """
        if self._long_look is not None:
            self._long_look.is_outdated = True
        else:
            self._until = self._clock()

    def begin_later(self) -> TimedLook:
        """Begin a look behind the horizon."""
        return TimedLook(started=self._clock())

    def saw(self, look: TimedLook, count: int, pauses: Pauses, *, everything: bool) -> None:
        """Take note of a look that could see all, how many jobs it found, and whether it left none behind."""
        is_slow = self._is_slow(look, count)
        self._is_in_pieces = everything and self._is_long(look)
        self._slow_looks = self._slow_looks + 1 if is_slow else 0
        self._is_partial = False
        self._since = None
        if look.asked_at is None or not everything or not is_slow:
            return
        self._since = look.asked_at - timedelta(seconds=COMMIT_SECONDS)
        self._pauses = pauses
        self._slow_later_looks = 0
        now = self._clock()
        self._until = now + self._seconds_without(now - look.started)

    def saw_later_ones(
        self, look: TimedLook, count: int, asked_at: datetime, *, all_of_them: bool, by_queue: bool
    ) -> None:
        """Take note of a look behind the horizon, and whether it left none there.

        ``asked_at``: the database's time at it. ``by_queue``: a look at everything goes by the heads of queues.
        """
        self._is_partial = all_of_them
        if self._long_look is not None:
            # It comes to these too. Begun anew whenever they are slow, it would never end on a busy machine.
            return
        self._slow_later_looks = self._slow_later_looks + 1 if self._is_slow(look, count) else 0
        if self._slow_later_looks < claim_position.SLOW_CLAIMS:
            return
        if all_of_them:
            # What it read past is dead, or not for this worker.
            self._since = asked_at - timedelta(seconds=COMMIT_SECONDS)
        elif by_queue:
            # Not so that one, which does not read past the backlog of a paused queue.
            self._until = self._clock()

    def seconds_of(self, look: TimedLook) -> float:
        """Return how long a look has taken."""
        return self._clock() - look.started

    def _seconds_without(self, cost_seconds: float) -> float:
        return claim_position.seconds_without(cost_seconds, lets_in=self._lets_in())

    def _is_long(self, look: TimedLook) -> bool:
        return self.seconds_of(look) > long_look.LONG_SECONDS

    def _is_slow(self, look: TimedLook, count: int) -> bool:
        seconds = self.seconds_of(look)
        far = claim_position.EXPECTED_ROUND_TRIPS * self._round_trip_seconds
        return seconds > far and claim_position.is_slow(count, seconds)
