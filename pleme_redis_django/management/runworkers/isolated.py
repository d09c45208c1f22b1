"""``python -m ...isolated``: the process in which isolated jobs of a worker run, one at a time. Nobody types it."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import os
import signal
import socket
import sys
from pathlib import Path

import django

from pleme_redis_django.jobs.worker.attempts_apart import WAKE_SIGNAL, AttemptsApart
from pleme_redis_django.jobs.worker.channel import EXIT_CHANNEL_CLOSED, Channel, Message
from pleme_redis_django.jobs.worker.isolated_process import START_SECONDS, TRACE_SIGNAL
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.management.runworkers.inheritance import (
    keep_descriptors,
    reset_signals_in_forked_children,
)

_PR_SET_PDEATHSIG = 1
# Of -1000 to 1000 (proc(5), oom_score_adj): where memory runs out, this process goes before its worker.
_FIRST_TO_GO = "500"
# They reach a whole process group, or all processes of a service: the worker alone decides what they mean.
_SIGNALS_OF_WORKERS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


def main() -> None:
    """Run what the worker sends, until it closes the channel."""
    parser = argparse.ArgumentParser()
    for option in ("--parent", "--channel-fd", "--trace-fd"):
        parser.add_argument(option, type=int, required=True)
    given = parser.parse_args()
    die_with(given.parent)
    keep_descriptors([given.channel_fd, given.trace_fd])
    faulthandler.enable(file=given.trace_fd)
    # Not all threads: the handler's alone, which is the main thread, is what is asked for.
    faulthandler.register(TRACE_SIGNAL, file=given.trace_fd, all_threads=False)
    for number in _SIGNALS_OF_WORKERS:
        signal.signal(number, lambda *_: None)
    reset_signals_in_forked_children([*_SIGNALS_OF_WORKERS, TRACE_SIGNAL, WAKE_SIGNAL])
    channel = Channel(socket.socket(fileno=given.channel_fd), max_bytes=sys.maxsize)
    greeting = channel.receive(START_SECONDS)
    if greeting is None:
        sys.exit(EXIT_CHANNEL_CLOSED)
    restore_environment(greeting)
    django.setup()
    service_of(channel, greeting, given.parent).serve()


def die_with(worker_pid: int) -> None:
    """Have the system end this process when its worker ends, also where the channel does not tell it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    if os.getppid() != worker_pid:
        sys.exit(EXIT_CHANNEL_CLOSED)


def restore_environment(greeting: Message) -> None:
    """Let programs that handlers start find what they would find if a worker started them."""
    if (python_path := greeting["python_path"]) is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = python_path


def service_of(channel: Channel, greeting: Message, worker_pid: int) -> AttemptsApart:
    """Return what runs the attempts, of the pool that the worker names."""
    from pleme_redis_django.conf import get_settings
    from pleme_redis_django.configured_pools import configured_pool, executor_of
    from pleme_redis_django.job_stores import job_store
    from pleme_redis_django.management.runworkers.database import bound_database_waits
    from pleme_redis_django.management.runworkers.log_output import log_to_stdout
    from pleme_redis_django.orm_store.handler_connections import DatabaseScope
    from pleme_redis_django.orm_store.job_messages import reader_of_jobs

    log_to_stdout(greeting["log_format"], greeting["verbosity"], with_tracebacks=greeting["tracebacks"])
    parts = configured_pool(greeting["pool"], greeting["config"])
    bound_database_waits(parts.config.lease_seconds, jobs_alias=get_settings().database)
    runner = JobRunner(
        executor_of(parts),
        parts.config,
        scope=DatabaseScope(),
        max_results_bytes=get_settings().max_results_bytes,
        store=job_store(parts),
    )
    return AttemptsApart(channel, runner, reader_of_jobs(parts.model), worker_pid)


if __name__ == "__main__":
    main()
