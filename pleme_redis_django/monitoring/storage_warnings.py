"""What is wrong with the storage of a job table, in words, with what ends it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from typing import Any, Literal

from pleme_redis_django.access.product_scope import ProductScope
from pleme_redis_django.conf import get_settings
from pleme_redis_django.direction_marks import without_reordering
from pleme_redis_django.durations import counted, duration
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.monitoring.figures import Reason
from pleme_redis_django.monitoring.storage_figures import StorageReport
from pleme_redis_django.orm_store.bounded_reads import ReadTookTooLong, bounded_reads
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.table_storage import OldestSnapshot, TableStorage

OLD_SNAPSHOT_SECONDS = 300.0
# Of what tells no age: an hour at 300 transactions a second.
OLD_SNAPSHOT_TRANSACTIONS = 1_000_000
# Behind so many a claim takes about a millisecond more; vacuums of a job table begin there.
SLOW_DEAD_ROWS = 20_000
# Ten times that: vacuums do not follow, or remove nothing.
MANY_DEAD_ROWS = 200_000
# A few stay for longer where rows of the project's own refer to them.
MANY_LATE_JOBS = 1_000
HEALTH_SECONDS = 1.0
# What is minutes old is no other two seconds later, and the overview is sent as often to every viewer.
ASKED_EVERY_SECONDS = 10.0
_asked: dict[JobTable[Any], tuple[float, list[Reason]]] = {}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StorageWarning:
    """One thing that is wrong."""

    code: Literal["snapshot", "dead_rows", "autovacuum", "settings", "retention", "unanswered"]
    text: str
    fix: str
    statement: str = ""
    """What to run for it, if it is one thing."""


def storage_warnings(report: StorageReport) -> list[StorageWarning]:
    """Return what is wrong, the worst first."""
    return [*_of_snapshot(report), *_of_table(report), *_of_retention(report), *_of_unanswered(report)]


def is_old(snapshot: OldestSnapshot) -> bool:
    """Whether it has been there for longer than any transaction should."""
    if snapshot.seconds is None:
        return snapshot.transactions >= OLD_SNAPSHOT_TRANSACTIONS
    return snapshot.seconds >= OLD_SNAPSHOT_SECONDS


def described(snapshot: OldestSnapshot) -> str:
    """Return who it is, in words: "session 4242 (user app, application "psql")"."""
    who = [f"user {snapshot.user}"] if snapshot.user else []
    if snapshot.application:
        who.append(f'application "{snapshot.application}"')
    if snapshot.database and snapshot.kind != "session":
        who.append(f"database {snapshot.database}")
    name = snapshot.name or (str(snapshot.pid) if snapshot.pid else "")
    return without_reordering(f"{snapshot.kind} {name}".rstrip() + (f" ({', '.join(who)})" if who else ""))


def storage_reasons(scope: ProductScope, model: type[AbstractJob]) -> list[Reason]:
    """Return why claims get slower, if an old snapshot makes them; a process asks once in ten seconds."""
    if scope.products is not None:
        return []
    table = JobTable(model, get_settings().database)
    asked_at, reasons = _asked.get(table, (-math.inf, []))
    if time.monotonic() - asked_at > ASKED_EVERY_SECONDS:
        reasons = _reasons(table)
        _asked[table] = time.monotonic(), reasons
    return reasons


def _reasons(table: JobTable[Any]) -> list[Reason]:
    dialect = dialect_of(table)
    snapshot = dialect.oldest_snapshot(table.using)
    if snapshot is None or not is_old(snapshot):
        return []
    try:
        with bounded_reads(table.using, HEALTH_SECONDS):
            storage = dialect.storage(table)
    except ReadTookTooLong:
        return []
    if storage is None or storage.dead_rows < SLOW_DEAD_ROWS:
        return []
    text = f"{described(snapshot)} has held back every vacuum for {_age(snapshot)}, and claims read past "
    return [Reason(level="warning", text=f"{text}{counted(storage.dead_rows, 'dead row')}", page="storage")]


def _of_snapshot(report: StorageReport) -> Iterator[StorageWarning]:
    snapshot = report.snapshot
    if snapshot is None or not is_old(snapshot):
        return
    state = f", {snapshot.state}" if snapshot.state else ""
    text = (
        f"The {described(snapshot)}{state}, has held back every vacuum of the database for {_age(snapshot)}: "
    )
    text += "dead rows stay, and claims read past them."
    fix, statement = _ending(snapshot)
    yield StorageWarning(code="snapshot", text=text, fix=fix, statement=statement)


def _age(snapshot: OldestSnapshot) -> str:
    if snapshot.seconds is None:
        return counted(snapshot.transactions, "transaction")
    return duration(max(snapshot.seconds, 0))


def _ending(snapshot: OldestSnapshot) -> tuple[str, str]:
    quoted = snapshot.name.replace("'", "''")
    match snapshot.kind:
        case "session":
            fix = "Find out whether it is needed, and end it; what it has not committed is lost."
            return fix, f"SELECT pg_terminate_backend({snapshot.pid})"
        case "standby":
            return "End the long query on that standby, or turn its hot_standby_feedback off.", ""
        case "prepared transaction":
            fix = (
                f"Nobody has ended it; in the database {snapshot.database}, COMMIT PREPARED does it, or this."
            )
            return fix, f"ROLLBACK PREPARED '{quoted}'"
        case "replication slot":
            fix = "Start its replica again, or drop the slot if that is gone for good."
            return fix, f"SELECT pg_drop_replication_slot('{quoted}')"


def _of_table(report: StorageReport) -> Iterator[StorageWarning]:
    table = report.table
    if table is None:
        return
    if table.dead_rows >= MANY_DEAD_ROWS:
        text = f"Dead rows pile up: {table.dead_rows:,}, {table.dead_share:.0%} of the table."
        yield StorageWarning(code="dead_rows", text=text, fix=_cause_of_dead_rows(report, table))
    if not table.is_autovacuumed:
        fix = "Set autovacuum = on for the server, and reset autovacuum_enabled of the table."
        yield StorageWarning(
            code="autovacuum",
            text="Autovacuum is switched off: dead rows stay until somebody vacuums.",
            fix=fix,
        )
    if table.has_stock_settings:
        text = "The table has the server's autovacuum settings: it is vacuumed when a fifth of it has changed, so "
        text += "that claims get slower with its history."
        fix = "Run manage.py migrate; for a job model of your own, add JobTableStorage to a migration (W031)."
        yield StorageWarning(code="settings", text=text, fix=fix)


def _cause_of_dead_rows(report: StorageReport, table: TableStorage) -> str:
    if report.snapshot is not None and is_old(report.snapshot):
        return "The old snapshot holds them: end it, and the next vacuum removes them."
    if table.vacuum is not None:
        return "A vacuum is at work on them."
    if not table.is_autovacuumed or table.has_stock_settings:
        return "Mend its autovacuum settings, and vacuum it once by hand."
    return (
        "Is every autovacuum worker of the server busy elsewhere (autovacuum_max_workers)? Vacuum it by hand."
    )


def _of_retention(report: StorageReport) -> Iterator[StorageWarning]:
    overdue = report.overdue
    if overdue is None or overdue.late < MANY_LATE_JOBS:
        return
    more = "more than " if overdue.is_capped and overdue.late == overdue.jobs else ""
    text = (
        f"Retention lags: {more}{overdue.late:,} finished jobs should have been deleted an hour ago or more."
    )
    fix = "Workers delete them: is one running? This does it now. Jobs that rows of yours refer to stay."
    yield StorageWarning(code="retention", text=text, fix=fix, statement="manage.py prunejobs")


def _of_unanswered(report: StorageReport) -> Iterator[StorageWarning]:
    if report.unanswered:
        text = f"The database did not answer in time: {'; '.join(report.unanswered)}."
        fix = "Is the table locked (VACUUM FULL, a migration)? Look into pg_locks, or ask again later."
        yield StorageWarning(code="unanswered", text=text, fix=fix)
