"""Elections: one holder of a role at a time, by the database's clock, on every backend."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.db.models import F

from pleme_redis_django.models import Election
from pleme_redis_django.orm_store import OrmWorkerRegistry
from tests.rows import BACKENDS

FIRST, SECOND = str(uuid4()), str(uuid4())


@pytest.fixture(params=BACKENDS)
def registry(request: pytest.FixtureRequest) -> OrmWorkerRegistry:
    return OrmWorkerRegistry(using=request.param)


def pass_time(registry: OrmWorkerRegistry, seconds: float) -> None:
    earlier = F("expires_at") - timedelta(seconds=seconds)
    Election.objects.using(registry.using).update(expires_at=earlier)


@pytest.mark.django_db(databases=BACKENDS)
def test_the_first_to_ask_holds_the_role_for_its_term(registry: OrmWorkerRegistry) -> None:
    assert registry.elect("sweeper", FIRST, 15) is True
    assert registry.elect("sweeper", SECOND, 15) is False
    pass_time(registry, 10)
    assert registry.elect("sweeper", SECOND, 15) is False
    pass_time(registry, 10)
    assert registry.elect("sweeper", SECOND, 15) is True
    assert registry.elect("sweeper", FIRST, 15) is False


@pytest.mark.django_db(databases=BACKENDS)
def test_the_holder_renews_its_term(registry: OrmWorkerRegistry) -> None:
    for _ in range(5):
        assert registry.elect("sweeper", FIRST, 15) is True
        pass_time(registry, 10)
    assert registry.elect("sweeper", SECOND, 15) is False


@pytest.mark.django_db(databases=BACKENDS)
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


@pytest.mark.django_db(databases=BACKENDS)
def test_a_role_may_be_longer_than_its_column(registry: OrmWorkerRegistry) -> None:
    role = "sampler:" + "a" * 100 + ".job"
    assert registry.elect(role, FIRST, 15) is True
    assert registry.elect(role, SECOND, 15) is False
    assert registry.elect(role + "s", SECOND, 15) is True
