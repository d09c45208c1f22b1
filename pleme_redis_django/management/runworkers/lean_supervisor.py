"""The supervisor as a program of its own, which has loaded neither Django nor the project.

``manage.py runworkers`` loads both to look at settings and tables, and nothing gives that memory back: so it
then executes this program in its place. Whoever started the command sees the same process, with the same
working directory, environment, standard streams and ignored signals.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from pleme_redis_django.jobs.worker.executing_page import new_page_file
from pleme_redis_django.management.runworkers.stop_signals import STOP_SIGNALS
from pleme_redis_django.management.runworkers.supervisor import ChildCommand, Supervisor

# What follows it on the command line: where the package is, the descriptor of the orders, and for those who
# look at the list of processes the command line that was typed.
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from pleme_redis_django.management.runworkers import lean_supervisor; lean_supervisor.main()"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the supervisor is to keep alive."""

    child_arguments: Sequence[str]
    pools: Sequence[str]
    processes: int
    burst: bool
    max_silence_seconds: float


def become_supervisor(
    orders: Orders, python: Sequence[str], environment: Mapping[str, str], command_line: Sequence[str]
) -> NoReturn:
    """Execute the supervisor in the place of this process, which ends as it would have ended by itself.

    ``python`` is the interpreter with its options, ``environment`` that of the worker processes, and
    ``command_line`` what the list of processes shows.
    """
    orders_fd = new_page_file()
    os.write(orders_fd, json.dumps(dataclasses.asdict(orders)).encode())
    os.set_inheritable(orders_fd, True)
    package_root = str(Path(__file__).parents[3])
    # -S, -P: nothing of the project's environment is needed, and much of it costs memory.
    program = [*python, "-S", "-P", "-c", _PROGRAM, package_root, str(orders_fd), *command_line]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    # Until the supervisor listens; one that comes in between waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    os.execve(program[0], program, environment)  # noqa: S606 - our own command line


def main() -> NoReturn:
    """Run the supervisor that ``become_supervisor()`` has described, and end with its exit code."""
    orders = _orders_in(int(sys.argv[2]))
    supervisor = Supervisor(
        ChildCommand(arguments=tuple(orders.child_arguments), environment=dict(os.environ)),
        orders.pools,
        orders.processes,
        burst=orders.burst,
        max_silence_seconds=orders.max_silence_seconds,
        say=_say,
    )
    sys.exit(supervisor.run())


def _orders_in(descriptor: int) -> Orders:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return Orders(**json.load(file))


def _say(text: str) -> None:
    # The terminal may be gone, which is what a SIGHUP tells: its workers shall drain all the same.
    with contextlib.suppress(OSError):
        print(text, flush=True)  # noqa: T201 - the command's own output
