"""``manage.py demo``: the example project on servers of its own, in one command."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from example_project.demo.run import run_once, run_until_interrupted
from example_project.demo.work import Amounts
from pleme_redis_django.exceptions import ServerUnavailable

DEFAULT_TIMEOUT_SECONDS = 180.0


class Command(BaseCommand):
    help = (
        "Run the shop: PostgreSQL, Redis, mail, web and two worker processes, with work for them. "
        "DATABASE_URL and REDIS_URL are used when set. Ctrl-C stops everything."
    )
    # There is no database to check before the demo has started one.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--once",
            action="store_true",
            help="no web: wait for every job to end, print a summary; exit 1 if anything is lost or stuck",
        )
        parser.add_argument(
            "--timeout", type=float, default=DEFAULT_TIMEOUT_SECONDS, help="seconds that --once waits (180)"
        )
        parser.add_argument("--orders", type=int, default=Amounts().orders, help="how many orders (300)")
        parser.add_argument(
            "--flood", type=int, default=Amounts().flood, help="how many jobs of another product (3,000)"
        )
        parser.add_argument("--data-folder", type=Path, help="keep the database there between runs")

    def handle(self, **options: Any) -> None:
        # A shell starts background jobs with SIGINT ignored; and `kill` has to drain like Ctrl-C.
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.default_int_handler)
        amounts = Amounts(orders=options["orders"], flood=options["flood"])
        folder = options["data_folder"].resolve() if options["data_folder"] else None
        try:
            if options["once"]:
                timeout = options["timeout"]
                sys.exit(run_once(sys.stdout, amounts, timeout_seconds=timeout, data_folder=folder))
            sys.exit(run_until_interrupted(sys.stdout, amounts, data_folder=folder))
        except ServerUnavailable as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            sys.exit(130)
