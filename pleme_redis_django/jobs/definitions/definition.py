"""JobDefinition: one handler with its options; what ``@job`` makes and a user enqueues."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Generic, NamedTuple, ParamSpec, Protocol, TypeVar, cast

from pleme_redis_django.exceptions import EnqueueError, InvalidJobDefinition, InvalidName, InvalidParameters
from pleme_redis_django.jobs.definitions.arguments import accepted_names, by_name, required_names
from pleme_redis_django.jobs.definitions.schedule import DeclaredSchedule, as_schedules
from pleme_redis_django.jobs.definitions.uniqueness import Uniqueness, as_uniqueness
from pleme_redis_django.jobs.interface.bounds import Bounds
from pleme_redis_django.jobs.interface.context import current_job_context
from pleme_redis_django.jobs.interface.job import PRIORITY_HIGH, PRIORITY_LOW, AnyJob
from pleme_redis_django.jobs.interface.queue_names import DEFAULT_QUEUE_NAME, validate_queue_name
from pleme_redis_django.ranges import Number, Whole

P = ParamSpec("P")
R = TypeVar("R")

NAME_MAX_LENGTH = 200
RETRIES = Whole(0, 1_000)
DELAYS = Number(0, 86_400)
PRIORITIES = Whole(PRIORITY_LOW, PRIORITY_HIGH)
CONTEXT_PARAMETER = "ctx"
ATOMIC_IS_SYNC = (
    "atomic=True is for plain functions, and it is async: Django has no transactions there. Make it a def."
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueOptions:
    """What ``.using()`` changes; None keeps what the definition or the settings say."""

    product: str | None = None
    queue_name: str | None = None
    priority: int | None = None
    run_after: datetime | None = None
    unique_key: str | None = None
    max_retries: int | None = None
    metadata: Mapping[str, Any] | None = None
    timeout: float | None = None
    kill_after: float | None = None
    interrupt: bool | None = None
    retry_on_timeout: bool | None = None
    atomic: bool | None = None
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
            deadline=self.deadline,
        )


class Enqueuer(Protocol):
    """What stores jobs; the Django side binds one when apps are ready."""

    def check_run_after(self, run_after: object) -> None:
        """Raise EnqueueError for what is not a due time: whether it needs a zone, settings say."""
        ...

    def enqueue(self, definition: JobDefinition[Any, Any], parameters: dict[str, Any]) -> Any: ...
    async def aenqueue(self, definition: JobDefinition[Any, Any], parameters: dict[str, Any]) -> Any: ...
    def enqueue_many(
        self, definition: JobDefinition[Any, Any], parameters: Iterable[dict[str, Any]]
    ) -> Sequence[Any]: ...
    async def aenqueue_many(
        self, definition: JobDefinition[Any, Any], parameters: Iterable[dict[str, Any]]
    ) -> Sequence[Any]: ...


_enqueuers: list[Enqueuer] = []


def bind_enqueuer(enqueuer: Enqueuer) -> None:
    """Make ``.enqueue()`` of every definition use ``enqueuer``."""
    _enqueuers[:] = [enqueuer]


def _enqueuer() -> Enqueuer:
    if not _enqueuers:
        raise EnqueueError(
            'There is nothing to store jobs in yet: add "pleme_redis_django" to INSTALLED_APPS, and enqueue after '
            "django.setup()."
        )
    return _enqueuers[0]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class JobDefinition(Generic[P, R]):
    """A handler that can be enqueued, and still be called as the function it is."""

    context_parameter: ClassVar[str | None] = CONTEXT_PARAMETER
    """A first parameter of this name is given the context, without ``takes_context``."""

    name: str
    function: Callable[..., R]
    queue_name: str
    priority: int
    max_retries: int | None
    base_retry_delay: float | None
    retry_delay: Callable[[int, BaseException], float] | None
    """From the number of a retry and what was raised to the seconds until it; None: the backoff."""
    retry_on: tuple[type[BaseException], ...]
    no_retry_on: tuple[type[BaseException], ...]
    unique: Uniqueness | None
    bounds: Bounds
    """What its attempts may not do for ever; None where the pool says it."""
    takes_context: bool
    is_async: bool
    signature: inspect.Signature
    """Of the handler's own parameters, without the context."""
    required: frozenset[str]
    accepted: frozenset[str] | None
    """Names that the handler takes; None: any (it has ``**kwargs``)."""
    context_name: str | None = None
    """Of the parameter that the worker gives, so that no enqueue may."""
    options: EnqueueOptions = EnqueueOptions()
    schedules: tuple[DeclaredSchedule, ...] = ()
    marks: Mapping[str, Any] | None = None
    """What the ``configuration`` of its rows holds beside the options."""

    @property
    def function_path(self) -> str:
        return f"{self.function.__module__}.{self.function.__qualname__}"

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Call the handler here and now, as the plain function that it is."""
        return self.function(*args, **kwargs)

    @classmethod
    def check_parameters(cls, function: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> None:
        """Raise InvalidJobDefinition for a parameter that cannot be passed by name."""
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise InvalidJobDefinition(
                    f"{function.__qualname__} has the parameter {parameter}, which cannot be passed by name, "
                    "and a job's parameters are stored by name. Make it a keyword parameter."
                )

    def run(self, job: AnyJob) -> Any:
        """Call the handler with the parameters of a claimed job; the result of an async one is a coroutine.

        Raises InvalidParameters when the parameters no longer fit the handler.
        """
        parameters = self.checked_parameters(job.parameters)
        if self.takes_context:
            return self.function(current_job_context(), **parameters)
        return self.function(**parameters)

    def using(
        self,
        *,
        product: str | None = None,
        queue_name: str | None = None,
        priority: int | None = None,
        run_after: datetime | None = None,
        unique_key: str | None = None,
        max_retries: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        kill_after: float | None = None,
        interrupt: bool | None = None,
        retry_on_timeout: bool | None = None,
        atomic: bool | None = None,
        deadline: float | None = None,
        expires_at: datetime | None = None,
    ) -> JobDefinition[P, R]:
        """Return a copy whose enqueues use these options; what is not named stays as it was.

        Raises EnqueueError for a ``run_after`` that is not accepted; the enqueue checks the others.
        """
        if run_after is not None and _enqueuers:
            _enqueuers[0].check_run_after(run_after)
        given: dict[str, Any] = {
            "product": product,
            "queue_name": queue_name,
            "priority": priority,
            "run_after": run_after,
            "unique_key": unique_key,
            "max_retries": max_retries,
            "metadata": metadata,
            "timeout": timeout,
            "kill_after": kill_after,
            "interrupt": interrupt,
            "retry_on_timeout": retry_on_timeout,
            "atomic": atomic,
            "deadline": deadline,
            "expires_at": expires_at,
        }
        changed = {key: value for key, value in given.items() if value is not None}
        return dataclasses.replace(self, options=dataclasses.replace(self.options, **changed))

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Store a job that will call the handler with these arguments; return the Job.

        Inside a transaction the job exists once that commits. Raises InvalidParameters when the
        arguments do not fit the handler or do not survive JSON.
        """
        return _enqueuer().enqueue(self, self.bind(args, kwargs))

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Async twin of ``enqueue``."""
        return await _enqueuer().aenqueue(self, self.bind(args, kwargs))

    def enqueue_many(self, parameters: Iterable[Mapping[str, Any]]) -> Sequence[Any]:
        """Store one job for each dict of arguments; return the Jobs in order."""
        return _enqueuer().enqueue_many(self, self._bound(parameters))

    async def aenqueue_many(self, parameters: Iterable[Mapping[str, Any]]) -> Sequence[Any]:
        """Async twin of ``enqueue_many``."""
        return await _enqueuer().aenqueue_many(self, self._bound(parameters))

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by name. Raises InvalidParameters when they do not fit the handler."""
        if not args:
            return self.checked_parameters(kwargs)
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidParameters(f"{self._calls_as()}: {error}.") from None
        return self._without_context(by_name(bound))

    def checked_parameters(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``parameters`` as a dict. Raises InvalidParameters unless the handler takes them."""
        given = parameters.keys()
        if self.required <= given and (self.accepted is None or given <= self.accepted):
            return self._without_context(dict(parameters))
        missing = sorted(self.required - given)
        unknown = sorted(given - self.accepted) if self.accepted is not None else []
        faults = [f"missing {missing}"] * bool(missing) + [f"unknown {unknown}"] * bool(unknown)
        hint = _DECORATED if missing and hasattr(self.function, "__wrapped__") else ""
        raise InvalidParameters(f"{self._calls_as()}: {', '.join(faults)}.{hint}")

    def _without_context(self, parameters: dict[str, Any]) -> dict[str, Any]:
        if self.context_name is None or self.context_name not in parameters:
            return parameters
        raise InvalidParameters(
            f"{self._calls_as()}: {self.context_name!r} is the JobContext, which the worker passes. Leave it out."
        )

    def _bound(self, parameters: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
        return (self.checked_parameters(one) for one in parameters)

    def _calls_as(self) -> str:
        return f"{self.name} takes {self.signature.replace(return_annotation=inspect.Signature.empty)}"


def definition_of(
    function: Callable[..., R],
    *,
    name: str | None = None,
    queue_name: str = DEFAULT_QUEUE_NAME,
    priority: int = 0,
    max_retries: int | None = None,
    base_retry_delay: float | None = None,
    retry_delay: Callable[[int, BaseException], float] | None = None,
    retry_on: Iterable[type[BaseException]] = (),
    no_retry_on: Iterable[type[BaseException]] = (),
    unique: Uniqueness | str | None = None,
    timeout: float | None = None,
    kill_after: float | None = None,
    interrupt: bool | None = None,
    retry_on_timeout: bool | None = None,
    atomic: bool | None = None,
    deadline: float | None = None,
    takes_context: bool = False,
    schedule: DeclaredSchedule | Iterable[DeclaredSchedule] | None = None,
    kind: type[JobDefinition[..., Any]] = JobDefinition,
) -> JobDefinition[..., R]:
    """Return the definition of a handler. Raises InvalidJobDefinition for what is not accepted."""
    _check_function(function)
    if atomic and inspect.iscoroutinefunction(function):
        raise InvalidJobDefinition(f"{function.__qualname__}: {ATOMIC_IS_SYNC}")
    handler = _handler_of(function, kind, takes_context=takes_context)
    checked_name = _checked_name(f"{_module_of(function)}.{function.__qualname__}" if name is None else name)
    bounds = Bounds(
        timeout=timeout,
        kill_after=kill_after,
        interrupt=interrupt,
        retry_on_timeout=retry_on_timeout,
        atomic=atomic,
        deadline=deadline,
    )
    definition: JobDefinition[..., R] = kind(
        name=checked_name,
        function=function,
        queue_name=_checked_queue_name(queue_name),
        priority=checked_priority(priority, InvalidJobDefinition),
        max_retries=_checked_number("max_retries", max_retries, RETRIES),
        base_retry_delay=_checked_number("base_retry_delay", base_retry_delay, DELAYS),
        retry_delay=_checked_retry_delay(retry_delay),
        retry_on=_checked_errors("retry_on", retry_on),
        no_retry_on=_checked_errors("no_retry_on", no_retry_on),
        unique=as_uniqueness(unique),
        bounds=_checked_bounds(bounds),
        takes_context=handler.takes_context,
        is_async=inspect.iscoroutinefunction(function),
        signature=handler.signature,
        required=required_names(handler.parameters),
        accepted=accepted_names(handler.parameters),
        context_name=handler.context_name,
        schedules=as_schedules(schedule, checked_name),
    )
    for one in definition.schedules:
        definition.checked_parameters(one.parameters)
    return definition


class _Taken(NamedTuple):
    """What a handler takes."""

    signature: inspect.Signature
    parameters: list[inspect.Parameter]
    """Its own, without the one that the worker gives."""
    takes_context: bool
    context_name: str | None


def _handler_of(
    function: Callable[..., Any], kind: type[JobDefinition[..., Any]], *, takes_context: bool
) -> _Taken:
    signature = _signature_of(function)
    parameters = list(signature.parameters.values())
    takes_context = takes_context or bool(parameters and parameters[0].name == kind.context_parameter)
    context_name = parameters[0].name if takes_context and parameters else None
    if takes_context:
        parameters = parameters[1:]
    kind.check_parameters(function, parameters)
    return _Taken(signature.replace(parameters=parameters), parameters, takes_context, context_name)


def checked_priority(priority: object, error: type[Exception]) -> int:
    """Return the priority when it is a whole number from -100 to 100, else raise ``error``."""
    if PRIORITIES.accepts(priority):
        return cast(int, priority)
    raise error(f"priority is {priority!r}. Accepted: {PRIORITIES}; higher runs first.")


def _module_of(function: Callable[..., Any]) -> str:
    """Return the name by which a worker imports the function's module."""
    return _main_name() or function.__module__ if function.__module__ == "__main__" else function.__module__


def _main_name() -> str | None:
    """Return the real name of the module that was started with ``python -m``; None: it has none."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return None if spec is None else spec.name


def _check_function(function: object) -> None:
    if not inspect.isfunction(function):
        raise InvalidJobDefinition(
            f"@job got {function!r}. Accepted: a module-level function, sync or async."
        )
    if "<locals>" in function.__qualname__ or "." in function.__qualname__ or function.__name__ == "<lambda>":
        raise InvalidJobDefinition(
            f"{function.__qualname__} is not at the top level of its module, so a worker could not find it by name. "
            "Move it there."
        )
    if function.__module__ == "__main__" and _main_name() is None:
        raise InvalidJobDefinition(
            f"{function.__qualname__} is defined in the program that was started (__main__), where no worker finds "
            "it. Move it into a module, such as the jobs.py of an app, and import it."
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidJobDefinition(
            f"{function.__qualname__} is a generator. Return the result; report with ctx.progress()."
        )


_DECORATED = (
    " The function is decorated: where the decorator gives an argument itself, have what it returns say what "
    "is left, by parameters of its own or by __signature__."
)


def _signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of what is called: a wrapper's own where it names its parameters.

    One that takes ``*args, **kwargs`` passes them on, and takes what the function in it takes.
    """
    own = inspect.signature(function, follow_wrapped=False)
    passes_on = any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in own.parameters.values())
    return inspect.signature(function) if passes_on else own


def _checked_name(name: object) -> str:
    if isinstance(name, str) and 0 < len(name) <= NAME_MAX_LENGTH and name.isprintable():
        return name
    raise InvalidJobDefinition(
        f"A job's name is {str(name)[:60]!r}. Accepted: 1 to {NAME_MAX_LENGTH} printable characters."
    )


def _checked_queue_name(queue_name: object) -> str:
    try:
        return validate_queue_name(queue_name)
    except InvalidName as error:
        raise InvalidJobDefinition(str(error)) from None


def _checked_number(field: str, value: Any, accepted: Whole | Number) -> Any:
    if value is None or accepted.accepts(value):
        return value
    raise InvalidJobDefinition(f"{field} is {value!r}. Accepted: {accepted}, or None for the pool's.")


def _checked_bounds(bounds: Bounds) -> Bounds:
    if fault := bounds.fault():
        raise InvalidJobDefinition(fault)
    return bounds


def _checked_retry_delay(function: Any) -> Any:
    if function is None or (callable(function) and not inspect.iscoroutinefunction(function)):
        return function
    raise InvalidJobDefinition(
        f"retry_delay is {function!r}. Accepted: a function of the retry's number and the exception that returns "
        "seconds, or None for the backoff."
    )


def _checked_errors(field: str, kinds: object) -> tuple[type[BaseException], ...]:
    listed = tuple(kinds) if isinstance(kinds, Iterable) else (kinds,)
    if all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in listed):
        return listed
    raise InvalidJobDefinition(f"{field} is {kinds!r}. Accepted: an exception class, or a list of them.")
