"""RetentionPolicy: for how long finished jobs are kept, by status, and otherwise in some queues or products."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from pleme_redis_django.wording import did_you_mean

Period = timedelta | None
"""None: for ever."""

DEFAULTS: Mapping[str, Period] = {
    "COMPLETED": timedelta(days=7),
    "CANCELLED": timedelta(days=30),
    "FAILED": timedelta(days=90),
}
QUEUES, PRODUCTS = "QUEUES", "PRODUCTS"
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=36_500)
_ACCEPTED_PERIOD = "a timedelta or seconds, from a minute to a hundred years, or None for ever"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """The periods of each status. What a queue says counts before what a product says, and both before the rest."""

    periods: Mapping[str, Period] = dataclasses.field(default_factory=lambda: dict(DEFAULTS))
    of_queues: Mapping[str, Mapping[str, Period]] = dataclasses.field(default_factory=dict)
    of_products: Mapping[str, Mapping[str, Period]] = dataclasses.field(default_factory=dict)

    @property
    def shortest(self) -> Period:
        """The shortest period of all: nothing younger is ever deleted. None: nothing is."""
        return min((period for period in self._all() if period is not None), default=None)

    def of(self, status: str, *, queue: str, product: str) -> Period:
        """Return for how long a job that ended so is kept."""
        for periods in (self.of_queues.get(queue, {}), self.of_products.get(product, {})):
            if status in periods:
                return periods[status]
        return self.periods.get(status)

    def _all(self) -> Iterator[Period]:
        for periods in (self.periods, *self.of_queues.values(), *self.of_products.values()):
            yield from periods.values()


def retention_policy(raw: Mapping[str, Any]) -> RetentionPolicy:
    """Return the policy of a ``RETENTION`` dict that ``objection_to_retention`` has nothing to say against."""
    return RetentionPolicy(
        periods={**DEFAULTS, **_periods(raw)},
        of_queues={name: _periods(periods) for name, periods in raw.get(QUEUES, {}).items()},
        of_products={name: _periods(periods) for name, periods in raw.get(PRODUCTS, {}).items()},
    )


def objection_to_retention(value: object) -> str | None:
    """Return what is accepted when a ``RETENTION`` dict is not, else None."""
    if not isinstance(value, Mapping):
        return f"a dict of {_words(DEFAULTS)} to {_ACCEPTED_PERIOD}"
    for key, of_key in value.items():
        if key in (QUEUES, PRODUCTS):
            fault = _objection_to_names(key, of_key)
        else:
            fault = _objection_to_period(key, of_key, (*DEFAULTS, QUEUES, PRODUCTS))
        if fault is not None:
            return fault
    return None


def _objection_to_names(key: str, names: object) -> str | None:
    if not isinstance(names, Mapping):
        return f'in "{key}" a dict of name to a dict of {_words(DEFAULTS)}'
    for name, periods in names.items():
        if not isinstance(name, str) or not isinstance(periods, Mapping):
            return f'in "{key}" a dict of name to a dict of {_words(DEFAULTS)}; {name!r} has {periods!r}'
        for status, period in periods.items():
            if (fault := _objection_to_period(status, period, tuple(DEFAULTS))) is not None:
                return f'in "{key}" for {name!r} {fault}'
    return None


def _objection_to_period(status: object, period: object, known: tuple[str, ...]) -> str | None:
    if status not in known:
        hint = did_you_mean(str(status).upper(), known, otherwise="")
        return f"the keys {_words(known)}; it has {status!r}. {hint}".rstrip(". ")
    if period is None or (isinstance(period, timedelta) and SHORTEST <= period <= LONGEST):
        return None
    seconds: Any = period
    if type(period) in (int, float) and SHORTEST.total_seconds() <= seconds <= LONGEST.total_seconds():
        return None
    return f'for "{status}" {_ACCEPTED_PERIOD}; it has {period!r}'


def _periods(raw: Mapping[str, Any]) -> dict[str, Period]:
    return {
        status: period if period is None or isinstance(period, timedelta) else timedelta(seconds=period)
        for status, period in raw.items()
        if status in DEFAULTS
    }


def _words(names: Mapping[str, Any] | tuple[str, ...]) -> str:
    return ", ".join(names)
