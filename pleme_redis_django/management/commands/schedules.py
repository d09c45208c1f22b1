"""``manage.py schedules``: list, run now, pause and resume."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope
from pleme_redis_django.event_log import first_line
from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.management.schedules.listing import as_json, as_lines
from pleme_redis_django.monitoring.schedules import TICKS_SHOWN, schedule_reports, schedule_rows
from pleme_redis_django.products import validate_product
from pleme_redis_django.schedules import pause_schedule, resume_schedule, run_schedule_now

ROWS_AT_ONCE = 100
EXIT_REFUSED = 1
EXIT_CANNOT_ASK = 2
EPILOG = """\
Exit codes: 0 done; 1 there is no such schedule, or it cannot be read; 2 the database does not answer.
"""


class Command(BaseCommand):
    help = "List the schedules; run one now, pause it, or resume it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = EPILOG
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        # Of argparse itself: that of Django asks for its own options once more.
        actions = parser.add_subparsers(dest="action", required=True, parser_class=argparse.ArgumentParser)
        listed = actions.add_parser("list", help="Every schedule, with its state and its next tick.")
        listed.add_argument(
            "--json", action="store_true", help="The same as a JSON list, with the last ticks."
        )
        listed.add_argument("--product", help="Only those of this product.")
        for name, said in (
            ("run", "Enqueue its job now, beside its ticks."),
            ("pause", "Stop it from firing until it is resumed."),
            ("resume", "Fire it again, from its next tick on."),
        ):
            action = actions.add_parser(name, help=said)
            action.add_argument("name", help="Of the schedule.")
            action.add_argument("--product", help="Its product; default that of the settings.")
            action.add_argument("--json", action="store_true", help="Print what was done as one JSON object.")
            if name != "resume":
                action.add_argument("--by", default="", help="Your name, as it is recorded.")
            if name == "pause":
                action.add_argument("--reason", default="", help="Why it is paused, shown to others.")

    def handle(self, *_args: Any, **options: Any) -> None:
        actions: dict[str, Callable[[dict[str, Any]], None]] = {
            "list": self._list,
            "run": self._run,
            "pause": self._pause,
            "resume": self._resume,
        }
        try:
            actions[options["action"]](options)
        except PlemeError as error:
            raise CommandError(str(error), returncode=EXIT_REFUSED) from None
        except DatabaseError as error:
            message = f"The schedules cannot be read: {first_line(error)}. Is the server up, was migrate run?"
            raise CommandError(message, returncode=EXIT_CANNOT_ASK) from error

    def _list(self, options: dict[str, Any]) -> None:
        scope = EVERY_PRODUCT
        if options["product"] is not None:
            scope = ProductScope(products=frozenset([validate_product(options["product"])]))
        rows = list(schedule_rows(scope))
        count = TICKS_SHOWN if options["json"] else 1
        parts = [rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)]
        reports = [report for part in parts for report in schedule_reports(part, tick_count=count)]
        if options["json"]:
            self.stdout.write(json.dumps(as_json(reports), indent=2))
            return
        for line in as_lines(reports):
            self.stdout.write(line)

    def _run(self, options: dict[str, Any]) -> None:
        job = run_schedule_now(options["name"], product=options["product"], asked_by=options["by"])
        self._say(options, f"Enqueued the job {job.id}.", job_id=str(job.id))

    def _pause(self, options: dict[str, Any]) -> None:
        changed = pause_schedule(
            options["name"], product=options["product"], reason=options["reason"], paused_by=options["by"]
        )
        self._say(options, "Paused." if changed else "It was already paused.", changed=changed)

    def _resume(self, options: dict[str, Any]) -> None:
        changed = resume_schedule(options["name"], product=options["product"])
        self._say(options, "Resumed." if changed else "It was not paused.", changed=changed)

    def _say(self, options: dict[str, Any], text: str, **result: Any) -> None:
        done = {"action": options["action"], "name": options["name"], **result}
        self.stdout.write(json.dumps(done) if options["json"] else text)
