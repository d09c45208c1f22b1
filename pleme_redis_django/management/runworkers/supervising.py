"""What ``manage.py runworkers`` does itself: it says what will run, looks at the tables, and supervises."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.management.base import CommandError
from django.db import connections

from pleme_redis_django.configured_pools import ConfiguredPool
from pleme_redis_django.management.runworkers.banner import banner
from pleme_redis_django.management.runworkers.child_command import child_command, this_python
from pleme_redis_django.management.runworkers.lean_supervisor import Orders, become_supervisor
from pleme_redis_django.management.runworkers.options import RunOptions
from pleme_redis_django.management.runworkers.reloading import file_watcher
from pleme_redis_django.management.runworkers.supervisor import Supervisor
from pleme_redis_django.management.runworkers.tables import look_at_tables


def supervise(
    parts: Sequence[ConfiguredPool],
    options: RunOptions,
    arguments: Mapping[str, Any],
    argv: Sequence[str] | None,
    say: Callable[[str], None],
) -> int:
    """Keep worker processes of these pools alive until told to stop; return the exit code.

    ``argv`` is the command line that the command was given, None if a program calls it. Raises CommandError.
    Does not return where the command line is that of this process: the supervisor takes its place.
    """
    if threading.current_thread() is not threading.main_thread():
        raise CommandError("runworkers handles signals, which only the main thread of a program can do.")
    command = child_command(options, arguments, argv)
    if options.log_format == "text":
        say(banner(parts, options))
    look_at_tables(parts, must_answer=options.burst, say=say)
    pools = [one.name for one in parts]
    # A program that calls the command goes on after it, and only what has loaded a project can see it change.
    if argv == sys.argv and not options.reload:
        connections.close_all()
        orders = Orders(
            child_arguments=command.arguments,
            pools=pools,
            processes=options.processes,
            burst=options.burst,
            max_silence_seconds=options.max_silence_seconds,
        )
        become_supervisor(orders, this_python(), command.environment, sys.argv)
    return Supervisor(
        command,
        pools,
        options.processes,
        burst=options.burst,
        max_silence_seconds=options.max_silence_seconds,
        say=say,
        changed_file=file_watcher() if options.reload else None,
    ).run()
