"""The end of a worker process: bounded, whatever threads its handlers have left behind.

Python's own end joins every thread that is not a daemon, and those of ``concurrent.futures``:
one that sleeps for ten minutes would hold a deploy for ten minutes.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

LEFTOVERS_SECONDS = 5.0
# Telling writes to a terminal, a file or a network that may hang.
_TELLING_SECONDS = 2.0
_ENGINE_THREADS = "pleme-"

logger = logging.getLogger("pleme_redis_django.process_end")


class BoundedEnd:
    """Lets Python end by itself (atexit functions run) for a moment, and ends the process after that."""

    def __init__(self) -> None:
        # put() is reentrant: a signal handler calls it.
        self._hurry: queue.SimpleQueue[None] = queue.SimpleQueue()

    def hurry(self) -> None:
        """End the moment now. May be called in a signal handler."""
        self._hurry.put(None)

    def begin(self, code: int) -> None:
        """Start to watch the end; the caller leaves with ``code`` by itself."""
        threading.Thread(target=self._watch, args=(code,), name="pleme-end", daemon=True).start()

    def _watch(self, code: int) -> None:
        with suppress(queue.Empty):
            self._hurry.get(timeout=LEFTOVERS_SECONDS)
        left = ", ".join(leftovers()) or "an atexit function"
        _within_a_moment(lambda: logger.warning("exits without waiting for what still runs: %s", left))
        end_now(code)


def end_now(code: int) -> NoReturn:
    """End the process without waiting for any thread; what was logged and printed is written first."""
    _within_a_moment(_end_daemons)
    _within_a_moment(_flush)
    os._exit(code)


def leftovers() -> list[str]:
    """Return the names of the threads and child processes that are not the engine's own.

    Daemons among them: Python waits for those of an executor, and nothing public tells which they are.
    """
    threads = [
        f"thread {thread.name}"
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not thread.name.startswith(_ENGINE_THREADS)
    ]
    return sorted(threads) + [f"process {child.name} ({child.pid})" for child in _children()]


def _children() -> list[Any]:
    # Only a handler imports it, and only then can there be any.
    multiprocessing = sys.modules.get("multiprocessing")
    return [] if multiprocessing is None else list(multiprocessing.active_children())


def _end_daemons() -> None:
    """Do what Python's own end does: a daemon of multiprocessing does not outlive its parent."""
    for child in _children():
        if child.daemon:
            child.terminate()


def _flush() -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


def _within_a_moment(write: Callable[[], object]) -> None:
    thread = threading.Thread(target=write, name="pleme-tell", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        write()  # From Python 3.12 on no thread can be started as late as this.
    else:
        thread.join(_TELLING_SECONDS)
