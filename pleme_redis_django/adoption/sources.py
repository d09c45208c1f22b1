"""The queues that rows are adopted from: which of their rows wait, which run, and what a row asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import Model, Q
from django.db.models.functions import Now

from pleme_redis_django.adoption.foreign_call import CannotMove, ForeignCall
from pleme_redis_django.adoption.tables import DatabaseTask, OxTask, QueuedPackage

# django-tasks-db stores this year for a task that is due at once.
YEAR_OF_NO_DUE_TIME = 9999
# What django-q2 does around a call, and a job does not; "group" and "cached" are where its results are looked up.
_AROUND_A_CALL = ("hook", "chain", "iter_count", "iter_cached", "cached", "group")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Another queue's table."""

    name: str
    """The name of its distribution, by which ``adopttasks`` calls it."""
    table: type[Model]
    waiting: Q
    """The rows that none of its own workers has."""
    running: Q
    """The rows that one of its own workers has. They are left to that worker."""
    read: Callable[[Any], ForeignCall]
    """Returns what a row asks for. Raises CannotMove."""


def _database_task(row: DatabaseTask) -> ForeignCall:
    arguments = row.args_kwargs
    return ForeignCall(
        key=row.pk,
        path=row.task_path,
        args=arguments["args"],
        kwargs=arguments["kwargs"],
        alias=row.backend_name,
        queue_name=row.queue_name,
        priority=row.priority,
        run_after=None if row.run_after.year >= YEAR_OF_NO_DUE_TIME else row.run_after,
    )


def _ox_task(row: OxTask) -> ForeignCall:
    return ForeignCall(
        key=row.pk,
        path=row.task_path,
        args=row.args,
        kwargs=row.kwargs,
        alias=row.backend_name,
        queue_name=row.queue_name,
        priority=row.priority,
        run_after=row.run_after,
        # It counts attempts, including the first. Attempts that were used up stay used up.
        max_retries=max(row.max_attempts - row.attempts - 1, 0),
    )


def _queued_package(row: QueuedPackage) -> ForeignCall:
    package = _opened(row.payload)
    around = [name for name in _AROUND_A_CALL if package.get(name)]
    if around:
        raise CannotMove(f"it has {', '.join(around)}, which a job does not have")
    return ForeignCall(
        key=row.pk,
        path=_path_of(package.get("func")),
        args=package.get("args") or (),
        kwargs=package.get("kwargs") or {},
        timeout=package.get("timeout"),
    )


def _opened(payload: str) -> Mapping[str, Any]:
    """Return a package, opened by django-q2 itself: it is a pickle, signed with the project's key."""
    try:
        from django_q.signing import SignedPackage
    except ImportError:
        raise CannotMove(
            "its package is a signed pickle, which django-q2 alone opens: keep it installed until its rows are moved"
        ) from None
    try:
        package: Mapping[str, Any] = SignedPackage.loads(payload)
    except Exception as error:
        # It may be forged or cut off, or hold values that this code cannot import: anything may be raised.
        raise CannotMove(f"django-q2 cannot open its package ({type(error).__name__})") from None
    return package


def _path_of(function: Any) -> str:
    """Return the path of a function, which a package holds as text, or as the function itself."""
    if isinstance(function, str):
        return function
    plain = getattr(function, "function", None) or getattr(function, "func", None) or function
    return f"{getattr(plain, '__module__', '')}.{getattr(plain, '__qualname__', repr(plain))}"


SOURCES = {
    source.name: source
    for source in (
        Source(
            name="django-tasks-db",
            table=DatabaseTask,
            waiting=Q(status="READY"),
            running=Q(status="RUNNING"),
            read=_database_task,
        ),
        Source(
            name="django-ox",
            table=OxTask,
            waiting=Q(status="READY"),
            running=Q(status="RUNNING"),
            read=_ox_task,
        ),
        Source(
            name="django-q2",
            table=QueuedPackage,
            waiting=Q(lock=None) | Q(lock__lte=Now()),
            running=Q(lock__gt=Now()),
            read=_queued_package,
        ),
    )
}
