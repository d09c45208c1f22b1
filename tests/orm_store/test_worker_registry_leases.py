"""Leases of worker processes, by the database's clock, on both backends."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models.functions import Now

from pleme_redis_django.jobs.identity import WorkerIdentity, WorkerStanding
from pleme_redis_django.models import WorkerProcess
from pleme_redis_django.orm_store import OrmWorkerRegistry
from tests.rows import BACKENDS, ago, make_worker

pytestmark = [
    pytest.mark.django_db(databases=BACKENDS),
    pytest.mark.parametrize("using", BACKENDS),
]


def registered(registry: OrmWorkerRegistry, lease_seconds: float = 25) -> WorkerIdentity:
    identity = WorkerIdentity(lease_seconds=lease_seconds, queues=["*"])
    registry.register(identity.describe())
    return identity


def row_of(identity: WorkerIdentity, using: str) -> Any:
    return WorkerProcess._base_manager.using(using).get(id=identity.worker_id)


def test_a_worker_past_its_lease_is_declared_dead(using: str) -> None:
    silent = make_worker(using, heartbeat_at=ago(60), lease_until=ago(1))
    assert OrmWorkerRegistry(using=using).sweep() == [str(silent.id)]


def test_each_worker_is_judged_by_its_own_lease(using: str) -> None:
    registry = OrmWorkerRegistry(using=using)
    make_worker(using, heartbeat_at=ago(60))
    patient = registered(OrmWorkerRegistry(using=using), lease_seconds=600)
    hasty = registered(registry, lease_seconds=1)
    WorkerProcess._base_manager.using(using).filter(id=hasty.worker_id).update(lease_until=ago(1))
    assert registry.sweep() == [hasty.worker_id]
    assert row_of(patient, using).died_at is None


def test_a_heartbeat_renews_the_lease_that_was_registered(using: str) -> None:
    registry = OrmWorkerRegistry(using=using)
    identity = registered(registry, lease_seconds=600)
    WorkerProcess._base_manager.using(using).update(lease_until=Now())
    assert registry.heartbeat(identity.worker_id, 3) is WorkerStanding.ALIVE
    row = row_of(identity, using)
    assert (row.lease_until - row.heartbeat_at).total_seconds() == pytest.approx(600, abs=1)
    assert row.running == 3


def test_a_dead_worker_cannot_beat_and_is_named_again(using: str) -> None:
    registry = OrmWorkerRegistry(using=using)
    identity = registered(registry)
    registry.declare_dead([identity.worker_id])
    assert registry.heartbeat(identity.worker_id, 0) is WorkerStanding.DEAD
    assert registry.sweep() == [identity.worker_id]
    assert registry.sweep() == [identity.worker_id]


def test_a_worker_that_died_long_ago_is_forgotten(using: str) -> None:
    make_worker(using, died_at=ago(90_000), lease_until=ago(90_000))
    assert OrmWorkerRegistry(using=using).sweep() == []
    assert not WorkerProcess._base_manager.using(using).exists()


def test_a_worker_that_is_asked_to_drain_learns_it_and_keeps_its_lease(using: str) -> None:
    registry = OrmWorkerRegistry(using=using)
    identity = registered(registry)
    WorkerProcess._base_manager.using(using).update(drain_requested_at=Now(), lease_until=ago(-1))
    before = row_of(identity, using).lease_until
    assert registry.heartbeat(identity.worker_id, 2) is WorkerStanding.DRAINING
    row = row_of(identity, using)
    assert row.running == 2 and row.lease_until > before
