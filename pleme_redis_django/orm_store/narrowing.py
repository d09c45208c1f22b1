"""Which of the ready jobs a claim may take: the one place where it is said, for the ORM and for SQL written by hand."""

from __future__ import annotations

from django.db.models import Q

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.pauses import Pauses


def narrowed(selection: JobSelection, pauses: Pauses) -> Q:
    """Return what a ready row has to meet besides being of a named queue: its product, its type, no pause."""
    condition = Q()
    if selection.product is not None:
        condition &= Q(product=selection.product)
    if selection.job_types is not None:
        condition &= Q(job_type__in=sorted(selection.job_types))
    return condition & pauses.condition(selection.product)
