"""Asking a worker process to drain, as a row."""

from __future__ import annotations

from uuid import uuid4

import pytest

from pleme_redis_django.models import WorkerProcess
from pleme_redis_django.operations import adrain_worker, drain_worker
from tests.rows import BACKENDS, ago, make_worker

pytestmark = [
    pytest.mark.django_db(databases=["default", "sqlite"]),
    pytest.mark.parametrize("using", BACKENDS),
]


def test_a_live_worker_is_asked_once(using: str) -> None:
    worker, other = make_worker(using), make_worker(using)
    assert drain_worker(worker.id, using=using) is True
    worker.refresh_from_db()
    first = worker.drain_requested_at
    assert drain_worker(str(worker.id), using=using) is False
    worker.refresh_from_db()
    other.refresh_from_db()
    assert first is not None and worker.drain_requested_at == first
    assert other.drain_requested_at is None


def test_a_dead_or_unknown_worker_is_not_asked(using: str) -> None:
    dead = make_worker(using, died_at=ago(5))
    assert drain_worker(dead.id, using=using) is False
    assert drain_worker(uuid4(), using=using) is False


@pytest.mark.django_db(databases=["default", "sqlite"], transaction=True)
async def test_the_async_twin_does_the_same(using: str) -> None:
    worker = await WorkerProcess.objects.using(using).acreate(
        pool="default", host="web-1", pid=1, slots=1, lease_until=ago(-25)
    )
    assert await adrain_worker(worker.id, using=using) is True
