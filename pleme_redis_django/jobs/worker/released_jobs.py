"""ReleasedJobs: tells of jobs that were made ready here, to this process and to those that serve their queues."""

from __future__ import annotations

from collections.abc import Collection

from pleme_redis_django.jobs.interface.hints import HintQueue, NoHints, WakesQueues
from pleme_redis_django.jobs.worker.agenda import Agenda


class ReleasedJobs:
    """Who may claim what waited at a limit or in a line; from any thread."""

    def __init__(
        self,
        agenda: Agenda,
        hints: HintQueue | None = None,
        *,
        queue_names: Collection[str] | None = None,
        product: str | None = None,
    ) -> None:
        """``queue_names``, ``product``: what this process serves; None: all."""
        self._agenda = agenda
        self._hints = hints or NoHints()
        self._queue_names = queue_names
        self._product = product

    def tell(self, queue_names: Collection[str]) -> None:
        """Have this process look, and one of each queue that it does not serve, or not for every product."""
        if not queue_names:
            return
        self._agenda.hint()
        if (others := self._of_others(queue_names)) and isinstance(self._hints, WakesQueues):
            self._hints.wake_queues(sorted(others))

    def _of_others(self, queue_names: Collection[str]) -> set[str]:
        if self._product is not None:
            return set(queue_names)
        return set() if self._queue_names is None else set(queue_names).difference(self._queue_names)
