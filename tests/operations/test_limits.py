"""Other numbers for limits: which are accepted, that they stand before the code's, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models.functions import Now

from example_project.shop.models import EmailJob
from pleme_redis_django import Limit, Rate
from pleme_redis_django.exceptions import InvalidName, InvalidNumber, InvalidProduct, StoreError
from pleme_redis_django.models import FlowLimit
from pleme_redis_django.operations import areset_limit, aset_limit, reset_limit, set_limit
from tests.rows import BACKENDS

pytestmark = pytest.mark.django_db(databases=BACKENDS)


def from_code(using: str = "default", **fields: Any) -> FlowLimit:
    values = {"job_model": "pleme_redis_django.job", "kind": "key", "name": "stripe", "source": "code"}
    return FlowLimit.objects.using(using).create(**{**values, "max_running": 5, **fields})


@pytest.mark.parametrize("using", BACKENDS)
def test_an_operators_number_stands_before_the_codes_until_it_is_taken_back(using: str) -> None:
    row = from_code(using)
    set_limit("key", "stripe", max_running=1, reason="Stripe is slow", changed_by="ada", using=using)
    set_limit("key", "stripe", max_running=2, reason="better", changed_by="ada", using=using)
    row.refresh_from_db()
    assert (row.max_running, row.edited_by, row.edit_reason) == (2, "ada", "better")
    assert row.declared == {"max_running": 5, "rate": None, "per_seconds": 1.0, "burst": 2}
    assert reset_limit("key", "stripe", using=using)
    row.refresh_from_db()
    assert (row.max_running, row.declared, row.edited_at, row.edited_by) == (5, None, None, "")
    assert not reset_limit("key", "stripe", using=using)


def test_a_limit_that_no_code_has_is_made_and_removed() -> None:
    row = set_limit("queue", "print", product="acme", rate=20, per_seconds=60, burst=5, changed_by="ada")
    assert (row.source, row.product, row.rate, row.per_seconds, row.burst) == ("admin", "acme", 20, 60, 5)
    assert row.edited_at is not None
    assert reset_limit("queue", "print", product="acme")
    assert not FlowLimit.objects.exists()


@pytest.mark.parametrize("using", BACKENDS)
def test_a_number_that_is_not_said_stays_as_it_is(using: str) -> None:
    """One at a time because they are slow, and yet no more a minute than they allow."""
    row = from_code(using, rate=100, per_seconds=60.0, burst=20)

    def numbers(**said: Any) -> tuple[Any, ...]:
        set_limit("key", "stripe", **said, using=using)
        row.refresh_from_db()
        return row.max_running, row.rate, row.per_seconds, row.burst

    assert numbers(max_running=1) == (1, 100, 60.0, 20)
    assert numbers(rate=50) == (1, 50, 60.0, 20)
    assert numbers(burst=None) == (1, 50, 60.0, 2), "what fits into a second, and at least 2"
    assert numbers(rate=None, burst=7) == (1, None, 60.0, 7)
    assert numbers(rate=600) == (1, 600, 60.0, 10), "that of a rate which is new"
    with pytest.raises(InvalidNumber, match="both None"):
        numbers(max_running=None, rate=None)
    with pytest.raises(InvalidNumber, match="No number is given"):
        numbers()
    row.refresh_from_db()
    assert row.declared == {"max_running": 5, "rate": 100, "per_seconds": 60.0, "burst": 20}


def test_of_a_limit_that_no_job_has_met_what_is_declared_stays(settings: Any) -> None:
    declared = [Limit(5, shared=True), Rate(100, per_seconds=60, burst=20, shared=True)]
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "LIMITS": {"KEYS": {"stripe": declared}}}
    row = set_limit("key", "stripe", max_running=1)
    assert (row.max_running, row.rate, row.per_seconds, row.burst) == (1, 100, 60.0, 20)
    assert row.is_shared
    assert set_limit("key", "stripe", product="acme", max_running=1).rate is None, "theirs is another limit"


def test_a_rate_has_the_burst_that_code_would_give_it() -> None:
    assert set_limit("key", "stripe", rate=1_000).burst == Rate(1_000).most_at_once == 1_000
    assert set_limit("key", "bank", rate=1).burst == 2


def test_nothing_at_all_is_a_pause() -> None:
    assert set_limit("product", "acme", max_running=0).max_running == 0
    assert set_limit("product", "acme", rate=0).rate == 0


@pytest.mark.parametrize("using", BACKENDS)
def test_a_shared_limit_is_made_and_stays_shared_whatever_its_number(using: str) -> None:
    assert set_limit("key", "bank", shared=True, max_running=5, using=using).is_shared
    assert set_limit("key", "bank", max_running=1, using=using).is_shared
    assert set_limit("key", "bank", shared=True, max_running=2, using=using).max_running == 2
    assert not set_limit("key", "stripe", max_running=5, using=using).is_shared


@pytest.mark.parametrize(("source", "way_out"), [("code", "where the code"), ("admin", "Remove it first")])
@pytest.mark.parametrize("is_shared", [True, False])
def test_a_limit_does_not_become_shared_nor_stop_being_so(source: str, way_out: str, is_shared: bool) -> None:
    row = from_code(source=source, is_shared=is_shared)
    with pytest.raises(InvalidName, match=f"key stripe is .*; it cannot become .*{way_out}"):
        set_limit("key", "stripe", shared=not is_shared, max_running=1)
    row.refresh_from_db()
    assert (row.is_shared, row.max_running, row.edited_at) == (is_shared, 5, None)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"kind": "keys"}, InvalidName, "'keys'"),
        ({"name": ""}, InvalidName, "name"),
        ({"name": "x" * 101}, InvalidName, "name"),
        ({"product": "No Such!"}, InvalidProduct, "No Such!"),
        ({"shared": True, "product": "acme"}, InvalidName, "shared is True .* 'acme' alone"),
        (
            {"shared": True, "kind": "product", "name": "acme"},
            InvalidName,
            "shared is True .* a product alone",
        ),
        ({"max_running": None}, InvalidNumber, "max_running and rate are both None"),
        ({"per_seconds": None}, InvalidNumber, "per_seconds is None"),
        ({"max_running": -1}, InvalidNumber, "max_running is -1"),
        ({"max_running": "5"}, InvalidNumber, "max_running is '5'"),
        ({"max_running": 10**9 + 1}, InvalidNumber, "1,000,000,000"),
        ({"rate": -1}, InvalidNumber, "rate is -1"),
        ({"rate": 1, "per_seconds": 0}, InvalidNumber, "per_seconds is 0"),
        ({"rate": 1, "per_seconds": float("nan")}, InvalidNumber, "per_seconds is nan"),
        ({"rate": 1, "burst": 0}, InvalidNumber, "burst is 0"),
    ],
)
def test_what_is_not_accepted_is_refused_and_named(
    arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        set_limit(**{"kind": "key", "name": "stripe", "max_running": 5, **arguments})
    assert not FlowLimit.objects.exists()


@pytest.mark.parametrize("numbers", [{"max_running": 0}, {"rate": 5, "per_seconds": 60}])
@pytest.mark.parametrize("product", [None, "acme"])
def test_a_limit_that_the_store_of_its_pool_would_not_keep_is_refused(
    numbers: dict[str, Any], product: str | None
) -> None:
    for kind in ("key", "type", "queue"):
        with pytest.raises(
            StoreError, match=r"shop.emailjob .*EmailJobStore keeps no limits .*supports_limits"
        ):
            set_limit(kind, "print", product=product, model=EmailJob, **numbers)
    assert not FlowLimit.objects.exists()


def test_one_of_before_is_not_changed_any_more_and_can_be_removed() -> None:
    from_code(job_model="shop.emailjob", source="admin", edited_at=Now())
    with pytest.raises(StoreError, match="keeps no limits"):
        set_limit("key", "stripe", max_running=1, model=EmailJob)
    assert FlowLimit.objects.get().max_running == 5
    assert reset_limit("key", "stripe", model=EmailJob)
    assert not FlowLimit.objects.exists()


@pytest.mark.django_db(transaction=True)
async def test_async_twins() -> None:
    assert (await aset_limit("type", "shop.pack", max_running=3)).max_running == 3
    assert (await aset_limit("type", "shop.mail", shared=True, max_running=3)).is_shared
    assert await areset_limit("type", "shop.pack")
