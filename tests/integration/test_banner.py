"""What runworkers says when it starts."""

from __future__ import annotations

import signal

import pytest

from pleme_redis_django import Job
from tests.integration.conftest import StartWorkers
from tests.waiting import wait_for
from tests.workload.jobs import add

pytestmark = pytest.mark.process


def test_starts_with_a_banner_and_drains_on_sigterm(start_workers: StartWorkers) -> None:
    workers = start_workers()
    output = workers.wait_for_output("worker started")
    assert "pleme-redis-django" in output
    assert "pool       default: 1 process x 10 sync + 300 async slots, every queue" in output
    assert "Ctrl-C or SIGTERM drains" in output
    job = add.enqueue(1, 2)
    wait_for(lambda: Job.objects.get(id=job.id).status == "COMPLETED", "the job ends", details=workers.output)
    assert Job.objects.get(id=job.id).results == 3
    workers.signal(signal.SIGTERM)
    assert workers.exit_code() == 0
    assert "Draining" in workers.output()
    assert "worker stopped" in workers.output()


def test_the_password_of_redis_is_not_printed(start_workers: StartWorkers) -> None:
    workers = start_workers(url="redis://someone:secret@127.0.0.1:1/0")
    assert "secret" not in workers.wait_for_output("worker started")
    assert "redis://127.0.0.1:1/0" in workers.output()
