"""JobBackend beyond the contract: options of @job, states of jobs, transactions, and what it refuses."""

from __future__ import annotations

import dataclasses
import logging
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone
from django.utils.log import RequireDebugTrue

from pleme_redis_django import InvalidParameters, ProviderError, signals
from pleme_redis_django.exceptions import InvalidSettings, WrongTransaction
from pleme_redis_django.job_listeners import listeners
from pleme_redis_django.jobs.definitions.registry import RegistryExecutor, registry
from pleme_redis_django.models import Job, JobAttempt
from pleme_redis_django.operations import cancel_jobs, retry_jobs
from pleme_redis_django.orm_store import OrmJobStore
from pleme_redis_django.tasks_backend import JobBackend, JobTask, announcements, enqueued, job_options
from pleme_redis_django.tasks_backend.api import (
    InvalidTask,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
    task_finished,
    task_started,
)
from pleme_redis_django.testing import drain_jobs
from pleme_redis_django.testing.tasks_contract import tasks as contract
from pleme_redis_django.testing.tasks_contract.subject import heard
from tests.workload import jobs, tasks

pytestmark = pytest.mark.django_db


def job_of(result: Any) -> Job:
    return Job.objects.get(pk=result.id)


def test_task_is_a_job_of_its_path() -> None:
    job = job_of(tasks.add.using(priority=3, queue_name="mail").enqueue(1, right=2))
    assert job.job_type == tasks.add.module_path == "tests.workload.tasks.add"
    assert (job.queue_name, job.priority, job.parameters) == ("mail", 3, {"left": 1, "right": 2})
    assert (job.product, job.max_retries) == ("default", 0)


def test_workers_know_the_tasks_by_their_paths() -> None:
    executor = RegistryExecutor()
    assert tasks.add.module_path in executor.sync_job_types()
    assert contract.add_slowly.module_path in executor.async_job_types()


def test_enqueue_is_one_query_and_so_is_a_look_at_its_result(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        result = tasks.add.enqueue(1)
    with django_assert_num_queries(1):
        assert tasks.add.get_result(result.id) == result


@pytest.mark.parametrize(
    ("args", "kwargs", "value"),
    [
        ((1, 2), {}, [1, 2, [], "", {}]),
        ((1,), {"second": 2, "extra": 3}, [1, 2, [], "", {"extra": 3}]),
        ((1, 2, 3, 4), {"word": "a"}, [1, 2, [3, 4], "a", {}]),
    ],
)
def test_parameters_of_every_kind_arrive(args: Any, kwargs: Any, value: Any) -> None:
    result = tasks.places.enqueue(*args, **kwargs)
    drain_jobs()
    result.refresh()
    assert result.return_value == value
    found = tasks.places.get_result(result.id)
    assert (tuple(found.args), found.kwargs) == (args, kwargs)


def test_argument_by_place_and_by_name_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="'first' twice"):
        tasks.places.enqueue(1, 2, first=3)


def test_arguments_that_do_not_fit_are_refused_at_the_enqueue() -> None:
    with pytest.raises(InvalidParameters, match=r"tests\.workload\.tasks\.add takes"):
        tasks.add.enqueue(1, unknown=2)
    assert not Job.objects.exists()


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize("value", [deep(101), deep(5_000), endless()], ids=["a little", "much", "endless"])
def test_arguments_that_are_nested_too_deeply_are_refused(value: list[Any]) -> None:
    for enqueue in (lambda: contract.echo.enqueue(value), lambda: contract.echo.enqueue(value=value)):
        with pytest.raises(InvalidParameters, match="nested too deeply"):
            enqueue()
    assert not Job.objects.exists()


@pytest.mark.parametrize("value", [deep(101), deep(5_000), endless()], ids=["a little", "much", "endless"])
def test_returned_value_that_is_nested_too_deeply_fails_the_task_once(
    value: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "RETURNED", value)
    result = tasks.return_what_is_set.enqueue()
    assert len(drain_jobs(with_retries=True)) == 1
    result.refresh()
    assert result.errors[0].exception_class_path.endswith(".InvalidResult")
    assert "nested too deeply" in result.errors[0].traceback


@pytest.mark.parametrize(
    "value", [float("nan"), float("-inf"), "a\x00b", "\ud800", {"a": {None: 1}}, "x" * 300_000]
)
def test_argument_that_postgresql_does_not_give_back_unchanged_is_refused(value: Any) -> None:
    with pytest.raises(InvalidParameters, match="are refused"):
        tasks.add.enqueue(value)
    assert not Job.objects.exists()


def test_first_parameter_called_ctx_is_as_any_other() -> None:
    result = tasks.takes_ctx.enqueue("a")
    drain_jobs()
    result.refresh()
    assert result.return_value == "a"


# Options of @job


def test_options_of_job_reach_the_row() -> None:
    task = tasks.only_once.using(product="shop", max_retries=5, metadata={"team": "sales"})
    job = job_of(task.enqueue("a"))
    assert (job.product, job.max_retries, job.metadata) == ("shop", 5, {"team": "sales"})


def test_unique_task_is_enqueued_once(django_assert_num_queries: Any) -> None:
    first, second = tasks.only_once.enqueue("a"), tasks.only_once.enqueue("a")
    assert first == second
    assert tasks.only_once.enqueue("b").id != first.id
    assert tasks.only_once.using(unique_key="a").enqueue("c").id != first.id


def test_every_option_of_job_can_be_said_of_a_task() -> None:
    from pleme_redis_django.jobs.definitions.options import NAMES_OF_USING
    from pleme_redis_django.jobs.definitions.options_of_job import NAMES_OF_JOB
    from pleme_redis_django.tasks_backend.job_task import OptionsOfTask

    fields = {field.name for field in dataclasses.fields(JobTask)}
    assert set(NAMES_OF_JOB) - {"name"} <= fields
    assert set(NAMES_OF_USING) <= OptionsOfTask.__annotations__.keys() <= fields


def test_retry_rules_of_a_task_are_its_jobs() -> None:
    job_options(tasks.give_up, no_retry_on=(ProviderError,), base_retry_delay=5)
    assert RegistryExecutor().retry_rules(tasks.give_up.module_path) == ((), (ProviderError,))
    job_options(tasks.give_up)


@pytest.mark.parametrize(
    "options", [{"max_retries": -1}, {"max_retries": "3"}, {"timeout": 0}, {"unique": "sometimes"}]
)
def test_option_that_job_refuses_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidTask, match=r"(?i)accepted"):
        job_options(tasks.add, **options)


def test_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidTask, match="Did you mean max_retries"):
        job_options(tasks.add, max_retry=3)


def test_retries_are_attempts_with_their_errors() -> None:
    result = tasks.flaky.enqueue(good_from=3)
    drain_jobs(with_retries=True)
    result.refresh()
    assert (result.status, result.return_value, result.attempts) == (TaskResultStatus.SUCCESSFUL, 3, 3)
    assert [error.exception_class for error in result.errors] == [ProviderError, ProviderError]
    assert len(set(result.worker_ids)) == 1


def test_task_that_waits_for_a_retry_is_ready() -> None:
    with heard(task_finished) as sent:
        result = tasks.flaky.enqueue(good_from=3)
        drain_jobs(limit=1)
    result.refresh()
    assert (result.status, result.attempts, len(result.errors)) == (TaskResultStatus.READY, 1, 1)
    assert sent == []


# States of a job


def test_failed_task_has_not_started_after_its_end() -> None:
    result = contract.fail.enqueue()
    drain_jobs()
    job = job_of(result)
    # As on a busy server: the row of the attempt is written a while after that of the job.
    JobAttempt.objects.filter(job_id=job.pk).update(started_at=job.failed_at + timedelta(seconds=1))
    result.refresh()
    assert result.enqueued_at <= result.started_at <= result.finished_at


def test_cancelled_task_has_failed_with_the_reason() -> None:
    with heard(task_finished) as sent:
        result = tasks.add.enqueue(1)
        with transaction.atomic():
            cancel_jobs(Job.objects.filter(pk=result.id))
    result.refresh()
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 0)
    assert result.errors[0].exception_class.__name__ == "JobCancelled"
    assert "cancelled" in result.errors[0].traceback
    assert sent == []  # Not before the commit.


def test_expired_task_has_failed_with_the_reason() -> None:
    result = tasks.add.using(expires_at=timezone.now() - timedelta(minutes=1)).enqueue(1)
    OrmJobStore(Job).end_expired_jobs(100)
    result.refresh()
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 0)
    assert "deadline" in result.errors[0].traceback


def test_discarded_task_has_failed_with_the_reason() -> None:
    result = tasks.give_up.enqueue()
    drain_jobs()
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert [error.exception_class.__name__ for error in result.errors] == ["Discard"]


def test_task_that_is_retried_by_hand_is_ready_again() -> None:
    result = contract.fail.enqueue()
    drain_jobs()
    retry_jobs(Job.objects.filter(pk=result.id))
    result.refresh()
    assert (result.status, result.finished_at) == (TaskResultStatus.READY, None)


def test_attempts_that_left_nothing_are_counted() -> None:
    result = tasks.put_off.enqueue()
    drain_jobs(with_scheduled=True)
    result.refresh()
    assert (result.status, result.attempts, result.errors) == (TaskResultStatus.SUCCESSFUL, 2, [])
    assert result.worker_ids[0] == ""


def test_deleted_job_has_no_result() -> None:
    result = tasks.add.enqueue(1)
    Job.objects.update(deleted_at=timezone.now())
    with pytest.raises(TaskResultDoesNotExist, match="deleted"):
        tasks.add.get_result(result.id)


def test_job_that_is_no_task_has_no_result() -> None:
    job = jobs.add.enqueue(1, 2)
    with pytest.raises(TaskResultDoesNotExist):
        task_backends["default"].get_result(str(job.id))


def test_alias_reads_its_own_tasks_alone() -> None:
    result = tasks.add.using(backend="other", queue_name="anything").enqueue(1)
    assert result.backend == "other"
    assert task_backends["other"].get_result(result.id) == result
    with pytest.raises(TaskResultDoesNotExist):
        task_backends["default"].get_result(result.id)


def test_result_of_a_queue_that_is_gone_is_read() -> None:
    result = tasks.add.enqueue(1)
    Job.objects.update(queue_name="gone")
    assert task_backends["default"].get_result(result.id).task.queue_name == "gone"


def test_result_is_read_of_a_task_that_is_not_in_the_registry() -> None:
    with override_settings(
        TASKS={"default": {"BACKEND": "tests.tasks_backend.other_backend.ElsewhereBackend"}}
    ):
        from tests.tasks_backend import other_tasks
    path = other_tasks.elsewhere.module_path
    result = tasks.places.enqueue(1, 2, 3, word="a")
    Job.objects.update(job_type=path)
    found = alias().get_result(result.id)
    assert (found.task.module_path, found.args, found.kwargs) == (path, [1, 2, 3], {"word": "a"})
    assert registry.find(path) is None


def test_result_of_a_renamed_task_says_so() -> None:
    result = tasks.add.enqueue(1)
    Job.objects.update(job_type="tests.workload.tasks.renamed_away")
    with pytest.raises(TaskResultDoesNotExist, match="renamed or moved"):
        task_backends["default"].get_result(result.id)


def test_task_that_a_job_enqueues_is_of_its_product() -> None:
    result = tasks.product_of_this_job.using(product="shop").enqueue()
    drain_jobs(limit=1)
    result.refresh()
    assert result.return_value == "shop"
    assert set(Job.objects.values_list("product", flat=True)) == {"shop"}


def test_jobs_that_are_no_tasks_send_no_signal_of_tasks() -> None:
    with heard(task_started) as started, heard(task_finished) as finished:
        jobs.add.enqueue(1, 2)
        drain_jobs()
    assert started == finished == []


def test_ends_that_nobody_hears_or_logs_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    # The API's logger has the name of its package: the level decides whether its own receiver has a line.
    assert announcements.api_logger.name == task_started.receivers[0][1]().__globals__["logger"].name
    caplog.set_level("WARNING", logger=announcements.api_logger.name)
    result = tasks.add.enqueue(1)
    drain_jobs()
    result.refresh()
    assert result.is_finished
    assert not [record for record in caplog.records if record.name == announcements.api_logger.name]
    with heard(task_finished) as sent:
        tasks.add.enqueue(1)
        drain_jobs()
    assert len(sent) == 1


def test_other_jobs_pay_nothing_for_tasks() -> None:
    """A receiver of these signals would have the engine build what it sends, for each job of the process."""
    assert task_backends["default"]
    for signal in (signals.job_started, signals.job_completed, signals.job_failed, signals.job_cancelled):
        assert signal.receivers == []
    assert tasks.add.module_path in listeners
    assert jobs.add.name not in listeners


def test_lines_that_no_handler_takes_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's LOGGING has INFO on for its loggers, and a handler that takes it while DEBUG is on alone."""
    logger = announcements.api_logger
    handler = logging.Handler(logging.INFO)
    handler.addFilter(RequireDebugTrue())
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(announcements, "running_result", Mock(side_effect=AssertionError))
    logger.setLevel(logging.INFO)
    try:
        tasks.add.enqueue(1)
        drain_jobs()
        with override_settings(DEBUG=True):
            assert announcements._is_written(logging.INFO)
    finally:
        logger.setLevel(logging.NOTSET)


def test_new_result_has_every_field_that_the_constructor_sets() -> None:
    result = tasks.add.enqueue(1, right=2)
    values = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    values.pop("_return_value")
    assert type(result)(**values) == result


def test_second_enqueue_of_a_task_checks_it_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks.add.enqueue(1)
    monkeypatch.setattr(JobBackend, "validate_task", Mock(side_effect=AssertionError))
    assert job_of(tasks.add.enqueue(1, right=3)).parameters == {"left": 1, "right": 3}


def test_enqueue_after_a_change_of_settings_checks_the_task_again() -> None:
    tasks.add.enqueue(1)
    entry = {"BACKEND": "pleme_redis_django.tasks_backend.JobBackend", "QUEUES": ["mail"]}
    with (
        override_settings(TASKS={"default": entry}),
        pytest.raises(InvalidTask, match="'default' is not valid"),
    ):
        tasks.add.enqueue(1)
    with override_settings(PLEME_REDIS={**settings.PLEME_REDIS, "POOLS": {"default": {"max_retries": 9}}}):
        assert job_of(tasks.add.using(max_retries=None).enqueue(1)).max_retries == 0
    assert job_of(tasks.add.enqueue(1)).max_retries == 0


def test_plans_of_tasks_that_are_made_for_one_enqueue_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enqueued, "PLANS_MAX", 3)
    for priority in range(7):
        assert job_of(tasks.add.using(priority=priority).enqueue(1)).priority == priority
    assert len(enqueued.plans._plans) <= 3


# Times, queues, priorities


def test_due_time_as_a_distance_counts_from_the_enqueue() -> None:
    later = tasks.add.using(run_after=timedelta(hours=1))
    first = job_of(later.enqueue(1))
    assert timedelta(minutes=59) < first.run_after - timezone.now() <= timedelta(hours=1)
    assert job_of(later.enqueue(1)).run_after > first.run_after


@pytest.mark.parametrize(
    "run_after", ["tomorrow", 5, datetime(9999, 1, 1, tzinfo=timezone.get_default_timezone())]
)
def test_due_time_that_is_none_is_refused(run_after: Any) -> None:
    with pytest.raises(InvalidTask, match="run_after"):
        tasks.add.using(run_after=run_after)


@pytest.mark.parametrize("priority", ["high", True, 200])
def test_priority_that_is_none_is_refused(priority: Any) -> None:
    with pytest.raises(InvalidTask, match="whole number between -100 and 100"):
        tasks.add.using(priority=priority)


def test_unknown_queue_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidTask, match="Did you mean mail"):
        tasks.add.using(queue_name="mial")


# Transactions


@pytest.mark.django_db(transaction=True)
def test_enqueue_commits_with_its_transaction() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        result = tasks.add.enqueue(1)
        assert tasks.add.get_result(result.id) == result
        _ = 1 / 0
    with pytest.raises(TaskResultDoesNotExist):
        tasks.add.get_result(result.id)


@pytest.mark.django_db(transaction=True, databases=["default", "sqlite"])
def test_enqueue_inside_a_transaction_of_another_database_is_refused() -> None:
    with pytest.raises(WrongTransaction), transaction.atomic(using="sqlite"):
        tasks.add.enqueue(1)
    assert connection.in_atomic_block is False


# OPTIONS and checks


def alias(**entry: Any) -> JobBackend:
    return JobBackend("default", entry)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"POOLS": "default"}, "Did you mean POOL"),
        ({"POOL": "nowhere"}, "does not have"),
        ({"MAX_RETRIES": -1}, "MAX_RETRIES"),
        ({"TIMEOUT": 0}, "TIMEOUT"),
        ({"PRODUCT": "A b"}, "PRODUCT"),
        (["POOL"], "Accepted: a dict"),
    ],
)
def test_wrong_option_is_said_by_a_check_and_at_use(options: Any, message: str) -> None:
    backend = alias(OPTIONS=options)
    (found,) = backend.check()
    assert found.id == "pleme_redis_django.E034"
    assert message in found.msg
    with pytest.raises(InvalidSettings, match=message):
        backend.checked_options()


def test_options_are_defaults_of_the_enqueue() -> None:
    entry = {
        "BACKEND": "pleme_redis_django.tasks_backend.JobBackend",
        "OPTIONS": {"PRODUCT": "shop", "MAX_RETRIES": 7, "TIMEOUT": 30},
    }
    with override_settings(TASKS={"default": entry}):
        job = job_of(tasks.add.enqueue(1))
        assert (job.product, job.max_retries, job.timeout_seconds) == ("shop", 7, 30)
        job = job_of(tasks.add.using(product="other", max_retries=1, timeout=5).enqueue(1))
        assert (job.product, job.max_retries, job.timeout_seconds) == ("other", 1, 5)


def test_name_that_no_queue_may_have_is_said_by_a_check() -> None:
    assert [one.id for one in alias(QUEUES=["a b"]).check()] == ["pleme_redis_django.E035"]


def test_queue_that_no_pool_serves_is_said_by_a_check() -> None:
    with override_settings(PLEME_REDIS={**settings.PLEME_REDIS, "POOLS": {"default": {"queues": ["mail"]}}}):
        (found,) = alias(QUEUES=["mail", "default"]).check()
        assert found.id == "pleme_redis_django.W036"
        assert "default" in found.msg
        assert list(alias(QUEUES=["mail"]).check()) == []


def test_registry_keeps_tasks_of_this_backend_alone() -> None:
    with override_settings(
        TASKS={"default": {"BACKEND": "tests.tasks_backend.other_backend.ElsewhereBackend"}}
    ):
        from tests.tasks_backend import other_tasks
    assert registry.find(other_tasks.elsewhere.module_path) is None
