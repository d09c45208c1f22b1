"""Templates: what an enqueue of a definition stores, worked out once for a definition that is enqueued as it is."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.conf import Settings, get_settings
from pleme_redis_django.enqueueing.pools import pool_deadline, pool_max_retries, refuse_unkept_order
from pleme_redis_django.enqueueing.rows import enqueued_product, template_of
from pleme_redis_django.jobs.definitions.definition import JobDefinition
from pleme_redis_django.jobs.definitions.options import NO_OPTIONS
from pleme_redis_django.models import Job
from pleme_redis_django.orm_store.new_rows import RowTemplate

# A process may enqueue for many products.
MOST_KEPT = 1_024


class Templates:
    """The templates of a process. What ``using()`` returns is mostly enqueued once, and is not kept."""

    def __init__(self) -> None:
        # By the identity of the definition, which is kept with it so that no other has it: a reload makes another
        # one, and calls of one task with more or fewer arguments by their place are of several.
        self._kept: dict[tuple[int, str], tuple[JobDefinition[Any, Any], Settings, RowTemplate]] = {}

    def of(self, definition: JobDefinition[Any, Any]) -> RowTemplate:
        """Return what an enqueue of the definition stores. Raises EnqueueError or InvalidProduct."""
        # A task whose due time is a distance is defined anew for each enqueue.
        if definition.options is not NO_OPTIONS or "run_after" in definition.defaults:
            return _made(definition)
        settings, key = get_settings(), (id(definition), enqueued_product(None))
        kept = self._kept.get(key)
        # They are others once they change.
        if kept is not None and kept[1] is settings:
            return kept[2]
        template = _made(definition)
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = (definition, settings, template)
        return template


def _made(definition: JobDefinition[Any, Any]) -> RowTemplate:
    template = template_of(definition, pool_max_retries(Job), pool_deadline(Job))
    if template.keys is not None and template.keys.is_ordered:
        refuse_unkept_order(Job, template.queue_name)
    return template


templates = Templates()
"""Of this process."""
