"""Tokens of rates, as values: at which gates jobs wait for them, and how long.

They are taken when a job is about to start, and not when it was let through: a fleet that was away for an hour
starts no more than one that was not. A job without a token is parked at the gate of its rate, in a line of its own
(``r:`` before the gate's text): an ending makes places free, and no tokens. The gate says when to look at those
that wait. All of it goes by the database's clock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from pleme_redis_django.orm_store.flow.gates import TokenGate

# Waiting jobs are not looked at more often than this, nor than a quarter of the burst comes back in.
LOOK_SECONDS = 0.02
BURST_SHARE = 0.25
# So many jobs of a gate, or a few more, one look lets through; the next one goes on, at once.
LET_ROWS = 10_000
# So soon a gate is looked at again where somebody held the rows of those that had their tokens.
HELD_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Parking:
    """A claimed job that waits for a token from now on."""

    job_id: UUID
    attempt: int
    gate: TokenGate


class TakenTokens(NamedTuple):
    """Tokens of one gate that were taken."""

    tokens: int
    full_again: float
    """When every token of the gate is back if nobody takes more, in seconds since 1970 by the database's clock.

    Until then it is known that tokens were missing all the time. What is given back later would be there twice: the
    gate was full meanwhile.
    """


@dataclasses.dataclass(frozen=True, slots=True)
class LetThrough:
    """What a look at the gates that are due did."""

    gates: int
    """How many were due: when the next one is has to be asked again."""
    queue_names: Sequence[str]
    """Of each job that is ready now."""
