"""JobDefinition: one handler with its options; what ``@job`` makes and a user enqueues."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, ParamSpec, Protocol, TypeVar, Unpack, overload

from pleme_redis_django.exceptions import EnqueueError, InvalidParameters, InvalidResult
from pleme_redis_django.jobs.definitions.arguments import by_name
from pleme_redis_django.jobs.definitions.declared_schedule import DeclaredSchedule
from pleme_redis_django.jobs.definitions.handler import DECORATED, check_passed_by_name
from pleme_redis_django.jobs.definitions.handler_types import HandlerTypes, StoredResult
from pleme_redis_django.jobs.definitions.limits import NO_LIMITS, LimitsOfJob
from pleme_redis_django.jobs.definitions.options import NO_OPTIONS, OptionsOfUsing, bounds_of, options_over
from pleme_redis_django.jobs.definitions.uniqueness import Uniqueness
from pleme_redis_django.jobs.interface.bounds import Bounds
from pleme_redis_django.jobs.interface.context import current_job_context
from pleme_redis_django.jobs.interface.job import AnyJob, JobStatus

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

CONTEXT_PARAMETER = "ctx"


class Enqueuer(Protocol):
    """What stores jobs; the Django side binds one when apps are ready."""

    def check_run_after(self, run_after: object) -> None:
        """Raise EnqueueError for what is not a valid due time. The settings say whether it needs a zone."""
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
    """A handler that can be enqueued, and can still be called like the plain function."""

    context_parameter: ClassVar[str | None] = CONTEXT_PARAMETER
    """A first parameter of this name is given the context, without ``takes_context``."""
    reads_annotations: ClassVar[bool] = True
    """Whether parameters and results are converted as annotated. If not, they are plain JSON."""

    name: str
    function: Callable[..., R]
    defaults: OptionsOfUsing
    """The options that ``@job`` sets for each enqueue. The pool has the defaults of the others."""
    retry_delay: Callable[[int, BaseException], float] | None
    """Returns the seconds until a retry, from its number and the exception; None: the backoff."""
    retry_on: tuple[type[BaseException], ...]
    no_retry_on: tuple[type[BaseException], ...]
    unique: Uniqueness | None
    takes_context: bool
    is_async: bool
    signature: inspect.Signature
    """The signature of the handler's own parameters, without the context."""
    required: frozenset[str]
    accepted: frozenset[str] | None
    """The names that the handler takes; None: any name, because it has ``**kwargs``."""
    types: HandlerTypes
    """What the annotations say of the parameters and the result."""
    context_name: str | None = None
    """The name of the parameter that the worker passes, and an enqueue may not."""
    options: OptionsOfUsing = dataclasses.field(default_factory=lambda: NO_OPTIONS)
    """The options that ``using()`` sets for the enqueues of this copy; they win over the defaults."""
    schedules: tuple[DeclaredSchedule, ...] = ()
    limits: LimitsOfJob = NO_LIMITS
    marks: Mapping[str, Any] | None = None
    """What the ``configuration`` of its rows holds beside the options."""

    @property
    def function_path(self) -> str:
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @property
    def bounds(self) -> Bounds:
        """The limits of its attempts; None where the pool's apply."""
        return bounds_of(self.defaults)

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Call the handler here and now, like the plain function."""
        return self.function(*args, **kwargs)

    @classmethod
    def check_parameters(cls, function: Callable[..., Any], parameters: Iterable[inspect.Parameter]) -> None:
        """Raise InvalidJobDefinition for a parameter that cannot be passed by name."""
        check_passed_by_name(function, parameters)

    def run(self, job: AnyJob) -> Any:
        """Call the handler with the parameters of a claimed job; the result of an async one is a coroutine.

        Raises InvalidParameters when the parameters no longer fit the handler.
        """
        parameters = self.decoded_parameters(job.parameters)
        if self.takes_context:
            value: Any = self.function(current_job_context(), **parameters)
        else:
            value = self.function(**parameters)
        result = self.types.result
        if result is None or type(value) is result.as_is:
            return value
        is_awaitable = inspect.isawaitable(value)
        return self.types.aencoded_result(value) if is_awaitable else self.types.encoded_result(value)

    @overload
    def result_of(self: JobDefinition[P, Coroutine[Any, Any, T]], job: StoredResult) -> T: ...
    @overload
    def result_of(self, job: StoredResult) -> R: ...
    def result_of(self, job: StoredResult) -> Any:
        """Return the result of a COMPLETED job as its handler returned it.

        Raises InvalidResult for a job that has none, one of another handler, and where the annotation does not
        accept the result any more.
        """
        if job.job_type != self.name or job.status != JobStatus.COMPLETED:
            raise InvalidResult(
                f"The job is {job.status}, of {job.job_type}. {self.name} has the results of its own COMPLETED jobs; "
                "of a job that was enqueued here, read the row again: job.refresh_from_db()."
            )
        return self.types.decoded_result(job.results)

    def as_enqueued(self) -> JobDefinition[P, R]:
        """Return what an enqueue stores that knows the name alone, as a schedule's does."""
        return self

    def using(self, **options: Unpack[OptionsOfUsing]) -> JobDefinition[P, R]:
        """Return a copy whose enqueues use these options; what is not named, or is None, stays as it was.

        Raises EnqueueError for an option that it does not take, and for a ``run_after`` that is not accepted; the
        enqueue checks the others.
        """
        changed = options_over(options, self.options)
        if (run_after := options.get("run_after")) is not None and _enqueuers:
            _enqueuers[0].check_run_after(run_after)
        return dataclasses.replace(self, options=changed)

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
        """Return the arguments by name, as they are stored. Raises InvalidParameters when they do not fit."""
        if not args:
            return self.encoded_parameters(kwargs)
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidParameters(f"{self._calls_as()}: {error}.") from None
        return self.types.encoded(self._without_context(by_name(bound)))

    def encoded_parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what an enqueue gives as it is stored. Raises InvalidParameters unless the handler takes it."""
        return self.types.encoded(self.checked_parameters(given))

    def decoded_parameters(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is stored as the handler gets it. Raises InvalidParameters unless the handler takes it."""
        return self.types.decoded(self.checked_parameters(stored))

    def reencoded_parameters(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters that people have typed as an enqueue would store them: equal values as equal text."""
        return self.types.encoded(self.decoded_parameters(stored))

    def checked_parameters(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``parameters`` as a dict. Raises InvalidParameters unless the handler takes these names."""
        if not parameters and not self.required:
            return {}
        given = parameters.keys()
        if self.required <= given and (self.accepted is None or given <= self.accepted):
            return self._without_context(dict(parameters))
        missing = sorted(self.required - given)
        unknown = sorted(given - self.accepted) if self.accepted is not None else []
        faults = [f"missing {missing}"] * bool(missing) + [f"unknown {unknown}"] * bool(unknown)
        hint = DECORATED if missing and hasattr(self.function, "__wrapped__") else ""
        raise InvalidParameters(f"{self._calls_as()}: {', '.join(faults)}.{hint}")

    def _without_context(self, parameters: dict[str, Any]) -> dict[str, Any]:
        if self.context_name is None or self.context_name not in parameters:
            return parameters
        raise InvalidParameters(
            f"{self._calls_as()}: {self.context_name!r} is the JobContext, which the worker passes. Leave it out."
        )

    def _bound(self, parameters: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
        return (self.encoded_parameters(one) for one in parameters)

    def _calls_as(self) -> str:
        return f"{self.name} takes {self.signature.replace(return_annotation=inspect.Signature.empty)}"
