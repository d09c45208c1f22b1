"""The options that ``@job`` takes, each said once: its type, what it means, and what it accepts.

Those that an enqueue may say as well are in ``options``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict

from pleme_redis_django.exceptions import InvalidJobDefinition, InvalidName
from pleme_redis_django.jobs.definitions.declared_schedule import DeclaredSchedule
from pleme_redis_django.jobs.definitions.limits import Limit, Rate
from pleme_redis_django.jobs.definitions.options import (
    NAMES_OF_RULES,
    NAMES_OF_USING,
    RANGES,
    OptionsOfBoth,
    OptionsOfUsing,
    bounds_of,
    checked_priority,
    frozen_options,
    shown,
)
from pleme_redis_django.jobs.definitions.uniqueness import Uniqueness
from pleme_redis_django.jobs.interface.queue_names import DEFAULT_QUEUE_NAME, validate_queue_name
from pleme_redis_django.wording import did_you_mean

NAME_MAX_LENGTH = 200


class _OptionsOfJobAlone(TypedDict, total=False):
    name: str | None
    """What rows store; default ``module.function``. Name a job before you move it."""
    queue_name: str
    """Default "default"."""
    priority: int
    """-100 to 100, higher first; default 0."""
    retry_delay: Callable[[int, BaseException], float] | None
    """A function that returns the seconds until a retry, in place of the backoff. It is called with the number of the
    retry (the first is 1) and the exception."""
    retry_on: Iterable[type[BaseException]]
    """Exception classes that are always retried."""
    no_retry_on: Iterable[type[BaseException]]
    """Exception classes that are never retried. They win over ``retry_on``."""
    unique: Uniqueness | str | None
    """One of "while_waiting", "while_running" and ``once_per(seconds)``: one job at a time with the same parameters;
    the second enqueue returns the first job."""
    takes_context: bool
    """Give the handler a JobContext as its first argument; also when its first parameter is named ``ctx``."""
    limits: Limit | Rate | Iterable[Limit | Rate] | None
    """``Limit(5, key="stripe")``, ``Rate(100, per_seconds=60)``, or a list of them: how many run at once, and start in
    a time."""
    schedule: DeclaredSchedule | Iterable[DeclaredSchedule] | None
    """``cron("0 3 * * *")``, ``every(300)``, or a list of them: a job at each of their ticks."""


class OptionsOfJob(_OptionsOfJobAlone, OptionsOfBoth, total=False):
    """What ``@job`` takes."""


# The others are None: the enqueue or the pool says them.
DEFAULTS_OF_JOB: Mapping[str, Any] = {
    "queue_name": DEFAULT_QUEUE_NAME,
    "priority": 0,
    "retry_on": (),
    "no_retry_on": (),
    "takes_context": False,
}
NAMES_OF_JOB = tuple(OptionsOfJob.__annotations__)


def refusal_of_job(names: Iterable[str]) -> InvalidJobDefinition:
    """Return the error for options that ``@job`` does not take."""
    name = sorted(names)[0]
    if name in ("expires_at", "run_after"):
        for_all = "deadline= in @job" if name == "expires_at" else "schedule= in @job"
        return InvalidJobDefinition(
            f"@job takes no {name}, which is a moment of one enqueue: using({name}=...). For all: {for_all}."
        )
    hint = did_you_mean(name, NAMES_OF_JOB, otherwise=f"Accepted: {', '.join(sorted(NAMES_OF_JOB))}.")
    return InvalidJobDefinition(f"@job has no option {name!r}. {hint}")


def checked_defaults(options: Mapping[str, Any]) -> OptionsOfUsing:
    """Return what ``@job`` says of each enqueue. Raises InvalidJobDefinition for what is not accepted."""
    checked_queue_name(options["queue_name"])
    checked_priority(options["priority"], InvalidJobDefinition)
    for name, accepted in RANGES.items():
        value = options.get(name)
        if value is not None and not accepted.accepts(value):
            raise InvalidJobDefinition(
                f"{name} is {shown(value)}. Accepted: {accepted}, or None for the pool's."
            )
    if fault := bounds_of(options).fault():
        raise InvalidJobDefinition(fault)
    names = [name for name in NAMES_OF_USING if name in options and name not in NAMES_OF_RULES]
    return frozen_options({name: options[name] for name in names})


def checked_name(name: object) -> str:
    """Return the name of a job. Raises InvalidJobDefinition for what a row cannot store."""
    if isinstance(name, str) and 0 < len(name) <= NAME_MAX_LENGTH and name.isprintable():
        return name
    raise InvalidJobDefinition(
        f"A job's name is {str(name)[:60]!r}. Accepted: 1 to {NAME_MAX_LENGTH} printable characters."
    )


def checked_queue_name(queue_name: object) -> str:
    """Return the name of a queue. Raises InvalidJobDefinition for what is not a valid one."""
    try:
        return validate_queue_name(queue_name)
    except InvalidName as error:
        raise InvalidJobDefinition(str(error)) from None


def checked_retry_delay(function: Any) -> Any:
    """Return the function that says the delay of a retry. Raises InvalidJobDefinition for anything else."""
    if function is None or (callable(function) and not inspect.iscoroutinefunction(function)):
        return function
    raise InvalidJobDefinition(
        f"retry_delay is {function!r}. Accepted: a function of the retry's number and the exception that returns "
        "seconds, or None for the backoff."
    )


def checked_errors(field: str, kinds: object) -> tuple[type[BaseException], ...]:
    """Return exception classes as a tuple. Raises InvalidJobDefinition for anything else."""
    listed = tuple(kinds) if isinstance(kinds, Iterable) else (kinds,)
    if all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in listed):
        return listed
    raise InvalidJobDefinition(f"{field} is {kinds!r}. Accepted: an exception class, or a list of them.")
