"""Dialect: the operations on a job table that differ between databases, and which one a table has.

Whoever stores, claims or looks knows only what a dialect can do; the app binds the dialects when it is ready.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from django.db import DatabaseError, connections
from django.db.models import QuerySet

from pleme_redis_django.exceptions import StoreError
from pleme_redis_django.jobs.interface.endings import Completed
from pleme_redis_django.jobs.interface.fair_shares import Share, Strand
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.claim_position import ClaimedUpTo
from pleme_redis_django.orm_store.claim_request import ClaimRequest
from pleme_redis_django.orm_store.flow.gates import Gate, TokenGate
from pleme_redis_django.orm_store.flow.limits import Head, Keys, KnownLimit
from pleme_redis_django.orm_store.flow.lines import Line
from pleme_redis_django.orm_store.flow.tokens import LetThrough, Parking, TakenTokens
from pleme_redis_django.orm_store.horizon import Horizon
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.new_rows import NewRow, RowTemplate
from pleme_redis_django.orm_store.pauses import Pauses
from pleme_redis_django.orm_store.row_update import RowUpdate
from pleme_redis_django.orm_store.table_storage import OldestSnapshot, TableStorage


class LimitStatements(Protocol):
    """The statements of limits: a module with these functions."""

    def keys_over(self, table: JobTable[Any], limit_ids: Collection[int]) -> Keys:
        """Return at least those keys of which more run than one of these limits says; all where one has gone."""

    def gates_over(
        self, table: JobTable[Any], limits: Mapping[Gate, KnownLimit], among: Keys | None = None
    ) -> tuple[list[Gate], bool]:
        """Return the gates at which more run than may, and whether a limit has gone meanwhile.

        ``among``: the keys that ``keys_over`` has said of these limits: others are not over.
        """

    def park(
        self,
        table: JobTable[Any],
        limits: Mapping[Gate, KnownLimit],
        worker_id: str,
        mine: Sequence[tuple[UUID, int]],
    ) -> set[UUID]:
        """Have those of the caller's claims, given in claim order, that are beyond a limit wait; return which."""

    def park_ready(
        self,
        table: JobTable[Any],
        gates: Sequence[Gate],
        selection: JobSelection,
        pauses: Pauses,
        limit: int,
        prefix: str,
    ) -> int:
        """Have those of the first ready rows of a selection that count at these gates wait; return how many.

        ``prefix``: before the gate's text in the row, "" of those that wait for a place.
        """

    def somebody_waits(self, table: JobTable[Any]) -> bool:
        """Return whether somebody waits anywhere, at gates, for tokens or in lines."""

    def gates_waited_at(self, table: JobTable[Any], gates: Sequence[Gate]) -> list[Gate]:
        """Return those of the gates at which somebody waits."""

    def texts_waited_at(self, table: JobTable[Any]) -> list[str]:
        """Return every gate at which somebody waits, without the lines."""

    def heads_with_a_place(self, table: JobTable[Any], limits: Mapping[Gate, KnownLimit]) -> dict[Gate, Head]:
        """Return who stands first at each gate that has a place for it, and how many places it has."""

    def release(
        self, table: JobTable[Any], limits: Mapping[Gate, KnownLimit | None], freed: Mapping[Gate, int]
    ) -> list[str]:
        """Make ready as many as have a place now, and at most as many as became free; return their queue names."""


class Dialect(Protocol):
    """A module with these functions, without state: every call says which table it is about."""

    limits: LimitStatements

    def claim(self, table: JobTable[M], request: ClaimRequest) -> list[M]:
        """Make ready rows RUNNING under a new claim; return them in claim order, with their new ``attempt``."""

    def claim_shares(
        self,
        table: JobTable[M],
        request: ClaimRequest,
        shares: Sequence[Share],
        positions: Sequence[ClaimedUpTo] = (),
    ) -> list[M]:
        """Claim as ``claim`` does, up to its share of each strand, the first shares first; for fair claims.

        ``positions``: one for each share, behind which it may start.
        """

    def ready_strands(
        self,
        table: JobTable[Any],
        selection: JobSelection,
        pauses: Pauses,
        after: str | None = None,
        until: str | None = None,
    ) -> tuple[list[Strand], str | None]:
        """Return products that have ready jobs, in the queues of the selection where it names some.

        They are the first ones, or those after ``after``, up to ``until`` where that is given; and after which
        product to go on, None: these are all.
        """

    def is_ready(
        self, table: JobTable[Any], selection: JobSelection, pauses: Pauses, horizon: Horizon
    ) -> bool:
        """Return whether a claim of the selection would find a job."""

    def complete(self, table: JobTable[Any], endings: Sequence[Completed], bounds: str | None) -> list[bool]:
        """Write completed jobs; return which were accepted. ``bounds``: the statement to send before."""

    def prepared_updates(self, using: str, updates: Sequence[RowUpdate]) -> Callable[[], list[bool]]:
        """Return what runs updates of single rows, all or none, and returns which met their rows.

        What they cost to put together is spent here, before a transaction holds any row.
        """

    def refusal(
        self, table: JobTable[Any], error: DatabaseError, job_ids: Sequence[UUID], *, bounded: bool
    ) -> StoreError | None:
        """Return what the engine has to know of endings that were not written; None: the error is not about them."""

    def locked_jobs(self, table: JobTable[Any], job_ids: Sequence[UUID]) -> set[UUID]:
        """Return which rows another transaction holds at this moment."""

    def insert(self, table: JobTable[Any], template: RowTemplate, rows: Sequence[NewRow]) -> set[UUID]:
        """Insert the rows; return the ids of those that are stored: one whose unique slot is taken is not."""

    def kept_waiting(self, jobs: QuerySet[M], slots: Collection[str], *, to_change: bool) -> list[M]:
        """Return those jobs of the slots, none of which a worker claims before the transaction has ended.

        A job whose claim is under way is waited for, and left out when it no longer meets the query by then: its
        worker does not wait for the transaction.
        ``to_change``: whether the caller goes on to change them, which one transaction at a time may.
        """

    def let_next(self, table: JobTable[Any], lines: Collection[Line]) -> list[str]:
        """Give the first of each line its turn where nobody has it; return the queue name of each that is ready now.

        To be called when what may have ended a turn is committed. It may be called for any line at any time; for
        none it costs nothing.
        """

    def open_lines(self, table: JobTable[Any]) -> list[Line]:
        """Return the lines in which somebody waits and nobody has its turn."""

    def take_tokens(
        self, table: JobTable[Any], wanted: Mapping[TokenGate, int]
    ) -> dict[TokenGate, TakenTokens]:
        """Take up to so many tokens; return how many there were at each gate that has a row."""

    def add_token_gates(self, table: JobTable[Any], gates: Sequence[TokenGate]) -> None:
        """Store full buckets of gates that have no row yet; one whose limit is gone is left out."""

    def give_tokens_back(self, table: JobTable[Any], left: Mapping[TokenGate, TakenTokens]) -> None:
        """Put tokens back that were taken a moment ago and are not used, as far as they have not come back."""

    def park_for_tokens(self, table: JobTable[Any], worker_id: str, parkings: Sequence[Parking]) -> int:
        """Have claimed jobs wait at their gates, and those looked at; return how many were still claimed."""

    def let_through(self, table: JobTable[Any], limit: int) -> LetThrough:
        """Make as many waiting jobs ready as there are tokens, at up to ``limit`` gates that are due."""

    def wake_forgotten_tokens(self, table: JobTable[Any]) -> LetThrough:
        """Have gates looked at where somebody waits and nobody would look; let all through where it has gone."""

    def storage(self, table: JobTable[Any]) -> TableStorage | None:
        """Return what is known of the table's storage; None: this database does not say."""

    def oldest_snapshot(self, using: str) -> OldestSnapshot | None:
        """Return what holds back every vacuum of the database; None: nothing does."""


_by_vendor: dict[str, Dialect] = {}
_portable: list[Dialect] = []


def bind_dialects(by_vendor: Mapping[str, Dialect], portable: Dialect) -> None:
    """Have the databases of these vendors use their dialects, and all others the portable one."""
    _by_vendor.update(by_vendor)
    _portable[:] = [portable]


def dialect_of(table: JobTable[Any]) -> Dialect:
    return _by_vendor.get(connections[table.using].vendor) or _portable[0]
