"""Limits: the limits of a job model as they were read, and at which gates of them jobs count."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

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


# By what the jobs of one gate of a kind have in common.
_NAME_OF: Mapping[LimitKind, Callable[[Limited], Any]] = {
    LimitKind.KEY: attrgetter("concurrency_key"),
    LimitKind.TYPE: attrgetter("job_type"),
    LimitKind.QUEUE: attrgetter("queue_name"),
    LimitKind.PRODUCT: attrgetter("product"),
}


class Limits:
    """Known limits by name; a value of one read."""

    def __init__(self, rows: Iterable[KnownLimit] = (), declared: Iterable[LimitName] = ()) -> None:
        self.rows = tuple(rows)
        self._by_name: dict[LimitKind, dict[str, dict[str, KnownLimit]]] = {kind: {} for kind in _NAME_OF}
        for row in self.rows:
            self._by_name[row.kind].setdefault(row.name, {})[row.product] = row
        self.unmade = frozenset(
            (kind, name) for kind, name in declared if "" not in self._by_name[kind].get(name, ())
        )
        """Declared, and without a row so far."""
        self._unmade_kinds = {kind for kind, _name in self.unmade}
        self.has_rates = any(row.rate is not None for row in self.rows)
        """Whether claimed jobs may need tokens."""

    def __bool__(self) -> bool:
        return bool(self.rows or self.unmade)

    def at(self, gate: Gate) -> KnownLimit | None:
        """Return the limit of a gate."""
        return self.find(gate.kind, gate.limit_name, gate.product)

    def find(self, kind: LimitKind, name: str, product: str) -> KnownLimit | None:
        """Return the limit of a name for a product: the product's own, else that of every product."""
        of_name = self._by_name[kind].get(name)
        return None if of_name is None else of_name.get(product) or of_name.get("")

    def crowds(self, jobs: Sequence[Limited]) -> dict[Gate, Crowd]:
        """Return the jobs by the gates at which they count; those without a limit are at none."""
        crowds: dict[Gate, Crowd] = {}
        for kind, known in self._by_name.items():
            # Each claim and each batch of endings asks, and mostly of jobs that nobody limits.
            names = _limit_names_among(jobs, kind) if known else {}
            limited = {name: limit_name for name, limit_name in names.items() if limit_name in known}
            if limited:
                for job, name in zip(jobs, map(_NAME_OF[kind], jobs), strict=True):
                    if (limit_name := limited.get(name)) is not None:
                        self._add(crowds, kind, limit_name, name, job)
        return crowds

    def unmade_among(self, jobs: Sequence[Limited]) -> set[LimitName]:
        """Return the declared limits that the jobs meet and that have no row so far."""
        met: set[LimitName] = {
            (kind, name) for kind in self._unmade_kinds for name in _limit_names_among(jobs, kind).values()
        }
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


def _limit_names_among(jobs: Sequence[Limited], kind: LimitKind) -> dict[str, str]:
    """Return each name that jobs have at a kind, with the name that a limit of it has."""
    names = set(map(_NAME_OF[kind], jobs))
    if kind is not LimitKind.KEY:
        return {name: name for name in names}
    return {key: key.partition(":")[0] for key in names if key is not None}


def limits_of(crowds: Mapping[Gate, Crowd]) -> dict[Gate, KnownLimit]:
    """Return the limit of each gate."""
    return {gate: crowd.limit for gate, crowd in crowds.items()}
