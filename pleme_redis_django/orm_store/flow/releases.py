"""Releases: a job that waits at a gate becomes ready as soon as there is a place for it, highest priority first.

Two look at each other: who ends a job looks for those that wait once its ending is committed, and who steps back
looks for free places once that is committed. Whoever of them comes last sees the other, so that nobody is forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pleme_redis_django.orm_store.dialects.dialect import LimitStatements
from pleme_redis_django.orm_store.flow.full_gates import FullGates
from pleme_redis_django.orm_store.flow.gates import Gate, Limited, gate_of, waits_for_token
from pleme_redis_django.orm_store.flow.known_limits import KnownLimits
from pleme_redis_django.orm_store.flow.limits import RELEASE_ROWS, Head, KnownLimit
from pleme_redis_django.orm_store.job_table import JobTable

ALL_THAT_FIT = 1_000_000
GATES_PER_STATEMENT = 500
# So long a look lets go on what waits for nothing any more; the rest is left to the next one.
UNLIMITED_SECONDS = 5.0


class Releases:
    """Releases of one table."""

    def __init__(self, statements: LimitStatements, table: JobTable[Any], known: KnownLimits) -> None:
        self._statements = statements
        self._table = table
        self._known = known
        self._full_gates = FullGates(table)
        self._texts: Sequence[str] = ()
        """Of the gates at which somebody waited at the last look everywhere."""
        self._seen: Mapping[Gate, Head] = {}
        """Who stood first at a gate with a free place, at the last look for those who were overlooked."""
        self._let_in_besides: list[str] = []

    def after(self, jobs: Sequence[Limited]) -> list[str]:
        """Let in as many as jobs that do not run any more have left places; return the queue names of those."""
        known = self._known.current()
        # Mostly nobody waits anywhere, and that is all there is to ask: not even at which gates they counted.
        if not known.counts_any(jobs) or not self._statements.somebody_waits(self._table):
            return []
        crowds = known.crowds(jobs)
        waited_at = self._statements.gates_waited_at(self._table, list(crowds)) if crowds else []
        if not waited_at:
            return []
        limits = {gate: crowds[gate].limit for gate in waited_at}
        return self._statements.release(self._table, limits, {gate: crowds[gate].cost for gate in waited_at})

    def at(self, limits: Mapping[Gate, KnownLimit]) -> list[str]:
        """Let in everybody who has a place at these gates; return the queue names."""
        return self._statements.release(self._table, limits, dict.fromkeys(limits, ALL_THAT_FIT))

    def everywhere(self) -> list[str]:
        """Let in everybody who has a place at any gate; return the queue names."""
        limits = self._waited_at()
        limited = {gate: limit for gate, limit in limits.items() if limit is not None}
        return self._release_unlimited(limits) + self._release_all(limited)

    def overlooked(self) -> list[str]:
        """Let in whoever had a place at the last look already; return their queue names.

        Nobody was overlooked at a gate without a limit, which has ended: who waits there goes on at once. Nor, as far
        as one can tell, where others come first now. But endings let in as many as have ended, and a place that is
        lost stays free below them. So as many are let in there as had a place both times: those who have none after
        all step back. ``take_let_in_besides`` has the queue names of both.
        """
        limits = self._waited_at()
        if not limits:
            self._seen = {}
            return []
        self._let_in_besides += self._release_unlimited(limits)
        limited = {gate: limit for gate, limit in limits.items() if limit is not None}
        heads = self._statements.heads_with_a_place(self._table, limited)
        before, self._seen = self._seen, heads
        seen_twice = [gate for gate in heads if gate in before]
        others_first = [gate for gate in seen_twice if before[gate].job_id != heads[gate].job_id]
        free = {gate: min(before[gate].places, heads[gate].places) for gate in others_first}
        self._let_in_besides += self._release_all({gate: limited[gate] for gate in others_first}, free)
        return self._release_all({gate: limited[gate] for gate in seen_twice if gate not in free})

    def take_let_in_besides(self) -> list[str]:
        """Return whom ``overlooked`` has let in since the last call although nobody had overlooked them."""
        let_in, self._let_in_besides = self._let_in_besides, []
        return let_in

    def forget_seen(self) -> None:
        """Take note that nobody waits anywhere."""
        self._seen, self._texts = {}, ()

    def keep_full_gates(self) -> None:
        """Record at which gates somebody waited at the last look everywhere, and since when."""
        self._full_gates.keep(self._texts)

    def _waited_at(self) -> dict[Gate, KnownLimit | None]:
        """Return the gates at which somebody waits, with their limits."""
        self._texts = texts = self._statements.texts_waited_at(self._table)
        of_places = [text for text in texts if not waits_for_token(text)]
        gates = [gate for text in of_places if (gate := gate_of(text)) is not None]
        if gates:
            self._known.read_again()
            if unmade := {(gate.kind, gate.limit_name) for gate in gates} & self._known.last_read.unmade:
                self._known.make(unmade)
        return {gate: self._known.last_read.at(gate) for gate in gates}

    def _release_unlimited(self, limits: Mapping[Gate, KnownLimit | None]) -> list[str]:
        """Let everybody go on at those of the gates that have no limit any more; return the queue names."""
        unlimited = {gate: limit for gate, limit in limits.items() if limit is None}
        released: list[str] = []
        give_up_at = time.monotonic() + UNLIMITED_SECONDS
        while unlimited and time.monotonic() < give_up_at:
            some = self._release_all(unlimited)
            released += some
            if len(some) < RELEASE_ROWS:
                break
        return released

    def _release_all(
        self, limits: Mapping[Gate, KnownLimit | None], freed: Mapping[Gate, int] | None = None
    ) -> list[str]:
        released: list[str] = []
        gates = list(limits)
        for start in range(0, len(gates), GATES_PER_STATEMENT):
            part = gates[start : start + GATES_PER_STATEMENT]
            counts = {gate: freed[gate] if freed else ALL_THAT_FIT for gate in part}
            released += self._statements.release(self._table, limits, counts)
        return released
