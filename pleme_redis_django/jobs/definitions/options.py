"""The options of a definition: what each accepts, and what ``.using()`` changes of them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast

from pleme_redis_django.exceptions import EnqueueError, InvalidJobDefinition, InvalidName
from pleme_redis_django.jobs.interface.bounds import Bounds
from pleme_redis_django.jobs.interface.job import PRIORITY_HIGH, PRIORITY_LOW
from pleme_redis_django.jobs.interface.queue_names import validate_queue_name
from pleme_redis_django.ranges import Number, Whole
from pleme_redis_django.wording import did_you_mean

NAME_MAX_LENGTH = 200
RETRIES = Whole(0, 1_000)
DELAYS = Number(0, 86_400)
PRIORITIES = Whole(PRIORITY_LOW, PRIORITY_HIGH)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueOptions:
    """What ``.using()`` changes; None keeps what the definition or the settings say."""

    product: str | None = None
    queue_name: str | None = None
    priority: int | None = None
    run_after: datetime | None = None
    unique_key: str | None = None
    on_conflict: str | None = None
    max_retries: int | None = None
    base_retry_delay: float | None = None
    metadata: Mapping[str, Any] | None = None
    timeout: float | None = None
    kill_after: float | None = None
    interrupt: bool | None = None
    retry_on_timeout: bool | None = None
    atomic: bool | None = None
    isolated: bool | None = None
    deadline: float | None = None
    expires_at: datetime | None = None

    @property
    def bounds(self) -> Bounds:
        """What of it bounds an attempt."""
        return Bounds(
            timeout=self.timeout,
            kill_after=self.kill_after,
            interrupt=self.interrupt,
            retry_on_timeout=self.retry_on_timeout,
            atomic=self.atomic,
            isolated=self.isolated,
            deadline=self.deadline,
        )


NO_OPTIONS = EnqueueOptions()

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
    known = [field.name for field in dataclasses.fields(EnqueueOptions)]
    hint = did_you_mean(name, known, otherwise=f"Accepted: {', '.join(known)}.")
    return EnqueueError(f"using() has no option {name!r}. {hint}")


def refusal_of_job(name: str, known: Iterable[str]) -> InvalidJobDefinition:
    """Return the error for an option that ``@job`` does not take."""
    if name in ("expires_at", "run_after"):
        for_all = "deadline= in @job" if name == "expires_at" else "schedule= in @job"
        return InvalidJobDefinition(
            f"@job takes no {name}, which is a moment of one enqueue: using({name}=...). For all: {for_all}."
        )
    hint = did_you_mean(name, known, otherwise=f"Accepted: {', '.join(sorted(known))}.")
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


def checked_number(field: str, value: Any, accepted: Whole | Number) -> Any:
    """Return an option that is a number, or None. Raises InvalidJobDefinition for one out of range."""
    if value is None or accepted.accepts(value):
        return value
    raise InvalidJobDefinition(f"{field} is {value!r}. Accepted: {accepted}, or None for the pool's.")


def checked_bounds(bounds: Bounds) -> Bounds:
    """Return the bounds of an attempt. Raises InvalidJobDefinition for what is not accepted."""
    if fault := bounds.fault():
        raise InvalidJobDefinition(fault)
    return bounds


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
