"""A request that tells whether something of the visitor was read of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.test import RequestFactory

from pleme_redis_django.redis_state.cache.watched_requests import watched


@pytest.fixture
def request_of_somebody() -> Any:
    request: Any = RequestFactory().get("/page/?a=1")
    request.user = AnonymousUser()
    return request


@pytest.mark.parametrize(
    ("read", "is_personal"),
    [
        (lambda request: request.COOKIES, True),
        (lambda request: request.headers, True),
        (lambda request: request.user.is_authenticated, True),
        (lambda request: request.user, False),  # a context processor fetches it for every template
        (lambda request: request.GET["a"], False),
        (lambda request: request.path, False),
    ],
)
def test_what_is_read_of_the_visitor_is_noted(
    request_of_somebody: Any, read: Callable[[Any], object], is_personal: bool
) -> None:
    with watched(request_of_somebody) as reading:
        read(request_of_somebody)
    assert reading.is_personal is is_personal


def test_a_user_that_is_none_is_noted_when_it_is_fetched(request_of_somebody: Any) -> None:
    request_of_somebody.user = None
    with watched(request_of_somebody) as reading:
        assert request_of_somebody.user is None
    assert reading.is_personal


def test_a_nested_watch_shares_the_outer_one(request_of_somebody: Any) -> None:
    with watched(request_of_somebody) as outer, watched(request_of_somebody) as inner:
        assert inner is outer


def test_after_the_view_the_request_is_what_it_was_also_when_the_view_raises(
    request_of_somebody: Any,
) -> None:
    own_class: type[HttpRequest] = type(request_of_somebody)
    before = set(vars(request_of_somebody))
    with pytest.raises(LookupError), watched(request_of_somebody):
        raise LookupError
    assert type(request_of_somebody) is own_class
    assert set(vars(request_of_somebody)) == before
