"""Jobs that start threads, processes and programs, and leave some of them behind."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pleme_redis_django import job
from tests.waiting import wait_for

LONGEST_WAIT_SECONDS = 120.0
ENDS_WITHIN_SECONDS = 20.0

_executor = ThreadPoolExecutor(1, thread_name_prefix="left-executor")


@job(max_retries=0)
def terminate_forked_child() -> int | None:
    """Return the exit code of a forked child that is terminated as soon as it exists."""
    child = multiprocessing.get_context("fork").Process(target=signal.pause, daemon=True)
    child.start()
    child.terminate()
    child.join(ENDS_WITHIN_SECONDS)
    return child.exitcode


@job(max_retries=0)
def read_standard_input() -> str:
    """Return what a program reads from its standard input, up to the end of it."""
    program = subprocess.run(["cat"], capture_output=True, text=True, timeout=ENDS_WITHIN_SECONDS, check=True)
    return program.stdout


@job(max_retries=0)
def interrupt_program() -> int:
    """Return the exit code of a program that gets a SIGINT."""
    program = subprocess.Popen(["sleep", str(LONGEST_WAIT_SECONDS)])
    program.send_signal(signal.SIGINT)
    try:
        return program.wait(ENDS_WITHIN_SECONDS)
    finally:
        program.kill()


@job(max_retries=0)
def leave_daemon(path: str, gate: str) -> None:
    """Leave a daemon process, whose id is in ``path``, and run until ``gate`` exists."""
    child = multiprocessing.get_context("fork").Process(target=signal.pause, daemon=True)
    child.start()
    Path(path).write_text(str(child.pid))
    _wait_for(gate)


@job(max_retries=0)
def leave_thread(path: str) -> None:
    """Leave a thread that waits for a file, and work in an executor that does the same."""
    _executor.submit(_wait_for, path)
    threading.Thread(target=_wait_for, args=(path,), name="left-thread", daemon=False).start()


def _wait_for(path: str) -> None:
    wait_for(Path(path).exists, f"{path} appears", deadline_seconds=LONGEST_WAIT_SECONDS)
