"""Whose turn it is: which other jobs a waiting job has before it, if nothing else keeps it waiting."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Count, Q

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.durations import duration
from pleme_redis_django.models import QueuePause
from pleme_redis_django.monitoring.serving_workers import ServingWorkers
from pleme_redis_django.monitoring.waiting_row import WaitingRow, WaitReason
from pleme_redis_django.orm_store.job_table import JobTable

# Further ahead it makes no difference to people, and the count would cost more.
COUNTED_AHEAD = 10_000
# A process without a hint looks for ready jobs at least this often.
UNCLAIMED_AFTER = timedelta(seconds=40)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Ahead:
    """How many jobs its workers claim before one."""

    visible: int
    """Those of the products that the viewer may see."""
    others: int

    def __bool__(self) -> bool:
        return bool(self.visible or self.others)

    @property
    def total(self) -> int:
        return self.visible + self.others

    def told(self) -> str:
        """Return them in words: of a product that the viewer does not see, that they are there."""
        if self.total > COUNTED_AHEAD:
            return f"more than {COUNTED_AHEAD:,} jobs"
        words = "1 job" if self.visible == 1 else f"{self.visible:,} jobs"
        if not self.others:
            return words
        return f"{words} and others" if self.visible else "jobs of other products"

    @property
    def verb(self) -> str:
        return "comes" if self.total == 1 and self.visible else "come"


def reason_of_turn(
    row: WaitingRow,
    workers: ServingWorkers,
    pauses: Sequence[QueuePause],
    scope: ProductScope,
    done_per_minute: float | None,
) -> WaitReason:
    """Return why the job does not run yet although it is ready and there are workers for it; one query."""
    ahead = _count_ahead(row, workers, pauses, scope)
    fix = "Raise its priority, or run more worker processes."
    if workers.held >= workers.slots:
        behind = f"{ahead.told()} {ahead.verb} before it" if ahead else "it is next"
        text = f"{_slots_taken(workers)}, and {behind}{_estimate(ahead, done_per_minute)}."
        return WaitReason(code="busy", text=text, since=row.run_after, fix=fix)
    if ahead:
        told = ahead.told()
        text = f"{told[0].upper()}{told[1:]} {ahead.verb} before it{_estimate(ahead, done_per_minute)}."
        return WaitReason(code="behind", text=text, since=row.run_after, fix=fix)
    # Before that there was no worker to claim it.
    since = max(row.ready_since, min(worker.started_at for worker in workers.claiming))
    if row.now - since > UNCLAIMED_AFTER:
        count = len(workers.claiming)
        processes = "1 worker process has" if count == 1 else f"{count} worker processes have"
        text = f"It is ready, and next, but {processes} free slots for it and none has claimed it for "
        text += f"{duration((row.now - since).total_seconds())}."
        return WaitReason(
            code="unclaimed", text=text, since=since, fix="Read the log of the workers, or restart them."
        )
    return WaitReason(code="next", text="It is ready and next: the next claim takes it.", since=row.run_after)


def _count_ahead(
    row: WaitingRow, workers: ServingWorkers, pauses: Sequence[QueuePause], scope: ProductScope
) -> _Ahead:
    """Count the jobs that the workers of its queue claim before it, in all of their queues."""
    rows = JobTable(row.model, row.using).ready().order_by().filter(_claimable(workers, pauses))
    same = Q(priority=row.priority)
    earlier = Q(run_after__lt=row.run_after) | Q(run_after=row.run_after, id__lt=row.id)
    # SQLite keeps times as texts, and the row's own, written by the database, has another number of digits.
    before = rows.filter(Q(priority__gt=row.priority) | (same & earlier)).exclude(id=row.id)
    within = None if scope.products is None else Q(product__in=sorted(scope.products))
    visible = Count("pk", filter=within)
    counted = before.values("pk", "product")[: COUNTED_AHEAD + 1].aggregate(jobs=Count("pk"), visible=visible)
    return _Ahead(visible=counted["visible"], others=counted["jobs"] - counted["visible"])


def _claimable(workers: ServingWorkers, pauses: Sequence[QueuePause]) -> Q:
    condition = Q()
    claiming = workers.claiming
    if not any("*" in worker.queues for worker in claiming):
        condition &= Q(queue_name__in=sorted({str(name) for worker in claiming for name in worker.queues}))
    if all(worker.product for worker in claiming):
        condition &= Q(product__in=sorted({worker.product for worker in claiming}))
    if all(worker.job_types is not None for worker in claiming):
        known = {str(name) for worker in claiming for name in worker.job_types or ()}
        condition &= Q(job_type__in=sorted(known))
    for pause in pauses:
        of_product = Q(product=pause.product) if pause.product else Q()
        condition &= ~(Q(queue_name=pause.queue_name) & of_product)
    return condition


def _slots_taken(workers: ServingWorkers) -> str:
    count = len(workers.claiming)
    processes = "the worker process that serves" if count == 1 else f"the {count} worker processes that serve"
    kind = "" if workers.is_async is None else "async " if workers.is_async else "sync "
    return f"All {workers.slots:,} {kind}slots of {processes} it are taken"


def _estimate(ahead: _Ahead, done_per_minute: float | None) -> str:
    if not ahead or not done_per_minute or ahead.total > COUNTED_AHEAD:
        return ""
    return f", about {duration(60 * ahead.total / done_per_minute)} at the current pace"
