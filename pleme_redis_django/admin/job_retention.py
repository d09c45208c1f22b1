"""Until when a finished job is kept, as its page says it."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from pleme_redis_django.admin.display import age
from pleme_redis_django.conf import get_settings
from pleme_redis_django.conf.retention import retention_policy
from pleme_redis_django.orm_store.retention import ending_of, kept_until


def retention_facts(job: Any) -> list[tuple[str, Any, bool]]:
    """Return name, value and whether the value is long; of a job that has not ended, nothing."""
    if ending_of(job) is None:
        return []
    until = kept_until(job, retention_policy(get_settings().retention))
    if until is None:
        return [("Kept until", "for ever", False)]
    # The next walk deletes it, unless a row of the project's own refers to it.
    is_over = until <= timezone.now()
    return [("Kept until", "its time is over" if is_over else age(until), False)]
