"""``manage.py adopttasks``: makes jobs of what waits in the tables of other queues."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from pleme_redis_django.adoption.moving import BATCH_SIZE, Adoption, adopt, has_table
from pleme_redis_django.adoption.sources import SOURCES
from pleme_redis_django.event_log import first_line
from pleme_redis_django.ranges import Whole

EXIT_LEFT_OVER = 1
EXIT_CANNOT_ASK = 2
BATCH_SIZES = Whole(1, 10_000)
EPILOG = """\
Exit codes: 0 every waiting row was moved, or could be; 1 some cannot be; 2 there is no such table, or the database
does not answer. Run it again at any time: what was moved is gone from the other table.
"""


class Command(BaseCommand):
    help = "Move what waits in the tables of django-tasks-db, django-ox and django-q2 into the job table."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = EPILOG
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.add_argument(
            "sources",
            nargs="*",
            choices=[*SOURCES, []],
            metavar="source",
            help=f"{', '.join(SOURCES)}; default: every one whose table there is.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be moved.")
        parser.add_argument(
            "--batch-size", type=int, default=BATCH_SIZE, help=f"Rows in one transaction: {BATCH_SIZES}."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if not BATCH_SIZES.accepts(options["batch_size"]):
            raise CommandError(f"--batch-size is {options['batch_size']}. Accepted: {BATCH_SIZES}.")
        try:
            adoptions = [
                adopt(SOURCES[name], dry_run=options["dry_run"], batch_size=options["batch_size"])
                for name in self._sources(options["sources"])
            ]
        except DatabaseError as error:
            message = f"The rows cannot be moved: {first_line(error)}. Is the server up, was migrate run?"
            raise CommandError(message, returncode=EXIT_CANNOT_ASK) from error
        for adoption in adoptions:
            self._tell(adoption, "could be moved" if options["dry_run"] else "moved")
        if any(adoption.refused for adoption in adoptions):
            raise CommandError("Some rows stay where they are.", returncode=EXIT_LEFT_OVER)

    def _sources(self, named: list[str]) -> list[str]:
        there = [name for name, source in SOURCES.items() if has_table(source)]
        missing = [name for name in named if name not in there]
        if missing or not there:
            tables = ", ".join(SOURCES[name].table._meta.db_table for name in missing or SOURCES)
            raise CommandError(
                f"The database of the jobs has no {tables}. Rows move inside of one database alone, so that none is "
                "lost or doubled.",
                returncode=EXIT_CANNOT_ASK,
            )
        return named or there

    def _tell(self, adoption: Adoption, done: str) -> None:
        self.stdout.write(f"{adoption.source}: {adoption.moved} {done}")
        if adoption.running:
            self.stdout.write(f"  {adoption.running} run now, and are left to their workers")
        for reason, refusal in adoption.refused.items():
            self.stdout.write(f"  {refusal.count} stay ({', '.join(refusal.keys)}): {reason}")
