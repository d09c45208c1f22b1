"""The limits that jobstats checks, and the sentences that say which are exceeded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pleme_redis_django.durations import counted, duration
from pleme_redis_django.management.jobstats.report import Report
from pleme_redis_django.monitoring.storage_warnings import described


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Limits; None: anything goes."""

    max_stale: int | None = None
    max_ready_age: float | None = None
    """Seconds."""
    max_unserved: int | None = None
    min_workers: int | None = None
    max_snapshot_age: float | None = None
    """Seconds."""

    def exceeded(self, report: Report) -> Iterator[str]:
        """Yield a sentence for each limit that the report passes."""
        stale = sum(table.stale for table in report.tables)
        if self.max_stale is not None and stale > self.max_stale:
            yield f"{counted(stale, 'stale job')}, at most {self.max_stale} allowed"
        age = max((table.oldest_ready_seconds or 0 for table in report.tables), default=0)
        if self.max_ready_age is not None and age > self.max_ready_age:
            yield f"a ready job has waited for {duration(age)}, at most {duration(self.max_ready_age)} allowed"
        unserved = sum(one.jobs for table in report.tables for one in table.unserved)
        if self.max_unserved is not None and unserved > self.max_unserved:
            yield f"{counted(unserved, 'ready job')} of unknown types, at most {self.max_unserved} allowed"
        if self.min_workers is not None and report.alive < self.min_workers:
            alive = counted(report.alive, "live worker process", "live worker processes")
            yield f"{alive}, at least {self.min_workers} required"
        yield from self._old_snapshot(report)

    def _old_snapshot(self, report: Report) -> Iterator[str]:
        """One whose age the server does not tell passes no limit."""
        if self.max_snapshot_age is None:
            return
        snapshots = (table.storage.snapshot for table in report.tables)
        old = [(each.seconds, each) for each in snapshots if each is not None and each.seconds is not None]
        seconds, oldest = max(old, key=lambda aged: aged[0], default=(0.0, None))
        if oldest is not None and seconds > self.max_snapshot_age:
            most = f"at most {duration(self.max_snapshot_age)} allowed"
            yield f"{described(oldest)} has held back every vacuum for {duration(seconds)}, {most}"
