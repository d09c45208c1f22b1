"""The queue of an entry, where its name is one of ours."""

from __future__ import annotations

from pleme_redis_django.exceptions import PlemeError
from pleme_redis_django.jobs.interface.queue_names import validate_queue_name
from pleme_redis_django.wording import shortened


def queue_of(name: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the name of the queue, or an empty name and a note that says why it is not taken over."""
    if not name:
        return "", ()
    try:
        return validate_queue_name(name), ()
    except PlemeError:
        return "", (
            f"queue {shortened(repr(name))}: not a valid name of a queue here, so it has that of the job",
        )
