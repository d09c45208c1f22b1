"""Redis stopped, emptied or not configured: jobs start later, and every one of them runs."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import redis

from pleme_redis_django import Job
from pleme_redis_django.redis_state.server.connections import POPS
from pleme_redis_django.redis_state.wakeups.redis_hints import LONGEST_POP_SECONDS
from pleme_redis_django.testing.servers import BackingServices, RedisServer
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.worker_processes import WorkerProcesses
from tests.workload.jobs import add_slowly, noop

pytestmark = pytest.mark.process


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def all_complete(count: int, workers: WorkerProcesses) -> None:
    wait_for(
        lambda: Job.objects.filter(status="COMPLETED").count() == count,
        f"{count} jobs end",
        details=workers.output,
    )


def test_jobs_run_without_redis_configured(start_workers: StartWorkers) -> None:
    workers = start_workers(url=None)
    output = workers.wait_for_output("worker started")
    assert "none: the database is scanned every 2.5 s" in output
    noop.enqueue()
    add_slowly.enqueue(1, 2)
    all_complete(2, workers)


def test_jobs_run_while_redis_is_stopped(start_workers: StartWorkers, own_redis: RedisServer) -> None:
    workers = start_workers(environment={"REDIS_URL": own_redis.url()})
    workers.wait_for_output("worker started")
    noop.enqueue()
    all_complete(1, workers)
    own_redis.kill()
    workers.wait_for_output("Redis does not answer, jobs are found by scanning")
    noop.enqueue_many({} for _ in range(20))
    all_complete(21, workers)
    own_redis.start()
    noop.enqueue()
    all_complete(22, workers)


def test_workers_start_while_redis_is_stopped(start_workers: StartWorkers, own_redis: RedisServer) -> None:
    own_redis.kill()
    workers = start_workers(environment={"REDIS_URL": own_redis.url()})
    noop.enqueue()
    all_complete(1, workers)
    workers.wait_for_output("Redis does not answer")


def test_hints_work_again_after_redis_was_emptied(
    start_workers: StartWorkers, backing_services: BackingServices
) -> None:
    """The scans of this pool come too late for the deadline: only a hint can start the second job."""
    workers = start_workers(pool={"poll_timeout": 600, "stale_check_interval_seconds": 600})
    workers.wait_for_output("worker started")
    noop.enqueue()
    all_complete(1, workers)
    with redis.Redis.from_url(backing_services.redis_url) as client:
        client.flushall()
    noop.enqueue()
    noop.using(queue_name="new").enqueue()
    all_complete(3, workers)


def test_a_burst_needs_no_redis(start_workers: StartWorkers, own_redis: RedisServer) -> None:
    own_redis.kill()
    noop.enqueue_many({} for _ in range(50))
    workers = start_workers("--burst", environment={"REDIS_URL": own_redis.url()})
    assert workers.exit_code() == 0
    all_complete(50, workers)


def test_jobs_run_while_redis_hangs(start_workers: StartWorkers, own_redis: RedisServer) -> None:
    workers = start_workers(environment={"REDIS_URL": own_redis.url()})
    workers.wait_for_output("worker started")
    own_redis.send_signal(signal.SIGSTOP)
    noop.enqueue_many({} for _ in range(20))
    all_complete(20, workers)
    own_redis.send_signal(signal.SIGCONT)
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0


def test_a_pop_gives_up_on_a_redis_that_is_gone_without_a_word() -> None:
    assert POPS.read_timeout_seconds is not None
    assert POPS.read_timeout_seconds > LONGEST_POP_SECONDS
