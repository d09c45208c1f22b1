"""The options of a job, each said once: where it may be said, its type, what it means, and what it accepts."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, TypedDict, cast

from pleme_redis_django.exceptions import EnqueueError, InvalidJobDefinition, InvalidName
from pleme_redis_django.jobs.definitions.schedule import DeclaredSchedule
from pleme_redis_django.jobs.definitions.uniqueness import Uniqueness
from pleme_redis_django.jobs.interface.bounds import NO_BOUNDS, Bounds
from pleme_redis_django.jobs.interface.job import PRIORITY_HIGH, PRIORITY_LOW
from pleme_redis_django.jobs.interface.queue_names import DEFAULT_QUEUE_NAME, validate_queue_name
from pleme_redis_django.ranges import Number, Text, Whole, said_beside_fields
from pleme_redis_django.wording import did_you_mean

NAME_MAX_LENGTH = 200
RETRIES = Whole(0, 1_000)
DELAYS = Number(0, 86_400)
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
    """True: what the handler, a plain function alone, writes and its ending commit together, in one transaction on the
    job's database."""
    isolated: bool | None
    """True: the handler, a plain function alone, runs in a process of its own: a crash, a leak or a hang ends that
    process alone."""
    deadline: float | None
    """Seconds after the enqueue by which the job has to have started, or it never does."""


class _OptionsOfJobAlone(TypedDict, total=False):
    name: str | None
    """What rows store; default ``module.function``. Name a job before you move it."""
    queue_name: str
    """Default "default"."""
    priority: int
    """-100 to 100, higher first; default 0."""
    retry_delay: Callable[[int, BaseException], float] | None
    """A function of the retry's number (the first is 1) and of what was raised that returns the seconds until that
    retry, instead of the backoff."""
    retry_on: Iterable[type[BaseException]]
    """Exception classes that are always retried."""
    no_retry_on: Iterable[type[BaseException]]
    """Exception classes that are never retried; it wins over ``retry_on``."""
    unique: Uniqueness | str | None
    """One of "while_waiting", "while_running" and ``once_per(seconds)``: one job at a time with the same parameters;
    the second enqueue returns the first job."""
    takes_context: bool
    """Give the handler a JobContext as its first argument; also when its first parameter is named ``ctx``."""
    schedule: DeclaredSchedule | Iterable[DeclaredSchedule] | None
    """``cron("0 3 * * *")``, ``every(300)``, or a list of them: a job at each of their ticks."""


class _OptionsOfUsingAlone(TypedDict, total=False):
    product: str | None
    """Default that of the running job, else of the settings."""
    queue_name: str | None
    priority: int | None
    unique_key: Annotated[str | None, UNIQUE_KEYS]
    """What makes this job equal to another, in place of its parameters."""
    metadata: Mapping[str, Any] | None
    """A JSON object that the row keeps."""
    expires_at: datetime | None
    """By when the job has to have started, in place of ``deadline``."""


class OptionsOfJob(_OptionsOfJobAlone, OptionsOfBoth, total=False):
    """What ``@job`` takes."""


class OptionsOfEnqueue(_OptionsOfUsingAlone, OptionsOfBoth, total=False):
    """What ``using()`` takes, of a job and of a task, which differ in the due time."""


class OptionsOfUsing(OptionsOfEnqueue, total=False):
    """What ``using()`` of a job takes."""

    run_after: datetime | None
    """When it is due; default now."""


# None for the others: somebody else says it, at last the pool.
DEFAULTS_OF_JOB: Mapping[str, Any] = {
    "queue_name": DEFAULT_QUEUE_NAME,
    "priority": 0,
    "retry_on": (),
    "no_retry_on": (),
    "takes_context": False,
}
NAMES_OF_JOB = tuple(OptionsOfJob.__annotations__)
NAMES_OF_USING = tuple(OptionsOfUsing.__annotations__)
NAMES_OF_BOUNDS = tuple(field.name for field in dataclasses.fields(Bounds))
_RANGES = said_beside_fields(OptionsOfUsing)


def frozen_options(options: Mapping[str, Any]) -> OptionsOfUsing:
    """Return those of the options that say something, for a definition to keep: nobody can change them."""
    said = {name: value for name, value in options.items() if value is not None}
    return cast(OptionsOfUsing, MappingProxyType(said))


NO_OPTIONS = frozen_options({})


def options_over(options: Mapping[str, Any], others: OptionsOfUsing) -> OptionsOfUsing:
    """Return what ``using()`` is given, and ``others`` where it says nothing. Raises EnqueueError for one unknown."""
    if unknown := options.keys() - OptionsOfUsing.__annotations__.keys():
        raise refusal_of_using(unknown)
    return frozen_options({**others, **{name: value for name, value in options.items() if value is not None}})


def bounds_of(options: Mapping[str, Any]) -> Bounds:
    """Return what of the options bounds an attempt."""
    said = {name: options[name] for name in NAMES_OF_BOUNDS if name in options}
    return Bounds(**said) if said else NO_BOUNDS


def checked_defaults(options: Mapping[str, Any]) -> OptionsOfUsing:
    """Return what ``@job`` says of each enqueue. Raises InvalidJobDefinition for what is not accepted."""
    checked_queue_name(options["queue_name"])
    checked_priority(options["priority"], InvalidJobDefinition)
    for name, accepted in _RANGES.items():
        value = options.get(name)
        if value is not None and not accepted.accepts(value):
            raise InvalidJobDefinition(
                f"{name} is {_shown(value)}. Accepted: {accepted}, or None for the pool's."
            )
    if fault := bounds_of(options).fault():
        raise InvalidJobDefinition(fault)
    return frozen_options({name: options[name] for name in NAMES_OF_USING if name in options})


def check_ranges(options: Mapping[str, Any]) -> None:
    """Raise EnqueueError for an option of an enqueue that is out of its range."""
    for name, value in options.items():
        if (accepted := _RANGES.get(name)) is not None and not accepted.accepts(value):
            raise EnqueueError(f"{name} is {_shown(value)}. Accepted: {accepted}.")


def _shown(value: object) -> str:
    return repr(value[:60] if isinstance(value, str) else value)


_OF_JOB_ALONE = {
    "retry_delay": "a function, which no row can store. Say it in @job or in the pool, or give this enqueue "
    "base_retry_delay=",
    "retry_on": "exception classes, which no row can store. Say them in @job",
    "no_retry_on": "exception classes, which no row can store. Say them in @job",
    "unique": "what the @job says of all its jobs. unique_key= says what makes this one equal to another",
    "schedule": "what the @job says. A schedule in the admin enqueues with other options",
    "name": "what the @job says",
    "takes_context": "what the @job says",
}


def refusal_of_using(names: Iterable[str]) -> EnqueueError:
    """Return the error for options that ``using()`` does not take."""
    name = sorted(names)[0]
    if name in _OF_JOB_ALONE:
        return EnqueueError(f"using() takes no {name}: it is {_OF_JOB_ALONE[name]}.")
    hint = did_you_mean(name, NAMES_OF_USING, otherwise=f"Accepted: {', '.join(NAMES_OF_USING)}.")
    return EnqueueError(f"using() has no option {name!r}. {hint}")


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


def checked_priority(priority: object, error: type[Exception]) -> int:
    """Return the priority when it is a whole number from -100 to 100, else raise ``error``."""
    if PRIORITIES.accepts(priority):
        return cast(int, priority)
    raise error(f"priority is {priority!r}. Accepted: {PRIORITIES}; higher runs first.")


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
