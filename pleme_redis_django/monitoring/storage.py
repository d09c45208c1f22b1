"""The storage of the job tables: size, dead rows, vacuums, what keeps dead rows there, and what retention has left.

Every statement has a time limit: a locked table is reported, and not waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

from pleme_redis_django.conf import get_settings
from pleme_redis_django.conf.retention import retention_policy
from pleme_redis_django.models import AbstractJob, Job, model_label
from pleme_redis_django.monitoring.storage_figures import StorageReport
from pleme_redis_django.orm_store.bounded_reads import ReadTookTooLong, bounded_reads
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.retention import OverdueJobs, Pruner
from pleme_redis_django.orm_store.table_storage import (
    IndexStorage,
    OldestSnapshot,
    RunningVacuum,
    TableStorage,
)

__all__ = [
    "IndexStorage",
    "OldestSnapshot",
    "OverdueJobs",
    "RunningVacuum",
    "StorageReport",
    "TableStorage",
    "astorage_report",
    "storage_report",
]

STATEMENT_SECONDS = 2.0
OVERDUE_COUNTED = 100_000

T = TypeVar("T")


def storage_report(model: type[AbstractJob] = Job, *, using: str | None = None) -> StorageReport:
    """Return the current state of a job table's storage; each query may take two seconds."""
    table = JobTable(model, using or get_settings().database)
    dialect = dialect_of(table)
    policy = retention_policy(get_settings().retention)
    unanswered: list[str] = []

    def ask(what: str, question: Callable[[], T]) -> T | None:
        try:
            with bounded_reads(table.using, STATEMENT_SECONDS):
                return question()
        except ReadTookTooLong:
            unanswered.append(what)
            return None

    return StorageReport(
        model=model_label(model),
        vendor=connections[table.using].vendor,
        table=ask("size, rows and vacuums", lambda: dialect.storage(table)),
        snapshot=ask("the oldest snapshot", lambda: dialect.oldest_snapshot(table.using)),
        overdue=ask("jobs past their retention", lambda: Pruner[Any](table, policy).overdue(OVERDUE_COUNTED)),
        unanswered=tuple(unanswered),
    )


astorage_report = sync_to_async(storage_report)
