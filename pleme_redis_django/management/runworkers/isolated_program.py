"""Which program a worker process starts for its isolated jobs."""

from __future__ import annotations

import dataclasses
import functools
import os

from django.core.management.base import CommandError

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool
from pleme_redis_django.exceptions import ExecutionFailed
from pleme_redis_django.jobs.worker.isolated_process import IsolatedProcess, IsolatedProgram, StartingThread
from pleme_redis_django.jobs.worker.isolation import NOT_ISOLATED
from pleme_redis_django.management.runworkers.child_command import settings_environment, this_python
from pleme_redis_django.management.runworkers.options import RunOptions
from pleme_redis_django.orm_store.job_messages import message_of_job

PYTHON_PATH = "PYTHONPATH"
MODULE = "pleme_redis_django.management.runworkers.isolated"
# A message and a traceback of a failure, each of at most 64 KiB, with everything in them escaped.
_FAILURE_BYTES = 2 * 1024 * 1024

_starting_thread = functools.cache(StartingThread)


def start_isolated(parts: ConfiguredPool, options: RunOptions) -> IsolatedProcess:
    """Return a process that is ready to run isolated jobs of the pool. Raises ExecutionFailed."""
    try:
        environment = {**os.environ, **settings_environment()}
    except CommandError as error:
        raise ExecutionFailed(str(error), error_code=NOT_ISOLATED) from None
    greeting = {
        "pool": parts.name,
        "config": dataclasses.asdict(parts.config),
        "log_format": options.log_format,
        "verbosity": options.verbosity,
        "tracebacks": options.shows_tracebacks,
        # What it needs to find the project is nothing for the programs that its handlers start.
        "python_path": os.environ.get(PYTHON_PATH),
    }
    program = IsolatedProgram(
        # -P: the paths of this process, and not the working directory before them.
        arguments=[*this_python(), "-P", "-m", MODULE],
        environment=environment,
        greeting=greeting,
        # The result is JSON in JSON: each quote and backslash of it becomes two characters.
        max_message_bytes=2 * get_settings().max_results_bytes + _FAILURE_BYTES,
        config=parts.config,
        message_of_job=message_of_job,
    )
    return IsolatedProcess(program, _starting_thread())
