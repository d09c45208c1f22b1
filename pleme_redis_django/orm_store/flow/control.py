"""FlowControl: the one object by which a store, an enqueue and an operation meet limits, rates and orders.

A hook is called when what it is told of has committed: a permit is the RUNNING row itself, and only who looks after
the commit sees what others have committed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic

from pleme_redis_django.orm_store.dialects.dialect import Dialect
from pleme_redis_django.orm_store.flow.gates import Limited
from pleme_redis_django.orm_store.flow.lines import lines_of_jobs
from pleme_redis_django.orm_store.flow.turns import let_next, open_lines
from pleme_redis_django.orm_store.job_table import JobTable, M


class FlowControl(Generic[M]):
    """Flow control of one job table, on the calling thread's connection."""

    def __init__(self, dialect: Dialect, table: JobTable[M]) -> None:
        self._dialect = dialect
        self._table = table

    def admit(self, worker_id: str, jobs: Sequence[M]) -> Sequence[M]:
        """Return those of the claimed jobs that may start; the others wait BLOCKED from now on."""
        return jobs

    def ended(self, jobs: Sequence[Limited]) -> int:
        """Make ready what waits for the places of jobs that do not run any more; return how many."""
        return self._let_next(jobs)

    def enqueued(self, jobs: Sequence[Limited]) -> int:
        """Make ready those whose turn it is among newly stored jobs and those before them; return how many."""
        return self._let_next(jobs)

    def promoted(self, jobs: Sequence[Limited]) -> int:
        """Make ready those whose turn it is among jobs that have become due; return how many."""
        return self._let_next(jobs)

    def freed(self, jobs: Sequence[Limited]) -> int:
        """Make ready what waits behind jobs that somebody has cancelled, deleted, moved or retried; return how many."""
        return self._let_next(jobs)

    def sweep(self) -> int:
        """Make ready what waits although nothing holds it: what a crash has left; return how many."""
        return len(let_next(self._dialect, self._table, open_lines(self._dialect, self._table)))

    def _let_next(self, jobs: Sequence[Limited]) -> int:
        """Give the next in the lines of these jobs their turns; return how many are ready now."""
        return len(let_next(self._dialect, self._table, lines_of_jobs(jobs)))


def flow_control_of(dialect: Dialect, table: JobTable[Any]) -> FlowControl[Any]:
    """Return the flow control of a table for one call, such as an operator's."""
    return FlowControl(dialect, table)
