"""Attempts in their middleware: an executor around the pool's own, which calls the chain and then that."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from pleme_redis_django.conf import SETTING_NAME
from pleme_redis_django.exceptions import BrokenMiddleware, InvalidSettings
from pleme_redis_django.jobs.interface.context import JobContext, current_job_context
from pleme_redis_django.jobs.interface.executor import (
    DispatchingExecutor,
    JobExecutor,
    async_job_types_of,
    is_async_executor,
)
from pleme_redis_django.jobs.interface.job import AnyJob
from pleme_redis_django.middleware.chain import acomposed, composed
from pleme_redis_django.middleware.loading import LoadedMiddleware

NAMED_TYPES = 3


def in_middleware(executor: JobExecutor[Any], loaded: Sequence[LoadedMiddleware]) -> JobExecutor[Any]:
    """Return the executor in the attempt middleware; the executor itself where there is none.

    Raises InvalidSettings for one that cannot surround the handlers of the executor.
    """
    if all(one.attempt is None and one.aattempt is None for one in loaded):
        return executor
    if faults := faults_of_colour(executor, loaded):
        raise InvalidSettings(faults[0])
    return MiddlewareExecutor(executor, loaded)


def faults_of_colour(executor: JobExecutor[Any], loaded: Sequence[LoadedMiddleware]) -> list[str]:
    """Return what is wrong with middleware that surrounds handlers of one kind alone, where there are both."""
    sync_types, async_types = _types_by_colour(executor)
    faults = []
    for one in loaded:
        if one.attempt is not None and one.aattempt is None and async_types:
            faults.append(_fault(one.path, "a sync attempt() and no aattempt()", "async", async_types))
        if one.aattempt is not None and one.attempt is None and sync_types:
            faults.append(_fault(one.path, "an async attempt alone", "sync", sync_types))
    return faults


def _types_by_colour(executor: JobExecutor[Any]) -> tuple[list[str], list[str]]:
    if isinstance(executor, DispatchingExecutor):
        return sorted(executor.sync_job_types()), sorted(executor.async_job_types())
    name = f"{type(executor).__qualname__}.execute"
    return ([], [name]) if is_async_executor(executor) else ([name], [])


def _fault(path: str, has: str, colour: str, types: list[str]) -> str:
    named = ", ".join(types[:NAMED_TYPES]) + (", ..." if len(types) > NAMED_TYPES else "")
    missing = (
        "async def aattempt(self, call_next, context), which awaits call_next(context)"
        if colour == "async"
        else "def attempt(self, call_next, context) beside async def aattempt(...)"
    )
    return (
        f'{SETTING_NAME}["MIDDLEWARE"] names "{path}", which has {has}, and cannot surround {colour} handlers: '
        f"{named}. Give it {missing}."
    )


class MiddlewareExecutor:
    """Runs a job through the middleware of its kind of handler, and then by another executor."""

    def __init__(self, executor: JobExecutor[Any], loaded: Sequence[LoadedMiddleware]) -> None:
        self._execute = executor.execute
        self._executor = executor
        sync_links = [one.attempt for one in loaded if one.attempt is not None]
        async_links = [one.aattempt for one in loaded if one.aattempt is not None]
        self._attempt = composed(sync_links, self._call, JobContext)
        self._aattempt = acomposed(async_links, self._acall, JobContext)
        self._chains: dict[str, Callable[[JobContext], Any]] = {}
        # What the engine asks of an executor beside these, it asks this one.
        for name in dir(executor):
            if not name.startswith("_") and name not in ("execute", "execute_attempt"):
                setattr(self, name, getattr(executor, name))
        if is_async_executor(executor):
            setattr(self, "execute", self._aexecute)  # noqa: B010 - is_async_executor() looks at this name

    def execute_attempt(self, context: JobContext) -> Any:
        """Run the job of an attempt; the result of an async handler is a coroutine."""
        job_type = context.job.job_type
        chain = self._chains.get(job_type)
        if chain is None:
            is_async = self._runs_in_the_loop(job_type)
            chain = self._chains[job_type] = self._aattempt if is_async else self._attempt
        return chain(context)

    def execute(self, job: AnyJob) -> Any:
        """Run the job of the current attempt, for what has no context at hand."""
        return self.execute_attempt(_context_of(job))

    async def _aexecute(self, job: AnyJob) -> Any:
        return await self._aattempt(_context_of(job))

    def _runs_in_the_loop(self, job_type: str) -> bool:
        types = async_job_types_of(self._executor)
        return types is None or job_type in types

    def _call(self, context: JobContext) -> Any:
        value = self._execute(_job_for(context) if context.has_own_parameters else context.job)
        if value is not None and inspect.isawaitable(value) and not context.bounds.atomic:
            return asyncio.run(_awaited(value))
        return value

    async def _acall(self, context: JobContext) -> Any:
        value = self._execute(_job_for(context) if context.has_own_parameters else context.job)
        return await value if inspect.isawaitable(value) else value


async def _awaited(value: Any) -> Any:
    return await value


def _context_of(job: AnyJob) -> JobContext:
    context = current_job_context()
    if context is None or context.job is not job:
        raise BrokenMiddleware(
            f"The job {job.id} is executed outside of its attempt, so that its middleware has no context."
        )
    return context


def _job_for(context: JobContext) -> AnyJob:
    """Return a copy of the job, with the parameters that middleware has set for the executor.

    Not the claimed one itself: signals, logs and an ending get that, and none of them what was hidden in it.
    """
    job: Any = copy.copy(context.job)
    job.parameters = context.parameters
    given: AnyJob = job
    return given
