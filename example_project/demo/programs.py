"""The processes of the demo: the workers and the web server. They stop with it, even if it is killed."""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pleme_redis_django.exceptions import ServerUnavailable
from pleme_redis_django.testing.servers.account import Account
from pleme_redis_django.testing.servers.guarded_process import GuardedProcess

PROJECT_FOLDER = Path(__file__).resolve().parent.parent.parent
WORKER_PROCESSES_PER_POOL = 2
START_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.05


@contextmanager
def running(name: str, arguments: list[str], folder: Path) -> Iterator[GuardedProcess]:
    """Run ``python <arguments>`` with its output in ``<folder>/<name>.log``; SIGTERM and wait at the end."""
    process = GuardedProcess(
        [sys.executable, *arguments],
        log=folder / f"{name}.log",
        scratch=folder / name,
        stop_signal=signal.SIGTERM,
        account=Account(),
    )
    try:
        yield process
    finally:
        process.stop(signal.SIGTERM)


def wait_until_listening(process: GuardedProcess, port: int) -> None:
    """Return when the web server accepts connections; raises ServerUnavailable when it does not."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _accepts_connections(port):
        if not process.is_running() or time.monotonic() > deadline:
            raise ServerUnavailable(f"The web server does not listen on port {port}. {process.log_tail()}")
        time.sleep(POLL_SECONDS)


def _accepts_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def worker_arguments() -> list[str]:
    manage = str(PROJECT_FOLDER / "manage.py")
    return [manage, "runworkers", "--processes", str(WORKER_PROCESSES_PER_POOL)]


def web_arguments(port: int) -> list[str]:
    application = "example_project.asgi:application"
    place = ["--app-dir", str(PROJECT_FOLDER), "--host", "127.0.0.1", "--port", str(port)]
    return ["-m", "uvicorn", application, *place, "--log-level", "warning"]
