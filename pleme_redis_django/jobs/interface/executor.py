"""JobExecutor: runs a job, and says which of its jobs are async and which it does not know."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar, runtime_checkable

from pleme_redis_django.jobs.interface.job import AnyJob

J_contra = TypeVar("J_contra", bound=AnyJob, contravariant=True)


class JobExecutor(Protocol[J_contra]):
    """The business logic of one kind of job: one method, ``def`` or ``async def``.

    Returns what JSON can hold. Raises ExecutionFailed or ProviderError (retried, as is any other
    exception), InvalidParameters (never retried, as are Django's and pydantic's validation
    errors), or JobCancelled. ``current_job_context()`` gives progress and cancellation.
    """

    def execute(self, job: J_contra, /) -> Any | Awaitable[Any]: ...


@runtime_checkable
class DispatchingExecutor(Protocol):
    """An executor that runs a known set of types, some sync and some async."""

    def sync_job_types(self) -> frozenset[str]: ...
    def async_job_types(self) -> frozenset[str]: ...


@runtime_checkable
class LimitingExecutor(Protocol):
    """An executor that knows which of its jobs declare limits, which the store has to keep."""

    def limited_job_types(self) -> frozenset[str]: ...


def is_async_executor(executor: JobExecutor[Any]) -> bool:
    """Whether the executor's ``execute`` is a coroutine function."""
    return inspect.iscoroutinefunction(executor.execute)


def async_job_types_of(executor: JobExecutor[Any]) -> frozenset[str] | None:
    """Return the types whose handlers are coroutine functions, None when all are."""
    if isinstance(executor, DispatchingExecutor):
        return executor.async_job_types()
    return None if is_async_executor(executor) else frozenset()


def count_slots(executor: JobExecutor[Any], threads: int, tasks: int) -> tuple[int, int]:
    """Return the slots for sync and for async jobs: where there are none of a kind, it has no slots."""
    async_types = async_job_types_of(executor)
    if async_types is None:
        return 0, tasks
    has_sync = not isinstance(executor, DispatchingExecutor) or bool(executor.sync_job_types())
    return threads if has_sync or not async_types else 0, tasks if async_types else 0


def known_job_types(executor: JobExecutor[Any]) -> frozenset[str] | None:
    """Return the types that the executor runs, None when it takes whatever it is given."""
    if isinstance(executor, DispatchingExecutor):
        return executor.sync_job_types() | executor.async_job_types()
    return None
