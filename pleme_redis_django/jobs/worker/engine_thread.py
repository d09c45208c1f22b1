"""EngineThread: a thread that the engine cannot do without; if an error ends it, the agenda says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pleme_redis_django.jobs.worker.agenda import Agenda


class EngineThread(threading.Thread):
    """A daemon thread that ends only when it is told to."""

    def __init__(
        self, target: Callable[..., object], name: str, agenda: Agenda, *, args: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(target=target, name=f"pleme-{name}", args=args, daemon=True)
        self._agenda = agenda

    def run(self) -> None:
        try:
            super().run()
        except BaseException as error:
            self._agenda.leaving.thread_broken(self.name, error)
