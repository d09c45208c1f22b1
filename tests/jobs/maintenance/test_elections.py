"""Elections: how often the registry is asked, and in whose name."""

from __future__ import annotations

from pleme_redis_django.jobs.interface.workers import WorkerDescription, WorkerIdentity
from pleme_redis_django.jobs.maintenance.elections import Elections
from tests.jobs.recording import WORKER, MemoryRegistry


def elections(registry: MemoryRegistry, namespace: str = "jobs") -> Elections:
    return Elections(registry, WorkerIdentity(WorkerDescription(worker_id=WORKER)), namespace)


def test_who_holds_a_role_asks_again_only_when_half_of_its_term_is_over() -> None:
    registry = MemoryRegistry()
    one = elections(registry)
    assert [one.is_elected("sweeper", 100) for _ in range(3)] == [True] * 3
    assert registry.elections == [("sweeper:jobs", 300)]
    assert one.is_elected("sweeper", 0.0)
    assert [one.is_elected("caretaker", 0.0) for _ in range(2)] == [True] * 2
    assert registry.elections[1:] == [("caretaker:jobs", 0.0)] * 2


def test_who_does_not_asks_each_time() -> None:
    registry = MemoryRegistry()
    registry.elected = False
    one = elections(registry, "mail")
    assert [one.is_elected("sweeper", 100) for _ in range(2)] == [False] * 2
    assert registry.elections == [("sweeper:mail", 300)] * 2
