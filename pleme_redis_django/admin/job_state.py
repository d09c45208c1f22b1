"""What a job's page asks for while it is open: a few columns of the job's own row, as JSON."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from pleme_redis_django.admin.display import progress_figures
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.models import AbstractJob

# Whatever else of a row changes, changes with one of these.
_REVISED_BY = (
    "status",
    "attempt",
    "retry_count",
    "priority",
    "queue_name",
    "run_after",
    "blocked_on",
    "started_at",
    "cancel_requested_at",
)
STATE_FIELDS = ("id", "product", "job_type", *_REVISED_BY, "progress")
RUNNING_SECONDS, WAITING_SECONDS = 1, 2


def job_state(job: AbstractJob, wait_codes: Iterable[str]) -> dict[str, Any]:
    """Return the progress, and a ``revision`` that is another one when the page has to be fetched again.

    ``wait_codes``: why a waiting job is not running; nothing in its row tells of that.
    """
    figures = progress_figures(job.progress)
    # A bar is moved where it is; progress of another form reloads the page's content.
    progress = json.dumps(job.progress, default=str) if figures is None else "a bar"
    revised = [*(str(getattr(job, name)) for name in _REVISED_BY), progress, *wait_codes]
    return {
        "revision": digest(revised),
        "status": job.status.capitalize(),
        "progress": figures and dataclasses.asdict(figures),
    }


def poll_seconds(job: AbstractJob) -> int:
    """Return how often the page polls; 0: never again, because the job has ended."""
    status = JobStatus(job.status)
    if status.is_terminal:
        return 0
    return RUNNING_SECONDS if status == JobStatus.RUNNING else WAITING_SECONDS


def digest(value: Any) -> str:
    """Return a short text that is another one for another value."""
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=12).hexdigest()
