"""Watches a worker process's threads outside the pool: if an exception ends one, the process ends too.

A process that no longer counts what it ends, or hears of its supervisor, looks alive and does half of its work.
It drains instead, as far as what is left of it can, and ends with a code for which its supervisor starts another one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

# How all of them are named; threads of handlers are the project's own business.
_ENGINE_THREADS = "pleme-"

logger = logging.getLogger("pleme_redis_django.jobs")


class ThreadWatch:
    """Sees every thread of the process that ends by an exception; of the engine's it remembers that."""

    def __init__(self, on_broken: Callable[[], None]) -> None:
        self._on_broken = on_broken
        self._others = threading.excepthook
        self.is_broken = False
        """Whether a thread of the engine has ended before its time."""

    def begin(self) -> None:
        """Watch from now on, for the rest of the process's life."""
        threading.excepthook = self._note_end

    def _note_end(self, ended: threading.ExceptHookArgs) -> None:
        name = "" if ended.thread is None else ended.thread.name
        if not name.startswith(_ENGINE_THREADS):
            self._others(ended)
            return
        self.is_broken = True
        try:
            logger.critical(
                "an unexpected error has ended a thread of the worker; the process drains and exits "
                "thread=%s",
                name,
                exc_info=ended.exc_value,
            )
        finally:
            self._on_broken()
