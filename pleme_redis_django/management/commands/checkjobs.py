"""``manage.py checkjobs``: whether this code can run the jobs that wait; to be run before it is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import known_types_of_models
from pleme_redis_django.durations import counted
from pleme_redis_django.event_log import first_line
from pleme_redis_django.management.checkjobs.findings import Finding, TableReading, read_jobs, read_schedules
from pleme_redis_django.management.checkjobs.release import (
    UnreadableRelease,
    changes_since,
    read_release,
    write_release,
)
from pleme_redis_django.orm_store.job_table import JobTable

LIMIT = 100_000


class Command(BaseCommand):
    help = (
        "List the waiting jobs and the schedules that this code does not know, or whose parameters its handlers do "
        "not take; exit with 1 if there are any. Run it with the new code before its workers start."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--against",
            type=Path,
            metavar="FILE",
            help="Also list what the release that wrote FILE may enqueue, and this code cannot run.",
        )
        parser.add_argument(
            "--write", type=Path, metavar="FILE", help="Write what this code knows to FILE, and read no job."
        )
        parser.add_argument(
            "--limit",
            type=int,
            default=LIMIT,
            help=f"Read so many jobs of each table at most, the oldest first (default {LIMIT:,}).",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            if options["write"] is not None:
                types = write_release(options["write"])
                self.stdout.write(f"{options['write']}: wrote {counted(types, 'job type')}")
                return
            found = self._compare(options["against"]) + self._read(options["limit"])
        except (UnreadableRelease, OSError) as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The job tables do not answer: {first_line(error)}.") from error
        if found:
            raise CommandError(
                f"This code cannot run {counted(found, 'thing')} of those listed. Keep the old names and parameters "
                "until they are done, cancel or delete the jobs in the admin, or mend the schedules there."
            )
        self.stdout.write("This code can run all of it.")

    def _compare(self, path: Path | None) -> int:
        if path is None:
            return 0
        changes = list(changes_since(read_release(path)))
        for change in changes:
            self.stdout.write(f"{change.job_type}: {change.problem}")
        return len(changes)

    def _read(self, limit: int) -> int:
        if limit < 1:
            raise CommandError(f"--limit is {limit}. Accepted: a whole number from 1.")
        using = get_settings().database
        found = 0
        for model, known in known_types_of_models().items():
            reading = read_jobs(JobTable(model, using), known, limit=limit, on_rows=self._show_rows)
            self._show(reading, model._meta.label, limit)
            found += len(reading.findings)
        schedules = list(read_schedules(using))
        self._list(schedules)
        return found + len(schedules)

    def _show(self, reading: TableReading, label: str, limit: int) -> None:
        end = "\r\033[K" if self.stdout.isatty() else ""
        more = "" if reading.is_whole else f"; there are more, --limit is {limit:,}"
        self.stdout.write(f"{end}{label}: read {counted(reading.rows, 'open job')}{more}")
        self._list(reading.findings)

    def _show_rows(self, rows: int) -> None:
        if self.stdout.isatty():
            self.stdout.write(f"\r{rows:,} jobs", ending="")
            self.stdout.flush()

    def _list(self, findings: list[Finding]) -> None:
        for one in findings:
            jobs = (
                f"{counted(one.count, 'job')}, such as " if one.where != "pleme_redis_django.Schedule" else ""
            )
            self.stdout.write(f"  {one.job_type}: {one.problem} ({jobs}{one.example})")
