"""Which products a user sees: the project's hook decides, and a broken one opens nothing."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pleme_redis_django.access.product_scope import EVERY_PRODUCT, ProductScope, scope_of
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.models import Job, WorkerProcess
from tests.rows import make_job, make_worker

HOOK = "tests.access.test_product_scope.products_of"
Configure = Callable[[str | None], None]


def products_of(user: Any) -> Any:
    if isinstance(user.products, Exception):
        raise user.products
    return user.products


@pytest.fixture
def configure(settings: Any) -> Configure:
    def configure(path: str | None) -> None:
        settings.PLEME_REDIS = {**settings.PLEME_REDIS, "DASHBOARD_PRODUCTS": path}

    return configure


def of(products: Any) -> ProductScope:
    return scope_of(SimpleNamespace(products=products))


def test_without_a_hook_everyone_sees_every_product(configure: Configure) -> None:
    configure(None)
    assert of([]) == EVERY_PRODUCT
    assert EVERY_PRODUCT.allows("anything")


def test_the_hook_names_the_products(configure: Configure) -> None:
    configure(HOOK)
    scope = of(["shop", "blog", "shop"])
    assert scope == of({"blog", "shop"})
    assert (scope.allows("shop"), scope.allows("other")) == (True, False)
    assert of(None) == EVERY_PRODUCT
    assert not of(()).allows("shop")


@pytest.mark.parametrize(
    ("returned", "complaint"),
    [
        ("shop", "collection"),
        (5, "collection"),
        (["Shop!"], "not a valid product"),
        ([None], "not a valid product"),
    ],
)
def test_what_is_no_collection_of_products_is_refused(
    configure: Configure, returned: Any, complaint: str
) -> None:
    configure(HOOK)
    with pytest.raises(InvalidSettings, match=complaint):
        of(returned)


def test_an_error_of_the_hook_goes_up(configure: Configure) -> None:
    configure(HOOK)
    with pytest.raises(PermissionError):
        of(PermissionError())


def test_a_hook_that_is_not_there_names_its_path(configure: Configure) -> None:
    configure("shop.nowhere.f")
    with pytest.raises(InvalidSettings, match=r"shop\.nowhere\.f"):
        of([])


@pytest.mark.django_db
def test_rows_are_narrowed_to_the_scope() -> None:
    ours, other = make_job(product="shop"), make_job(product="blog")
    rows = Job.objects.order_by("id")
    assert list(ProductScope(products=frozenset({"shop"})).narrow(rows)) == [ours]
    assert list(EVERY_PRODUCT.narrow(rows)) == [ours, other]
    assert list(ProductScope(products=frozenset()).narrow(rows)) == []


@pytest.mark.django_db
def test_rows_of_every_product_are_for_users_who_have_one() -> None:
    shared, ours, other = (make_worker(product=product) for product in ("", "shop", "blog"))
    rows = WorkerProcess.objects.all()
    assert set(ProductScope(products=frozenset({"shop"})).narrow_with_shared(rows)) == {shared, ours}
    assert set(EVERY_PRODUCT.narrow_with_shared(rows)) == {shared, ours, other}
    assert set(ProductScope(products=frozenset()).narrow_with_shared(rows)) == set()
