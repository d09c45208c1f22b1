"""JobTask: a task with the options of ``@job``; what ``@task`` makes where the backend is this package's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Never

from pleme_redis_django.jobs.definitions.options import refusal_of_using
from pleme_redis_django.jobs.definitions.schedule import DeclaredSchedule
from pleme_redis_django.jobs.definitions.uniqueness import Uniqueness
from pleme_redis_django.tasks_backend.api import Task


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobTask(Task):  # type: ignore[type-arg]  # Django's is generic for the stubs and not at run time
    """A task with what ``@job`` can say; the words and their meaning are those of ``@job``."""

    max_retries: int | None = None
    base_retry_delay: float | None = None
    retry_delay: Callable[[int, BaseException], float] | None = None
    retry_on: Iterable[type[BaseException]] = dataclasses.field(default=(), hash=False)
    no_retry_on: Iterable[type[BaseException]] = dataclasses.field(default=(), hash=False)
    unique: Uniqueness | str | None = None
    on_conflict: str | None = None
    timeout: float | None = None
    kill_after: float | None = None
    interrupt: bool | None = None
    retry_on_timeout: bool | None = None
    atomic: bool | None = None
    isolated: bool | None = None
    deadline: float | None = None
    expires_at: datetime | None = None
    schedule: DeclaredSchedule | Iterable[DeclaredSchedule] | None = dataclasses.field(
        default=None, hash=False
    )
    product: str | None = None
    unique_key: str | None = None
    metadata: Mapping[str, Any] | None = dataclasses.field(default=None, hash=False)

    def using(
        self,
        *,
        priority: int | None = None,
        queue_name: str | None = None,
        run_after: datetime | timedelta | None = None,
        backend: str | None = None,
        product: str | None = None,
        unique_key: str | None = None,
        on_conflict: str | None = None,
        max_retries: int | None = None,
        base_retry_delay: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        kill_after: float | None = None,
        interrupt: bool | None = None,
        retry_on_timeout: bool | None = None,
        atomic: bool | None = None,
        isolated: bool | None = None,
        deadline: float | None = None,
        expires_at: datetime | None = None,
        **refused: Never,
    ) -> JobTask:
        """Return a copy whose enqueues use these options; what is not named stays as it was.

        A ``timedelta`` as ``run_after`` counts from each enqueue. Raises EnqueueError for an option that it does
        not take.
        """
        if refused:
            raise refusal_of_using(refused)
        given: dict[str, Any] = {
            "priority": priority,
            "queue_name": queue_name,
            "run_after": run_after,
            "backend": backend,
            "product": product,
            "unique_key": unique_key,
            "on_conflict": on_conflict,
            "max_retries": max_retries,
            "base_retry_delay": base_retry_delay,
            "metadata": metadata,
            "timeout": timeout,
            "kill_after": kill_after,
            "interrupt": interrupt,
            "retry_on_timeout": retry_on_timeout,
            "atomic": atomic,
            "isolated": isolated,
            "deadline": deadline,
            "expires_at": expires_at,
        }
        return dataclasses.replace(self, **{key: value for key, value in given.items() if value is not None})
