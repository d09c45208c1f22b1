"""JobTask: a task with the options of ``@job``; what ``@task`` makes where the backend is this package's."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Unpack, get_type_hints

from pleme_redis_django.jobs.definitions.options import OptionsOfEnqueue, refusal_of_using
from pleme_redis_django.jobs.definitions.options_of_job import DEFAULTS_OF_JOB, OptionsOfJob
from pleme_redis_django.tasks_backend.api import Task


class OptionsOfTask(OptionsOfEnqueue, total=False):
    """What ``using()`` of a task takes."""

    run_after: datetime | timedelta | None
    backend: str | None


# Left out of the hash: they may be a list or a dict.
_UNHASHED = ("retry_on", "no_retry_on", "schedule", "metadata")


def _fields() -> list[tuple[str, Any, Any]]:
    """Return what ``@job`` and ``using()`` can say and a Task does not say itself, as fields."""
    its_own = {"name", *(field.name for field in dataclasses.fields(Task))}
    return [
        (name, hint, dataclasses.field(default=DEFAULTS_OF_JOB.get(name), hash=name not in _UNHASHED))
        for name, hint in (get_type_hints(OptionsOfJob) | get_type_hints(OptionsOfEnqueue)).items()
        if name not in its_own
    ]


if TYPE_CHECKING:
    _TaskWithOptions = Task
else:
    _TaskWithOptions = dataclasses.make_dataclass(
        "_TaskWithOptions", _fields(), bases=(Task,), frozen=True, slots=True, kw_only=True
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobTask(_TaskWithOptions):  # type: ignore[type-arg]  # Django's is generic for the stubs and not at run time
    """A task with what ``@job`` can say; the words and their meaning are those of ``@job``."""

    def using(self, **options: Unpack[OptionsOfTask]) -> JobTask:
        """Return a copy whose enqueues use these options; what is not named, or is None, stays as it was.

        A ``timedelta`` as ``run_after`` counts from each enqueue. Raises EnqueueError for an option that it does
        not take.
        """
        if unknown := options.keys() - OptionsOfTask.__annotations__.keys():
            raise refusal_of_using(unknown)
        changed: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        return dataclasses.replace(self, **changed)
