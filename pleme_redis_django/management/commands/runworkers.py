"""``manage.py runworkers``: parses the options, and runs the supervisor or a worker process.

Each of the two imports what it needs when it is run: a worker process keeps nothing of the supervisor in memory.
"""

from __future__ import annotations

import contextlib
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pleme_redis_django.configured_pools import ConfiguredPool, configured_pool, executor_of, pool_names
from pleme_redis_django.exceptions import InvalidName, InvalidSettings
from pleme_redis_django.limits_of_pools import refuse_unkept_limits
from pleme_redis_django.management.runworkers.options import FromSupervisor, RunOptions, add_arguments


class Command(BaseCommand):
    help = "Run the worker pools of PLEME_REDIS: claim and run jobs until stopped."

    _argv: list[str] | None = None

    def run_from_argv(self, argv: list[str]) -> None:
        self._argv = argv
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def get_check_kwargs(self, options: dict[str, Any]) -> dict[Any, Any]:
        """Return which checks are run: in a worker process those of this package, for the command has run them all.

        Those of Django load every view and template of the project, and what they load stays.
        """
        if options["child_of_pool"]:
            return {"tags": ["pleme_redis_django"]}
        return super().get_check_kwargs(options)

    def handle(self, *_args: Any, **arguments: Any) -> None:
        options = RunOptions.from_arguments(arguments)
        if arguments["child_of_pool"]:
            raise SystemExit(self._run_child(options, arguments))
        # A program that calls the command goes on after a good end.
        if code := self._supervise(options, arguments):
            raise SystemExit(code)

    def _run_child(self, options: RunOptions, arguments: dict[str, Any]) -> int:
        from pleme_redis_django.management.runworkers.agreement import forget_being_a_child
        from pleme_redis_django.management.runworkers.log_output import log_to_stdout
        from pleme_redis_django.management.runworkers.worker_process import WorkerProcessRun
        from pleme_redis_django.wiring import build_pool

        forget_being_a_child()
        # The supervisor logs nothing, and a program that calls the command keeps its logging as it is.
        log_to_stdout(options.log_format, arguments["verbosity"], with_tracebacks=options.shows_tracebacks)
        parts = self._parts(arguments["child_of_pool"], options)
        return WorkerProcessRun(parts, options, FromSupervisor.parsed(arguments), build_pool).run()

    def _supervise(self, options: RunOptions, arguments: dict[str, Any]) -> int:
        from pleme_redis_django.management.runworkers.supervising import supervise

        parts = [self._parts(name, options) for name in options.pools or self._pool_names()]
        return supervise(parts, options, arguments, self._argv, self._say)

    def _parts(self, name: str, options: RunOptions) -> ConfiguredPool:
        try:
            parts = configured_pool(name, options.overrides)
            # What is refused is said here, and not by each process that dies of it.
            executor_of(parts)
            refuse_unkept_limits(parts)
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
