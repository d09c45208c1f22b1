"""``manage.py jobstats``: reads the report, prints it, and checks the limits."""

from __future__ import annotations

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.color import no_style
from django.db import DatabaseError

from pleme_redis_django.event_log import first_line
from pleme_redis_django.exceptions import InvalidName, InvalidSettings
from pleme_redis_django.jobs.interface.queue_names import validate_queue_name
from pleme_redis_django.management.jobstats.report import Question, Report, as_json, gather
from pleme_redis_django.management.jobstats.text import TextReport
from pleme_redis_django.management.jobstats.thresholds import Thresholds
from pleme_redis_django.products import validate_product

EXIT_EXCEEDED = 1
EXIT_CANNOT_ASK = 2
EPILOG = """\
Exit codes: 0 no limit is passed (or none was given); 1 one is, and standard error says which;
2 the question is wrong or the database does not answer.
"""


class Command(BaseCommand):
    help = "Show counts, ages, retries, failures, unknown types and workers of the job tables."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = EPILOG
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.add_argument("--json", action="store_true", help="Write one JSON object.")
        parser.add_argument("--product", help="Only jobs of this product.")
        parser.add_argument("--queue", action="append", metavar="NAME", help="Only this queue; repeatable.")
        parser.add_argument("--pool", help="Only the table, queues, product and workers of this pool.")
        parser.add_argument("--max-stale", type=int, metavar="N", help="Allow N silent running jobs.")
        parser.add_argument(
            "--max-ready-age", type=float, metavar="SECONDS", help="Allow ready jobs to wait for this long."
        )
        parser.add_argument(
            "--max-unserved", type=int, metavar="N", help="Allow N ready jobs of unknown types."
        )
        parser.add_argument("--min-workers", type=int, metavar="N", help="Require N live worker processes.")
        parser.add_argument(
            "--max-snapshot-age",
            type=float,
            metavar="SECONDS",
            help="Accept transactions that have been open for so long, and hold back vacuums.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        report = self._gather(options)
        thresholds = Thresholds(
            max_stale=options["max_stale"],
            max_ready_age=options["max_ready_age"],
            max_unserved=options["max_unserved"],
            min_workers=options["min_workers"],
            max_snapshot_age=options["max_snapshot_age"],
        )
        exceeded = list(thresholds.exceeded(report))
        if options["json"]:
            self.stdout.write(json.dumps(as_json(report, exceeded), indent=2))
        else:
            self._write_text(report)
        if exceeded:
            raise CommandError("; ".join(exceeded), returncode=EXIT_EXCEEDED)

    def _gather(self, options: dict[str, Any]) -> Report:
        try:
            question = Question(
                pool=options["pool"],
                product=None if options["product"] is None else validate_product(options["product"]),
                queue_names=options["queue"] and [validate_queue_name(name) for name in options["queue"]],
            )
            return gather(question)
        except (InvalidName, InvalidSettings) as error:
            raise CommandError(str(error), returncode=EXIT_CANNOT_ASK) from None
        except DatabaseError as error:
            message = f"The job tables cannot be read: {first_line(error)}. Is the server running? Did you run migrate?"
            raise CommandError(message, returncode=EXIT_CANNOT_ASK) from error

    def _write_text(self, report: Report) -> None:
        style = self.style if self.stdout.isatty() else no_style()
        for line in TextReport(report, style, blocks=self._can_show_blocks()).lines():
            self.stdout.write(line)

    def _can_show_blocks(self) -> bool:
        try:
            "█▏".encode(getattr(self.stdout, "encoding", None) or "utf-8")
        except UnicodeEncodeError:
            return False
        return True
