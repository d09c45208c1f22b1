"""Limits of the settings and of operators beside a pool whose store keeps none: which are for its jobs."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from example_project.shop.models import EmailJob
from pleme_redis_django import Job, Limit, Rate
from pleme_redis_django.configured_pools import configured_pool
from pleme_redis_django.exceptions import InvalidSettings, StoreError
from pleme_redis_django.limits_of_pools import refuse_unkept_limit, refuse_unkept_limits
from pleme_redis_django.models import LimitKind
from pleme_redis_django.wiring import build_pool
from tests.enqueueing.jobs import send

STORE = {"store": "tests.enqueueing.stores.WithoutLimits"}
OF_ANY_TYPE = {"executor": "example_project.shop.email_executor.EmailExecutor"}
NAMES = {"queues": ["mail"], "product": "acme"}
OTHERS = {"queues": ["images"], "product": "zenith", **OF_ANY_TYPE}
KEPT = {"store": "pleme_redis_django.testing.MemoryJobStore"}


def use(settings: Any, limits: dict[str, Any], **pools: dict[str, Any]) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "LIMITS": limits, "POOLS": pools}


ENTRIES = {
    "a queue": {"QUEUES": {"mail": Limit(4)}},
    "a type": {"TYPES": {send.name: Rate(4)}},
    "a product": {"PRODUCTS": {"acme": [Limit(4), Rate(4)]}},
    "a key": {"KEYS": {"stripe": Limit(4)}},
}


@pytest.mark.parametrize("entry", ["a queue", "a type", "a product"])
def test_an_entry_of_what_the_pool_names_is_refused_whatever_other_pools_there_are(
    settings: Any, entry: str
) -> None:
    use(settings, ENTRIES[entry], default={}, mail=STORE | NAMES)
    ((section, names),) = ENTRIES[entry].items()
    (name,) = names
    with pytest.raises(InvalidSettings) as refused:
        refuse_unkept_limits(configured_pool("mail"))
    said = str(refused.value)
    assert f'PLEME_REDIS["LIMITS"]["{section}"]["{name}"] limits jobs of the pool "mail"' in said
    assert "WithoutLimits keeps no limits (its supports_limits is False)" in said
    assert "Keep the jobs in OrmJobStore" in said and "take the entry out" in said


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_the_pool_may_meet_is_refused_where_no_other_pool_would_keep_it(
    settings: Any, entry: str
) -> None:
    alone: dict[str, dict[str, Any]] = {"mail": STORE | OF_ANY_TYPE}
    if entry != "a key":  # Which jobs of any pool may have.
        alone["other"] = OTHERS
        if entry == "a type":
            alone["other"] = STORE
    use(settings, ENTRIES[entry], **alone)
    with pytest.raises(InvalidSettings, match="keeps no limits"):
        refuse_unkept_limits(configured_pool("mail"))


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("other", [{}, KEPT, NAMES], ids=["everything", "its own store", "names it"])
def test_what_the_pool_may_meet_is_left_to_another_pool_that_keeps_it(
    settings: Any, entry: str, other: dict[str, Any]
) -> None:
    use(settings, ENTRIES[entry], mail=STORE | OF_ANY_TYPE, other=other)
    refuse_unkept_limits(configured_pool("mail"))


@pytest.mark.parametrize("entry", ["a queue", "a type", "a product"])
def test_an_entry_of_others_is_none_of_its_business(settings: Any, entry: str) -> None:
    entries = {
        "a queue": {"QUEUES": {"other": Limit(4)}},
        "a type": {"TYPES": {"shop.jobs.of_another_service": Limit(4)}},
        "a product": {"PRODUCTS": {"zenith": Limit(4)}},
    }
    use(settings, entries[entry], mail=STORE | NAMES)
    refuse_unkept_limits(configured_pool("mail"))


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_store_that_keeps_limits_is_accepted(settings: Any, entry: str) -> None:
    use(settings, ENTRIES[entry], mail=NAMES, kept=KEPT | NAMES)
    for name in ("mail", "kept"):
        refuse_unkept_limits(configured_pool(name))


def test_a_pool_and_the_command_do_not_start(settings: Any) -> None:
    use(settings, ENTRIES["a queue"], mail=STORE | NAMES)
    with pytest.raises(InvalidSettings, match="keeps no limits"):
        build_pool(configured_pool("mail"))
    with pytest.raises(CommandError, match="keeps no limits"):
        call_command("runworkers", "mail", skip_checks=True)


LIMITS = [("queue", "mail"), ("type", send.name), ("product", "acme"), ("key", "stripe")]


@pytest.mark.parametrize(("kind", "name"), LIMITS)
def test_an_operators_limit_is_refused_by_what_refuses_an_entry(settings: Any, kind: str, name: str) -> None:
    use(settings, {}, mail=STORE | NAMES)
    with pytest.raises(StoreError) as refused:
        refuse_unkept_limit(Job, LimitKind(kind), name)
    said = str(refused.value)
    assert f"The limit of the {kind} {name!r} is for jobs of pleme_redis_django.job" in said
    assert 'the pool "mail" runs, whose WithoutLimits keeps no limits (its supports_limits is False)' in said
    assert "Keep the jobs in OrmJobStore, or have the store keep limits and say supports_limits." in said


@pytest.mark.parametrize(("kind", "name"), LIMITS)
def test_an_operators_limit_is_left_to_another_pool_of_the_model_as_an_entry_is(
    settings: Any, kind: str, name: str
) -> None:
    use(settings, {}, mail=STORE | OF_ANY_TYPE, other={})
    refuse_unkept_limit(Job, LimitKind(kind), name)
    use(settings, {}, mail=STORE | OF_ANY_TYPE, other={"model": "shop.EmailJob"})
    with pytest.raises(StoreError, match="keeps no limits"):
        refuse_unkept_limit(Job, LimitKind(kind), name)
    refuse_unkept_limit(EmailJob, LimitKind(kind), name)
    use(settings, {})
    refuse_unkept_limit(Job, LimitKind(kind), name)


def test_what_the_pool_names_is_refused_beside_one_that_keeps_limits(settings: Any) -> None:
    use(settings, {}, default={}, mail=STORE | NAMES)
    with pytest.raises(StoreError, match='pool "mail"'):
        refuse_unkept_limit(Job, LimitKind.QUEUE, "mail")
    refuse_unkept_limit(Job, LimitKind.QUEUE, "images")
    refuse_unkept_limit(Job, LimitKind.QUEUE, "mail", product="zenith")
