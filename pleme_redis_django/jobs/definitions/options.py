"""The options of an enqueue, each said once: its type, what it means, and what it accepts.

Those of ``@job`` alone are in ``options_of_job``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, TypedDict, cast

from pleme_redis_django.exceptions import EnqueueError
from pleme_redis_django.jobs.definitions.limits import KEYS
from pleme_redis_django.jobs.interface.bounds import NO_BOUNDS, Bounds
from pleme_redis_django.jobs.interface.job import PRIORITY_HIGH, PRIORITY_LOW
from pleme_redis_django.ranges import Number, Text, Whole, said_beside_fields
from pleme_redis_django.wording import did_you_mean

RETRIES = Whole(0, 1_000)
DELAYS = Number(0, 86_400)
LONGEST_DELAYS = Number(0, 30 * 86_400)
PRIORITIES = Whole(PRIORITY_LOW, PRIORITY_HIGH)
UNIQUE_KEYS = Text(1, 500)


class OptionsOfBoth(TypedDict, total=False):
    """What ``@job`` says of all its jobs, and ``using()`` of some.

    The range beside a type is checked wherever the option is said; those of Bounds have theirs there.
    """

    max_retries: Annotated[int | None, RETRIES]
    """Retries after the first attempt; default the pool's (3)."""
    base_retry_delay: Annotated[float | None, DELAYS]
    """Seconds before the first retry; default the pool's (60)."""
    max_retry_delay: Annotated[float | None, LONGEST_DELAYS]
    """Seconds that no retry waits longer for; default the pool's (3,600)."""
    on_conflict: str | None
    """What an enqueue does to the equal job that waits: "keep" (nothing), "replace" (gives it its parameters and due
    time: the last call wins) or "extend" (its due time alone)."""
    timeout: float | None
    """Seconds that an attempt may run; then JobTimeout is raised in the handler, or its task is cancelled."""
    kill_after: float | None
    """Seconds beyond ``timeout`` after which the attempt is ended without its handler, and the process replaced."""
    interrupt: bool | None
    """False: the handler asks ``ctx.remaining()`` and ``ctx.cancel_requested`` itself."""
    retry_on_timeout: bool | None
    """False: an attempt that timed out fails for good."""
    atomic: bool | None
    """True: what the handler writes and its ending commit together, in one transaction on the job's database. Only for
    a plain function."""
    isolated: bool | None
    """True: the handler runs in a process of its own, so that a crash, a leak or a hang ends only that process. Only
    for a plain function."""
    deadline: float | None
    """Seconds after the enqueue within which the job has to start; later it never does."""


class _OptionsOfUsingAlone(TypedDict, total=False):
    product: str | None
    """Default that of the running job, else of the settings."""
    queue_name: str | None
    priority: int | None
    unique_key: Annotated[str | None, UNIQUE_KEYS]
    """What makes this job equal to another, in place of its parameters."""
    concurrency_key: Annotated[str | None, KEYS]
    """On which key of a limit it counts, in place of what the ``@job`` says: "stripe", or "customer:42"."""
    order_key: Annotated[str | None, KEYS]
    """In which line it stands, in place of what the ``@job`` says: one after the other."""
    metadata: Mapping[str, Any] | None
    """A JSON object that the row keeps."""
    retry_delay: Callable[[int, BaseException], float] | str | None
    """A function of a module, or its dotted path, in place of the job's; the row keeps the path."""
    retry_on: Iterable[type[BaseException] | str] | None
    """Exception classes that are always retried, or their dotted paths, in place of the job's; the row keeps those."""
    no_retry_on: Iterable[type[BaseException] | str] | None
    """Those that are never retried."""
    expires_at: datetime | None
    """The time by which the job has to start, in place of ``deadline``."""


class OptionsOfEnqueue(_OptionsOfUsingAlone, OptionsOfBoth, total=False):
    """What ``using()`` takes, of a job and of a task, which differ in the due time."""


class OptionsOfUsing(OptionsOfEnqueue, total=False):
    """What ``using()`` of a job takes."""

    run_after: datetime | None
    """When it is due; default now."""


NAMES_OF_USING = tuple(OptionsOfUsing.__annotations__)
# What a row keeps the dotted paths of: a @job keeps the function and the classes themselves.
NAMES_OF_RULES = ("retry_delay", "retry_on", "no_retry_on")
NAMES_OF_BOUNDS = tuple(field.name for field in dataclasses.fields(Bounds))
RANGES = said_beside_fields(OptionsOfUsing)


def frozen_options(options: Mapping[str, Any]) -> OptionsOfUsing:
    """Return the options that are not None, in a form that nobody can change."""
    said = {name: value for name, value in options.items() if value is not None}
    return cast(OptionsOfUsing, MappingProxyType(said))


NO_OPTIONS = frozen_options({})


def options_over(options: Mapping[str, Any], others: OptionsOfUsing) -> OptionsOfUsing:
    """Return the options of ``using()``, and ``others`` where it has none. Raises EnqueueError for an unknown one."""
    if unknown := options.keys() - OptionsOfUsing.__annotations__.keys():
        raise refusal_of_using(unknown)
    return frozen_options({**others, **{name: value for name, value in options.items() if value is not None}})


def bounds_of(options: Mapping[str, Any]) -> Bounds:
    """Return the options that bound an attempt."""
    said = {name: options[name] for name in NAMES_OF_BOUNDS if name in options}
    return Bounds(**said) if said else NO_BOUNDS


def check_ranges(options: Mapping[str, Any]) -> None:
    """Raise EnqueueError for an option of an enqueue that is out of its range."""
    for name, value in options.items():
        if (accepted := RANGES.get(name)) is not None and not accepted.accepts(value):
            raise EnqueueError(f"{name} is {shown(value)}. Accepted: {accepted}.")


def shown(value: object) -> str:
    return repr(value[:60] if isinstance(value, str) else value)


_OF_JOB_ALONE = {
    "unique": "what the @job says of all its jobs. unique_key= says what makes this one equal to another",
    "schedule": "what the @job says. A schedule in the admin enqueues with other options",
    "name": "what the @job says",
    "takes_context": "what the @job says",
    "limits": "what the @job says of all its jobs. concurrency_key= and order_key= say on what this one counts",
}


def refusal_of_using(names: Iterable[str]) -> EnqueueError:
    """Return the error for options that ``using()`` does not take."""
    name = sorted(names)[0]
    if name in _OF_JOB_ALONE:
        return EnqueueError(f"using() takes no {name}: it is {_OF_JOB_ALONE[name]}.")
    hint = did_you_mean(name, NAMES_OF_USING, otherwise=f"Accepted: {', '.join(NAMES_OF_USING)}.")
    return EnqueueError(f"using() has no option {name!r}. {hint}")


def checked_priority(priority: object, error: type[Exception]) -> int:
    """Return the priority when it is a whole number from -100 to 100, else raise ``error``."""
    if PRIORITIES.accepts(priority):
        return cast(int, priority)
    raise error(f"priority is {priority!r}. Accepted: {PRIORITIES}; higher runs first.")
