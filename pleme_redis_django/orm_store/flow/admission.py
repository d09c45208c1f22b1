"""Admission: after a claim has committed, what of it may start, and what steps back to wait at a gate.

Exact without a lock: of the claims of a gate the one that commits last sees all the others, so that those that
start are never more than the limit. A claim that dies before it was counted is RUNNING, and counts, until its
lease is over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.dialects.dialect import LimitStatements
from pleme_redis_django.orm_store.flow.gates import Gate
from pleme_redis_django.orm_store.flow.known_limits import KnownLimits
from pleme_redis_django.orm_store.flow.limits import Crowd, KnownLimit, limits_of
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.pauses import Pauses

# How many ready rows behind a full gate are looked at: at first, and as long as half of them wait there, twice as many.
FIRST_HEAD, LONGEST_HEAD = 250, 4_000
# A limit that goes while it is counted is read again, and made again where it is declared.
TRIES = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """Who has claimed, and from what."""

    worker_id: str
    selection: JobSelection
    pauses: Pauses


class Admission:
    """Admits the claims of one table; for the thread that claims."""

    def __init__(self, statements: LimitStatements, table: JobTable[Any], known: KnownLimits) -> None:
        self._statements = statements
        self._table = table
        self._known = known
        self._head = FIRST_HEAD

    def admit(self, claimant: Claimant, jobs: Sequence[M]) -> tuple[Sequence[M], Mapping[Gate, KnownLimit]]:
        """Return which jobs may start, and the gates that have to be looked at since some have stepped back."""
        crowds = self._over(jobs)
        if not crowds:
            return jobs, {}
        full = limits_of(crowds)
        concerned = {job.id for crowd in crowds.values() for job in crowd.jobs}  # type: ignore[attr-defined]  # claimed rows
        mine = [(job.id, job.attempt) for job in jobs if job.id in concerned]
        parked = self._statements.park(self._table, full, claimant.worker_id, mine)
        if not parked:
            return jobs, {}
        self.park_what_is_ready(claimant, list(full))
        # Who waits at one gate has given its places at the others back.
        left = [job for job in jobs if job.id in parked]
        return [job for job in jobs if job.id not in parked], self._known.last_read.gates(left) | full

    def _over(self, jobs: Sequence[Any]) -> dict[Gate, Crowd]:
        """Return the jobs by the gates at which more run than may."""
        for _try in range(TRIES):
            limits = self._known.met_by(jobs)
            among = None
            if key_limits := limits.of_many_keys_alone(jobs):
                among = self._statements.keys_over(self._table, key_limits)
                if not among:
                    return {}
            counted = limits.gates(jobs, of_places=True)
            if not counted:
                return {}
            over, is_gone = self._statements.gates_over(self._table, counted, among)
            if not is_gone:
                break
            self._known.read_again()
        crowds = limits.crowds(jobs) if over else {}
        return {gate: crowds[gate] for gate in over}

    def park_what_is_ready(self, claimant: Claimant, gates: Sequence[Gate], prefix: str = "") -> None:
        """Have what stands at the head and counts at full gates wait there too, so that no claim meets it again."""
        while True:
            looked_at = self._head
            count = self._statements.park_ready(
                self._table, gates, claimant.selection, claimant.pauses, looked_at, prefix
            )
            if count * 2 < looked_at:
                self._head = max(FIRST_HEAD, looked_at // 2)
                return
            self._head = min(LONGEST_HEAD, looked_at * 2)
            if looked_at == LONGEST_HEAD:
                return
