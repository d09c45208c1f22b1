"""The lines of jobstats about the storage of a job table."""

from __future__ import annotations

from collections.abc import Iterator

from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from pleme_redis_django.durations import counted, duration
from pleme_redis_django.monitoring.storage import OldestSnapshot, OverdueJobs, StorageReport, TableStorage
from pleme_redis_django.monitoring.storage_warnings import described, storage_warnings


def storage_lines(report: StorageReport) -> Iterator[tuple[str, str, bool]]:
    """Yield name, text and whether it is a warning."""
    if report.table is not None:
        yield from _of_table(report.table)
    if report.snapshot is not None:
        yield "oldest snapshot", _snapshot(report.snapshot), False
        if report.snapshot.query:
            yield "its last query", report.snapshot.query, False
    if report.overdue is not None:
        yield "past their retention", _overdue(report.overdue), False
    for warning in storage_warnings(report):
        statement = f" {warning.statement}" if warning.statement else ""
        yield "!", f"{warning.text} {warning.fix}{statement}", True


def _of_table(table: TableStorage) -> Iterator[tuple[str, str, bool]]:
    fair = [f"{index.name} {filesizeformat(index.bytes)}" for index in table.fair_indexes]
    sizes = f"{filesizeformat(table.table_bytes)}, indexes {filesizeformat(table.index_bytes)}"
    sizes += f" (of which for fair pools: {', '.join(fair)})" if fair else ""
    rows = f"{table.live_rows:,} live rows, {table.dead_rows:,} dead"
    yield "storage", f"{sizes.replace(chr(0xA0), ' ')}; {rows}", False
    now = timezone.now()
    ago = (
        "never" if table.vacuumed_at is None else f"{duration((now - table.vacuumed_at).total_seconds())} ago"
    )
    if table.vacuum is not None:
        done = "" if table.vacuum.done is None else f", {table.vacuum.done:.0%}"
        ago += f"; one runs now{f': {table.vacuum.phase}' if table.vacuum.phase else ''}{done}"
    yield "last vacuum", ago, False


def _snapshot(snapshot: OldestSnapshot) -> str:
    words = [described(snapshot)]
    if snapshot.is_hidden:
        words.append("its state, age and query are hidden from this role")
    if snapshot.state:
        words.append(snapshot.state)
    if snapshot.seconds is not None:
        words.append(duration(max(snapshot.seconds, 0)))
    return ", ".join([*words, f"{counted(snapshot.transactions, 'transaction')} since"])


def _overdue(overdue: OverdueJobs) -> str:
    late = f", {overdue.late:,} for over an hour" if overdue.late else ""
    return f"{'more than ' if overdue.is_capped else ''}{overdue.jobs:,}{late}"
