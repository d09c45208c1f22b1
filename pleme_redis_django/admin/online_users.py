"""Who is online, in the user admin and in querysets: one Redis call for a page."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.presence.manager import PresenceManager

logger = logging.getLogger("pleme_redis_django.online_users")

MOST_FILTERED = 10_000
"""The filter takes this many ids into its query; who is beyond it is not shown."""


def online_user_ids(product: str | None = None, limit: int | None = None) -> list[str]:
    """Return the ids of a product's online users, for ``filter(pk__in=...)``. Raises RedisUnavailable."""
    return PresenceManager(product).get_online_users(limit)


def _online_or_unknown(user_ids: list[Any]) -> dict[Any, bool]:
    try:
        return PresenceManager().are_online(user_ids)
    except RedisUnavailable as error:
        logger.warning("The user admin cannot show who is online: %s", error)
        return {}


def _keys_of(model: type[Model], user_ids: list[str]) -> list[Any]:
    """Return the ids that may be keys of a model: presence also holds guests, who have no row."""
    keys = []
    for user_id in user_ids:
        with suppress(ValidationError):
            keys.append(model._meta.pk.clean(user_id, None))
    return keys


class OnlineChangeList(ChangeList):
    """Asks once who of the page is online, and notes it on each object."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        users = list(self.result_list)
        online = _online_or_unknown([user.pk for user in users])
        for user in users:
            user.pleme_is_online = online.get(user.pk)
        self.result_list = users  # a list keeps what was noted


class OnlineUserAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # mixed into a user admin of any model
    """Put it in front of a UserAdmin; adds the column ``is_online``."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return OnlineChangeList

    @admin.display(boolean=True, description="online")
    def is_online(self, user: Any) -> bool | None:
        """Return what the page's one call said; None (shown as unknown) when Redis is away."""
        return getattr(user, "pleme_is_online", None)


class OnlineFilter(admin.SimpleListFilter):
    """Shows who is online, or who is not."""

    title = "online"
    parameter_name = "online"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Filter by what Redis says now."""
        if self.value() is None:
            return queryset
        try:
            ids = _keys_of(queryset.model, online_user_ids(limit=MOST_FILTERED))
        except RedisUnavailable:
            messages.warning(request, "Redis cannot be reached, so it is unknown who is online.")
            return queryset
        return queryset.filter(pk__in=ids) if self.value() == "yes" else queryset.exclude(pk__in=ids)
