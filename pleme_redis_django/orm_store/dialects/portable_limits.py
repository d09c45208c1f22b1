"""Limits by the ORM alone, for SQLite: one connection writes at a time, and counts what it has written itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, CharField, F, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models.flow_limit import FlowLimit, LimitKind
from pleme_redis_django.models.indexes import BLOCKED_CONDITION, LINE_PREFIX
from pleme_redis_django.orm_store.ending_changes import SLOT_AFTER_THE_END
from pleme_redis_django.orm_store.flow.gates import Gate
from pleme_redis_django.orm_store.flow.limits import Head, Keys, KnownLimit
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.lookups import any_of
from pleme_redis_django.orm_store.pauses import Pauses

_COLUMNS = {
    LimitKind.KEY: "concurrency_key",
    LimitKind.TYPE: "job_type",
    LimitKind.QUEUE: "queue_name",
    LimitKind.PRODUCT: "product",
}
_WAITS = Q(cancel_requested_at=None)


def keys_over(table: JobTable[Any], limit_ids: Collection[int]) -> Keys:
    limits = table.limits().filter(id__in=limit_ids)
    numbers = list(limits.values_list("max_running", flat=True))
    smallest = min((number for number in numbers if number is not None), default=0)
    running = table.running().filter(concurrency_key__isnull=False).order_by()
    taken = running.values("product", "concurrency_key").annotate(taken=Sum("cost"))
    return set(taken.filter(taken__gt=smallest).values_list("product", "concurrency_key"))


def gates_over(
    table: JobTable[Any], limits: Mapping[Gate, KnownLimit], among: Keys | None = None
) -> tuple[list[Gate], bool]:
    numbers = _numbers(table, limits)
    over = [
        gate
        for gate, limit in limits.items()
        if (number := numbers.get(limit.id, (None, None))[0]) is not None and number < _taken(table, gate)
    ]
    return over, any(limit.id not in numbers for limit in limits.values())


def park(
    table: JobTable[Any], limits: Mapping[Gate, KnownLimit], worker_id: str, mine: Sequence[tuple[UUID, int]]
) -> set[UUID]:
    """Have those of the caller's claims that are beyond a limit wait at its gate; return which."""
    parked: set[UUID] = set()
    numbers = _numbers(table, limits)
    attempts = dict(mine)
    with transaction.atomic(using=table.using):
        for gate, limit in limits.items():
            number = numbers.get(limit.id, (None, None))[0]
            held = dict(_running(table, gate).values_list("id", "cost"))
            taken = sum(cost for job_id, cost in held.items() if job_id not in attempts)
            for job_id in [job_id for job_id in attempts if job_id in held]:
                taken += held[job_id]
                if number is not None and taken > number:
                    row = table.running().filter(id=job_id, worker_id=worker_id, attempt=attempts[job_id])
                    if row.update(**_stepped_back(gate)):
                        parked.add(job_id)
    return parked


def park_ready(
    table: JobTable[Any],
    gates: Sequence[Gate],
    selection: JobSelection,
    pauses: Pauses,
    limit: int,
    prefix: str,
) -> int:
    """Have those of the first ready rows of a selection that count at these gates wait there; return how many.

    ``prefix``: before the gate's text in the row, "" of those that wait for a place.
    """
    head = list(table.ready(selection, pauses).values_list("id", flat=True)[:limit])
    return sum(
        _of(table.existing(JobStatus.QUEUED).filter(any_of("id", head)), gate).update(
            status=JobStatus.BLOCKED, blocked_on=f"{prefix}{gate.text}", updated_at=Now()
        )
        for gate in gates
    )


def somebody_waits(table: JobTable[Any]) -> bool:
    return _waiting(table).exists()


def gates_waited_at(table: JobTable[Any], gates: Sequence[Gate]) -> list[Gate]:
    found = set(
        _waiting(table)
        .filter(blocked_on__in=[gate.text for gate in gates])
        .values_list("blocked_on", flat=True)
    )
    return [gate for gate in gates if gate.text in found]


def texts_waited_at(table: JobTable[Any]) -> list[str]:
    waiting = _waiting(table).exclude(blocked_on__startswith=LINE_PREFIX).order_by()
    return sorted(waiting.values_list("blocked_on", flat=True).distinct())


def heads_with_a_place(table: JobTable[Any], limits: Mapping[Gate, KnownLimit]) -> dict[Gate, Head]:
    heads: dict[Gate, Head] = {}
    numbers = _numbers(table, limits)
    for gate, limit in limits.items():
        number = numbers.get(limit.id, (None, None))[0]
        head = _line(table, gate).values_list("id", "cost").first()
        if number is None or head is None:
            continue
        job_id, cost = head
        if cost <= (places := number - _taken(table, gate)):
            heads[gate] = Head(job_id, places)
    return heads


def release(
    table: JobTable[Any], limits: Mapping[Gate, KnownLimit | None], freed: Mapping[Gate, int]
) -> list[str]:
    names: list[str] = []
    numbers = _numbers(table, limits)
    with transaction.atomic(using=table.using):
        for gate, count in freed.items():
            limit = limits.get(gate)
            max_running, rate = (None, None) if limit is None else numbers.get(limit.id, (None, None))
            if max_running is None and rate is not None:
                continue  # Its tokens let them go on.
            free = None if max_running is None else max_running - _taken(table, gate)
            ids: list[UUID] = []
            waiting = _line(table, gate)
            most = count if free is None else max(min(count, free), 0)
            for job_id, cost, queue_name in waiting.values_list("id", "cost", "queue_name")[:most]:
                if free is not None and (free := free - cost) < 0:
                    break
                ids.append(job_id)
                names.append(queue_name)
            _waiting(table).filter(any_of("id", ids)).update(
                status=JobStatus.QUEUED, blocked_on=None, updated_at=Now()
            )
    return names


def _numbers(
    table: JobTable[Any], limits: Mapping[Gate, KnownLimit | None]
) -> dict[int, tuple[int | None, int | None]]:
    ids = {limit.id for limit in limits.values() if limit is not None}
    rows = FlowLimit._base_manager.using(table.using).filter(id__in=ids)
    return {row_id: (most, rate) for row_id, most, rate in rows.values_list("id", "max_running", "rate")}


def _stepped_back(gate: Gate) -> dict[str, Any]:
    """Return what makes a claimed row wait at a gate, or end where it was asked to."""
    return {
        "status": Case(
            When(_WAITS, then=Value(JobStatus.BLOCKED.value)),
            default=Value(JobStatus.CANCELLED.value),
            output_field=CharField(),
        ),
        "blocked_on": Case(
            When(_WAITS, then=Value(gate.text)), default=None, output_field=CharField(null=True)
        ),
        "failed_at": Case(When(_WAITS, then=F("failed_at")), default=Now()),
        "unique_slot": Case(When(_WAITS, then=F("unique_slot")), default=SLOT_AFTER_THE_END),
        "claimed_at": None,
        "updated_at": Now(),
    }


def _waiting(table: JobTable[Any]) -> QuerySet[Any]:
    return table.rows().filter(BLOCKED_CONDITION)


def _line(table: JobTable[Any], gate: Gate) -> QuerySet[Any]:
    return _waiting(table).filter(blocked_on=gate.text).order_by(F("priority").desc(), "run_after", "id")


def _running(table: JobTable[Any], gate: Gate) -> QuerySet[Any]:
    return _of(table.running(), gate)


def _of(rows: QuerySet[Any], gate: Gate) -> QuerySet[Any]:
    rows = rows.filter(**{_COLUMNS[gate.kind]: gate.name})
    return rows.filter(product=gate.product) if gate.product else rows


def _taken(table: JobTable[Any], gate: Gate) -> int:
    return _running(table, gate).aggregate(taken=Sum("cost"))["taken"] or 0
