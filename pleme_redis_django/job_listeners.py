"""job_listeners: who is told of the starts and ends of one job type, at no cost for the jobs of all others.

A receiver of a signal is told of every job; what belongs to some types alone, such as ``django.tasks``, listens here.
"""

from __future__ import annotations

from typing import Any, Protocol

from pleme_redis_django.jobs.interface.endings import Failure


class JobListener(Protocol):
    """Is told in the process where it happens: of an ending once it is stored. What it raises is logged."""

    def started(self, job: Any, /) -> None:
        """Hear of a job whose handler is called next; for an async one in the thread of its event loop."""
        ...

    def completed(self, job: Any, results_json: str, /) -> None: ...
    def failed(self, job: Any, failure: Failure, /) -> None: ...
    def cancelled(self, job: Any, /) -> None: ...


listeners: dict[str, JobListener] = {}
"""By job type."""
