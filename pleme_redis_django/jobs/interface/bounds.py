"""Bounds: what one attempt may not do for ever, as ``@job``, ``using()``, a row and a pool each say it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

from pleme_redis_django.ranges import Number, said_beside_fields

_DAY_SECONDS = 86_400
TIMEOUTS = Number(0.001, 30 * _DAY_SECONDS)
KILL_DELAYS = Number(0, _DAY_SECONDS)
DEADLINES = Number(0.001, 366 * _DAY_SECONDS)
DEFAULT_KILL_AFTER_SECONDS = 30


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Bounds of the attempts of a job; None where somebody else says it, at last the pool."""

    timeout: Annotated[float | None, TIMEOUTS] = None
    """Seconds that an attempt may run."""
    kill_after: Annotated[float | None, KILL_DELAYS] = None
    """Seconds beyond ``timeout`` after which the pool ends the attempt itself, and the process is replaced."""
    interrupt: bool | None = None
    """Whether a timeout or a cancel raises in the handler; else it only shows in its context."""
    retry_on_timeout: bool | None = None
    """Whether an attempt that timed out is retried like one that failed."""
    atomic: bool | None = None
    """Whether the handler's writes and its ending commit together, in one transaction on the job's database."""
    isolated: bool | None = None
    """Whether a sync handler runs in a process of its own."""
    deadline: Annotated[float | None, DEADLINES] = None
    """Seconds after the enqueue by which the job has to have started, or it never does."""

    def fault(self) -> str:
        """Return what is wrong with a value, and what is accepted; "": nothing."""
        for field in dataclasses.fields(self):
            value, range_ = getattr(self, field.name), RANGES.get(field.name)
            if value is None or (range_ is None and type(value) is bool):
                continue
            if range_ is None:
                return f"{field.name} is {_shown(value)}. Accepted: True, False, or None for the pool's."
            if not range_.accepts(value):
                return f"{field.name} is {_shown(value)}. Accepted: {range_}, or None for the pool's."
        return ""

    def over(self, others: Bounds) -> Bounds:
        """Return these bounds, and those of ``others`` where these say nothing."""
        if self == _NONE:
            return others
        if others == _NONE:
            return self
        names = (field.name for field in dataclasses.fields(self))
        own = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return dataclasses.replace(others, **own)

    def stored(self) -> dict[str, Any]:
        """Return what a row keeps of them in its ``configuration``: what has no column."""
        return {name: value for name in _STORED if (value := getattr(self, name)) is not None}


# That one process keeps the bounds of.
_MOST_TIMEOUTS = 64
_STORED = ("kill_after", "interrupt", "retry_on_timeout", "atomic", "isolated")
_STORED_NAMES = frozenset(_STORED)
RANGES: Mapping[str, Number] = said_beside_fields(Bounds)
NO_BOUNDS = _NONE = Bounds()


class BoundsOfJobs:
    """The bounds of the attempts of jobs: as a job's row says, and ``defaults`` where it says nothing.

    Jobs of one type have one timeout, and to build its bounds anew would cost each a tenth of its time in a lane:
    they are kept.
    """

    def __init__(self, defaults: Bounds) -> None:
        self._defaults = defaults
        self._by_timeout: dict[float, Bounds] = {}

    def of(self, job: Any) -> Bounds:
        """Return the bounds of a job's next attempt. What its row says and is not accepted is passed over."""
        timeout, configuration = getattr(job, "timeout_seconds", None), job.configuration
        # Each row of a task has a configuration, which mostly says nothing of these.
        if not configuration or (type(configuration) is dict and _STORED_NAMES.isdisjoint(configuration)):
            if timeout is None:
                return self._defaults
            # Of a project's own model it may be anything, also what no dict takes.
            known = self._by_timeout.get(timeout) if type(timeout) is float else None
            return known or self._with_timeout(timeout)
        said: dict[str, Any] = {}
        if isinstance(configuration, Mapping):
            said = {
                name: configuration[name] for name in _STORED if _is_accepted(name, configuration.get(name))
            }
        bounds = self._defaults if timeout is None else self._with_timeout(timeout)
        return dataclasses.replace(bounds, **said) if said else bounds

    def _with_timeout(self, timeout: Any) -> Bounds:
        if not TIMEOUTS.accepts(timeout):
            return self._defaults
        bounds = dataclasses.replace(self._defaults, timeout=timeout)
        if len(self._by_timeout) >= _MOST_TIMEOUTS:
            self._by_timeout.clear()
        self._by_timeout[bounds.timeout or 0.0] = bounds
        return bounds


def _is_accepted(name: str, value: object) -> bool:
    range_ = RANGES.get(name)
    return type(value) is bool if range_ is None else range_.accepts(value)


def _shown(value: object) -> str:
    # Python refuses to print the decimal digits of a huge integer.
    return (hex(value) if type(value) is int and abs(value) > 2**63 else repr(value))[:80]
