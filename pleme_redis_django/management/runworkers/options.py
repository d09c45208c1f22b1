"""The options of runworkers, as one value that the supervisor and its children share."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import Any, Self

from django.core.management.base import CommandError

from pleme_redis_django.jobs.interface.worker_pool_config import PRESETS
from pleme_redis_django.jobs.worker.executing_page import JobExecuted, PageSeen, SeenDeath

# Three beats of a worker process.
LEAST_SILENCE_SECONDS = 15.0

EPILOG = """\
Examples:
  manage.py runworkers                            every pool, one process each
  manage.py runworkers mail --processes 4         four processes of one pool
  manage.py runworkers --burst                    run what is ready, and end
  manage.py runworkers --log-format json --release 1a2b3c

Exit codes:
  0  every job that was running has ended (or, with --burst, nothing was claimable any more); also when
     the last worker process has ended because an operator asked it to drain
  1  the workers could not start: settings, tables or the database
  2  the command line was not understood
  3  the grace period was over, and jobs that were still running were given back
  4  of a worker process alone: it was asked to drain, and its supervisor starts no other in its place
  75 of a worker process alone: another one takes its place, for it had reached a limit of its pool, or a handler
     did not heed its timeout

SIGTERM, SIGHUP or Ctrl-C drains; a second one ends the grace period at once. One of the processes measures the
queues for the dashboard, and sweeps up after others that died. manage.py jobstats shows what waits and what
fails. How to run workers in production: docs/guides/running-workers.md.
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FromSupervisor:
    """What a supervisor gives to a worker process that it starts."""

    worker_id: str
    replaces: Sequence[SeenDeath] = ()
    """The processes before it, whose jobs it rescues."""
    lifeline_fd: int
    """The pipe whose end tells it to drain."""
    page_fd: int | None = None
    """The memory in which it shows what it executes."""
    report_fd: int | None = None
    is_quarantine: bool = False

    @classmethod
    def parsed(cls, arguments: dict[str, Any]) -> Self:
        """Return what the hidden arguments say."""
        return cls(
            worker_id=arguments["worker_id"],
            replaces=arguments["replaces"],
            lifeline_fd=arguments["lifeline_fd"],
            page_fd=arguments["page_fd"],
            report_fd=arguments["report_fd"],
            is_quarantine=arguments["quarantine"],
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the command line says."""

    pools: tuple[str, ...]
    processes: int
    overrides: dict[str, Any]
    """Fields of WorkerPoolConfig, and ``preset``."""
    burst: bool
    reload: bool
    log_format: str
    release: str
    max_silence_seconds: float
    tracebacks: str = "terminal"
    verbosity: int = 1

    @property
    def shows_tracebacks(self) -> bool:
        """Whether the log holds what handlers raise, which may quote the data that they worked with."""
        return self.tracebacks == "always" or (self.tracebacks == "terminal" and sys.stdout.isatty())

    @classmethod
    def from_arguments(cls, arguments: dict[str, Any]) -> Self:
        """Return the options of parsed arguments, or of a ``call_command()`` that nothing has parsed."""
        try:
            processes = _count(str(arguments["processes"]))
            silence = _silence(str(arguments["max_silence_seconds"]))
        except (ValueError, argparse.ArgumentTypeError) as error:
            raise CommandError(f"runworkers: {error}") from None
        overrides = {
            field: arguments[field]
            for field in ("worker_count", "async_count", "product", "preset", "grace_seconds", "queues")
            if arguments.get(field) is not None
        }
        if isinstance(overrides.get("queues"), str):
            overrides["queues"] = _names(overrides["queues"])
        return cls(
            pools=tuple(arguments["pools"]),
            processes=processes,
            overrides=overrides,
            burst=arguments["burst"],
            reload=arguments["reload"],
            log_format=arguments["log_format"],
            release=arguments["release"],
            max_silence_seconds=silence,
            tracebacks=arguments["tracebacks"],
            verbosity=arguments.get("verbosity", 1),
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "pools", nargs="*", metavar="pool", help="Pools to run; default: all pools in the settings."
    )
    parser.add_argument("--processes", type=_count, default=1, help="Worker processes of each pool (1).")
    parser.add_argument("--worker-count", type=int, help="Sync jobs at once in each process.")
    parser.add_argument("--async-count", type=int, help="Async jobs at once in each process.")
    parser.add_argument("--queues", type=_names, help="Serve only these queues: a,b")
    parser.add_argument("--product", help="Serve only this product.")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="A preset of the pool's numbers.")
    parser.add_argument(
        "--grace-seconds", type=float, help="How long running jobs may continue after SIGTERM."
    )
    parser.add_argument("--burst", action="store_true", help="Exit when no job is claimable any more.")
    parser.add_argument("--reload", action="store_true", help="Restart the workers when code changes.")
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="text: a readable line for each event; json: one object a line, for log collectors (text).",
    )
    parser.add_argument(
        "--tracebacks",
        choices=("terminal", "always", "never"),
        default="terminal",
        help="Whether the log shows messages and tracebacks of failed jobs: on a terminal only (the default).",
    )
    parser.add_argument(
        "--release",
        default="",
        help="A name for this version of the code, such as a commit; stored for each worker process.",
    )
    parser.add_argument(
        "--max-silence-seconds",
        type=_silence,
        default=120,
        help="Kill and replace a worker process that hangs for this long; 0: never (120).",
    )
    # How the supervisor starts a child; nobody types these.
    parser.add_argument("--child-of-pool", help=argparse.SUPPRESS)
    parser.add_argument("--worker-id", help=argparse.SUPPRESS)
    parser.add_argument("--replaces", action="append", type=_death, default=[], help=argparse.SUPPRESS)
    parser.add_argument("--lifeline-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--page-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--quarantine", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--report-fd", type=int, help=argparse.SUPPRESS)


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 256:
        raise argparse.ArgumentTypeError(f"{text} is not accepted: 1 to 256 processes")
    return number


def _silence(text: str) -> float:
    seconds = float(text)
    if seconds and not LEAST_SILENCE_SECONDS <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(
            f"{text} is not accepted: {LEAST_SILENCE_SECONDS:g} to 86,400 seconds, or 0 for never"
        )
    return seconds


def _death(text: str) -> SeenDeath:
    """Return the death that ``worker_id`` or ``worker_id:page_fd`` tells of."""
    worker_id, _colon, page_fd = text.partition(":")
    executing = frozenset[JobExecuted]()
    if page_fd:
        executing = PageSeen.read(int(page_fd)).executing
        os.close(int(page_fd))
    return SeenDeath(worker_id=worker_id, executing=executing)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
