"""Who may do what on which channel, and for which product a socket is. What is not allowed is denied.

``PLEME_REDIS["AUTHORIZE"]`` names a hook that decides alone; without one, ``PLEME_REDIS["CHANNELS"]`` decides:
``{"room:*": {"subscribe": "authenticated", "publish": "shop.rules.may_write", ...}}``. The first pattern
that covers the channel decides. A client's pattern must be allowed by each earlier one that it overlaps too:
``room:*`` must not open what ``room:staff`` closes. A function is asked about channels only, unless it says
with ``@takes_patterns`` that it can answer for a pattern; without that it denies one.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any, Literal, TypeVar, cast

from asgiref.sync import iscoroutinefunction
from django.db import InterfaceError, OperationalError
from django.utils.module_loading import import_string

from pleme_redis_django.conf import SETTING_NAME, forget_on_change, get_settings, resolve_product
from pleme_redis_django.conf.hooks import hook
from pleme_redis_django.exceptions import InvalidSettings, RedisUnavailable
from pleme_redis_django.realtime.database_threads import call_for_client, call_for_identity, call_for_rule
from pleme_redis_django.redis_state.names import (
    PRODUCT_PRESENCE,
    includes,
    is_pattern,
    overlaps,
    validate_pattern,
)

Action = Literal["subscribe", "publish", "presence", "typing"]
ACTIONS: tuple[Action, ...] = ("subscribe", "publish", "presence", "typing")
Scope = dict[str, Any]
Rule = Callable[[Scope, str, str], bool | Awaitable[bool]]
AnyRule = TypeVar("AnyRule", bound=Rule)

OUTAGES = (OperationalError, InterfaceError, RedisUnavailable)
"""A rule that raises one of these has not answered: the client may ask again, and an open socket stays open."""
REPORT_SECONDS = 60.0
"""How often the fault of one rule is logged: clients ask as often as they like."""

logger = logging.getLogger("pleme_redis_django.authorization")


def takes_patterns(rule: AnyRule) -> AnyRule:
    """Mark a rule that is also asked about patterns, such as ``room:*``.

    It may allow one only when it would allow every channel that the pattern covers.
    """
    rule.takes_patterns = True  # type: ignore[attr-defined]  # functools.wraps carries it on
    return rule


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


async def is_allowed(scope: Scope, action: Action, channel: str, *, is_look: bool = False) -> bool:
    """Return whether a socket may do ``action`` on a channel or pattern. A rule that raises denies, and is logged.

    ``is_look``: an open socket is checked again; that does not queue behind the commands of clients.
    Raises OperationalError, InterfaceError and RedisUnavailable of a rule: then it could not be asked.
    """
    call = call_for_rule if is_look else call_for_client
    authorize = hook("AUTHORIZE")
    if authorize is not None:
        return await _ask(authorize, scope, action, channel, call)
    for pattern, rules in channel_rules().items():
        rule = rules.get(action, _nobody)
        if pattern == channel or (channel != PRODUCT_PRESENCE and includes(pattern, channel)):
            return await _ask(rule, scope, action, channel, call)
        # An earlier rule is asked about its own pattern, whatever the client's pattern is.
        is_earlier = channel != PRODUCT_PRESENCE and overlaps(pattern, channel)
        if is_earlier and not await _ask(rule, scope, action, pattern, call):
            return False
    return False


async def resolve_scope_product(scope: Scope, *, is_handshake: bool = False) -> str:
    """Return the product of a socket, from the configured resolver, never from what the client sent.

    Raises InvalidProduct when the resolver returns None and the settings name none, or a bad name.
    """
    resolver = hook("PRODUCT_RESOLVER")
    call = call_for_identity if is_handshake else call_for_rule
    product = None if resolver is None else await _call(resolver, scope, call=call)
    return resolve_product(cast("str | None", product))


async def _ask(rule: Rule, scope: Scope, action: str, channel: str, call: Any) -> bool:
    if id(rule) in _INLINE:
        return bool(rule(scope, action, channel))
    if is_pattern(channel) and not getattr(rule, "takes_patterns", False):
        _report(
            rule, f"It is not asked about the pattern {channel!r}, which is denied; see takes_patterns()."
        )
        return False
    try:
        answer = await _call(rule, scope, action, channel, call=call)
    except OUTAGES:
        raise
    except Exception as error:
        _report(rule, f"It raised for {action} {channel!r}, which is denied.", error)
        return False
    if not isinstance(answer, bool):
        _report(rule, f"It returned {answer!r:.80} for {action} {channel!r}, which is denied; return a bool.")
        return False
    return answer


async def _call(function: Callable[..., Any], *args: Any, call: Any) -> Any:
    if iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__):
        return await function(*args)
    answer = await call(function, *args)
    # A lambda or a plain decorator around an async function returns its coroutine.
    return await answer if inspect.isawaitable(answer) else answer


# By identity: a rule may be any callable, even one without a hash.
_INLINE = frozenset(map(id, NAMED_RULES.values()))
_reported_at: dict[int, float] = {}


def _report(rule: Rule, fault: str, error: Exception | None = None) -> None:
    now = time.monotonic()
    if now - _reported_at.get(id(rule), -REPORT_SECONDS) >= REPORT_SECONDS:
        _reported_at[id(rule)] = now
        logger.error("A rule of the sockets, %r: %s", rule, fault, exc_info=error)


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
            rule = import_string(value)
        except ImportError as error:
            raise InvalidSettings(f"{where} names {value!r}, which cannot be imported: {error}.") from error
        if not callable(rule):
            raise InvalidSettings(f"{where} names {value!r}, which is {rule!r:.80}. Accepted: a function.")
        return cast(Rule, rule)
    raise InvalidSettings(
        f"{where} has the rule {value!r}. Accepted: {', '.join(NAMED_RULES)}, a callable(scope, action, channel), "
        "or its dotted path."
    )


forget_on_change(channel_rules.cache_clear)
forget_on_change(_reported_at.clear)
