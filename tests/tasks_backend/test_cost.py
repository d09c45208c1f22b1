"""What a task costs a worker beside a @job. Calls are counted, since times would be the machine's."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from pleme_redis_django.configured_pools import configured_pool, executor_of
from pleme_redis_django.event_log import EngineEvents
from pleme_redis_django.jobs.interface.bounds import Bounds, BoundsOfJobs
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Completed
from pleme_redis_django.jobs.interface.events import JobEnded, JobsClaimed, JobStarted
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.models import Job
from pleme_redis_django.tasks_backend import announcements
from pleme_redis_django.testing import job_context
from tests.calls import codes_called
from tests.workload import jobs, tasks

pytestmark = pytest.mark.django_db


def test_an_attempt_calls_little_more_for_a_task_than_for_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements, "_is_written", lambda _: False)  # pytest itself writes every line.
    of_job, of_task = _calls_of_an_attempt(jobs.noop.enqueue), _calls_of_an_attempt(tasks.noop.enqueue)
    assert of_task - of_job == Counter({"started": 1, "completed": 1})


def test_handlers_of_logging_are_asked_once_for_all_tasks_of_a_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's own take no line outside of DEBUG, which is found out by asking each."""
    asked: list[int] = []

    def is_written(level: int) -> bool:
        asked.append(level)
        return False

    monkeypatch.setattr(announcements, "_is_written", is_written)
    events, claimed = EngineEvents(), [_stored(tasks.noop.enqueue) for _ in range(3)]
    asked.clear()
    events.emit(JobsClaimed("worker", 3, False))
    for job in claimed:
        events.emit(JobStarted(job))
    assert asked == [logging.INFO]


def test_the_mark_of_a_task_leaves_the_bounds_of_its_pool_as_they_are() -> None:
    defaults = Bounds(timeout=5)
    tasks.noop.enqueue()
    assert BoundsOfJobs(defaults).of(Job.objects.get()) is defaults


def _calls_of_an_attempt(enqueue: Callable[[], Any]) -> Counter[str]:
    parts, events = configured_pool("default"), EngineEvents()
    runner = JobRunner(executor_of(parts), parts.config)

    def attempt(context: JobContext) -> None:
        context.bounds = runner.bounds_of(context.job)
        events.emit(JobStarted(context.job))
        ending = runner.run(context)
        assert isinstance(ending, Completed)
        events.emit(JobEnded(context.job, ending))

    first, second = (job_context(_stored(enqueue)) for _ in range(2))
    events.emit(JobsClaimed("worker", 2, False))
    attempt(first)  # It works out what a handler takes.
    return _called(lambda: attempt(second))


def _stored(enqueue: Callable[[], Any]) -> Job:
    return Job.objects.get(pk=enqueue().id)


def _called(action: Callable[[], object]) -> Counter[str]:
    return Counter(code.co_name for code in codes_called(action))
