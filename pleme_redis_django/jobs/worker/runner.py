"""JobRunner: one attempt of one job, from the handler's call to the ending. Never raises."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import inspect
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext, suppress
from typing import Any, Protocol

from pleme_redis_django.exceptions import (
    Discard,
    ExecutionFailed,
    InvalidResult,
    JobCancelled,
    JobTimeout,
    NotJson,
    Snooze,
)
from pleme_redis_django.interruption import give_back_all
from pleme_redis_django.jobs.interface.bounds import BoundsOfJobs
from pleme_redis_django.jobs.interface.context import JobContext, _current
from pleme_redis_django.jobs.interface.endings import (
    Cancelled,
    Completed,
    Ending,
    Failed,
    Failure,
    Retried,
    Snoozed,
)
from pleme_redis_django.jobs.interface.executor import JobExecutor
from pleme_redis_django.jobs.interface.failures import (
    WORKER_DIED,
    failure_of,
    hidden_failure_of,
    leaves_of,
)
from pleme_redis_django.jobs.interface.json_text import to_json
from pleme_redis_django.jobs.interface.store import JobStore
from pleme_redis_django.jobs.interface.worker_pool_config import WorkerPoolConfig
from pleme_redis_django.jobs.worker.interrupts import Interruptible
from pleme_redis_django.jobs.worker.isolation import Isolation, ProcessDied
from pleme_redis_django.jobs.worker.retry_delays import delay_before_retry
from pleme_redis_django.jobs.worker.retry_rules import RetryRules

DEFAULT_MAX_RESULTS_BYTES = 1024 * 1024


class HandlerSurroundings(Protocol):
    """What surrounds each job in its thread or task: database connections, for instance."""

    def enter(self) -> None:
        """Run in the job's thread before a sync handler, in the thread's own context."""
        ...

    def leave(self, *, interrupted: bool = False) -> None:
        """Run in the job's thread after a sync handler; an interrupted one may have left things in any state."""
        ...

    def interrupted(self, thread_id: int) -> None:
        """Wake the thread of an interrupted handler from whatever it waits for; called from another thread."""
        ...

    def atomic(self, job: Any) -> AbstractContextManager[Callable[[], None]]:
        """Return what makes a block one transaction on the job's database. It yields a check to be called at the end of
        the handler, which raises if the handler has ended the transaction itself."""
        ...

    def around_async(self) -> AbstractAsyncContextManager[None]:
        """Return what surrounds an async handler in its task."""
        ...


class NoSurroundings:
    """A scope that surrounds nothing."""

    def enter(self) -> None:
        """Do nothing."""

    def leave(self, *, interrupted: bool = False) -> None:
        """Do nothing."""

    def interrupted(self, thread_id: int) -> None:
        """Do nothing."""

    def atomic(self, job: Any) -> AbstractContextManager[Callable[[], None]]:
        """Refuse: nothing is known of a database."""
        raise ExecutionFailed(
            f"{job.job_type} is atomic, and its pool has no database.", error_code="not_atomic"
        )

    def around_async(self) -> AbstractAsyncContextManager[None]:
        """Return a context manager that does nothing."""
        return nullcontext()


class JobRunner:
    """Calls the executor and turns whatever happens into an ending."""

    def __init__(
        self,
        executor: JobExecutor[Any],
        config: WorkerPoolConfig,
        *,
        scope: HandlerSurroundings | None = None,
        max_results_bytes: int = DEFAULT_MAX_RESULTS_BYTES,
        store: JobStore[Any] | None = None,
        isolation: Isolation | None = None,
    ) -> None:
        in_context = getattr(executor, "execute_attempt", None)
        self._execute = executor.execute if in_context is None else in_context
        # Middleware would look for the context of each job that it is given.
        self._gives_context = in_context is not None
        self._config = config
        self._retries = RetryRules(executor, config)
        self.bounds_of = BoundsOfJobs(config.bounds).of
        """Returns the bounds of an attempt of a job."""
        self._scope = scope or NoSurroundings()
        self._max_results_bytes = max_results_bytes
        self._store = store
        self.isolation = isolation
        """Where isolated attempts run; None: here, like any other."""

    def run(self, context: JobContext, thread: Interruptible | None = None) -> Ending:
        """Run a sync handler, or an async one to its end, in the calling thread.

        ``thread``: where it can be interrupted; not before the handler is called, nor after it has returned.
        """
        started, thread = time.perf_counter(), thread or Interruptible()
        try:
            try:
                self._scope.enter()
                # A copy: what the handler sets (a tenant, a language, a time zone) is gone before the next job.
                return contextvars.copy_context().run(self._run, context, started, thread)
            # SystemExit and KeyboardInterrupt of a handler end its attempt, not its worker thread.
            except BaseException as error:
                thread.leave()
                return self._ended_by(error, context, started)
        except BaseException as interrupt:
            # It came while another error was on its way.
            thread.leave()
            return self._ended_by(interrupt, context, started)
        finally:
            # What leaving could not tidy up shows in the next job; this one has its ending.
            # suppress() takes three calls in Python, once for each job.
            try:  # noqa: SIM105 - as said
                self._scope.leave(interrupted=thread.was_interrupted)
            except Exception:  # noqa: S110 - as said
                pass
            if thread.left_open:
                give_back_all(thread.left_open, interrupted=thread.was_interrupted)

    def _run(self, context: JobContext, started: float, thread: Interruptible) -> Ending:
        if context.bounds.isolated and self.isolation is not None:
            return self._run_apart(context, self.isolation, started)
        _current.set(context)
        if context.bounds.atomic:
            return self._run_atomically(context, started, thread)
        thread.enter(context)
        value = self._execute(context if self._gives_context else context.job)
        if value is not None and inspect.isawaitable(value):
            value = asyncio.run(_awaited(value))
        thread.leave()
        return self._completed(context, value, started)

    def _run_atomically(self, context: JobContext, started: float, thread: Interruptible) -> Ending:
        """Commit what the handler writes with its ending, or neither.

        The finisher writes the ending once more: it finds it written, or refused.
        """
        job, store = context.job, self._store
        if store is None:
            raise ExecutionFailed(
                f"{job.job_type} is atomic, and nothing ends it here.", error_code="not_atomic"
            )
        ending: Ending | None = None
        with suppress(_EndingRefused), self._scope.atomic(job) as check:
            thread.enter(context)
            value = self._execute(context if self._gives_context else job)
            thread.leave()
            check()
            if inspect.isawaitable(value):
                raise ExecutionFailed(f"{job.job_type}: its result is awaitable.", error_code="not_atomic")
            ending = self._completed(context, value, started)
            if not all(store.finish_jobs([ending])):
                raise _EndingRefused
        assert ending is not None
        return ending

    def _run_apart(self, context: JobContext, isolation: Isolation, started: float) -> Ending:
        """Have the attempt run in a process of its own; the ending is decided there, unless it dies."""
        try:
            return isolation.run(context)
        except ProcessDied as death:
            error = death.because or ExecutionFailed(str(death), error_code=WORKER_DIED)
            ending = self._ended_by(error, context, started)
            failure: Failure | None = getattr(ending, "failure", None)
            if failure is None:
                return ending
            # The traceback of the thread that has waited here tells nothing.
            failure = dataclasses.replace(failure, traceback=death.trace, exception=None)
            return dataclasses.replace(ending, failure=failure)  # type: ignore[call-arg]  # it has one

    def interrupt(self, context: JobContext, thread: Interruptible, kind: type[BaseException]) -> bool:
        """Raise ``kind`` in the sync handler that runs there, unless it has ended or wants none; from another thread.

        Return whether it was sent. One that runs apart is told.
        """
        if context.bounds.isolated and self.isolation is not None:
            self.isolation.tell(context)
            return False
        if context.bounds.interrupt is False or not thread.interrupt(context, kind):
            return False
        self._scope.interrupted(thread.thread_id)
        return True

    async def arun(self, context: JobContext) -> Ending:
        """Run an async handler in the calling task."""
        token = _current.set(context)
        started = time.perf_counter()
        try:
            async with self._scope.around_async():
                value = self._execute(context if self._gives_context else context.job)
                if inspect.isawaitable(value):
                    value = await value
            return self._completed(context, value, started)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                if context.cancel_requested:
                    error = JobCancelled("The job was cancelled while it ran.")
                elif context.timed_out:
                    error = JobTimeout().with_traceback(error.__traceback__)
            return self._ended_by(error, context, started)
        finally:
            _current.reset(token)

    def _completed(self, context: JobContext, value: Any, started: float) -> Ending:
        run_seconds = time.perf_counter() - started
        try:
            text = "null" if value is None else to_json(value, max_bytes=self._max_results_bytes)
        except NotJson as error:
            raise InvalidResult(
                f"{context.job.job_type} returned a result that cannot be stored: {error}."
            ) from None
        return Completed(
            job_id=context.job.id,
            claim=context.claim,
            run_seconds=run_seconds,
            progress=context.take_unwritten_progress(),
            results_json=text,
        )

    def ending_of(self, error: BaseException, context: JobContext, run_seconds: float = 0.0) -> Ending:
        """Return the ending of an attempt that ``error`` ended outside of its run."""
        return self._ended_by(error, context, time.perf_counter() - run_seconds)

    def _ended_by(self, error: BaseException, context: JobContext, started: float) -> Ending:
        job = context.job
        shared: dict[str, Any] = {
            "job_id": job.id,
            "claim": context.claim,
            "run_seconds": time.perf_counter() - started,
            "progress": context.take_unwritten_progress(),
        }
        if isinstance(error, Snooze):
            return Snoozed(**shared, retry_count=job.retry_count, delay_seconds=error.seconds)
        if isinstance(error, JobTimeout | JobCancelled) and not str(error):
            error.args = (_interrupt_notice(error, context),)
        delay_seconds = self._delay_of_a_retry(error, context)
        keep = hidden_failure_of if context.hides_failure else failure_of
        shared["failure"] = failure = keep(error, job.job_type)
        if _is_of_timeout(error, context):
            shared["failure"] = dataclasses.replace(failure, error_code=JobTimeout.error_code)
        if all(isinstance(one, JobCancelled | Discard) for one in leaves_of(error)):
            return Cancelled(**shared)
        if delay_seconds is None:
            return Failed(**shared)
        if context.cancel_requested:
            return Cancelled(**shared)
        return Retried(**shared, retry_count=job.retry_count + 1, delay_seconds=delay_seconds)

    def _delay_of_a_retry(self, error: BaseException, context: JobContext) -> float | None:
        """Return the seconds until the next attempt; None: there is none."""
        job = context.job
        if context.bounds.retry_on_timeout is False and _is_of_timeout(error, context):
            return None
        # The job model and the executor's rules are the project's, and may be broken themselves.
        with suppress(BaseException):
            if self._retries.allow(job, error):
                of_job, of_pool = self._retries.delay_of(job, error), self._retries.delay_of_pool
                return delay_before_retry(job, self._config, error, of_job, of_pool)
        return None


def _is_of_timeout(error: BaseException, context: JobContext) -> bool:
    """Whether the timeout is why the attempt failed: what a handler makes of a JobTimeout is too."""
    if isinstance(error, JobCancelled | Discard):
        return False
    interrupted = context.timed_out and context.bounds.interrupt is not False
    return interrupted or isinstance(error, JobTimeout)


def _interrupt_notice(error: BaseException, context: JobContext) -> str:
    if isinstance(error, JobCancelled):
        return "The job was cancelled while it ran."
    if context.bounds.timeout is None:
        return "The handler raised JobTimeout."
    return f"The attempt ran for longer than its timeout of {context.bounds.timeout:g} s."


class _EndingRefused(Exception):
    """Rolls back what the handler of an atomic job wrote: the attempt is another worker's, or over."""


async def _awaited(value: Any) -> Any:
    return await value
