"""Why a BLOCKED job waits: the limit that is full and who holds it, or the line and whose turn it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, Sum

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.durations import duration
from pleme_redis_django.models import FlowGate, FlowLimit, LimitKind, model_label
from pleme_redis_django.models.indexes import LINE_PREFIX
from pleme_redis_django.monitoring.limits import gate_in_words, tokens_of
from pleme_redis_django.monitoring.order_lines import heads_of
from pleme_redis_django.monitoring.waiting_row import WaitingRow, WaitReason
from pleme_redis_django.orm_store.flow.gates import Gate, gate_of, waits_for_token
from pleme_redis_django.orm_store.job_table import JobTable

HOLDERS_NAMED = 5
HOLDERS_COUNTED = 10_000
COUNTED_AHEAD = 10_000
CODE = "blocked"


def reason_of_gate(row: WaitingRow, scope: ProductScope) -> WaitReason:
    """Return what holds up a BLOCKED job; five queries at most. ``scope``: no job of another product is named."""
    text = str(row.blocked_on or "")
    if text.startswith(LINE_PREFIX):
        return _of_line(row)
    gate = gate_of(text)
    limit = None if gate is None else _limit_of(row, gate)
    if gate is None or limit is None:
        told = "It waited at a limit that is gone, and goes on within seconds."
        return WaitReason(code=CODE, text=told, since=row.updated_at)
    return _of_limit(row, gate, limit, scope)


def _of_line(row: WaitingRow) -> WaitReason:
    head = heads_of(_table(row), [(row.product, row.order_key)]).get((row.product, row.order_key))
    text = f"It waits for its turn in the order {row.order_key}{_ahead(row)}"
    if head is None:
        return WaitReason(code=CODE, text=f"{text}.", since=row.updated_at)
    text += (
        f". Before them, {head.job_type} is {head.get_status_display().lower()}"
        if _ahead(row)
        else (f": {head.job_type} comes before it, and is {head.get_status_display().lower()}")
    )
    if head.retry_count:
        text += f", retry {head.retry_count} of {head.max_retries}"
    fix = "Let it end, or have the next one pass it, on its own page."
    return WaitReason(code=CODE, text=f"{text}.", since=row.updated_at, fix=fix, jobs=(head.pk,))


def _of_limit(row: WaitingRow, gate: Gate, limit: FlowLimit, scope: ProductScope) -> WaitReason:
    running = _running_at(_table(row), gate)
    held = running.aggregate(places=Sum("cost"))["places"] or 0
    what = gate_in_words(gate)
    fix = "Raise the limit on the page of limits, or wait."
    if 0 in (limit.max_running, limit.rate):
        by = f" by {limit.edited_by}" if limit.edited_by else ""
        why = f": {limit.edit_reason}" if limit.edit_reason else ""
        text = f"The limit of {what} is 0{by}{why}: none of its jobs starts."
        return WaitReason(code=CODE, text=text, since=row.updated_at, fix=fix)
    waits_for_place = not waits_for_token(str(row.blocked_on))
    if waits_for_place and limit.max_running is not None and held + row.cost > limit.max_running:
        text = (
            f"It waits for a place: {held:,} of the {limit.max_running:,} of {what} are taken{_ahead(row)}."
        )
        named, more = _holders(scope.narrow(running))
        return WaitReason(code=CODE, text=text, since=row.updated_at, fix=fix, jobs=named, more_jobs=more)
    if limit.rate:
        text = f"It waits for a token of {what}: {limit.rate:,} start in {duration(limit.per_seconds)}"
        text += f"{_next_token(row, gate, limit)}{_ahead(row)}."
        return WaitReason(code=CODE, text=text, since=row.updated_at, fix=fix)
    text = f"It waited at the limit of {what}, which has a place for it: it is let in within seconds."
    return WaitReason(code=CODE, text=text, since=row.updated_at)


def _holders(running: QuerySet[Any]) -> tuple[tuple[UUID, ...], int]:
    """Return the jobs that have run longest, and how many run besides."""
    named = running.order_by("claimed_at", "pk").values_list("pk", flat=True)[: HOLDERS_NAMED + 1]
    first = tuple(named)[:HOLDERS_NAMED]
    if len(named) <= HOLDERS_NAMED:
        return first, 0
    return first, running.order_by().values("pk")[:HOLDERS_COUNTED].count() - HOLDERS_NAMED


def _ahead(row: WaitingRow) -> str:
    """Return how many wait at the gate before it, as the end of a sentence; "": none does."""
    same = Q(priority=row.priority)
    earlier = Q(run_after__lt=row.run_after) | Q(run_after=row.run_after, id__lt=row.id)
    rows = _table(row).blocked().filter(blocked_on=row.blocked_on)
    before = rows.filter(Q(priority__gt=row.priority) | (same & earlier)).exclude(pk=row.id)
    count = before.order_by().values("pk")[: COUNTED_AHEAD + 1].count()
    if not count:
        return ""
    told = f"more than {COUNTED_AHEAD:,}" if count > COUNTED_AHEAD else f"{count:,}"
    return f", and {told} {'waits' if count == 1 else 'wait'} before it"


def _next_token(row: WaitingRow, gate: Gate, limit: FlowLimit) -> str:
    gates = FlowGate._base_manager.using(row.using).filter(limit=limit, gate=gate.text)
    full_again_at = gates.values_list("full_again_at", flat=True).first()
    until: timedelta = timedelta() if full_again_at is None else full_again_at - row.now
    tokens, next_in = tokens_of(limit, until)
    return "" if tokens or next_in is None else f", and the next token comes in {duration(next_in)}"


def _running_at(table: JobTable[Any], gate: Gate) -> QuerySet[Any]:
    running = table.running()
    if gate.product:
        running = running.filter(product=gate.product)
    match gate.kind:
        case LimitKind.KEY:
            return running.filter(concurrency_key=gate.name)
        case LimitKind.TYPE:
            return running.filter(job_type=gate.name)
        case LimitKind.QUEUE:
            return running.filter(queue_name=gate.name)
        case _:
            return running


def _limit_of(row: WaitingRow, gate: Gate) -> FlowLimit | None:
    rows = FlowLimit._base_manager.using(row.using).filter(
        job_model=model_label(row.model), kind=gate.kind, name=gate.limit_name, product__in=["", row.product]
    )
    # The one of its product stands before that of every product.
    return rows.order_by("-product").first()


def _table(row: WaitingRow) -> JobTable[Any]:
    return JobTable(row.model, row.using)
