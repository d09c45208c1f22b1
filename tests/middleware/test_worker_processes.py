"""Middleware in real worker processes, in a pool on a store in memory, at the ticks of schedules, and past its time."""

from __future__ import annotations

from typing import Any

import pytest

from pleme_redis_django import WorkerPool, WorkerPoolConfig
from pleme_redis_django.jobs.definitions.registry import RegistryExecutor
from pleme_redis_django.jobs.interface.job import JobStatus
from pleme_redis_django.middleware.attempts import in_middleware
from pleme_redis_django.middleware.loading import loaded_middleware
from pleme_redis_django.models import Job
from pleme_redis_django.testing.memory_store import MemoryJobStore
from tests.integration.conftest import StartWorkers, start_workers
from tests.middleware import classes
from tests.middleware.conftest import UseMiddleware
from tests.waiting import wait_until
from tests.workload import tasks
from tests.workload.jobs import add, add_slowly

__all__ = ["start_workers"]


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_worker_processes_run_it_around_sync_and_async_handlers_and_tasks(
    use: UseMiddleware, start_workers: StartWorkers
) -> None:
    use(classes.Changing)
    handlers = (add, add_slowly, add.using(atomic=True), add.using(isolated=True))
    jobs = [handler.enqueue(1, 2) for handler in handlers]
    result = tasks.add.enqueue(1, right=2)
    workers = start_workers("--burst", middleware=classes.paths(classes.Nothing, classes.Changing))
    assert workers.exit_code() == 0, workers.output()
    assert (
        list(Job.objects.filter(pk__in=[job.pk for job in jobs]).values_list("results", flat=True))
        == [1102] * 4
    )
    result.refresh()
    assert result.return_value == 1102


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_its_time_is_the_attempts(start_workers: StartWorkers) -> None:
    jobs = [handler.using(timeout=0.3, max_retries=0).enqueue(1, 2) for handler in (add, add_slowly)]
    workers = start_workers("--burst", middleware=classes.paths(classes.Slow))
    assert workers.exit_code() == 0, workers.output()
    for job in Job.objects.filter(pk__in=[job.pk for job in jobs]):
        assert (job.status, job.error_details["error_code"]) == (JobStatus.FAILED, "timeout")


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["no.such.Middleware"], "pleme_redis_django.E003"),
        (classes.paths(classes.SyncAlone), "pleme_redis_django.E004"),
    ],
)
def test_worker_processes_do_not_start_with_one_that_is_refused(
    start_workers: StartWorkers, paths: list[str], said: str
) -> None:
    workers = start_workers("--burst", middleware=paths)
    assert workers.exit_code() != 0
    assert said in workers.output()
    unchecked = start_workers("--burst", "--skip-checks", middleware=paths)
    assert unchecked.exit_code() != 0
    assert f'CommandError: PLEME_REDIS["MIDDLEWARE"] names "{paths[0]}"' in unchecked.output()


def test_a_pool_on_a_store_in_memory_runs_it(use: UseMiddleware, seen: list[Any]) -> None:
    use(classes.Outer)
    store = MemoryJobStore()
    jobs = [store.add(handler.name, parameters={"left": 1, "right": 2}) for handler in (add, add_slowly)]
    executor = in_middleware(RegistryExecutor(), loaded_middleware())
    pool = WorkerPool(WorkerPoolConfig(worker_count=1), None, executor, store)
    pool.launch()
    wait_until(lambda: all(store.load_job(job.id).status == JobStatus.COMPLETED for job in jobs))
    pool.stop()
    assert seen.count("outer ends with 3") == 2
