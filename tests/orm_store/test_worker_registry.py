"""Worker processes and elections as rows, by the database's clock, on every backend."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.db.models import F
from django.db.models.functions import Now

from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerIdentity, WorkerStanding
from pleme_redis_django.models import Election, WorkerProcess
from pleme_redis_django.orm_store import OrmWorkerRegistry
from tests.rows import BACKENDS, ago, make_worker

pytestmark = [
    pytest.mark.django_db(databases=BACKENDS),
    pytest.mark.parametrize("using", BACKENDS),
]


def registered(registry: OrmWorkerRegistry, lease_seconds: float = 25) -> WorkerIdentity:
    identity = WorkerIdentity(WorkerDescription(lease_seconds=lease_seconds, queues=("*",)))
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


def test_a_worker_that_died_long_ago_is_forgotten_once_its_jobs_are_rescued(using: str) -> None:
    long_dead = make_worker(using, died_at=ago(90_000), lease_until=ago(90_000))
    just_dead = make_worker(using, died_at=ago(60), lease_until=ago(60))
    registry = OrmWorkerRegistry(using=using)
    dead = registry.sweep()
    assert set(dead) == {str(long_dead.id), str(just_dead.id)}
    registry.forget(dead)
    assert [row.id for row in WorkerProcess._base_manager.using(using).all()] == [just_dead.id]


def test_a_dead_workers_roles_are_free_at_once(using: str) -> None:
    registry = OrmWorkerRegistry(using=using)
    killed, silent, leaver, heir = (registered(registry).worker_id for _ in range(4))
    for role, holder in (("sampler", killed), ("sweeper", silent), ("caretaker", leaver)):
        assert registry.elect(role, holder, 30)
    registry.declare_dead([killed])
    WorkerProcess._base_manager.using(using).filter(id=silent).update(lease_until=ago(1))
    registry.sweep()
    registry.deregister(leaver)
    assert all(registry.elect(role, heir, 30) for role in ("sampler", "sweeper", "caretaker"))


def test_who_was_draining_is_known_after_its_death(using: str) -> None:
    registry = OrmWorkerRegistry(using=using)
    draining, working = registered(registry).worker_id, registered(registry).worker_id
    registry.note_draining(draining, "it has run 3 jobs")
    since = WorkerProcess._base_manager.using(using).get(id=draining).draining_since
    registry.note_draining(draining)
    assert WorkerProcess._base_manager.using(using).get(id=draining).draining_since == since is not None
    assert WorkerProcess._base_manager.using(using).get(id=draining).drain_reason == "it has run 3 jobs"
    registry.declare_dead([draining, working])
    assert registry.draining_among([draining, working]) == {draining}


def test_a_worker_that_is_asked_to_drain_learns_it_and_keeps_its_lease(using: str) -> None:
    registry = OrmWorkerRegistry(using=using)
    identity = registered(registry)
    WorkerProcess._base_manager.using(using).update(drain_requested_at=Now(), lease_until=ago(-1))
    before = row_of(identity, using).lease_until
    assert registry.heartbeat(identity.worker_id, 2) is WorkerStanding.DRAINING
    row = row_of(identity, using)
    assert row.running == 2 and row.lease_until > before


def test_sync_and_async_slots_are_told_apart(using: str) -> None:
    registry = OrmWorkerRegistry(using=using)
    identity = WorkerIdentity(WorkerDescription(slots=30, async_slots=20))
    registry.register(identity.describe())
    registry.heartbeat(identity.worker_id, 11, 1)
    row = row_of(identity, using)
    assert (row.slots, row.async_slots, row.running, row.async_running) == (30, 20, 11, 1)


@pytest.mark.parametrize(("known", "stored"), [(None, None), ({"b", "a"}, ["a", "b"]), (set(), [])])
def test_a_worker_tells_which_types_it_knows(
    using: str, known: set[str] | None, stored: list[str] | None
) -> None:
    identity = WorkerIdentity(WorkerDescription(job_types=known))
    OrmWorkerRegistry(using=using).register(identity.describe())
    assert row_of(identity, using).job_types == stored


FIRST, SECOND = str(uuid4()), str(uuid4())


@pytest.fixture
def registry(using: str) -> OrmWorkerRegistry:
    return OrmWorkerRegistry(using=using)


def pass_time(registry: OrmWorkerRegistry, seconds: float) -> None:
    earlier = F("expires_at") - timedelta(seconds=seconds)
    Election.objects.using(registry.using).update(expires_at=earlier)


def test_the_first_to_ask_holds_the_role_for_its_term(registry: OrmWorkerRegistry) -> None:
    assert registry.elect("sweeper", FIRST, 15) is True
    assert registry.elect("sweeper", SECOND, 15) is False
    pass_time(registry, 10)
    assert registry.elect("sweeper", SECOND, 15) is False
    pass_time(registry, 10)
    assert registry.elect("sweeper", SECOND, 15) is True
    assert registry.elect("sweeper", FIRST, 15) is False


def test_the_holder_renews_its_term(registry: OrmWorkerRegistry) -> None:
    for _ in range(5):
        assert registry.elect("sweeper", FIRST, 15) is True
        pass_time(registry, 10)
    assert registry.elect("sweeper", SECOND, 15) is False


def test_roles_are_apart(registry: OrmWorkerRegistry) -> None:
    assert registry.elect("sweeper", FIRST, 15) is True
    assert registry.elect("caretaker", SECOND, 15) is True


@pytest.mark.django_db(transaction=True, databases=BACKENDS)
@pytest.mark.parametrize("held_before", [False, True])
def test_of_many_at_once_one_is_elected(registry: OrmWorkerRegistry, held_before: bool) -> None:
    if held_before:
        registry.elect("sweeper", FIRST, 15)
        pass_time(registry, 20)
    start, elected = threading.Barrier(8), []

    def ask() -> None:
        try:
            start.wait(20)
            elected.append(registry.elect("sweeper", str(uuid4()), 15))
        finally:
            connections.close_all()

    threads: list[Any] = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(elected) == [False] * 7 + [True]


def test_a_role_may_be_longer_than_its_column(registry: OrmWorkerRegistry) -> None:
    role = "sampler:" + "a" * 100 + ".job"
    assert registry.elect(role, FIRST, 15) is True
    assert registry.elect(role, SECOND, 15) is False
    assert registry.elect(role + "s", SECOND, 15) is True
