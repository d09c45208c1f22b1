"""Who is online, in a user admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.contrib.messages.storage.fallback import FallbackStorage
from django.test import RequestFactory

from pleme_redis_django.admin.online_users import OnlineFilter, OnlineUserAdmin, online_user_ids
from pleme_redis_django.redis_state.presence.manager import PresenceManager
from tests.round_trips import count_round_trips

pytestmark = pytest.mark.django_db


class PeopleAdmin(OnlineUserAdmin, UserAdmin):
    list_display = ["username", "is_online"]
    list_filter = [OnlineFilter]


@pytest.fixture
def people() -> list[User]:
    users = [User.objects.create_user(f"user{n}", is_superuser=n == 0, is_staff=n == 0) for n in range(20)]
    for user in users[:3]:
        PresenceManager().set_online(user.pk)
    return users


def page(people: list[User], query: str = "") -> dict[str, bool | None]:
    request = RequestFactory().get(f"/{query}")
    request.user = people[0]
    request.session = {}
    request._messages = FallbackStorage(request)
    people_admin = PeopleAdmin(User, admin.site)
    changes = people_admin.get_changelist_instance(request)
    return {user.username: people_admin.is_online(user) for user in changes.result_list}


def test_column_tells_who_is_online_with_one_call(people: list[User]) -> None:
    with count_round_trips() as calls:
        shown = page(people)
    assert sum(shown.values()) == 3
    assert len(shown) == 20
    assert calls.of("evalsha") == 1


@pytest.mark.parametrize(("choice", "count"), [("yes", 3), ("no", 17)])
def test_filter(people: list[User], choice: str, count: int) -> None:
    assert len(page(people, f"?online={choice}")) == count


@pytest.mark.parametrize("query", ["", "?online=yes"])
def test_page_works_without_redis(people: list[User], settings: Any, query: str) -> None:
    settings.PLEME_REDIS = {**settings.PLEME_REDIS, "URL": "redis://127.0.0.1:1/0"}
    assert set(page(people, query).values()) == {None}


def test_ids_for_a_queryset(people: list[User]) -> None:
    assert User.objects.filter(pk__in=online_user_ids()).count() == 3
    assert online_user_ids("other") == []


@pytest.mark.parametrize("guest", ["guest-1", "9" * 30, "-", "1.5"])
def test_guests_are_no_error(people: list[User], guest: str) -> None:
    PresenceManager().set_online(guest)
    assert page(people, "?online=yes").keys() == {"user0", "user1", "user2"}
    assert len(page(people, "?online=no")) == 17
