"""Whether a job is ready: looked at where claims would look, without locking a row."""

from __future__ import annotations

from typing import Any

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.dialects.postgresql.first_later import first_later
from pleme_redis_django.orm_store.dialects.postgresql.first_ready import first_ready
from pleme_redis_django.orm_store.dialects.postgresql.ready_sql import has_named_queues, is_merged
from pleme_redis_django.orm_store.horizon import Horizon
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.pauses import Pauses


def is_ready(table: JobTable[Any], selection: JobSelection, pauses: Pauses, horizon: Horizon) -> bool:
    """Return whether a job of the selection is ready. ``horizon``: that of the caller in this selection."""
    if (since := horizon.since(pauses)) is not None:
        look = horizon.begin_later()
        seen = first_later(table, selection, 1, pauses, since)
        horizon.saw_later_ones(
            look,
            len(seen.priorities),
            seen.asked_at,
            all_of_them=not seen.priorities,
            by_queue=is_merged(selection, pauses),
        )
        return bool(seen.priorities)
    look = horizon.begin()
    found = _is_any_ready(table, selection, pauses)
    horizon.saw(look, int(found), pauses, everything=not found)
    return found


def _is_any_ready(table: JobTable[Any], selection: JobSelection, pauses: Pauses) -> bool:
    if is_merged(selection, pauses) or has_named_queues(selection):
        return bool(first_ready(table, selection, 1, pauses))
    # In claim order: where the statistics still know of a backlog that is gone, exists() goes through the whole table.
    return bool(table.ready(selection, pauses).values_list("id")[:1])
