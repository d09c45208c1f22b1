"""ClaimRequest: one claim of a worker, with the results of earlier ones, and the order of claims."""

from __future__ import annotations

import dataclasses
from typing import Any

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store.claim_position import ClaimPosition
from pleme_redis_django.orm_store.horizon import Horizon
from pleme_redis_django.orm_store.pauses import Pauses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """Up to ``limit`` ready jobs of a selection, for a worker."""

    worker_id: str
    limit: int
    selection: JobSelection
    pauses: Pauses
    """The known ones: a claim returns nothing when there is another one."""
    position: ClaimPosition
    """Of this worker in this selection, as the horizon is."""
    horizon: Horizon
    is_limited: bool = False
    """Whether a limit is known. Else a claim returns nothing when there is one."""
    keeps_slots: bool = False
    """Whether what is claimed keeps its slots of "while_waiting": only admission says what of it starts."""


def claim_order(job: AbstractJob) -> tuple[Any, ...]:
    """Return the sort key of claims: the highest priority first, then what was due first."""
    # The number of an id, since two UUIDs are compared in Python.
    return -job.priority, job.run_after, job.id.int
