"""JobExecutor: what runs a job; and which of its jobs are async, and which it does not know."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar, runtime_checkable

from pleme_redis_django.jobs.job import Job

J_contra = TypeVar("J_contra", bound=Job, contravariant=True)


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


def is_async_executor(executor: JobExecutor[Any]) -> bool:
    """Whether the executor's ``execute`` is a coroutine function."""
    return inspect.iscoroutinefunction(executor.execute)


def known_job_types(executor: JobExecutor[Any]) -> frozenset[str] | None:
    """Return the types that the executor runs, None when it takes whatever it is given."""
    if isinstance(executor, DispatchingExecutor):
        return executor.sync_job_types() | executor.async_job_types()
    return None
