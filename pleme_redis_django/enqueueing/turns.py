"""Turns of newly stored jobs: the first of each line is ready once its transaction has committed, and not before.

Places of jobs that were there too: while a transaction keeps one waiting, nobody lets it in, and one that an enqueue
puts off leaves its place to the next.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import transaction

from pleme_redis_django.enqueueing.announcing import wake_workers_of
from pleme_redis_django.interruption import uninterrupted
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.orm_store.dialects.dialect import dialect_of
from pleme_redis_django.orm_store.flow.left_places import let_others_in
from pleme_redis_django.orm_store.flow.lines import Line
from pleme_redis_django.orm_store.job_table import JobTable


def let_next_after_commit(table: JobTable[Any], lines: Collection[Line], queue_name: str) -> None:
    """Give the next of each line its turn once the transaction commits; the hints of ``queue_name`` follow it.

    A process that dies in between leaves them to the sweep.
    """
    if lines:
        # No partial: Django logs the __qualname__ of a robust callback that fails, and a partial has none.
        transaction.on_commit(lambda: _let_next(table, lines, queue_name), using=table.using, robust=True)


# A commit of the handler's own is not a call of the package, inside of which no interrupt would come.
@uninterrupted
def _let_next(table: JobTable[Any], lines: Collection[Line], queue_name: str) -> None:
    queue_names = dialect_of(table).let_next(table, lines)
    if others := set(queue_names) - {queue_name}:
        wake_workers_of(table.model, sorted(others))


def let_in_after_commit(table: JobTable[Any], jobs: Sequence[AbstractJob]) -> None:
    """Let in who waits at the limits of jobs that the transaction kept waiting, or put off, once it commits."""
    if jobs:
        transaction.on_commit(lambda: _let_in(table, jobs), using=table.using, robust=True)


@uninterrupted
def _let_in(table: JobTable[Any], jobs: Sequence[AbstractJob]) -> None:
    wake_workers_of(table.model, sorted(set(let_others_in(table, jobs))))
