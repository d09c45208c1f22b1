"""LongLook: a look at all ready jobs that is made in pieces, so that no claim waits for the end of it.

The slots of one kind, such as those of async handlers, may have no job behind 500,000 of the other kind. To read past
these takes 400 ms, in which the thread that claims gets no job for anybody else. So such a look reads some
thousand rows at a time, goes on behind them at a later claim, and takes a quarter of the time until it is at the end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from pleme_redis_django.orm_store.claim_position import ClaimedUpTo

# A look that takes longer is made in pieces from then on.
LONG_SECONDS = 0.02
# 2 ms of reading.
PIECE_ROWS = 2_500
# The share of time that the pieces of one look may take.
PIECES_SHARE = 1 / 4


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one piece of a look read."""

    asked_at: datetime
    """The database's time."""
    ids: tuple[UUID, ...]
    """The jobs that this worker may take, in claim order."""
    last: ClaimedUpTo | None
    """The last row that was read; None: there are no more."""


class LongLook:
    """A look that is under way; for the thread that claims."""

    def __init__(self, asked_at: datetime, clock: Callable[[], float]) -> None:
        self.asked_at = asked_at
        """The database's time when it began: what has become ready since is not looked for."""
        self.position: ClaimedUpTo | None = None
        self.cost_seconds = 0.0
        self.is_outdated = False
        """Whether jobs have become ready meanwhile that are due before it, maybe in a piece that was read."""
        self._clock = clock
        self._next_at = 0.0

    def read(self, piece: Piece, seconds: float) -> None:
        """Take note of a piece, and of how long it took."""
        self.position = piece.last
        self.cost_seconds += seconds
        self._next_at = self._clock() + seconds * (1 / PIECES_SHARE - 1)

    def next_piece_in(self) -> float:
        """Return in how many seconds the next piece may be read."""
        return max(self._next_at - self._clock(), 0.0)
