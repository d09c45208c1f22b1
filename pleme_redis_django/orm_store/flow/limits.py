"""Limits: the limits of a job model as they were read, and at which gates of them jobs count."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pleme_redis_django.jobs.definitions.limits import DeclaredLimit
from pleme_redis_django.models.flow_limit import LimitKind, LimitSource
from pleme_redis_django.orm_store.flow.gates import Gate, Limited

LimitName = tuple[LimitKind, str]
Declared = Mapping[LimitName, tuple[DeclaredLimit, LimitSource]]


class KnownLimit(NamedTuple):
    """A row of FlowLimit."""

    id: int
    kind: LimitKind
    product: str
    name: str
    is_shared: bool
    max_running: int | None
    rate: int | None
    per_seconds: float
    burst: int

    @property
    def is_of_all_products(self) -> bool:
        """Whether one gate counts the jobs of all products."""
        return self.is_shared and self.kind != LimitKind.PRODUCT


@dataclasses.dataclass(slots=True)
class Crowd:
    """Jobs that count at one gate."""

    limit: KnownLimit
    jobs: list[Limited] = dataclasses.field(default_factory=list)

    @property
    def cost(self) -> int:
        """How many places they take together."""
        return sum(job.cost for job in self.jobs)


class Limits:
    """Known limits by name; a value of one read."""

    def __init__(self, rows: Iterable[KnownLimit] = (), declared: Iterable[LimitName] = ()) -> None:
        self.rows = tuple(rows)
        self._by_name: defaultdict[LimitName, dict[str, KnownLimit]] = defaultdict(dict)
        for row in self.rows:
            self._by_name[row.kind, row.name][row.product] = row
        self.unmade = frozenset(name for name in declared if "" not in self._by_name.get(name, ()))
        """Declared, and without a row so far."""
        self.has_rates = any(row.rate is not None for row in self.rows)
        """Whether claimed jobs may need tokens."""
        self._kinds = {kind for kind, _name in (*self._by_name, *self.unmade)}
        self._others = [
            kind for kind in (LimitKind.TYPE, LimitKind.QUEUE, LimitKind.PRODUCT) if kind in self._kinds
        ]

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def at(self, gate: Gate) -> KnownLimit | None:
        """Return the limit of a gate."""
        return self.find(gate.kind, gate.limit_name, gate.product)

    def find(self, kind: LimitKind, name: str, product: str) -> KnownLimit | None:
        """Return the limit of a name for a product: the product's own, else that of every product."""
        of_name = self._by_name.get((kind, name))
        return None if of_name is None else of_name.get(product) or of_name.get("")

    def crowds(self, jobs: Sequence[Limited]) -> dict[Gate, Crowd]:
        """Return the jobs by the gates at which they count; those without a limit are at none."""
        crowds: dict[Gate, Crowd] = {}
        if LimitKind.KEY in self._kinds:
            for job in jobs:
                if (key := job.concurrency_key) is not None:
                    self._add(crowds, LimitKind.KEY, key.partition(":")[0], key, job)
        for kind in self._others:
            for job in jobs:
                name = _name_of(job, kind)
                self._add(crowds, kind, name, name, job)
        return crowds

    def unmade_among(self, jobs: Sequence[Limited]) -> set[LimitName]:
        """Return the declared limits that the jobs meet and that have no row so far."""
        if not self.unmade:
            return set()
        met: set[LimitName] = {
            (LimitKind.KEY, job.concurrency_key.partition(":")[0]) for job in jobs if job.concurrency_key
        }
        met |= {(kind, _name_of(job, kind)) for kind in self._others for job in jobs}
        return met & self.unmade

    def _add(
        self, crowds: dict[Gate, Crowd], kind: LimitKind, limit_name: str, name: str, job: Limited
    ) -> None:
        limit = self.find(kind, limit_name, job.product)
        if limit is None:
            return
        gate = Gate(kind, "" if limit.is_of_all_products else job.product, name)
        crowd = crowds.get(gate)
        if crowd is None:
            crowd = crowds[gate] = Crowd(limit)
        crowd.jobs.append(job)


NO_LIMITS = Limits()


def _name_of(job: Limited, kind: LimitKind) -> str:
    if kind == LimitKind.TYPE:
        return job.job_type
    return job.queue_name if kind == LimitKind.QUEUE else job.product


def limits_of(crowds: Mapping[Gate, Crowd]) -> dict[Gate, KnownLimit]:
    """Return the limit of each gate."""
    return {gate: crowd.limit for gate, crowd in crowds.items()}
