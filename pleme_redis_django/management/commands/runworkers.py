"""``manage.py runworkers``: parses the options, builds the supervisor or a worker process, and runs it."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from pleme_redis_django.configured_pools import ConfiguredPool, configured_pool, executor_of, pool_names
from pleme_redis_django.exceptions import InvalidName, InvalidSettings
from pleme_redis_django.management.runworkers.banner import banner
from pleme_redis_django.management.runworkers.child_command import (
    child_command,
    forget_being_a_child,
    this_python,
)
from pleme_redis_django.management.runworkers.lean_supervisor import Orders, become_supervisor
from pleme_redis_django.management.runworkers.log_output import log_to_stdout
from pleme_redis_django.management.runworkers.options import FromSupervisor, RunOptions, add_arguments
from pleme_redis_django.management.runworkers.reloading import file_watcher
from pleme_redis_django.management.runworkers.supervisor import ChildCommand, Supervisor
from pleme_redis_django.management.runworkers.tables import look_at_tables
from pleme_redis_django.management.runworkers.worker_process import WorkerProcessRun
from pleme_redis_django.wiring import build_pool


class Command(BaseCommand):
    help = "Run the worker pools of PLEME_REDIS: claim and run jobs until stopped."

    _argv: list[str] | None = None

    def run_from_argv(self, argv: list[str]) -> None:
        self._argv = argv
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def handle(self, *_args: Any, **arguments: Any) -> None:
        options = RunOptions.from_arguments(arguments)
        if arguments["child_of_pool"]:
            forget_being_a_child()
            # The supervisor logs nothing, and a program that calls the command keeps its logging as it is.
            log_to_stdout(
                options.log_format, arguments["verbosity"], with_tracebacks=options.shows_tracebacks
            )
            raise SystemExit(self._run_child(options, arguments))
        # A program that calls the command goes on after a good end.
        if code := self._supervise(options, arguments):
            raise SystemExit(code)

    def _run_child(self, options: RunOptions, arguments: dict[str, Any]) -> int:
        parts = self._parts(arguments["child_of_pool"], options)
        return WorkerProcessRun(parts, options, FromSupervisor.parsed(arguments), build_pool).run()

    def _supervise(self, options: RunOptions, arguments: dict[str, Any]) -> int:
        if threading.current_thread() is not threading.main_thread():
            raise CommandError("runworkers handles signals, which only the main thread of a program can do.")
        parts = [self._parts(name, options) for name in options.pools or self._pool_names()]
        command = child_command(options, arguments, self._argv)
        if options.log_format == "text":
            self._say(banner(parts, options))
        look_at_tables(parts, must_answer=options.burst, say=self._say)
        pools = [one.name for one in parts]
        # A program that calls the command goes on after it, and only what has loaded a project can see it change.
        if self._argv == sys.argv and not options.reload:
            self._become_supervisor(command, pools, options)
        return Supervisor(
            command,
            pools,
            options.processes,
            burst=options.burst,
            max_silence_seconds=options.max_silence_seconds,
            say=self._say,
            changed_file=file_watcher() if options.reload else None,
        ).run()

    def _become_supervisor(self, command: ChildCommand, pools: list[str], options: RunOptions) -> NoReturn:
        connections.close_all()
        become_supervisor(
            Orders(
                child_arguments=command.arguments,
                pools=pools,
                processes=options.processes,
                burst=options.burst,
                max_silence_seconds=options.max_silence_seconds,
            ),
            this_python(),
            command.environment,
            sys.argv,
        )

    def _parts(self, name: str, options: RunOptions) -> ConfiguredPool:
        try:
            parts = configured_pool(name, options.overrides)
            executor_of(
                parts
            )  # Middleware that is refused is said here, and not by each process that dies of it.
            return parts
        except (InvalidSettings, InvalidName) as error:
            raise CommandError(str(error)) from None

    def _pool_names(self) -> list[str]:
        try:
            return pool_names()
        except InvalidSettings as error:  # which --skip-checks has passed by
            raise CommandError(str(error)) from None

    def _say(self, text: str) -> None:
        # The terminal may be gone, which is what a SIGHUP tells: its workers shall drain all the same.
        with contextlib.suppress(OSError):
            self.stdout.write(text)
            self.stdout.flush()
