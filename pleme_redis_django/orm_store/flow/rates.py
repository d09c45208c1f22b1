"""Rates: claimed jobs start with a token each, or wait for one; and those that wait are let through in time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, TypeVar

from django.db import OperationalError, connections
from django.db.models import DurationField, ExpressionWrapper, Min
from django.db.models.functions import Now

from pleme_redis_django.orm_store.connection import sqlstate_of
from pleme_redis_django.orm_store.dialects.dialect import Dialect
from pleme_redis_django.orm_store.flow.gates import TokenGate
from pleme_redis_django.orm_store.flow.tokens import LetThrough, Parking, TakenTokens
from pleme_redis_django.orm_store.job_table import JobTable, M

T = TypeVar("T")

# How many gates are looked at in one transaction.
GATES_AT_ONCE = 200
FULL_SINCE, PRUNED_AT_ONCE = timedelta(hours=1), 1_000
TRIES = 3
# serialization_failure and deadlock_detected: two took tokens of the same gates in another order.
_START_AGAIN = ("40001", "40P01")


@dataclasses.dataclass(frozen=True, slots=True)
class NeedsTokens(Generic[M]):
    """A claimed job, and the rates that it counts on."""

    job: M
    gates: tuple[TokenGate, ...]
    cost: int = 1


def start_with_tokens(
    dialect: Dialect,
    table: JobTable[M],
    worker_id: str,
    jobs: Sequence[NeedsTokens[M]],
    park_others: Callable[[Sequence[TokenGate]], None] = lambda gates: None,
) -> tuple[list[M], list[M]]:
    """Take the tokens of claimed jobs; return those that may start, and those that are parked now.

    The jobs are given in claim order, and get their tokens in it: behind one that lacks some, no other of its gate
    starts. What one job of several rates did not need is given back. ``park_others`` is told which gates have no
    tokens left, before the parking that has them looked at in time.
    """
    wanted: dict[TokenGate, int] = {}
    for needs in jobs:
        for gate in needs.gates:
            wanted[gate] = wanted.get(gate, 0) + needs.cost
    taken = take(dialect, table, wanted) if wanted else {}
    granted = {gate: of_gate.tokens for gate, of_gate in taken.items()}
    if granted == wanted:
        return [needs.job for needs in jobs], []
    may_start: list[M] = []
    parked: list[tuple[M, TokenGate]] = []
    exhausted: set[TokenGate] = set()
    for needs in jobs:
        lacking = [gate for gate in needs.gates if gate in exhausted or granted[gate] < needs.cost]
        exhausted.update(lacking)
        if lacking:
            parked.append((needs.job, lacking[0]))
            continue
        may_start.append(needs.job)
        for gate in needs.gates:
            granted[gate] -= needs.cost
    if left := {gate: taken[gate]._replace(tokens=count) for gate, count in granted.items() if count}:
        give_back(dialect, table, left)
    if parked:
        park_others(sorted({gate for _job, gate in parked}))
        park(dialect, table, worker_id, [Parking(job.pk, job.attempt, gate) for job, gate in parked])
    return may_start, [job for job, _gate in parked]


def take(
    dialect: Dialect, table: JobTable[Any], wanted: Mapping[TokenGate, int]
) -> Mapping[TokenGate, TakenTokens]:
    """Take up to so many tokens of each gate; return how many there were. A limit that is gone gives all."""
    found = _tried(table, lambda: dialect.take_tokens(table, wanted))
    if len(found) == len(wanted):
        return found
    if missing := {gate: count for gate, count in wanted.items() if gate not in found}:
        dialect.add_token_gates(table, sorted(missing))
        found |= _tried(table, lambda: dialect.take_tokens(table, missing))
    return {gate: found.get(gate) or TakenTokens(count, 0.0) for gate, count in wanted.items()}


def give_back(dialect: Dialect, table: JobTable[Any], left: Mapping[TokenGate, TakenTokens]) -> None:
    """Give tokens back that were taken and are not needed, as far as they have not come back by themselves."""
    _tried(table, lambda: dialect.give_tokens_back(table, left))


def park(dialect: Dialect, table: JobTable[Any], worker_id: str, parkings: Sequence[Parking]) -> int:
    """Have claimed jobs wait for tokens, and their gates looked at in time; return how many were still claimed.

    One that was asked to end meanwhile ends CANCELLED.
    """
    return _tried(table, lambda: dialect.park_for_tokens(table, worker_id, parkings))


def let_through(dialect: Dialect, table: JobTable[Any]) -> LetThrough:
    """Make as many waiting jobs ready as there are tokens, at the gates that are due."""
    return dialect.let_through(table, GATES_AT_ONCE)


def release_in(table: JobTable[Any]) -> float | None:
    """Return in how many seconds the next gate is due; None: nobody waits for a token."""
    wait = ExpressionWrapper(Min("release_at") - Now(), output_field=DurationField())
    found: timedelta | None = table.gates().filter(release_at__isnull=False).aggregate(wait=wait)["wait"]
    return None if found is None else found.total_seconds()


def look_at_gates(table: JobTable[Any], limit_ids: Sequence[int]) -> int:
    """Have the gates of limits looked at at once: their numbers are others now; return how many there are."""
    return table.gates().filter(limit_id__in=limit_ids).update(release_at=Now())


def wake_forgotten(dialect: Dialect, table: JobTable[Any]) -> LetThrough:
    """Have looked at what waits for tokens at a gate that nobody would look at again.

    A gate whose row, or whose limit, is gone lets everybody through: those who start make another row.
    """
    return dialect.wake_forgotten_tokens(table)


def prune_gates(table: JobTable[Any]) -> int:
    """Delete rows of gates that had all their tokens an hour ago, and where nobody waits; return how many.

    Each key has one. A row that is made again says the same.
    """
    full = table.gates().filter(full_again_at__lt=Now() - FULL_SINCE, release_at=None)
    # At a rate that is paused jobs may wait without a time to look at them, and by the row they go on after the pause.
    full = full.exclude(limit__rate=0)
    return table.gates().filter(pk__in=list(full.values_list("pk", flat=True)[:PRUNED_AT_ONCE])).delete()[0]


def _tried(table: JobTable[Any], call: Callable[[], T]) -> T:
    """Call it, and again where two transactions met; not inside a caller's, which is over then."""
    for _try in range(TRIES - 1):
        try:
            return call()
        except OperationalError as error:
            if connections[table.using].in_atomic_block or sqlstate_of(error) not in _START_AGAIN:
                raise
    return call()
