"""Limits: the limits of a job model as they were read, and at which gates of them jobs count."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from pleme_redis_django.jobs.definitions.limits import DeclaredLimit
from pleme_redis_django.models.flow_limit import LimitKind, LimitSource
from pleme_redis_django.orm_store.flow.gates import Gate, Limited, TokenGate

# Of so many gates it is kept which limit they have.
MAX_KEPT = 10_000
# From so many keys on, all RUNNING rows with a key are counted at once, and not each key by itself.
MANY_KEYS = 20
# So many rows of a gate at most become ready in one statement.
RELEASE_ROWS = 1_000

# In place of the id of a limit: it is not one of each product by itself.
SHARED = -1

LimitName = tuple[LimitKind, str]
# The product of jobs, and their key, type, queue or product.
Named = tuple[str, str | None]
Keys = Collection[tuple[str, str]]
"""Of a product each."""
Declared = Mapping[LimitName, tuple[DeclaredLimit, LimitSource]]


class Head(NamedTuple):
    """Who stands first at a gate, and how many places are free there."""

    job_id: UUID
    places: int


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


class Counted(NamedTuple):
    """A gate at which jobs count, and its limit."""

    gate: Gate
    limit: KnownLimit
    tokens: TokenGate | None
    """Of its rate."""


@dataclasses.dataclass(slots=True)
class Crowd:
    """Jobs that count at one gate."""

    limit: KnownLimit
    jobs: list[Limited] = dataclasses.field(default_factory=list)

    @property
    def cost(self) -> int:
        """How many places they take together."""
        return sum(job.cost for job in self.jobs)


_COLUMN = {
    LimitKind.KEY: "concurrency_key",
    LimitKind.TYPE: "job_type",
    LimitKind.QUEUE: "queue_name",
    LimitKind.PRODUCT: "product",
}
# What of a job a limit of each kind goes by. Not in Python: each job of each claim is asked several times.
_NAME: Mapping[LimitKind, Callable[[Limited], str | None]] = {
    kind: attrgetter(column) for kind, column in _COLUMN.items()
}
_NAMED: Mapping[LimitKind, Callable[[Limited], Named]] = {
    kind: attrgetter("product", column) for kind, column in _COLUMN.items()
}


class Limits:
    """Known limits by name; a value of one read."""

    def __init__(self, rows: Iterable[KnownLimit] = (), declared: Iterable[LimitName] = ()) -> None:
        self.rows = tuple(rows)
        self._by_name: dict[LimitName, dict[str, KnownLimit]] = {}
        for row in self.rows:
            self._by_name.setdefault((row.kind, row.name), {})[row.product] = row
        self.unmade = frozenset(name for name in declared if "" not in self._by_name.get(name, ()))
        """Declared, and without a row so far."""
        self.has_rates = any(row.rate is not None for row in self.rows)
        """Whether claimed jobs may need tokens."""
        self._has_places = any(row.max_running is not None for row in self.rows)
        self._limited = _kinds_of(self._by_name)
        self._meet_none: dict[LimitKind, set[str | None]] = {kind: set() for kind in _kinds_of(self.unmade)}
        """By which names jobs meet no limit that has no row."""
        self._kept: dict[LimitKind, dict[Named, Counted | None]] = {kind: {} for kind in self._limited}
        """By the product and name of jobs: a claim meets the same ones again and again."""
        self._key_limits: dict[Named, int | None] = {}
        """The limits of such keys as have places of one product each; None: the key has no places."""

    def __bool__(self) -> bool:
        return bool(self._by_name or self.unmade)

    def counts_any(self, jobs: Sequence[Limited]) -> bool:
        """Whether one of the jobs counts at a gate: without the work of saying at which."""
        return any(
            self._counted(kind, named) is not None for kind in self._limited for named in _met_by(jobs, kind)
        )

    def gates(self, jobs: Sequence[Limited], *, of_places: bool = False) -> dict[Gate, KnownLimit]:
        """Return the gates at which the jobs count, with their limits; ``of_places``: without mere rates."""
        gates: dict[Gate, KnownLimit] = {}
        for kind in self._limited if self._has_places or not of_places else ():
            for named in _met_by(jobs, kind):
                counted = self._counted(kind, named)
                if counted is not None and (not of_places or counted.limit.max_running is not None):
                    gates[counted.gate] = counted.limit
        return gates

    def of_many_keys_alone(self, jobs: Sequence[Limited]) -> set[int]:
        """Return the limits of the keys of jobs that count at many keys, and at nothing else; else nothing.

        Nearly all of it in C: a busy process asks for each of its jobs.
        """
        has_keys = self._has_places and LimitKind.KEY in self._limited
        keys = set(map(_NAMED[LimitKind.KEY], jobs)) if has_keys else ()
        if len(keys) <= MANY_KEYS or self._count_otherwise(jobs):
            return set()
        try:
            found = list(map(self._key_limits.__getitem__, keys))
        except KeyError:
            if len(self._key_limits) >= MAX_KEPT:
                self._key_limits.clear()
            self._key_limits |= {key: self._key_limit(key) for key in keys}
            found = [self._key_limits[key] for key in keys]
        are_many = len(found) - found.count(None) > MANY_KEYS
        limits = {limit_id for limit_id in set(found) if limit_id is not None} if are_many else set()
        return set() if SHARED in limits else limits

    def _count_otherwise(self, jobs: Sequence[Limited]) -> bool:
        others = [kind for kind in self._limited if kind is not LimitKind.KEY]
        return any(self._counted(kind, named) for kind in others for named in set(map(_NAMED[kind], jobs)))

    def _key_limit(self, named: Named) -> int | None:
        counted = self._counted(LimitKind.KEY, named)
        if counted is None or counted.limit.max_running is None:
            return None
        return counted.limit.id if counted.gate.product else SHARED

    def token_gates(self, jobs: Sequence[Limited]) -> list[tuple[TokenGate, ...]]:
        """Return of each job the rates that it counts on."""
        found: list[tuple[TokenGate, ...]] = [()] * len(jobs)
        for kind in self._limited:
            for number, named in enumerate(map(_NAMED[kind], jobs)):
                counted = self._counted(kind, named)
                if counted is not None and counted.tokens is not None:
                    found[number] += (counted.tokens,)
        return found

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
        for kind in self._limited:
            for job, named in zip(jobs, map(_NAMED[kind], jobs), strict=True):
                if (counted := self._counted(kind, named)) is None:
                    continue
                if (crowd := crowds.get(counted.gate)) is None:
                    crowd = crowds[counted.gate] = Crowd(counted.limit)
                crowd.jobs.append(job)
        return crowds

    def unmade_among(self, jobs: Sequence[Limited]) -> set[LimitName]:
        """Return the declared limits that the jobs meet and that have no row so far."""
        met: set[LimitName] = set()
        for kind, seen in self._meet_none.items():
            if seen.issuperset(map(_NAME[kind], jobs)):
                continue
            names = set(map(_NAME[kind], jobs)) - seen
            found = {(kind, _limit_name(kind, name)) for name in names if name is not None} & self.unmade
            if found:
                met |= found
            elif len(seen) < MAX_KEPT:
                seen |= names
        return met

    def _counted(self, kind: LimitKind, named: Named) -> Counted | None:
        kept = self._kept[kind]
        try:
            return kept[named]
        except KeyError:
            if len(kept) >= MAX_KEPT:
                kept.clear()
            counted = kept[named] = self._find_counted(kind, *named)
            return counted

    def _find_counted(self, kind: LimitKind, product: str, name: str | None) -> Counted | None:
        if name is None or (limit := self.find(kind, _limit_name(kind, name), product)) is None:
            return None
        gate = Gate(kind, "" if limit.is_of_all_products else product, name)
        return Counted(gate, limit, None if limit.rate is None else TokenGate(gate.text, limit.id))


def _kinds_of(names: Iterable[LimitName]) -> tuple[LimitKind, ...]:
    found = {kind for kind, _name in names}
    return tuple(kind for kind in LimitKind if kind in found)


def _met_by(jobs: Sequence[Limited], kind: LimitKind) -> Iterable[Named]:
    """Return by what jobs meet limits of a kind: mostly by nothing, or by few names, or nearly each by another key."""
    if not any(map(_NAME[kind], jobs)):
        return ()
    named = map(_NAMED[kind], jobs)
    return named if kind is LimitKind.KEY else dict.fromkeys(named)


def _limit_name(kind: LimitKind, name: str) -> str:
    return name.partition(":")[0] if kind is LimitKind.KEY else name


def limits_of(crowds: Mapping[Gate, Crowd]) -> dict[Gate, KnownLimit]:
    """Return the limit of each gate."""
    return {gate: crowd.limit for gate, crowd in crowds.items()}


NO_LIMITS = Limits()
