"""Was everything done? The summary of ``demo --once``, and what it finds wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Count, F, Max, Min, QuerySet
from django.db.models.functions import TruncSecond

from example_project.demo.flow import (
    LIMITED,
    flood_in_words,
    slowed_by_flood,
    starts_over_a_limit,
    steps_out_of_order,
    waits_in_words,
)
from example_project.demo.mail_server import MailCounts
from example_project.demo.work import Amounts
from example_project.shop.catalog import read_catalog
from example_project.shop.jobs import crash_the_worker_once, print_label
from example_project.shop.models import CatalogItem, EmailJob, Order, Thumbnail
from example_project.shop.status import jobs_by_status
from example_project.shop.tasks import send_order_confirmation
from pleme_redis_django import AbstractJob, Job, JobStatus
from pleme_redis_django.operations import WAITING_STATUSES

MODELS: tuple[type[AbstractJob], ...] = (Job, EmailJob)
UNFINISHED = [*WAITING_STATUSES, JobStatus.RUNNING]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the demo on a database that may hold earlier ones."""

    since: datetime
    amounts: Amounts

    @classmethod
    def begin(cls, amounts: Amounts) -> Run:
        """Start a run now, by the database's clock."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT statement_timestamp()")
            (since,) = cursor.fetchone()
        return cls(since=since, amounts=amounts)

    def jobs(self, model: type[AbstractJob]) -> QuerySet[AbstractJob]:
        """Return the run's jobs of a model."""
        jobs: QuerySet[AbstractJob] = model._default_manager.filter(created_at__gte=self.since)
        return jobs

    def unfinished(self) -> int:
        """Return how many jobs have not ended yet."""
        return sum(self.jobs(model).filter(status__in=UNFINISHED).count() for model in MODELS)


def summary(run: Run, mail: MailCounts) -> list[str]:
    """Return the lines of the summary: jobs by status, their rate, and what came of them."""
    lines = [f"{title(model):12} {in_words(jobs_by_status(run.jobs(model)))}" for model in MODELS]
    ended, seconds = _ended_and_seconds(run)
    lines.append(
        # No rate: most of the time goes by waiting for mails to be accepted and for retries.
        f"{'ended':12} {ended} jobs in {seconds:.1f} s, {_busiest_second(run)} of them in the busiest second"
    )
    retried = sum(run.jobs(model).filter(retry_count__gt=0).count() for model in MODELS)
    # A job that steps back from a full limit has been claimed too.
    unlimited = [run.jobs(model).exclude(job_type__in=LIMITED) for model in MODELS]
    rescued = sum(jobs.filter(attempt__gt=F("retry_count") + 1).count() for jobs in unlimited)
    lines.append(f"{'attempts':12} {retried} jobs were retried, {rescued} were rescued from a killed worker")
    lines.append(
        f"{'mail':12} {len(mail.delivered)} delivered, {mail.greylisted} refused at first, "
        f"{mail.duplicates} delivered twice"
    )
    lines.append(f"{'waits':12} {waits_in_words(run.jobs(Job))}")
    lines.append(f"{'flood':12} {flood_in_words(run.jobs(Job))}")
    made = f"{CatalogItem.objects.count():,} catalog items, {Order.objects.count()} orders"
    return [*lines, f"{'shop':12} {made}, {Thumbnail.objects.count()} thumbnails"]


def problems(run: Run, mail: MailCounts) -> list[str]:
    """Return what was lost, is stuck, or ended as it should not have; nothing when all is well."""
    found = [problem for check in (_stuck, _failed, _not_made, _not_rescued) for problem in check(run)]
    jobs = run.jobs(Job)
    flow = [*steps_out_of_order(jobs), *starts_over_a_limit(jobs), *slowed_by_flood(jobs)]
    return [*found, *_not_delivered(run, mail), *flow]


def _stuck(run: Run) -> Iterator[str]:
    if count := run.unfinished():
        yield f"{count} jobs have not ended"


def _failed(run: Run) -> Iterator[str]:
    failed = [job for model in MODELS for job in run.jobs(model).filter(status=JobStatus.FAILED)]
    labels = [job for job in failed if job.job_type == print_label.name]
    if len(labels) != run.amounts.labels:
        yield f"{len(labels)} of {run.amounts.labels} labels failed, and all should: the printer is off"
    for job in failed:
        if job not in labels:
            yield f"{job.job_type} {job.id} failed: {job.error_message[:200]}"


def _not_made(run: Run) -> Iterator[str]:
    orders = Order.objects.filter(placed_at__gte=run.since).count()
    wanted = {
        "catalog items": (CatalogItem.objects.count(), len(read_catalog())),
        "orders": (orders, run.amounts.orders),
        "thumbnails": (Thumbnail.objects.count(), run.amounts.thumbnails),
        "indexed items": (CatalogItem.objects.exclude(search_text="").count(), run.amounts.indexed_items),
    }
    for name, (made, asked) in wanted.items():
        if made != asked:
            yield f"{made} {name} were made, and {asked} were asked for"


def _not_rescued(run: Run) -> Iterator[str]:
    crashed = run.jobs(Job).filter(job_type=crash_the_worker_once.name)
    if not crashed.filter(status=JobStatus.COMPLETED, attempt__gte=2).exists():
        yield "the job that killed its worker was not run again to its end"


def _not_delivered(run: Run, mail: MailCounts) -> Iterator[str]:
    ids = run.jobs(EmailJob).values_list("id", flat=True)
    missing = _undelivered(ids, mail)
    if missing or len(ids) != run.amounts.orders:
        yield f"{missing} of {len(ids)} e-mails were not delivered, for {run.amounts.orders} orders"
    ids = run.jobs(Job).filter(job_type=send_order_confirmation.module_path).values_list("id", flat=True)
    if (missing := _undelivered(ids, mail)) or not ids:
        yield f"{missing} of {len(ids)} e-mails were not delivered that tasks of django.tasks send again"


def _undelivered(ids: Iterable[UUID], mail: MailCounts) -> int:
    return sum(f"<{job_id}@novaskyn.example>" not in mail.delivered for job_id in ids)


def _ended_and_seconds(run: Run) -> tuple[int, float]:
    ended, first, last = 0, [], []
    for model in MODELS:
        jobs = run.jobs(model).exclude(status__in=UNFINISHED)
        times = jobs.aggregate(first=Min("created_at"), done=Max("completed_at"), failed=Max("failed_at"))
        ended += jobs.count()
        first += [times["first"]] if times["first"] else []
        last += [time for time in (times["done"], times["failed"]) if time]
    seconds = (max(last) - min(first)).total_seconds() if last else 0.0
    return ended, seconds


def _busiest_second(run: Run) -> int:
    """Return how many jobs ended in the busiest second: the waits for retries tell nothing of the pace."""
    seconds = run.jobs(Job).annotate(second=TruncSecond("completed_at")).exclude(second=None)
    counts = (
        seconds.order_by().values_list("second").annotate(count=Count("id")).values_list("count", flat=True)
    )
    return max(counts, default=0)


def in_words(counts: dict[str, int]) -> str:
    """Return ``{"QUEUED": 3}`` as ``3 queued``."""
    return ", ".join(f"{count} {status.lower()}" for status, count in counts.items()) or "none"


def title(model: type[AbstractJob]) -> str:
    """Return what a model's rows are called."""
    return str(model._meta.verbose_name_plural)
