"""Turns what happens to users into orders to the hubs: log out, change, lose a group.

Connected by ``apps.ready()``. A Redis that is away is logged and fails nothing: the sockets are looked at
again every ``REVALIDATE_SECONDS`` anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.realtime.control import Control, send_control, session_digest

logger = logging.getLogger("pleme_redis_django.user_changes")

# Saved at every login, and no reason to look.
_HARMLESS_FIELDS = frozenset({"last_login"})


def connect_receivers() -> None:
    """Listen to the user model, the groups and the logout signal of this project."""
    user_model = get_user_model()
    prefix = "pleme_redis_django.user_changes"
    user_logged_out.connect(_on_logout, dispatch_uid=f"{prefix}.logout")
    post_save.connect(_on_user_saved, sender=user_model, dispatch_uid=f"{prefix}.saved")
    post_delete.connect(_on_user_deleted, sender=user_model, dispatch_uid=f"{prefix}.deleted")
    for name in ("groups", "user_permissions"):
        field = getattr(user_model, name, None)
        if field is not None:
            m2m_changed.connect(_on_user_relation, sender=field.through, dispatch_uid=f"{prefix}.{name}")
    m2m_changed.connect(
        _on_group_permissions, sender=Group.permissions.through, dispatch_uid=f"{prefix}.group_permissions"
    )


def _on_logout(sender: Any, request: Any, user: Any, **_kwargs: Any) -> None:
    if user is not None:
        session = session_digest(getattr(getattr(request, "session", None), "session_key", None))
        _order(Control(operation="close", user_id=str(user.pk), session=session, why="logged out"))


def _on_user_saved(sender: Any, instance: Any, created: bool, update_fields: Any, **_kwargs: Any) -> None:
    if not created and not (update_fields and _HARMLESS_FIELDS.issuperset(update_fields)):
        _order(Control(operation="revalidate", user_id=str(instance.pk)))


def _on_user_deleted(sender: Any, instance: Any, **_kwargs: Any) -> None:
    _order(Control(operation="close", user_id=str(instance.pk), why="deleted"))


def _on_user_relation(sender: Any, instance: Any, action: str, pk_set: Any, **kwargs: Any) -> None:
    if not action.startswith("post_"):
        return
    users: Iterable[Any] = (pk_set or ()) if kwargs.get("reverse") else (instance.pk,)
    if kwargs.get("reverse") and not pk_set:
        _order(Control(operation="revalidate"))
    for pk in users:
        _order(Control(operation="revalidate", user_id=str(pk)))


def _on_group_permissions(sender: Any, action: str, **_kwargs: Any) -> None:
    if action.startswith("post_"):
        _order(Control(operation="revalidate"))


def _order(control: Control) -> None:
    if get_settings().url is None:
        return

    def send() -> None:
        try:
            send_control(control)
        except RedisUnavailable as error:
            logger.warning("Open sockets will be looked at later: %s", error)

    transaction.on_commit(send)
