"""``manage.py prunejobs``: delete finished jobs whose retention is over, now."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from pleme_redis_django.conf import get_settings
from pleme_redis_django.conf.retention import retention_policy
from pleme_redis_django.configured_pools import configured_pool, valid_pools
from pleme_redis_django.durations import counted, duration
from pleme_redis_django.event_log import first_line
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.management.progress_bar import progress_bar
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.retention import Pruner

BATCH_ROWS = 1_000


class Command(BaseCommand):
    help = (
        "Delete finished jobs whose retention is over, with their attempts: what workers do by themselves, a few "
        'at a time, when there is much of it. PLEME_REDIS["RETENTION"] says how long jobs are kept.'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Say how many there are, and delete none.")
        parser.add_argument("--pool", help="Only the job table of this pool.")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            for model in self._models(options["pool"]):
                self._prune(model, dry_run=options["dry_run"])
        except InvalidSettings as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(
                f"The job tables do not answer: {first_line(error)}. What was deleted stays deleted; run it again."
            ) from error

    def _models(self, pool: str | None) -> list[type[AbstractJob]]:
        if pool is not None:
            return [configured_pool(pool).model]
        return list(dict.fromkeys(parts.model for parts in valid_pools()))

    def _prune(self, model: type[AbstractJob], *, dry_run: bool) -> None:
        pruner = Pruner(JobTable(model, get_settings().database), retention_policy(get_settings().retention))
        total, label = pruner.count(), model._meta.label
        if dry_run:
            self.stdout.write(f"{label}: would delete {counted(total, 'job')}")
            return
        began, deleted, kept = time.monotonic(), 0, 0
        for deleted, kept in self._walk(pruner):
            if self.stdout.isatty():
                self.stdout.write(progress_bar(deleted + kept, total), ending="")
                self.stdout.flush()
        took = f" in {duration(time.monotonic() - began)}" if deleted else ""
        stay = f"; {kept:,} stay: your tables refer to them, or deleting them failed" if kept else ""
        end = "\r\033[K" if self.stdout.isatty() else ""
        self.stdout.write(f"{end}{label}: deleted {counted(deleted, 'job')}{took}{stay}")

    def _walk(self, pruner: Pruner[Any]) -> Iterator[tuple[int, int]]:
        deleted = kept = 0
        while not (pruned := pruner.prune(BATCH_ROWS)).is_done:
            deleted, kept = deleted + pruned.deleted, kept + pruned.kept
            yield deleted, kept
