"""LimitStatements: the statements of limits, which a database has in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.flow.gates import Gate
from pleme_redis_django.orm_store.flow.limits import KnownLimit
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.pauses import Pauses


class LimitStatements(Protocol):
    """A module with these functions."""

    def gates_over(self, table: JobTable[Any], limits: Mapping[Gate, KnownLimit]) -> tuple[list[Gate], bool]:
        """Return the gates at which more run than may, and whether a limit has gone meanwhile."""

    def park(
        self,
        table: JobTable[Any],
        limits: Mapping[Gate, KnownLimit],
        worker_id: str,
        mine: Sequence[tuple[UUID, int]],
    ) -> set[UUID]:
        """Have those of the caller's claims, given in claim order, that are beyond a limit wait; return which."""

    def park_ready(
        self, table: JobTable[Any], gates: Sequence[Gate], selection: JobSelection, pauses: Pauses, limit: int
    ) -> int:
        """Have those of the first ready rows of a selection that count at these gates wait; return how many."""

    def gates_waited_at(self, table: JobTable[Any], gates: Sequence[Gate]) -> list[Gate]:
        """Return those of the gates at which somebody waits."""

    def texts_waited_at(self, table: JobTable[Any]) -> list[str]:
        """Return every gate at which somebody waits, without the lines."""

    def heads_with_a_place(self, table: JobTable[Any], limits: Mapping[Gate, KnownLimit]) -> dict[Gate, UUID]:
        """Return who stands first at each gate that has a place for it."""

    def release(
        self, table: JobTable[Any], limits: Mapping[Gate, KnownLimit | None], freed: Mapping[Gate, int]
    ) -> list[str]:
        """Make ready as many as have a place now, and at most as many as became free; return their queue names."""
