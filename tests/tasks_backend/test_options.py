"""Options of @job for tasks, by each way that a Django has: the decorator, job_options() and using()."""

from __future__ import annotations

import inspect
import pickle
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from pleme_redis_django import InvalidParameters
from pleme_redis_django.models import Job
from pleme_redis_django.tasks_backend import JobTask, job_options
from pleme_redis_django.tasks_backend.api import Task, task, task_backends
from pleme_redis_django.testing import drain_jobs
from tests.workload import tasks

pytestmark = pytest.mark.django_db

# Django 6.0 alone has a decorator that takes no others than its own.
DECORATOR_TAKES_OPTIONS = "kwargs" in inspect.signature(task).parameters
OPTIONS: dict[str, Any] = {"max_retries": 3, "unique": "while_waiting", "timeout": 30.0, "product": "shop"}


def assert_stored(made: Any) -> None:
    assert isinstance(made, JobTask)
    first, second = made.enqueue("a"), made.enqueue("a")
    assert first.id == second.id, "unique"
    job = Job.objects.get(pk=first.id)
    assert (job.max_retries, job.timeout_seconds, job.product) == (3, 30.0, "shop")


@pytest.mark.skipif(not DECORATOR_TAKES_OPTIONS, reason="@task of Django 6.0 takes no options but its own")
def test_decorator_takes_the_options_of_job() -> None:
    made = task(**OPTIONS)(tasks.declared_by_tests)
    assert made.module_path == "tests.workload.tasks.declared_by_tests"
    assert_stored(made)


@pytest.mark.skipif(not DECORATOR_TAKES_OPTIONS, reason="@task of Django 6.0 takes no options but its own")
def test_decorator_refuses_an_option_that_there_is_not() -> None:
    with pytest.raises(TypeError, match="max_retry"):
        task(max_retry=3)(tasks.declared_by_tests)


@pytest.mark.skipif(DECORATOR_TAKES_OPTIONS, reason="only @task of Django 6.0 takes no options but its own")
def test_decorator_of_django_6_0_takes_none() -> None:
    with pytest.raises(TypeError):
        task(max_retries=3)(tasks.declared_by_tests)


def test_job_options_says_them_on_every_django() -> None:
    assert_stored(job_options(task(tasks.declared_by_tests), **OPTIONS))


def test_using_says_those_of_an_enqueue() -> None:
    made = job_options(task(tasks.declared_by_tests), unique="while_waiting")
    assert_stored(made.using(max_retries=3, timeout=30.0, product="shop"))


def test_using_keeps_the_options_that_it_does_not_name() -> None:
    made = job_options(task(tasks.declared_by_tests), **OPTIONS).using(priority=5).using(queue_name="mail")
    assert (made.priority, made.queue_name) == (5, "mail")
    assert {name: getattr(made, name) for name in OPTIONS} == OPTIONS


def test_using_of_a_plain_task_says_them_on_every_django() -> None:
    plain = task(tasks.declared_by_tests)
    assert isinstance(plain, JobTask)
    job = Job.objects.get(pk=plain.using(max_retries=3, timeout=30.0, product="shop").enqueue("a").id)
    assert (job.max_retries, job.timeout_seconds, job.product) == (3, 30.0, "shop")


def test_due_time_stays_where_using_names_none() -> None:
    """None is what using() takes for what it is not given, in Django too: nothing clears a due time."""
    later = tasks.add.using(run_after=timezone.now() + timedelta(hours=1))
    assert later.using(run_after=None).run_after == later.run_after


@pytest.mark.parametrize("key", [5, None, True])
def test_key_that_is_not_text_is_refused_rather_than_changed(key: object) -> None:
    with pytest.raises(InvalidParameters, match="text"):
        tasks.add.enqueue({key: 1})


def test_running_task_is_counted_in_its_attempts() -> None:
    result = tasks.count_attempts.enqueue()
    drain_jobs()
    result.refresh()
    assert result.return_value == [1, 1]


@pytest.mark.skipif(not hasattr(Task, "_reconstruct"), reason="tasks can be pickled from Django 6.1 on")
def test_task_with_options_survives_pickle() -> None:
    made = tasks.only_once.using(max_retries=2)
    made.enqueue("a")
    assert pickle.loads(pickle.dumps(made)) == made


def test_task_of_this_backend_is_made_by_its_class() -> None:
    assert task_backends["default"].task_class is JobTask
