"""Who may do what on which channel, and for which product a socket is. What is not allowed is denied.

``PLEME_REDIS["AUTHORIZE"]`` names a hook that decides alone; without one, ``PLEME_REDIS["CHANNELS"]`` does:
``{"room:*": {"subscribe": "authenticated", "publish": "shop.rules.may_write", ...}}``. The first pattern
that covers the channel decides. A client's pattern must be allowed by each earlier one that it overlaps too:
``room:*`` must not open what ``room:staff`` closes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any, Literal, cast

from asgiref.sync import iscoroutinefunction
from channels.db import database_sync_to_async
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from pleme_redis_django.conf import SETTING_NAME, get_settings, resolve_product
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.redis_state.channel_names import (
    PRODUCT_PRESENCE,
    includes,
    overlaps,
    validate_pattern,
)

Action = Literal["subscribe", "publish", "presence", "typing"]
ACTIONS: tuple[Action, ...] = ("subscribe", "publish", "presence", "typing")
Scope = dict[str, Any]
Rule = Callable[[Scope, str, str], bool | Awaitable[bool]]


def _anyone(_scope: Scope, _action: str, _channel: str) -> bool:
    return True


def _authenticated(scope: Scope, _action: str, _channel: str) -> bool:
    return bool(scope["user"].is_authenticated)


def _staff(scope: Scope, _action: str, _channel: str) -> bool:
    return bool(scope["user"].is_authenticated and scope["user"].is_active and scope["user"].is_staff)


def _nobody(_scope: Scope, _action: str, _channel: str) -> bool:
    return False


NAMED_RULES: dict[str, Rule] = {
    "anyone": _anyone,
    "authenticated": _authenticated,
    "staff": _staff,
    "nobody": _nobody,
}


async def is_allowed(scope: Scope, action: Action, channel: str) -> bool:
    """Tell whether a socket may do ``action`` on a channel or pattern. A hook that raises denies, loudly."""
    hook = _hook()
    if hook is not None:
        return await _ask(hook, scope, action, channel)
    for pattern, rules in channel_rules().items():
        decides = pattern == channel or (channel != PRODUCT_PRESENCE and includes(pattern, channel))
        if decides or (channel != PRODUCT_PRESENCE and overlaps(pattern, channel)):
            allowed = await _ask(rules.get(action, _nobody), scope, action, channel)
            if decides or not allowed:
                return allowed
    return False


async def resolve_scope_product(scope: Scope) -> str:
    """Return the product of a socket, from the configured resolver, never from what the client sent.

    Raises InvalidProduct when the resolver returns None and the settings name none, or a bad name.
    """
    resolver = _resolver()
    product = None if resolver is None else await _call(resolver, scope)
    return resolve_product(cast("str | None", product))


async def _ask(rule: Rule, scope: Scope, action: str, channel: str) -> bool:
    return bool(await _call(rule, scope, action, channel))


async def _call(function: Callable[..., Any], *args: Any) -> Any:
    if function in _INLINE:
        return function(*args)
    if iscoroutinefunction(function):
        return await function(*args)
    return await database_sync_to_async(function)(*args)


_INLINE = frozenset(NAMED_RULES.values())


@lru_cache(maxsize=1)
def channel_rules() -> dict[str, dict[str, Rule]]:
    """Return the rules of ``CHANNELS``, in their order.

    Raises InvalidSettings for a bad pattern, an unknown action and a rule that cannot be imported.
    """
    return {
        pattern if pattern == PRODUCT_PRESENCE else validate_pattern(pattern): _rules(pattern, raw)
        for pattern, raw in get_settings().channels.items()
    }


def _rules(pattern: str, raw: object) -> dict[str, Rule]:
    where = f'{SETTING_NAME}["CHANNELS"][{pattern!r}]'
    if not isinstance(raw, Mapping):
        raise InvalidSettings(f"{where} is {raw!r}. Accepted: a dict of action to rule.")
    for action in raw:
        if action not in ACTIONS:
            raise InvalidSettings(f"{where} has the unknown action {action!r}. Known: {', '.join(ACTIONS)}.")
    return {action: _rule(where, value) for action, value in raw.items()}


def _rule(where: str, value: object) -> Rule:
    if callable(value):
        return cast(Rule, value)
    if isinstance(value, str) and value in NAMED_RULES:
        return NAMED_RULES[value]
    if isinstance(value, str) and "." in value:
        try:
            return cast(Rule, import_string(value))
        except ImportError as error:
            raise InvalidSettings(f"{where} names {value!r}, which cannot be imported: {error}.") from error
    raise InvalidSettings(
        f"{where} has the rule {value!r}. Accepted: {', '.join(NAMED_RULES)}, a callable(scope, action, channel), "
        "or its dotted path."
    )


@lru_cache(maxsize=1)
def _hook() -> Rule | None:
    path = get_settings().authorize
    return None if path is None else cast(Rule, import_string(path))


@lru_cache(maxsize=1)
def _resolver() -> Callable[[Scope], Any] | None:
    path = get_settings().product_resolver
    return None if path is None else cast("Callable[[Scope], Any]", import_string(path))


def _forget_rules(*, setting: str, **_kwargs: object) -> None:
    if setting == SETTING_NAME:
        for cached in (channel_rules, _hook, _resolver):
            cached.cache_clear()


setting_changed.connect(_forget_rules, dispatch_uid="pleme_redis_django.realtime.authorization")
