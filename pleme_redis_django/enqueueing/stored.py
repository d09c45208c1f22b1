"""Stored: what an insertion did, of which the caller says the rest after its commit."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Generic

from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store.flow.lines import Line
from pleme_redis_django.orm_store.job_table import M


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Generic[M]):
    """The jobs of an insertion."""

    jobs: Sequence[M]
    """In order; one that was there before stands in the place of a row whose unique slot it holds."""
    lines: Collection[Line] = ()
    """In which somebody may have its turn once this is committed: of new jobs, and of those that left one."""
    left_places: Sequence[AbstractJob] = ()
    """Changed jobs, as they were when limits had let them in: somebody may wait for their places."""
