"""The report of jobstats as text: aligned columns, a bar for each status, colours where they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from pleme_redis_django.durations import duration
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.management.jobstats.report import Report, TableReport
from pleme_redis_django.management.jobstats.storage_text import storage_lines

BAR_WIDTH = 30
_EIGHTHS = " ▏▎▍▌▋▊▉"

Row = Sequence[str]


class TextReport:
    """Renders a report; ``style`` is a Django command's, ``blocks`` whether block characters can be shown."""

    def __init__(self, report: Report, style: Any, *, blocks: bool) -> None:
        self._report = report
        self._style = style
        self._blocks = blocks

    def lines(self) -> Iterator[str]:
        for table in self._report.tables:
            yield from self._table(table)
            yield ""
        yield from self._workers()

    def _table(self, table: TableReport) -> Iterator[str]:
        yield self._heading(f"{table.model}  (pools: {', '.join(table.pools)})")
        yield from self._statuses(table)
        yield from self._facts(table)
        yield from self._storage(table)
        yield from self._queues(table)
        yield from self._failures(table)
        yield from self._unserved(table)

    def _statuses(self, table: TableReport) -> Iterator[str]:
        largest = max(table.counts.values())
        width = len(f"{largest:,}")
        for status, jobs in table.counts.items():
            line = (
                f"  {status.lower():<9}  {jobs:>{width},}  {bar(jobs, largest, blocks=self._blocks)}".rstrip()
            )
            yield self._style.ERROR(line) if status is JobStatus.FAILED and jobs else line

    def _facts(self, table: TableReport) -> Iterator[str]:
        retries = table.average_retries
        yield ""
        yield f"  oldest ready job         {_age(table.oldest_ready_seconds)}"
        yield f"  retries of completed     {'-' if retries is None else f'{retries:.2f} on average'}"
        stale = f"  running, but silent      {table.stale:,} for over {duration(table.stale_after_seconds)}"
        yield self._style.WARNING(stale) if table.stale else stale

    def _storage(self, table: TableReport) -> Iterator[str]:
        for name, text, is_warning in storage_lines(table.storage):
            line = shown(f"  {text}" if is_warning else f"  {name:<24} {text}")
            yield self._style.WARNING(line) if is_warning else line

    def _queues(self, table: TableReport) -> Iterator[str]:
        if not table.queues:
            return
        head = ("product", "queue", *(status.lower() for status in JobStatus), "oldest ready", "retries")
        rows = [
            (
                queue.product,
                queue.queue_name,
                *(f"{queue.counts[status]:,}" for status in JobStatus),
                _age(queue.oldest_ready_seconds),
                "-" if queue.average_retries is None else f"{queue.average_retries:.2f}",
            )
            for queue in table.queues
        ]
        yield from self._columns(head, rows, left=2)

    def _failures(self, table: TableReport) -> Iterator[str]:
        rows = [
            (reason.error_code or "(none)", f"{reason.jobs:,}", self._since(reason.last_failed_at))
            for reason in table.failures
        ]
        yield from self._columns(("failed with", "jobs", "last"), rows, left=1)

    def _unserved(self, table: TableReport) -> Iterator[str]:
        rows = [(one.job_type, f"{one.jobs:,}", duration(one.oldest_seconds)) for one in table.unserved]
        head = ("ready jobs of unknown types", "jobs", "oldest")
        yield from self._columns(head, rows, left=1, paint=self._style.WARNING)

    def _workers(self) -> Iterator[str]:
        report = self._report
        dead = len(report.workers) - report.alive
        yield self._heading(f"worker processes: {report.alive} alive, {dead} dead")
        rows = [
            (
                "alive" if one.is_alive else "dead",
                one.worker.pool,
                one.worker.host,
                str(one.worker.pid),
                ",".join(map(str, one.worker.queues)),
                f"{one.worker.running}/{one.worker.slots}",
                f"{duration(one.silent_seconds)} ago",
            )
            for one in report.workers
        ]
        yield from self._columns(
            ("state", "pool", "host", "pid", "queues", "held", "heartbeat"), rows, left=5
        )

    def _columns(
        self, head: Row, rows: Sequence[Row], *, left: int, paint: Callable[[str], str] = str
    ) -> Iterator[str]:
        """Yield aligned rows under their heading: the first ``left`` columns to the left, others right."""
        if not rows:
            return
        rows = [[shown(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        yield ""
        yield self._style.MIGRATE_HEADING(_aligned(head, widths, left))
        for row in rows:
            yield paint(_aligned(row, widths, left))

    def _heading(self, text: str) -> str:
        return str(self._style.MIGRATE_LABEL(text))

    def _since(self, at: datetime | None) -> str:
        return "-" if at is None else f"{duration(max((self._report.at - at).total_seconds(), 0))} ago"


def bar(value: int, largest: int, *, blocks: bool) -> str:
    """Return a bar of up to ``BAR_WIDTH`` characters; whatever is not nothing shows."""
    if not value:
        return ""
    eighths = max(round(8 * BAR_WIDTH * value / largest), 1)
    if not blocks:
        return "#" * max(round(eighths / 8), 1)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def shown(cell: str) -> str:
    """Return text that may come from anyone without what would steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in cell)


def _aligned(row: Row, widths: Sequence[int], left: int) -> str:
    cells = [
        cell.ljust(width) if column < left else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return ("  " + "  ".join(cells)).rstrip()


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)
