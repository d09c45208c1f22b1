"""Turns changes of users (logout, save, lost group) into orders to the hubs.

Connected by ``apps.ready()``. If Redis is away, that is logged and nothing fails: the sockets are checked again every
``REVALIDATE_SECONDS`` anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.realtime.close_codes import CloseCode
from pleme_redis_django.realtime.control import Control, send_controls, session_digest
from pleme_redis_django.realtime.sessions import are_in_cookies

MOST_NAMED = 100
"""If more users than this change in one transaction, one order says to check everybody."""

logger = logging.getLogger("pleme_redis_django.user_changes")

# Saved at every login, and no reason to check.
_HARMLESS_FIELDS = frozenset({"last_login"})
_PREFIX = "pleme_redis_django.user_changes"


def connect_receivers() -> None:
    """Listen to the user model, the groups and the logout signal of this project.

    Signals name the class that was saved, so the proxies and children of each model are listened to as well.
    """
    user_model = get_user_model()
    user_logged_out.connect(_on_logout, dispatch_uid=f"{_PREFIX}.logout")
    for model in _family(user_model):
        post_save.connect(_on_user_saved, sender=model, dispatch_uid=f"{_PREFIX}.saved")
        post_delete.connect(_on_user_deleted, sender=model, dispatch_uid=f"{_PREFIX}.deleted")
    for name in ("groups", "user_permissions"):
        field = getattr(user_model, name, None)
        if field is not None:
            m2m_changed.connect(_on_user_relation, sender=field.through, dispatch_uid=f"{_PREFIX}.{name}")
            _connect_rows(field.through)
    m2m_changed.connect(
        _on_group_permissions, sender=Group.permissions.through, dispatch_uid=f"{_PREFIX}.group_permissions"
    )
    # Django deletes the rows between them and the users without a signal.
    for model in (*_family(Group), *_family(Permission)):
        post_delete.connect(_on_any_row, sender=model, dispatch_uid=f"{_PREFIX}.granting")


def _family(model: type[Model]) -> Iterator[type[Model]]:
    return (each for each in apps.get_models() if issubclass(each, model))


def _connect_rows(through: Any) -> None:
    """Listen to a project's own model between users and groups, whose rows are saved like any other."""
    if not through._meta.auto_created:
        post_save.connect(_on_any_row, sender=through, dispatch_uid=f"{_PREFIX}.row")
        post_delete.connect(_on_any_row, sender=through, dispatch_uid=f"{_PREFIX}.row")


def _on_logout(sender: Any, request: Any, user: Any, **_kwargs: Any) -> None:
    if user is None:
        return
    user_id = str(user.pk)
    if are_in_cookies():
        # The cookie changes, so it does not identify a socket; a user who is logged in elsewhere comes back.
        _order(Control(operation="close", user_id=user_id, code=CloseCode.EXPIRED, why="logged out"))
        return
    session = session_digest(getattr(getattr(request, "session", None), "session_key", None))
    _order(Control(operation="close", user_id=user_id, session=session, why="logged out"))


def _on_user_saved(
    sender: Any, instance: Any, created: bool, update_fields: Any, using: str, **_kwargs: Any
) -> None:
    if not created and not (update_fields and _HARMLESS_FIELDS.issuperset(update_fields)):
        _order(Control(operation="revalidate", user_id=str(instance.pk)), using)


def _on_user_deleted(sender: Any, instance: Any, using: str, **_kwargs: Any) -> None:
    _order(Control(operation="close", user_id=str(instance.pk), why="deleted"), using)


def _on_user_relation(
    sender: Any, instance: Any, action: str, pk_set: Any, using: str, **kwargs: Any
) -> None:
    if not action.startswith("post_"):
        return
    users: Iterable[Any] = (pk_set or ()) if kwargs.get("reverse") else (instance.pk,)
    if kwargs.get("reverse") and not pk_set:
        _order(Control(operation="revalidate"), using)
    for pk in users:
        _order(Control(operation="revalidate", user_id=str(pk)), using)


def _on_group_permissions(sender: Any, action: str, using: str, **_kwargs: Any) -> None:
    if action.startswith("post_"):
        _order(Control(operation="revalidate"), using)


def _on_any_row(sender: Any, using: str, **_kwargs: Any) -> None:
    _order(Control(operation="revalidate"), using)


class _Orders:
    """The orders of one transaction, or of one savepoint in it: sent together, each only once."""

    def __init__(self) -> None:
        self.controls: dict[Control, None] = {}

    def send(self) -> None:
        try:
            send_controls(_gathered(list(self.controls)))
        except RedisUnavailable as error:
            logger.warning("Open sockets will be checked later: %s", error)


def _gathered(controls: list[Control]) -> list[Control]:
    everybody = Control(operation="revalidate")
    named = sum(each.operation == "revalidate" for each in controls)
    if everybody in controls or named > MOST_NAMED:
        return [*(each for each in controls if each.operation == "close"), everybody]
    return controls


def _order(control: Control, using: str | None = None) -> None:
    if get_settings().url is None:
        return
    connection = transaction.get_connection(using)
    # A rollback removes its callbacks from this list, and with them what they would have sent.
    now_in = set(connection.savepoint_ids)
    for savepoints, callback, *_ in connection.run_on_commit:
        waiting = getattr(callback, "__self__", None)
        if isinstance(waiting, _Orders):
            if control in waiting.controls and savepoints <= now_in:
                return
            if savepoints == now_in:
                waiting.controls[control] = None
                return
    orders = _Orders()
    orders.controls[control] = None
    # Robust: what was saved is saved, whatever Redis answers. A method, because Django logs the __qualname__ of
    # a callback that fails.
    transaction.on_commit(orders.send, using=using, robust=True)
