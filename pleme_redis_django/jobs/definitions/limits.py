"""Limit and Rate: how many jobs of a key, or of a type, run at once or start in a time, as ``@job`` declares it.

A job is stored with at most one concurrency key, on which all its limits with a key count, and with at most one
order key. The limit that a stored key belongs to is named by the text before its first colon.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from pleme_redis_django.exceptions import InvalidJobDefinition
from pleme_redis_django.ranges import Number, PrintableText, Whole

PLACES = Whole(0, 1_000_000_000)
STARTS = Whole(1, 1_000_000)
PERIODS = Number(0.001, 86_400)
BURSTS = Whole(1, 1_000_000)
COSTS = Whole(1, 10_000)
LIMIT_NAMES = PrintableText(1, 100)
KEYS = PrintableText(1, 200)
NAME_END = ":"
# With one alone, the moment between a token and its use is lost each time.
SMALLEST_DEFAULT_BURST = 2

KeyFunction = Callable[..., Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Limit:
    """At most so many jobs run at once; 0: a pause."""

    max_running: int
    _: dataclasses.KW_ONLY
    key: str | KeyFunction | None = None
    """Of the jobs that count together: text, or a function of the handler's arguments that returns it. None: all of
    the job type."""
    name: str | None = None
    """Of the limit of a key function; default the job's name."""
    in_order: bool = False
    """With the number 1: jobs of the key run one after the other, in the order of their enqueues."""
    cost: int = 1
    """How many places a job takes."""
    shared: bool = False
    """Whether all products together have the one limit; else each has its own."""

    def __post_init__(self) -> None:
        _check("Limit", max_running=(self.max_running, PLACES), cost=(self.cost, COSTS))
        _check_key(self)
        if 0 < self.max_running < self.cost:
            raise InvalidJobDefinition(
                f"{self}: a job of cost {self.cost} never fits. Accepted: a cost up to the limit."
            )
        if self.in_order:
            _check_in_order(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Rate:
    """At most so many jobs start in each period, after a quiet time ``burst`` of them at once."""

    starts: int
    _: dataclasses.KW_ONLY
    per_seconds: float = 1.0
    key: str | KeyFunction | None = None
    """As that of a Limit."""
    name: str | None = None
    """As that of a Limit."""
    burst: int | None = None
    """Default what fits into a second, and at least 2."""
    cost: int = 1
    """How many tokens a job takes."""
    shared: bool = False
    """As that of a Limit."""

    def __post_init__(self) -> None:
        burst = self.most_at_once if _is_number(self.starts) and _is_number(self.per_seconds) else 1
        _check(
            "Rate",
            starts=(self.starts, STARTS),
            per_seconds=(self.per_seconds, PERIODS),
            burst=(burst, BURSTS),
            cost=(self.cost, COSTS),
        )
        _check_key(self)
        if burst < self.cost:
            raise InvalidJobDefinition(
                f"{self}: a job of cost {self.cost} never gets its tokens. Accepted: a cost up to the burst, {burst}."
            )

    @property
    def most_at_once(self) -> int:
        """How many may start at once."""
        return most_at_once(self.starts, self.per_seconds) if self.burst is None else self.burst


def most_at_once(starts: int, per_seconds: float) -> int:
    """Return the burst of a rate that says none: what fits into a second."""
    return max(int(starts / per_seconds) if per_seconds > 0 else 0, SMALLEST_DEFAULT_BURST)


# Those that an operator may change, by the names that they have in code and in the row of a limit.
NUMBERS = ("max_running", "rate", "per_seconds", "burst")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredLimit:
    """What code or settings say of one limit."""

    kind: str
    """``key``, ``type``, ``queue`` or ``product``: what the name is the name of."""
    name: str
    shared: bool = False
    max_running: int | None = None
    rate: int | None = None
    per_seconds: float = 1.0
    burst: int = SMALLEST_DEFAULT_BURST

    def numbers(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in NUMBERS}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyRule:
    """How the key of a job comes about."""

    key: str | KeyFunction
    prefix: str = ""
    """What the result of a function is stored behind, its colon included; "": it is stored as it is."""

    def stored(self, result: object) -> str | None:
        """Return what a function returned as it is stored; None: it is none."""
        text = str(result) if type(result) is int else result
        if not isinstance(text, str) or not text:
            return None
        stored = text if text.startswith(self.prefix) else self.prefix + text
        return stored if KEYS.accepts(stored) else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LimitsOfJob:
    """What the ``limits=`` of one job mean."""

    declared: tuple[DeclaredLimit, ...]
    key: KeyRule | None = None
    order: KeyRule | None = None
    cost: int = 1


NO_LIMITS = LimitsOfJob(declared=())


def as_limits(value: object, job_name: str) -> LimitsOfJob:
    """Return what ``limits=`` of a job mean. Raises InvalidJobDefinition for what is not accepted."""
    listed = _listed(value, job_name)
    if not listed:
        return NO_LIMITS
    if len(costs := {one.cost for one in listed}) > 1:
        raise InvalidJobDefinition(
            f"The limits of {job_name} have the costs {sorted(costs)}. A job has one, which all its limits count: "
            "give them the same cost."
        )
    order = _only(job_name, [one for one in listed if isinstance(one, Limit) and one.in_order])
    counted = [one for one in listed if one is not order]
    keyed = [one for one in counted if one.key is not None]
    rule = _rule_of(keyed, job_name)
    return LimitsOfJob(
        declared=declared_together(
            [
                ("key", _limit_name(one, job_name)) if one.key is not None else ("type", job_name)
                for one in counted
            ],
            counted,
        ),
        key=rule,
        order=None if order is None or order.key is None else KeyRule(key=order.key),
        cost=costs.pop(),
    )


def declared_together(
    named: Iterable[tuple[str, str]], limits: Iterable[Limit | Rate]
) -> tuple[DeclaredLimit, ...]:
    """Return one declaration for each kind and name. Raises InvalidJobDefinition where two of them do not fit."""
    together: dict[tuple[str, str], DeclaredLimit] = {}
    for (kind, name), one in zip(named, limits, strict=True):
        before = together.get((kind, name)) or DeclaredLimit(kind=kind, name=name, shared=one.shared)
        if before.shared is not one.shared:
            raise InvalidJobDefinition(
                f'The limits of the {kind} "{name}" differ in shared=. One name is one limit: say it of all of them.'
            )
        if (before.max_running if isinstance(one, Limit) else before.rate) is not None:
            noun = type(one).__name__
            raise InvalidJobDefinition(
                f'The {kind} "{name}" has two {noun}s. Accepted: one, the smaller of them.'
            )
        together[kind, name] = dataclasses.replace(before, **_numbers(one))
    return tuple(together.values())


def _numbers(one: Limit | Rate) -> dict[str, Any]:
    if isinstance(one, Limit):
        return {"max_running": one.max_running}
    return {"rate": one.starts, "per_seconds": float(one.per_seconds), "burst": one.most_at_once}


def _listed(value: object, job_name: str) -> list[Limit | Rate]:
    listed = [value] if isinstance(value, Limit | Rate) else value
    if listed is None:
        return []
    if isinstance(listed, Iterable) and not isinstance(listed, str):
        limits = list(listed)
        if all(isinstance(one, Limit | Rate) for one in limits):
            return limits
    raise InvalidJobDefinition(
        f"limits of {job_name} is {value!r:.100}. Accepted: a Limit, a Rate, or a list of them."
    )


def _only(job_name: str, in_order: list[Limit]) -> Limit | None:
    if len(in_order) > 1:
        raise InvalidJobDefinition(
            f"{job_name} has {len(in_order)} limits in order. A job stands in one line."
        )
    return in_order[0] if in_order else None


def _rule_of(keyed: list[Limit | Rate], job_name: str) -> KeyRule | None:
    if not keyed:
        return None
    first = keyed[0]
    for other in keyed[1:]:
        if (other.key, other.name) != (first.key, first.name):
            raise InvalidJobDefinition(
                f"The limits of {job_name} have the keys {first.key!r} and {other.key!r}. A job is stored with one, on "
                "which all its limits with a key count: give them the same key and name, a function by its name."
            )
    assert first.key is not None
    return KeyRule(
        key=first.key, prefix="" if isinstance(first.key, str) else _limit_name(first, job_name) + NAME_END
    )


def _limit_name(one: Limit | Rate, job_name: str) -> str:
    if isinstance(one.key, str):
        return one.key
    name = one.name or job_name
    if LIMIT_NAMES.accepts(name) and NAME_END not in name:
        return name
    raise InvalidJobDefinition(
        f'The limit of the key function of {job_name} would be named "{name[:60]}". Give it a name of '
        f"{LIMIT_NAMES}, without a colon: name=."
    )


def _check(noun: str, **values: tuple[object, Whole | Number]) -> None:
    for field, (value, accepted) in values.items():
        if not accepted.accepts(value):
            raise InvalidJobDefinition(f"{noun}: {field} is {value!r}. Accepted: {accepted}.")


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _check_key(one: Limit | Rate) -> None:
    noun, name = type(one).__name__, one.name
    key: Any = one.key
    if isinstance(key, str):
        if not LIMIT_NAMES.accepts(key) or NAME_END in key:
            raise InvalidJobDefinition(
                f"{noun}: key is {key[:60]!r}. Accepted: {LIMIT_NAMES}, without a colon, or a function."
            )
        if name is not None:
            raise InvalidJobDefinition(f'{noun}: the key "{key}" is its own name. Leave name= out.')
    elif key is not None and (not callable(key) or inspect.iscoroutinefunction(key)):
        raise InvalidJobDefinition(
            f"{noun}: key is {key!r:.60}. Accepted: text, a function of the handler's arguments that returns text, or "
            "None for all jobs of the type."
        )
    if key is None and name is not None:
        raise InvalidJobDefinition(
            f"{noun}: the limit of a job type has its name. Leave name= out, or give a key=."
        )
    if name is not None and (not LIMIT_NAMES.accepts(name) or NAME_END in name):
        raise InvalidJobDefinition(f"{noun}: name is {name!r:.60}. Accepted: {LIMIT_NAMES}, without a colon.")


def _check_in_order(one: Limit) -> None:
    if one.max_running != 1:
        raise InvalidJobDefinition(
            f"Limit: in_order=True with the number {one.max_running}. Accepted: 1, one job after the other."
        )
    if one.key is None:
        raise InvalidJobDefinition(
            "Limit: in_order=True without a key=. Accepted: a key, of the jobs of one line."
        )
    if one.shared or one.name is not None:
        raise InvalidJobDefinition(
            "Limit: in_order=True with shared= or name=. A line is of one product, and its key is stored as it is."
        )


@lru_cache(maxsize=1024)
def accepted_by(function: KeyFunction) -> tuple[frozenset[str], bool]:
    """Return which arguments a key function takes by name, and whether it takes any."""
    parameters = inspect.signature(function).parameters.values()
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    names = frozenset(
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    )
    return names, takes_any
