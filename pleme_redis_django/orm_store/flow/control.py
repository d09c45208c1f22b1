"""FlowControl: the one object by which a store, an enqueue and an operation meet limits, rates and orders.

A hook is called when what it is told of has committed: a permit is the RUNNING row itself, and only who looks after
the commit sees what others have committed before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, Generic

from django.db import DatabaseError, connections

from pleme_redis_django.orm_store.connection import reconnecting
from pleme_redis_django.orm_store.dialects.dialect import Dialect, dialect_of
from pleme_redis_django.orm_store.flow.admission import Admission, Claimant
from pleme_redis_django.orm_store.flow.declared import DeclaredLimits
from pleme_redis_django.orm_store.flow.gates import TOKEN_PREFIX, Gate, Limited, TokenGate, gate_of
from pleme_redis_django.orm_store.flow.known_limits import KnownLimits
from pleme_redis_django.orm_store.flow.limits import KnownLimit
from pleme_redis_django.orm_store.flow.lines import Line, lines_of_jobs
from pleme_redis_django.orm_store.flow.rates import (
    NeedsTokens,
    let_through,
    prune_gates,
    release_in,
    start_with_tokens,
    wake_forgotten,
)
from pleme_redis_django.orm_store.flow.releases import UNLIMITED_SECONDS, Releases
from pleme_redis_django.orm_store.flow.tokens import LET_ROWS, LetThrough
from pleme_redis_django.orm_store.job_table import JobTable, M

logger = logging.getLogger("pleme_redis_django.jobs")

# So soon a process looks again itself at a gate that another one has looked at, and does not leave it to others:
# they may be busy, and tokens be lost meanwhile.
SOON_SECONDS = 1.0


PRUNE_SECONDS = 60.0


class FlowControl(Generic[M]):
    """Flow control of one job table, on the calling thread's connection.

    What a hook made ready it returns by the names of the queues, one for each job.
    """

    def __init__(self, dialect: Dialect, table: JobTable[M], *, follows: bool = True) -> None:
        """``follows``: give the rows of limits the numbers of this release first, as a worker does."""
        self._dialect = dialect
        self._table = table
        self.known = KnownLimits(table, DeclaredLimits(table.model), follows=follows)
        self._admission = Admission(dialect.limits, table, self.known)
        self._releases = Releases(dialect.limits, table, self.known)
        self._has_lines = False
        self._open_lines: frozenset[Line] = frozenset()
        """In which nobody had its turn at the last sweep."""
        self._waits_for_tokens = self._had_rates = False
        self._let_in: list[str] = []
        self._let_in_besides: list[str] = []
        self._pruned_at = time.monotonic() - PRUNE_SECONDS

    def admit(self, claimant: Claimant, jobs: Sequence[M]) -> Sequence[M]:
        """Return those of the claimed jobs that may start; the others wait BLOCKED from now on."""
        self._has_lines = self._has_lines or any(job.order_key is not None for job in jobs)
        if not self.known.current():
            return jobs
        admitted, gates = self._admission.admit(claimant, jobs)
        if self.known.last_read.has_rates and admitted:
            admitted, left = self._with_tokens(claimant, admitted)
            # Who waits for a token has given its places back.
            gates = {
                **gates,
                **{gate: limit for gate, limit in left.items() if limit.max_running is not None},
            }
        if gates:
            self._let_in += self._releases.at(gates)
        if len(admitted) < len(jobs):
            # One that was asked to end did not step back but ended, and has left its turn too.
            may_start = {job.id for job in admitted}
            self._let_in += self._let_next([job for job in jobs if job.id not in may_start])
        return admitted

    def take_let_in(self) -> list[str]:
        """Return whom ``admit`` has let in since the last call."""
        if not self._let_in:
            return self._let_in
        let_in, self._let_in = self._let_in, []
        return let_in

    def take_let_in_besides(self) -> list[str]:
        """Return whom ``sweep`` has let in since the last call although nobody had overlooked them."""
        let_in, self._let_in_besides = self._let_in_besides, []
        return let_in + self._releases.take_let_in_besides()

    def _with_tokens(
        self, claimant: Claimant, jobs: Sequence[M]
    ) -> tuple[Sequence[M], dict[Gate, KnownLimit]]:
        """Return those of the jobs that got their tokens, and the gates of the others."""
        limits = self.known.last_read
        needs = [
            NeedsTokens(job, gates, job.cost)
            for job, gates in zip(jobs, limits.token_gates(jobs), strict=True)
            if gates
        ]
        if not needs:
            return jobs, {}

        def park_what_is_ready(exhausted: Sequence[TokenGate]) -> None:
            full = [gate for token_gate in exhausted if (gate := gate_of(token_gate.gate)) is not None]
            self._admission.park_what_is_ready(claimant, full, TOKEN_PREFIX)

        _started, parked = start_with_tokens(
            self._dialect, self._table, claimant.worker_id, needs, park_what_is_ready
        )
        if not parked:
            return jobs, {}
        self._waits_for_tokens = True
        waiting = {job.id for job in parked}
        return [job for job in jobs if job.id not in waiting], limits.gates(parked)

    def take_note_of_waiting(self) -> bool:
        """Return whether somebody waits for a token since the last call, or may do so: there are rates now."""
        has_rates = self.known.last_read.has_rates
        waits = self._waits_for_tokens or (has_rates and not self._had_rates)
        self._waits_for_tokens, self._had_rates = False, has_rates
        return waits

    def let_through(self) -> LetThrough:
        """Make ready what waits for tokens, as many as there are."""
        through = let_through(self._dialect, self._table)
        if not through.gates and (due_in := self.release_in()) is not None and due_in < SOON_SECONDS:
            # Somebody held the row of the gate for the moment of taking a token, or has looked just before.
            through = let_through(self._dialect, self._table)
            return LetThrough(max(through.gates, int(due_in > 0)), through.queue_names)
        return through

    def release_in(self) -> float | None:
        """Return in how many seconds tokens come back that somebody waits for; None: nobody does."""
        return release_in(self._table) if self.known.last_read.has_rates else None

    def concerns(self, jobs: Sequence[Limited]) -> bool:
        """Whether somebody may wait for one of the jobs, as far as is known without asking the database."""
        return bool(self.known.last_read) or any(job.order_key is not None for job in jobs)

    def lets_in(self) -> bool:
        """Whether jobs become ready here that were due before: after they have waited for a place or their turn."""
        return bool(self.known.last_read.rows) or self._has_lines

    def ended(self, jobs: Sequence[Limited]) -> list[str]:
        """Make ready what waits for the places and turns of jobs that do not run any more."""
        let_in = self._releases.after(jobs) if self.known.current() else []
        return let_in + self._let_next(jobs)

    def enqueued(self, jobs: Sequence[Limited]) -> list[str]:
        """Make ready those whose turn it is among newly stored jobs and those before them."""
        return self._let_next(jobs)

    def promoted(self, jobs: Sequence[Limited]) -> list[str]:
        """Make ready those whose turn it is among jobs that have become due."""
        return self._let_next(jobs)

    def freed(self, jobs: Sequence[Limited]) -> list[str]:
        """Make ready what waits behind jobs that somebody has cancelled, deleted, moved, retried or put off.

        A ready one may have been let in, and its place be nobody's now.
        """
        self.known.read_again()
        gates = self.known.last_read.gates(jobs, of_places=True)
        return (self._releases.at(gates) if gates else []) + self._let_next(jobs)

    def sweep(self, *, at_once: bool = False) -> list[str]:
        """Make ready what waits although nothing holds it: what a crash has left.

        Unless it is to be ``at_once``, only what the last sweep saw as well: others are about to see to the rest.
        """
        let_in: list[str] = []
        # Mostly nobody waits anywhere: an idle cluster asks this one question.
        if self._dialect.limits.somebody_waits(self._table):
            let_in += self._let_in_overlooked(at_once=at_once)
        else:
            self._releases.forget_seen()
            self._open_lines = frozenset()
        # After the look: a gate whose tokens are all back may be one at which somebody was forgotten.
        self._prune()
        if not at_once:
            self._keep_full_gates()
        return let_in

    def look_after_limits(self) -> list[str]:
        """Keep the limits that this process declares; make ready what waits at those that nobody declares any more."""
        return self.sweep(at_once=True) if self.known.look_after() else []

    def _let_in_overlooked(self, *, at_once: bool) -> list[str]:
        let_in = self._releases.everywhere() if at_once else self._releases.overlooked()
        before, self._open_lines = self._open_lines, frozenset(self._dialect.open_lines(self._table))
        lines = self._open_lines if at_once else self._open_lines & before
        let_in += self._dialect.let_next(self._table, lines)
        woken = wake_forgotten(self._dialect, self._table)
        # Their gates, or limits, have gone: nobody has overlooked them.
        (let_in if at_once else self._let_in_besides).extend(woken.queue_names)
        if woken.gates or at_once:
            let_in += self._let_all_through()
        return let_in

    def _let_all_through(self) -> list[str]:
        """Make ready what waits for tokens: all of it behind a rate that has ended, as far as the time allows."""
        let_in: list[str] = []
        give_up_at = time.monotonic() + UNLIMITED_SECONDS
        while time.monotonic() < give_up_at:
            some = self.let_through().queue_names
            let_in += some
            if len(some) < LET_ROWS:
                break
        return let_in

    def _keep_full_gates(self) -> None:
        try:
            with reconnecting(self._table.using):
                self._releases.keep_full_gates()
        except DatabaseError:
            if connections[self._table.using].in_atomic_block:
                raise
            # It is for people to see; whoever has been let in is to be woken all the same.
            logger.warning("since when jobs wait at limits was not recorded", exc_info=True)

    def _prune(self) -> None:
        """Delete limits that nobody uses any more, and gates whose tokens are all back; now and then."""
        if time.monotonic() - self._pruned_at < PRUNE_SECONDS:
            return
        self._pruned_at = time.monotonic()
        self.known.prune()
        if self.known.last_read.has_rates:
            prune_gates(self._table)

    def _let_next(self, jobs: Sequence[Limited]) -> list[str]:
        """Give the next in the lines of these jobs their turns."""
        lines = lines_of_jobs(jobs)
        self._has_lines = self._has_lines or bool(lines)
        return self._dialect.let_next(self._table, lines)


def flow_control_of(dialect: Dialect, table: JobTable[Any]) -> FlowControl[Any]:
    """Return the flow control of a table for one call, such as an operator's.

    A web process may be of the release before: the workers say what the limits are.
    """
    return FlowControl(dialect, table, follows=False)


def let_in_after(table: JobTable[Any], left: Sequence[Limited]) -> list[str]:
    """Make ready what waits behind jobs that somebody has changed or deleted; return the queue names."""
    return flow_control_of(dialect_of(table), table).freed(left)
