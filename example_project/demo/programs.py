"""The processes of the demo: the workers and the web server. They stop with it, even if it is killed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pleme_redis_django.testing.servers.account import Account
from pleme_redis_django.testing.servers.guarded_process import GuardedProcess

PROJECT_FOLDER = Path(__file__).resolve().parent.parent.parent
WORKER_PROCESSES_PER_POOL = 2


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


def worker_arguments() -> list[str]:
    manage = str(PROJECT_FOLDER / "manage.py")
    return [manage, "runworkers", "--processes", str(WORKER_PROCESSES_PER_POOL)]


def web_arguments(port: int) -> list[str]:
    application = "example_project.asgi:application"
    place = ["--app-dir", str(PROJECT_FOLDER), "--host", "127.0.0.1", "--port", str(port)]
    return ["-m", "uvicorn", application, *place, "--log-level", "warning"]
