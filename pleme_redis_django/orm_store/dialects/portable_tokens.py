"""Tokens of rates in the ORM and Python alone, for SQLite, where one transaction writes at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.token_bucket import LET_SECONDS, TokenBucket, bucket_at
from pleme_redis_django.models.flow_limit import FlowGate, FlowLimit
from pleme_redis_django.models.indexes import BLOCKED_CONDITION
from pleme_redis_django.orm_store.ending_changes import SLOT_AFTER_THE_END
from pleme_redis_django.orm_store.flow.gates import TOKEN_PREFIX, TokenGate
from pleme_redis_django.orm_store.flow.lines import line_order
from pleme_redis_django.orm_store.flow.tokens import (
    BURST_SHARE,
    LET_ROWS,
    LOOK_SECONDS,
    LetThrough,
    Parking,
    TakenTokens,
)
from pleme_redis_django.orm_store.job_table import JobTable

_EVERYBODY = LET_ROWS


def take_tokens(table: JobTable[Any], wanted: Mapping[TokenGate, int]) -> dict[TokenGate, TakenTokens]:
    found: dict[TokenGate, TakenTokens] = {}
    with transaction.atomic(using=table.using):
        for row in _rows(table, wanted):
            gate, limit = TokenGate(row.gate, row.limit_id), row.limit
            granted = wanted[gate]
            if limit.rate is not None:
                bucket = _bucket(row)
                granted = min(granted, bucket.free)
                if granted:
                    row.full_again_at = row.now + timedelta(
                        seconds=bucket.without(granted).full_again_seconds
                    )
                    row.spacing_seconds = bucket.every_seconds
            row.granted, row.let_through = granted, max(row.let_through - granted, 0)
            row.save(update_fields=["granted", "let_through", "full_again_at", "spacing_seconds"])
            found[gate] = TakenTokens(granted, row.full_again_at.timestamp())
    return found


def add_token_gates(table: JobTable[Any], gates: Sequence[TokenGate]) -> None:
    limits = FlowLimit._base_manager.using(table.using).filter(pk__in={gate.limit_id for gate in gates})
    known = set(limits.values_list("pk", flat=True))
    rows = [FlowGate(gate=gate.gate, limit_id=gate.limit_id) for gate in gates if gate.limit_id in known]
    FlowGate._base_manager.using(table.using).bulk_create(rows, ignore_conflicts=True)


def give_tokens_back(table: JobTable[Any], left: Mapping[TokenGate, TakenTokens]) -> None:
    with transaction.atomic(using=table.using):
        for row in _rows(table, left):
            if row.spacing_seconds is not None:
                taken = left[TokenGate(row.gate, row.limit_id)]
                missing = min(taken.tokens * row.spacing_seconds, taken.full_again - row.now.timestamp())
                row.full_again_at -= timedelta(seconds=max(missing, 0.0))
                row.save(update_fields=["full_again_at"])


def park_for_tokens(table: JobTable[Any], worker_id: str, parkings: Sequence[Parking]) -> int:
    """Have claimed jobs wait at their gates, and the gates looked at; return how many were still claimed."""
    parked = 0
    with transaction.atomic(using=table.using):
        for parking in parkings:
            mine = table.running().filter(pk=parking.job_id, worker_id=worker_id, attempt=parking.attempt)
            asked_to_end = mine.filter(cancel_requested_at__isnull=False)
            ended = {"status": JobStatus.CANCELLED, "failed_at": Now(), "unique_slot": SLOT_AFTER_THE_END}
            waits = {"status": JobStatus.BLOCKED, "blocked_on": parking.gate.blocked_on}
            parked += asked_to_end.update(claimed_at=None, updated_at=Now(), **ended) or mine.update(
                claimed_at=None, updated_at=Now(), **waits
            )
        for row in _rows(table, {parking.gate for parking in parkings}):
            if row.release_at is None:
                row.release_at = _look_at(row, 1)
                row.save(update_fields=["release_at"])
    return parked


def let_through(table: JobTable[Any], limit: int) -> LetThrough:
    queue_names: list[str] = []
    with transaction.atomic(using=table.using):
        due = list(_with_now(table.gates().filter(release_at__lte=Now()).order_by("release_at"))[:limit])
        for row in due:
            queue_names += _let_through(table, row)
    return LetThrough(len(due), queue_names)


def wake_forgotten_tokens(table: JobTable[Any]) -> LetThrough:
    waiting = table.rows().filter(BLOCKED_CONDITION, blocked_on__startswith=TOKEN_PREFIX)
    names = set(waiting.order_by().values_list("blocked_on", flat=True).distinct())
    woken = 0
    queue_names: list[str] = []
    with transaction.atomic(using=table.using):
        known = list(_with_now(table.gates().filter(gate__in=[_gate_of(name) for name in names])))
        for row in known:
            look_at = _look_at(row, 1)
            late = look_at is not None and (
                row.release_at is None or row.release_at > look_at + timedelta(seconds=LET_SECONDS)
            )
            if late:
                table.gates().filter(pk=row.pk).update(release_at=Now())
                woken += 1
        for name in names - {f"{TOKEN_PREFIX}{row.gate}" for row in known}:
            queue_names += waiting.filter(blocked_on=name).values_list("queue_name", flat=True)
            waiting.filter(blocked_on=name).update(status=JobStatus.QUEUED, blocked_on=None, updated_at=Now())
            woken += 1
    return LetThrough(woken, queue_names)


def _let_through(table: JobTable[Any], row: Any) -> list[str]:
    waiting = table.rows().filter(BLOCKED_CONDITION, blocked_on=f"{TOKEN_PREFIX}{row.gate}")
    is_fresh = row.let_at is not None and row.let_at > row.now - timedelta(seconds=LET_SECONDS)
    already = row.let_through if is_fresh else 0
    free = _EVERYBODY if row.limit.rate is None else max(_bucket(row).free - already, 0)
    through: list[Any] = []
    next_cost = None
    for job in waiting.order_by(*line_order()).only("id", "cost", "queue_name")[: free + 1]:
        if sum(one.cost for one in through) + job.cost > free:
            next_cost = job.cost
            break
        through.append(job)
    waiting.filter(pk__in=[job.pk for job in through]).update(
        status=JobStatus.QUEUED, blocked_on=None, updated_at=Now()
    )
    row.let_through = already + sum(job.cost for job in through)
    row.let_at = row.now if through else row.let_at
    row.release_at = None if next_cost is None else _look_at(row, row.let_through + next_cost)
    if row.release_at is not None and row.let_through:
        row.release_at = min(row.release_at, row.now + timedelta(seconds=LET_SECONDS))
    row.save(update_fields=["let_through", "let_at", "release_at"])
    return [job.queue_name for job in through]


def _rows(table: JobTable[Any], gates: Any) -> list[Any]:
    wanted = Q()
    for gate in gates:
        wanted |= Q(gate=gate.gate, limit_id=gate.limit_id)
    return list(_with_now(table.gates().filter(wanted).order_by("gate", "limit_id")))


def _with_now(rows: QuerySet[FlowGate]) -> QuerySet[Any]:
    found: QuerySet[Any] = rows.select_related("limit").annotate(now=Now())
    return found


def _bucket(row: Any) -> TokenBucket:
    limit: FlowLimit = row.limit
    return bucket_at(
        rate=limit.rate or 0,
        per_seconds=limit.per_seconds,
        burst=limit.burst,
        full_again_in=(row.full_again_at - row.now).total_seconds(),
        spacing_seconds=row.spacing_seconds,
    )


def _look_at(row: Any, tokens: int) -> datetime | None:
    """Return when to look at who waits: once there are tokens, and in a busy gate when a few have come together."""
    if row.limit.rate is None:
        return row.now  # type: ignore[no-any-return]  # a column of the query
    bucket = _bucket(row)
    seconds = bucket.seconds_until(tokens)
    if seconds is None or bucket.every_seconds is None:
        return None
    at_least = min(LOOK_SECONDS, bucket.burst * bucket.every_seconds * BURST_SHARE)
    return row.now + timedelta(seconds=max(seconds, at_least))  # type: ignore[no-any-return]  # a column of the query


def _gate_of(blocked_on: str) -> str:
    return blocked_on.removeprefix(TOKEN_PREFIX)
