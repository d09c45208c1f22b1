"""What a task costs a worker beside a @job. Calls are counted, since times would be the machine's."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from django.utils.log import RequireDebugTrue

from pleme_redis_django.configured_pools import configured_pool, executor_of
from pleme_redis_django.event_log import EngineEvents
from pleme_redis_django.jobs.interface.bounds import Bounds, BoundsOfJobs
from pleme_redis_django.jobs.interface.context import JobContext
from pleme_redis_django.jobs.interface.endings import Completed
from pleme_redis_django.jobs.interface.events import JobEnded, JobStarted
from pleme_redis_django.jobs.worker.runner import JobRunner
from pleme_redis_django.models import Job
from pleme_redis_django.tasks_backend import announcements
from pleme_redis_django.testing import job_context
from tests.workload import jobs, tasks

pytestmark = pytest.mark.django_db


def test_an_attempt_calls_little_more_for_a_task_than_for_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements, "_is_heard", lambda *_: False)  # pytest itself writes every line.
    of_job, of_task = _calls_of_an_attempt(jobs.noop.enqueue), _calls_of_an_attempt(tasks.noop.enqueue)
    assert of_task - of_job == Counter({"started": 1, "completed": 1, "<lambda>": 2})


def test_a_signal_that_nobody_hears_is_found_out_without_a_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Django's own logging outside of DEBUG, which each start and each end of a task goes through."""
    handler = logging.StreamHandler()
    handler.addFilter(RequireDebugTrue())
    monkeypatch.setattr(announcements.api_logger, "handlers", [handler])
    monkeypatch.setattr(announcements.api_logger, "propagate", False)
    monkeypatch.setattr(announcements.api_logger, "level", logging.INFO)
    announcements.api_logger.manager._clear_cache()  # type: ignore[attr-defined]  # setLevel() does this
    called = _called(lambda: announcements._is_written(logging.INFO))
    assert called["_is_for_debugging"] == 1
    assert called["<genexpr>"] == 0


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

    first, second = (job_context(Job.objects.get(pk=enqueue().id)) for _ in range(2))
    attempt(first)  # It works out what a handler takes.
    return _called(lambda: attempt(second))


def _called(action: Callable[[], object]) -> Counter[str]:
    names: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _arg: Any) -> None:
        if event == "call":
            names[frame.f_code.co_name] += 1

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return names
