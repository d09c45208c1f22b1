"""``manage.py runworkers``: parse, build, run."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.autoreload import get_child_arguments

from pleme_redis_django.exceptions import InvalidName, InvalidSettings
from pleme_redis_django.management.runworkers.banner import banner
from pleme_redis_django.management.runworkers.log_output import log_to_stdout
from pleme_redis_django.management.runworkers.options import EXIT_HANDED_BACK, RunOptions, add_arguments
from pleme_redis_django.management.runworkers.reloading import file_watcher
from pleme_redis_django.management.runworkers.supervisor import Supervisor
from pleme_redis_django.management.runworkers.worker_process import WorkerProcessRun
from pleme_redis_django.wiring import PoolParts, pool_names, pool_parts


class Command(BaseCommand):
    help = "Run the worker pools of PLEME_REDIS: claim jobs, run them, end them, until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def handle(self, *_args: Any, **arguments: Any) -> None:
        options = RunOptions.from_arguments(arguments)
        log_to_stdout(options.log_format, arguments["verbosity"])
        if arguments["child_of_pool"]:
            raise SystemExit(self._run_child(options, arguments))
        raise SystemExit(self._supervise(options))

    def _run_child(self, options: RunOptions, arguments: dict[str, Any]) -> int:
        code = WorkerProcessRun(
            self._parts(arguments["child_of_pool"], options),
            options,
            worker_id=arguments["worker_id"],
            replaces=arguments["replaces"],
            report_fd=arguments["report_fd"],
        ).run()
        if code == EXIT_HANDED_BACK:
            _end_with_handlers_running(code)
        return code

    def _supervise(self, options: RunOptions) -> int:
        parts = [self._parts(name, options) for name in options.pools or pool_names()]
        if options.log_format == "text":
            self._say(banner(parts, options))
        return Supervisor(
            get_child_arguments(),
            [one.name for one in parts],
            options.processes,
            burst=options.burst,
            say=self._say,
            changed_file=file_watcher() if options.reload else None,
        ).run()

    def _parts(self, name: str, options: RunOptions) -> PoolParts:
        try:
            return pool_parts(name, options.overrides)
        except (InvalidSettings, InvalidName) as error:
            raise CommandError(str(error)) from None

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _end_with_handlers_running(code: int) -> NoReturn:
    """End the process now: Python's own exit would wait for the threads of handlers that were handed back."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)
