"""What people ask of limits: how full each is and since when, who runs, and how many wait. Reads only."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from django.db.models import Count, DurationField, ExpressionWrapper, F, Max, Min, Q, Sum
from django.db.models.functions import Now

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.conf import get_settings
from pleme_redis_django.models import AbstractJob, FlowGate, FlowLimit, FullGate, Job, LimitKind, model_label
from pleme_redis_django.orm_store.flow.gates import Gate, gate_of, limit_names_of
from pleme_redis_django.orm_store.job_table import JobTable

GATES_SHOWN = 10
HOLDERS_NAMED = 3
# Of the jobs that run at the gates shown, so many are looked at for those to name: the ones that run longest.
HOLDERS_READ = 2_000
# Beyond this many, it makes no difference to people, and the count would cost more.
WAITING_COUNTED = 100_000
TOKENS_READ = 1_000

_COLUMNS = {
    LimitKind.KEY: "concurrency_key",
    LimitKind.TYPE: "job_type",
    LimitKind.QUEUE: "queue_name",
    LimitKind.PRODUCT: "product",
}
# The fields of _Running, in their order.
_NAMES = ("product", "job_type", "queue_name", "concurrency_key")

State = Literal["paused", "full", "free"]
"""``paused``: its number is 0. ``full``: all places of a gate are taken, or jobs wait at one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A job that runs at a gate."""

    job_id: UUID
    job_type: str
    since: datetime | None
    """When it was claimed, and took its place."""
    is_deleted: bool
    """It has its place until it ends, and no page any more."""


@dataclasses.dataclass(slots=True, kw_only=True)
class GateReport:
    """What a limit counts together: the jobs of one key, job type, queue or product."""

    gate: Gate
    running: int = 0
    """Places that are taken: the costs of the jobs that run."""
    jobs: int = 0
    """How many jobs take them."""
    holders: list[Holder] = dataclasses.field(default_factory=list)
    """``HOLDERS_NAMED`` of those at most, the one that has run longest first. Of the gates that are shown."""
    last_claimed_at: datetime | None = None
    """When the last place was taken."""
    waiting: int = 0
    waiting_since: datetime | None = None
    """Since when the job has waited that waits longest."""
    is_full: bool = False
    """Whether all places are taken, or jobs wait."""
    full_since: datetime | None = None
    """Of the gates that are shown: since when, as far as is known."""
    tokens: int | None = None
    """How many jobs may start at once; None: it has no rate, or none has started yet."""
    next_token_seconds: float | None = None
    """Until there is one more; None: every token is there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LimitReport:
    """A limit as people see it."""

    limit: FlowLimit
    state: State
    running: int
    waiting: int
    waiting_since: datetime | None
    gates: tuple[GateReport, ...]
    """At most ``GATES_SHOWN``, those where most jobs wait before the others."""
    gate_count: int
    is_capped: bool
    """Whether more jobs wait than were counted."""


def limit_rows(
    scope: ProductScope = EVERY_PRODUCT, *, model: type[AbstractJob] = Job, using: str | None = None
) -> list[FlowLimit]:
    """Return the limits that the scope may see: its products' own, and those that hold for every product."""
    rows = FlowLimit._base_manager.using(using or get_settings().database)
    return [
        row
        for row in rows.filter(job_model=model_label(model)).order_by("kind", "name", "product")
        if (scope.allows(row.own_product) if row.own_product else scope.sees_shared)
    ]


def limit_reports(
    rows: Sequence[FlowLimit], scope: ProductScope = EVERY_PRODUCT, *, model: type[AbstractJob] = Job
) -> list[LimitReport]:
    """Return a report of each limit, in order; five queries. ``scope``: no gate of another product is named."""
    if not rows:
        return []
    counts = _Counts(rows, JobTable(model, str(rows[0]._state.db)))
    counts.count_running()
    is_capped = counts.count_waiting()
    counts.read_tokens()
    reports = [_report(row, counts.of(row, scope), is_capped) for row in rows]
    shown = [gate for report in reports for gate in report.gates]
    counts.name_holders(shown, scope)
    counts.tell_since(shown)
    return reports


def gate_in_words(gate: Gate) -> str:
    """Return what a gate counts, as a person says it."""
    of_product = f" of {gate.product}" if gate.product else " of all products together"
    if gate.kind == LimitKind.PRODUCT:
        return f"the product {gate.name}"
    return f"the {LimitKind(gate.kind).label} {gate.name}{of_product}"


class _Counts:
    """The gates of some limits, counted together."""

    def __init__(self, rows: Sequence[FlowLimit], table: JobTable[Any]) -> None:
        self._rows = {(row.kind, row.name, row.product): row for row in rows}
        self._table = table
        self._gates: defaultdict[int, dict[Gate, GateReport]] = defaultdict(dict)

    def of(self, row: FlowLimit, scope: ProductScope) -> list[GateReport]:
        """Return the gates of a limit that the scope may see; those of all products together, if it sees all."""
        return [
            report
            for report in self._gates[row.pk].values()
            if (scope.allows(report.gate.product) if report.gate.product else scope.products is None)
        ]

    def count_running(self) -> None:
        """Add up what runs: as many rows as there are slots, whatever the backlog is."""
        counted = (
            self._table.running()
            .values_list(*_NAMES)
            .annotate(places=Sum("cost"), jobs=Count("*"), last=Max("claimed_at"))
        )
        for *values, places, jobs, last in counted.order_by():
            for report in self._met_by(_Running(*values)):
                report.running += places
                report.jobs += jobs
                report.last_claimed_at = _last(report.last_claimed_at, last)

    def count_waiting(self) -> bool:
        """Count what waits at each gate; return whether there is more than is counted."""
        blocked = self._table.blocked()
        counted = self._table.rows().filter(
            pk__in=blocked.order_by("blocked_on").values("pk")[:WAITING_COUNTED]
        )
        found = (
            counted.values_list("blocked_on").annotate(jobs=Count("*"), since=Min("updated_at")).order_by()
        )
        total = 0
        for text, jobs, since in found:
            total += jobs
            gate = gate_of(text or "")
            if gate is None:
                continue
            for report in self._report(gate.kind, gate.limit_name, gate.product, gate.name):
                report.waiting += jobs
                report.waiting_since = min(report.waiting_since or since, since)
        return total >= WAITING_COUNTED

    def read_tokens(self) -> None:
        """Read what is left of each rate, by the database's clock."""
        rates = {row.pk: row for row in self._rows.values() if row.rate}
        if not rates:
            return
        until = ExpressionWrapper(F("full_again_at") - Now(), output_field=DurationField())
        gates = FlowGate._base_manager.using(self._table.using).filter(limit_id__in=list(rates))
        for limit_id, text, full_in in gates.order_by("-full_again_at").values_list(
            "limit_id", "gate", until
        )[:TOKENS_READ]:
            row, gate = rates[limit_id], gate_of(text)
            if gate is not None:
                report = self._gates[limit_id].setdefault(gate, GateReport(gate=gate))
                report.tokens, report.next_token_seconds = tokens_of(row, full_in)

    def name_holders(self, shown: Sequence[GateReport], scope: ProductScope) -> None:
        """Name who runs at the gates that are shown, the longest first."""
        found = defaultdict(list)
        for report in shown:
            if report.jobs:
                found[f"{_COLUMNS[report.gate.kind]}__in"].append(report.gate.name)
        if not found:
            return
        at_them = Q(*found.items(), _connector=Q.OR)
        rows = scope.narrow(self._table.running()).filter(at_them).order_by("claimed_at", "pk")
        fields = (*_NAMES, "pk", "claimed_at", "deleted_at")
        for *values, job_id, since, deleted_at in rows.values_list(*fields)[:HOLDERS_READ]:
            job = _Running(*values)
            holder = Holder(
                job_id=job_id, job_type=job.job_type, since=since, is_deleted=deleted_at is not None
            )
            for report in self._met_by(job):
                if len(report.holders) < HOLDERS_NAMED:
                    report.holders.append(holder)

    def tell_since(self, shown: Sequence[GateReport]) -> None:
        """Say since when those of the gates have been full that are.

        Where jobs wait: since a sweep found it so, or since the oldest of them waits if that is earlier. That one alone
        would say too little, as others have waited before it, and too late after a change of its priority.
        """
        waited_at = [report for report in shown if report.is_full and report.waiting]
        texts = [report.gate.text for report in waited_at]
        rows = FullGate._base_manager.using(self._table.using).filter(
            job_model=model_label(self._table.model), gate__in=texts
        )
        recorded = dict(rows.values_list("gate", "since")) if texts else {}
        for report in shown:
            if report.is_full:
                report.full_since = report.last_claimed_at
        for report in waited_at:
            times = (recorded.get(report.gate.text), report.waiting_since)
            report.full_since = min((time for time in times if time is not None), default=None)

    def _met_by(self, job: _Running) -> Iterator[GateReport]:
        for kind, name, gate_name in limit_names_of(job):
            yield from self._report(kind, name, job.product, gate_name)

    def _report(self, kind: str, name: str, product: str, gate_name: str) -> Iterator[GateReport]:
        row = self._rows.get((kind, name, product)) or self._rows.get((kind, name, ""))
        if row is not None:
            of_product = "" if row.is_shared else product
            gate = Gate(kind=LimitKind(kind), product=of_product, name=gate_name)
            yield self._gates[row.pk].setdefault(gate, GateReport(gate=gate))


@dataclasses.dataclass(frozen=True, slots=True)
class _Running:
    product: str
    job_type: str
    queue_name: str
    concurrency_key: str | None
    order_key: str | None = None
    cost: int = 1


def tokens_of(row: FlowLimit, full_in: timedelta) -> tuple[int, float | None]:
    """Return the tokens that are there, and in how many seconds there is one more; ``full_in``: until all are."""
    each = row.per_seconds / (row.rate or 1)
    missing = max(full_in.total_seconds(), 0.0)
    # A millionth is what time stamps lose.
    tokens = max(int(row.burst - missing / each + 1e-6), 0)
    if tokens >= row.burst:
        return row.burst, None
    return tokens, max(missing - (row.burst - tokens - 1) * each, 0.0)


def _report(row: FlowLimit, gates: list[GateReport], is_capped: bool) -> LimitReport:
    gates.sort(key=lambda gate: (-gate.waiting, -gate.running, gate.gate.text))
    waiting = sum(gate.waiting for gate in gates)
    is_paused = 0 in (row.max_running, row.rate)
    for gate in gates:
        takes_all = row.max_running is not None and gate.running >= row.max_running
        gate.is_full = not is_paused and (takes_all or gate.waiting > 0)
    return LimitReport(
        limit=row,
        state="paused" if is_paused else "full" if any(gate.is_full for gate in gates) else "free",
        running=sum(gate.running for gate in gates),
        waiting=waiting,
        waiting_since=min((gate.waiting_since for gate in gates if gate.waiting_since), default=None),
        gates=tuple(gates[:GATES_SHOWN]),
        gate_count=len(gates),
        is_capped=is_capped,
    )


def _last(*times: datetime | None) -> datetime | None:
    return max((time for time in times if time is not None), default=None)
