"""job_listeners: who is told of the starts and ends of one job type, at no cost for the jobs of all others.

A receiver of a signal is told of every job; what belongs to some types alone, such as ``django.tasks``, listens here.
"""

from __future__ import annotations

from typing import Any, Protocol

from pleme_redis_django.jobs.interface.endings import Failure


class JobListener(Protocol):
    """Is told in the process where it happens: of an ending once it is stored. What it raises is logged."""

    def claimed(self) -> None:
        """Hear that jobs were claimed, before any of them starts: here it may look who listens to itself."""
        ...

    def started(self, job: Any, /) -> None:
        """Hear of a job whose handler is called next; for an async one in the thread of its event loop."""
        ...

    def completed(self, job: Any, results_json: str, /) -> None: ...
    def failed(self, job: Any, failure: Failure, /) -> None: ...
    def cancelled(self, job: Any, /) -> None: ...


listeners: dict[str, JobListener] = {}
"""By job type."""
told_of_claims: list[JobListener] = []
"""Each listener once, though it is told of hundreds of types."""


def listen(job_type: str, listener: JobListener) -> None:
    """Have a listener told of the jobs of a type."""
    listeners[job_type] = listener
    if listener not in told_of_claims:
        told_of_claims.append(listener)
