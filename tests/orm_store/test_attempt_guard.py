"""ctx.guard(): a write under the attempt's number, which a later attempt of the job makes impossible."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group

from example_project.shop.models import CatalogItem
from pleme_redis_django.exceptions import AttemptLost, FenceFieldMissing
from pleme_redis_django.testing import job_context

pytestmark = pytest.mark.django_db


def attempt(number: int) -> Any:
    return job_context(attempt=number)


def make_item(code: str) -> Any:
    return CatalogItem.objects.create(
        code=code, name=code, country="x", elevation_feet=0, latitude=0, longitude=0, price_cents=1
    )


@pytest.fixture
def item() -> Any:
    return make_item("A")


def test_the_fence_is_the_attempt() -> None:
    assert attempt(3).fence() == 3


def test_a_write_keeps_the_attempt_and_may_be_repeated(item: Any) -> None:
    rows = CatalogItem.objects.filter(pk=item.pk)
    for _ in range(2):
        assert attempt(2).guard(rows, fence_field="last_fence").update(name="second") == 1
    item.refresh_from_db()
    assert (item.name, item.last_fence) == ("second", 2)


def test_an_earlier_attempt_writes_nothing(item: Any) -> None:
    other = make_item("B")
    rows = CatalogItem.objects.filter(pk__in=[item.pk, other.pk])
    attempt(2).guard(CatalogItem.objects.filter(pk=item.pk), fence_field="last_fence").update(name="second")
    with pytest.raises(AttemptLost, match=r"Attempt 1 of the job .* a later attempt has"):
        attempt(1).guard(rows, fence_field="last_fence").update(name="first")
    assert set(CatalogItem.objects.values_list("name", flat=True)) == {"second", "B"}


def test_a_model_without_the_field_is_refused() -> None:
    with pytest.raises(FenceFieldMissing, match="has no integer field 'fence'"):
        attempt(1).guard(Group.objects.all())


@pytest.mark.django_db(transaction=True)
async def test_the_async_twin(item: Any) -> None:
    rows = CatalogItem.objects.filter(pk=item.pk)
    assert await attempt(1).guard(rows, fence_field="last_fence").aupdate(name="first") == 1
