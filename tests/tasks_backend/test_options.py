"""Options of @job for tasks, by each way that a Django has: the decorator, job_options() and using()."""

from __future__ import annotations

import inspect
import pickle
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from pleme_redis_django import InvalidParameters, enqueue, enqueue_many
from pleme_redis_django.enqueueing import templates
from pleme_redis_django.enqueueing.rows import template_of
from pleme_redis_django.exceptions import EnqueueError
from pleme_redis_django.models import Job, Schedule
from pleme_redis_django.schedules.book import OrmScheduleBook
from pleme_redis_django.schedules.firing import run_schedule_now
from pleme_redis_django.tasks_backend import JobTask, job_options
from pleme_redis_django.tasks_backend.api import InvalidTask, Task, task, task_backends
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


# By its name alone: what a schedule enqueues, or code that does not import the task.

PATH = "tests.workload.tasks.declared_by_tests"


def test_name_enqueues_what_the_task_does() -> None:
    made = job_options(
        task(tasks.declared_by_tests),
        **{**OPTIONS, "metadata": {"team": "mail"}, "deadline": 60, "base_retry_delay": 5, "kill_after": 9},
    )
    of_task = Job.objects.get(pk=made.enqueue(word="a").id)
    (of_name,) = Job.objects.filter(pk__in=[enqueue_many(PATH, [{"word": "b"}])[0].pk])
    own = {"id", "parameters", "unique_slot", "run_after", "created_at", "updated_at", "expires_at"}
    names = {field.name for field in Job._meta.concrete_fields} - own
    assert {name: getattr(of_name, name) for name in names} == {
        name: getattr(of_task, name) for name in names
    }
    assert of_name.expires_at is not None


@pytest.mark.parametrize("unique", [{"unique": "while_waiting", "unique_key": "one"}, {"unique_key": "one"}])
def test_conflict_of_a_task_counts_by_its_name_and_by_itself(unique: dict[str, Any]) -> None:
    made = job_options(task(tasks.declared_by_tests), on_conflict="replace", **unique)
    first = enqueue(PATH, word="first")
    again = enqueue(PATH, word="second")
    assert (again.pk, again.is_new) == (first.pk, False)
    assert Job.objects.get().parameters == {"word": "second"}
    made.enqueue(word="third")
    assert Job.objects.get().parameters == {"word": "third"}


def test_conflict_of_a_task_counts_where_a_schedule_enqueues_it() -> None:
    job_options(
        task(tasks.declared_by_tests), unique="while_waiting", unique_key="one", on_conflict="replace"
    )
    enqueue(PATH, word="before")
    Schedule.objects.create(
        name="nightly",
        product="default",
        job_type=PATH,
        cron="0 3 * * *",
        timezone="UTC",
        parameters={"word": "scheduled"},
    )
    run_schedule_now("nightly")
    assert Job.objects.get().parameters == {"word": "scheduled"}
    (completed,) = drain_jobs().completed
    assert completed.results == "scheduled"


def test_options_of_its_alias_count_by_its_name(settings: Any) -> None:
    task(tasks.declared_by_tests)
    settings.TASKS = {
        "default": {**settings.TASKS["default"], "OPTIONS": {"MAX_RETRIES": 7, "PRODUCT": "shop"}}
    }
    job = enqueue(PATH)
    assert (job.max_retries, job.product) == (7, "shop")


def test_task_that_its_backend_takes_no_more_is_refused_by_its_name(settings: Any) -> None:
    """And a schedule of it is disabled with that reason, its times as they were."""
    task(tasks.declared_by_tests)
    now = timezone.now()
    Schedule.objects.create(
        name="nightly",
        product="default",
        job_type=PATH,
        cron="* * * * *",
        timezone="UTC",
        next_tick_at=now,
        starts_at=now,
    )
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["mail"]}}
    with pytest.raises(EnqueueError, match=rf"{PATH}: Queue 'default' is not valid"):
        enqueue(PATH)
    ((name, reason),) = OrmScheduleBook().fire_due().disabled
    assert (name, "Queue 'default' is not valid" in reason) == ("nightly", True)
    assert Schedule.objects.get().starts_at == now


def test_conflict_of_a_task_that_is_equal_to_none_is_refused_where_it_is_said() -> None:
    with pytest.raises(InvalidTask, match="on_conflict is 'replace' on a job without unique="):
        job_options(task(tasks.declared_by_tests), on_conflict="replace")


def test_what_an_enqueue_of_a_task_stores_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = job_options(task(tasks.declared_by_tests), timeout=30.0, metadata={"team": "mail"})
    counted: list[str] = []

    def counting(definition: Any, *arguments: Any) -> Any:
        counted.append(definition.name)
        return template_of(definition, *arguments)

    monkeypatch.setattr(templates, "template_of", counting)
    for word in "abc":
        made.enqueue(word)
        made.enqueue(word=word)
    assert len(counted) == 2, "one with an argument by its place, and one with none"
