"""Publishes what happens to jobs as events of the channel ``job:<id>``, for pages that watch them.

Only for the job types of ``PLEME_REDIS["JOB_EVENTS"]``: each event costs its worker a round trip. A page
learns that something happened; the truth is in the job's row.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.dispatch import Signal

from pleme_redis_django import signals
from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.redis_state.pubsub.manager import PubSubManager

# After an outage, workers do not wait for Redis at every event.
PAUSE_SECONDS = 5.0

logger = logging.getLogger("pleme_redis_django.job_events")

_EVENTS: dict[str, Signal] = {
    "progressed": signals.job_progressed,
    "completed": signals.job_completed,
    "retried": signals.job_retried,
    "failed": signals.job_failed,
    "cancelled": signals.job_cancelled,
}


class JobEvents:
    """Receives the signals of jobs; one per process."""

    def __init__(self) -> None:
        self._quiet_until = 0.0
        self._receivers = {event: self._receiver(event) for event in _EVENTS}

    def connect(self) -> None:
        """Listen to the workers of this process. If no job type is named, it is not called: every job would pay."""
        for event, signal in _EVENTS.items():
            signal.connect(self._receivers[event], weak=False, dispatch_uid=f"{__name__}.{event}")

    def disconnect(self) -> None:
        for event, signal in _EVENTS.items():
            signal.disconnect(dispatch_uid=f"{__name__}.{event}")
            self._receivers[event] = self._receiver(event)

    def _receiver(self, event: str) -> Any:
        def receive(sender: Any, job: Any, **details: Any) -> None:
            if _is_wanted(job.job_type) and time.monotonic() >= self._quiet_until:
                self._publish(event, job, details)

        return receive

    def _publish(self, event: str, job: Any, details: dict[str, Any]) -> None:
        told: dict[str, Any] = {"event": event, "type": job.job_type}
        if event == "progressed":
            told["progress"] = details["progress"]
        try:
            # A project's own job model may have no product: then it is that of the settings.
            product = getattr(job, "product", None)
            PubSubManager(product).publish(f"job:{job.id}", told, on_commit=False)
        except PlemeError as error:
            self._quiet_until = time.monotonic() + PAUSE_SECONDS
            logger.warning("An event of job %s was not published: %s", job.id, error)


def _is_wanted(job_type: str) -> bool:
    wanted = get_settings().job_events
    return job_type in wanted or "*" in wanted
