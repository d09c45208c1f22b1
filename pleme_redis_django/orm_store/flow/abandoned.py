"""Who is held up by a limit that no process declares: jobs of this process alone, or those of another service?

What is QUEUED or PENDING is not asked: the first of it that a process claims which declares the limit makes it again.
So both questions go by an index, and read only what waits BLOCKED or runs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import connections, transaction
from django.db.models import Q, QuerySet

from pleme_redis_django.orm_store.flow.gates import KEY_PREFIX, TOKEN_PREFIX

_AT_KEY_GATE = Q(blocked_on__startswith=KEY_PREFIX) | Q(blocked_on__startswith=TOKEN_PREFIX + KEY_PREFIX)
# Statistics that know of more would have the planner look through the whole table for the first.
_BY_INDEX = "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)"


def holds_up_known_types_alone(
    blocked: QuerySet[Any], running: QuerySet[Any], name: str, known_types: Collection[str]
) -> bool:
    """Whether jobs wait at the limit of this key, and all that wait with such a key or run are of these types.

    ``blocked``, ``running``: all rows of the job table that are.
    """
    of_key = Q(concurrency_key=name) | Q(concurrency_key__startswith=f"{name}:")
    waiting = blocked.filter(of_key, blocked_on__gt="")
    holding = running.filter(of_key)
    with transaction.atomic(using=blocked.db):
        if connections[blocked.db].vendor == "postgresql":
            with connections[blocked.db].cursor() as cursor:
                cursor.execute(_BY_INDEX)
        return waiting.filter(_AT_KEY_GATE).exists() and not any(
            jobs.exclude(job_type__in=known_types).exists() for jobs in (holding, waiting)
        )
