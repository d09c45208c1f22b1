"""Retry rules of one enqueue: kept in its row by their dotted paths, and followed by the worker."""

from __future__ import annotations

import functools
import os
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from pleme_redis_django import WorkerPoolConfig, enqueue
from pleme_redis_django.configured_pools import pool_config
from pleme_redis_django.exceptions import EnqueueError, InvalidSettings
from pleme_redis_django.jobs.definitions.registry import RegistryExecutor, registry
from pleme_redis_django.models import Job, JobAttempt
from pleme_redis_django.tasks_backend.api import task
from pleme_redis_django.testing import drain_jobs
from tests.enqueueing import retry_rules
from tests.enqueueing.retry_rules import Busy, Service, fail, fail_by_its_own_rules, patient
from tests.workload import tasks

pytestmark = pytest.mark.django_db

HERE = "tests.enqueueing.retry_rules"


def delay_of(job: Job) -> float | None:
    """Run the job once; return the seconds until its retry, None: it has failed for good."""
    drain_jobs()
    job = Job.objects.get(pk=job.pk)
    if job.status == "FAILED":
        return None
    assert job.status == "PENDING"
    return (job.run_after - timezone.now()).total_seconds()


# The delay of a retry


@pytest.mark.parametrize("said", [patient, f"{HERE}.patient"], ids=["function", "path"])
def test_function_of_an_enqueue_says_the_delay(said: Any) -> None:
    job = fail.using(retry_delay=said).enqueue("busy")
    assert Job.objects.get(pk=job.pk).configuration == {"retry_delay": f"{HERE}.patient"}
    assert delay_of(job) == pytest.approx(100, abs=30)


def test_function_of_an_enqueue_counts_before_that_of_the_job() -> None:
    assert delay_of(fail_by_its_own_rules.using(retry_delay=patient).enqueue("busy")) == pytest.approx(
        100, abs=30
    )
    assert delay_of(fail_by_its_own_rules.enqueue("busy")) == pytest.approx(500, abs=30)


def _nested() -> Any:
    def inside(retry: int, error: BaseException) -> float:
        return 1.0

    return inside


@pytest.mark.parametrize(
    "said",
    [
        lambda retry, error: 1.0,
        _nested(),
        functools.partial(patient, 1),
        Service.delay,
        retry_rules.eager,
        retry_rules.borrowed,
        os.abort,
        5,
        "",
        "patient",
        "nowhere.patient",
        f"{HERE}.nobody",
        f"{HERE}.borrowed",
        f"{HERE}.Service.delay",
        "os.abort",
        "subprocess.call",
    ],
    ids=lambda said: str(getattr(said, "__qualname__", type(said).__name__ if callable(said) else said)),
)
def test_what_no_row_can_name_is_refused_at_the_enqueue(said: Any) -> None:
    with pytest.raises(EnqueueError, match=r"^retry_delay is .*Accepted: "):
        fail.using(retry_delay=said).enqueue("busy")
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "path",
    [
        "os.abort",
        "shutil.rmtree",
        "subprocess.call",
        f"{HERE}.borrowed",
        f"{HERE}.Busy",
        f"{HERE}.gone",
        "this.x",
        "x",
        7,
    ],
)
def test_worker_calls_no_other_function_that_a_row_names(
    path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever writes to the table chooses among functions of the packages that have jobs, and calls no others."""
    job = fail.enqueue("busy")
    Job.objects.filter(pk=job.pk).update(configuration={"retry_delay": path})
    assert delay_of(job) == pytest.approx(63, abs=30), "the pool's"
    if isinstance(path, str):
        assert f"retry_delay is '{path}', which this code does not have" in JobAttempt.objects.get().traceback
    assert "Zen" not in capsys.readouterr().out, "nothing outside of those packages is imported"


def test_package_without_jobs_is_refused_with_those_that_have_some() -> None:
    with pytest.raises(EnqueueError, match="no job is of the package json") as refused:
        fail.using(retry_delay="json.dumps").enqueue("busy")
    assert "tests" in str(refused.value)
    assert "tests" in registry.packages


def test_longest_delay_of_an_enqueue() -> None:
    job = fail.using(max_retry_delay=20).enqueue("busy")
    assert delay_of(job) == pytest.approx(21, abs=8)
    with pytest.raises(EnqueueError, match="max_retry_delay is -1"):
        fail.using(max_retry_delay=-1).enqueue("busy")


# Which errors are retried


@pytest.mark.parametrize(
    ("options", "kind", "is_retried"),
    [
        ({"no_retry_on": Busy}, "busy", False),
        ({"no_retry_on": [Busy]}, "very busy", False),
        ({"no_retry_on": [f"{HERE}.Busy"]}, "very busy", False),
        ({"no_retry_on": [f"{HERE}.VeryBusy"]}, "busy", True),
        ({"no_retry_on": ["KeyError"]}, "key", False),
        ({"no_retry_on": ["builtins.LookupError"]}, "key", False),
        ({"no_retry_on": [Service.Refused]}, "refused", False),
        ({"no_retry_on": [f"{HERE}.Service.Refused"]}, "refused", False),
        ({"no_retry_on": [Exception], "retry_on": [KeyError]}, "key", False),
        ({"retry_on": [KeyError]}, "value", True),
    ],
)
def test_classes_of_an_enqueue_decide(options: dict[str, Any], kind: str, is_retried: bool) -> None:
    assert (delay_of(fail.using(**options).enqueue(kind)) is not None) is is_retried


def test_classes_of_an_enqueue_stand_in_place_of_the_jobs_own() -> None:
    assert delay_of(fail_by_its_own_rules.enqueue("key")) is None
    assert delay_of(fail_by_its_own_rules.using(no_retry_on=[ValueError]).enqueue("key")) is not None
    assert delay_of(fail_by_its_own_rules.using(no_retry_on=[]).enqueue("key")) is not None
    assert delay_of(fail_by_its_own_rules.using(retry_on=[ValueError]).enqueue("key")) is None


def test_row_keeps_the_paths_of_the_classes_themselves() -> None:
    job = fail.using(retry_on=[IOError], no_retry_on=[f"{HERE}.Service.Refused"]).enqueue("key")
    assert Job.objects.get(pk=job.pk).configuration == {
        "retry_on": ["builtins.OSError"],
        "no_retry_on": [f"{HERE}.Service.Refused"],
    }


def _local_class() -> Any:
    class Local(Exception):
        pass

    return Local


@pytest.mark.parametrize("name", ["retry_on", "no_retry_on"])
@pytest.mark.parametrize(
    "said",
    [_local_class(), int, "int", "nowhere.Busy", f"{HERE}.Nobody", f"{HERE}.patient", 5, [[KeyError]], ""],
)
def test_what_is_no_exception_class_that_can_be_found_is_refused(name: str, said: Any) -> None:
    with pytest.raises(EnqueueError, match=rf"^{name} has .*Accepted: exception classes"):
        fail.using(**{name: [said]}).enqueue("busy")


@pytest.mark.parametrize("said", [5, "KeyError", {"a": 1}, [5, None], ["gone.Error"]])
def test_junk_in_a_row_is_passed_over(said: Any) -> None:
    job = fail.enqueue("key")
    Job.objects.filter(pk=job.pk).update(
        configuration={"no_retry_on": said, "retry_on": said, "max_retry_delay": said}
    )
    assert delay_of(job) is not None


# Elsewhere


def test_instance_with_rules_is_checked_as_an_enqueue_is() -> None:
    with pytest.raises(EnqueueError, match=r"retry_delay is 'os\.abort'"):
        enqueue(
            Job(job_type=fail.name, parameters={"kind": "busy"}, configuration={"retry_delay": "os.abort"})
        )


def test_task_is_enqueued_with_rules_of_its_own() -> None:
    made = task(tasks.declared_by_tests)
    job = Job.objects.get(
        pk=made.using(retry_delay=patient, no_retry_on=[KeyError], base_retry_delay=5).enqueue("a").id
    )
    assert job.configuration is not None
    rules = {name: job.configuration.get(name) for name in ("retry_delay", "no_retry_on", "retry_on")}
    assert rules == {"retry_delay": f"{HERE}.patient", "no_retry_on": ["builtins.KeyError"], "retry_on": None}
    plain = Job.objects.get(pk=made.enqueue("a").id)
    assert plain.configuration == {"task": {"backend": "default", "places": 1}}
    assert RegistryExecutor().retry_rules(made.module_path) == ((), ()), "the task itself stays as it was"


def test_pool_names_exception_classes_where_nobody_else_does() -> None:
    pools = {"default": {"retry_on": ["builtins.KeyError"], "no_retry_on": [f"{HERE}.Busy"]}}
    with override_settings(PLEME_REDIS={**settings.PLEME_REDIS, "POOLS": pools}):
        assert delay_of(fail.enqueue("very busy")) is None
        assert delay_of(fail.using(no_retry_on=[]).enqueue("very busy")) is not None
        assert delay_of(fail_by_its_own_rules.enqueue("busy")) is not None, "it names its own"


@pytest.mark.parametrize("said", ["KeyError", [5], ["nowhere.Busy"], ["int"], None])
def test_pool_is_refused_that_names_no_exception_class(said: Any) -> None:
    with pytest.raises(InvalidSettings, match=r"retry_on .*Accepted: "):
        pool_config("default", {"retry_on": said}, {})


def test_pool_takes_lists_and_tuples() -> None:
    assert WorkerPoolConfig(retry_on=["KeyError"]).retry_on == ("KeyError",)
