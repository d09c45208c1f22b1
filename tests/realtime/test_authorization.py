"""Who may do what: whatever is not a plain True denies."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ObjectDoesNotExist
from django.db import OperationalError

from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.realtime.authorization import is_allowed, takes_patterns
from pleme_redis_django.realtime.frames import ErrorCode
from pleme_redis_django.testing.realtime import (
    CommandFailed,
    connected_client,
)
from tests.realtime.conftest import Person

Configure = Callable[..., None]

SCOPE: dict[str, Any] = {"user": AnonymousUser()}


async def async_no(scope: Any, action: str, channel: str) -> bool:
    return False


async def async_yes(scope: Any, action: str, channel: str) -> bool:
    return True


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that knows nothing of async functions."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


class CallableRule:
    __hash__ = None  # a rule may be any callable

    async def __call__(self, scope: Any, action: str, channel: str) -> bool:
        return channel == "room:1"


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        (lambda *args: async_no(*args), False),
        (lambda *args: async_yes(*args), True),
        (logged(async_no), False),
        (logged(async_yes), True),
        (functools.partial(async_no), False),
        (CallableRule(), True),
        (lambda *_: 1, False),
        (lambda *_: "no", False),
        (lambda *_: object(), False),
        (lambda *_: None, False),
        (lambda *_: True, True),
        (lambda *_: False, False),
    ],
)
async def test_only_true_allows(configure: Configure, rule: Any, allowed: bool) -> None:
    configure(CHANNELS={"room:*": {"subscribe": rule}})
    assert await is_allowed(SCOPE, "subscribe", "room:1") is allowed


def raising(scope: Any, action: str, channel: str) -> bool:
    raise ObjectDoesNotExist("the room is gone")


async def test_raising_rule_denies_and_is_logged_once(
    ana: Person, configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    configure(CHANNELS={"room:*": {"subscribe": raising}})
    async with connected_client(ana) as client:
        for _ in range(3):
            with pytest.raises(CommandFailed) as error:
                await client.subscribe("room:1")
            assert (error.value.code, error.value.is_temporary) == (ErrorCode.DENIED, False)
    faults = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert len(faults) == 1
    assert "raising" in faults[0].getMessage()


@pytest.mark.parametrize("outage", [OperationalError("away"), RedisUnavailable("away")])
async def test_outage_of_what_a_rule_asks_is_temporary(
    ana: Person, configure: Configure, outage: Exception
) -> None:
    def rule(*_: Any) -> bool:
        raise outage

    configure(CHANNELS={"room:*": {"subscribe": rule}})
    async with connected_client(ana) as client:
        with pytest.raises(CommandFailed) as error:
            await client.subscribe("room:1")
        assert (error.value.code, error.value.is_temporary) == (ErrorCode.INTERNAL, True)


def all_but_staff_room(scope: Any, action: str, channel: str) -> bool:
    return channel != "room:staff"


async def test_pattern_does_not_open_what_an_earlier_function_closes(configure: Configure) -> None:
    configure(CHANNELS={"room:staff": {"subscribe": all_but_staff_room}, "room:*": {"subscribe": "anyone"}})
    assert not await is_allowed(SCOPE, "subscribe", "room:staff")
    assert await is_allowed(SCOPE, "subscribe", "room:1")
    assert not await is_allowed(SCOPE, "subscribe", "room:*")


async def test_pattern_is_open_where_the_earlier_function_opens_its_own(configure: Configure) -> None:
    configure(CHANNELS={"room:lobby": {"subscribe": all_but_staff_room}, "room:*": {"subscribe": "anyone"}})
    assert await is_allowed(SCOPE, "subscribe", "room:*")


@pytest.mark.parametrize("setting", ["CHANNELS", "AUTHORIZE"])
async def test_functions_are_asked_about_channels_only(configure: Configure, setting: str) -> None:
    hook = "tests.realtime.test_authorization.all_but_staff_room"
    configure(**{setting: hook if setting == "AUTHORIZE" else {"room:*": {"subscribe": hook}}})
    assert await is_allowed(SCOPE, "subscribe", "room:1")
    assert not await is_allowed(SCOPE, "subscribe", "room:*")


@takes_patterns
def own_room(scope: Any, action: str, channel: str) -> bool:
    return channel.startswith("room:mine:")


async def test_function_that_takes_patterns_answers_for_them(configure: Configure) -> None:
    configure(CHANNELS={"room:*": {"subscribe": logged(own_room)}})
    assert await is_allowed(SCOPE, "subscribe", "room:mine:*")
    assert not await is_allowed(SCOPE, "subscribe", "room:*")


async def refused(command: Any) -> CommandFailed:
    with pytest.raises(CommandFailed) as error:
        await command
    return error.value


async def test_nothing_is_open_by_default(ana: Person, configure: Configure) -> None:
    configure(CHANNELS={})
    async with connected_client(ana) as client:
        for command in (
            client.subscribe("order:*"),
            client.publish("order:1", 1),
            client.join("room:1"),
            client.join("@online"),
            client.command("typing", ch="conv:7", on=True),
            client.command("history", ch="order:*"),
        ):
            assert (await refused(command)).code == ErrorCode.DENIED


async def test_pattern_does_not_open_what_an_earlier_rule_closes(ana: Person, configure: Configure) -> None:
    configure(CHANNELS={"room:staff": {"subscribe": "staff"}, "room:*": {"subscribe": "authenticated"}})
    async with connected_client(ana) as client:
        await client.subscribe("room:1")
        assert (await refused(client.subscribe("room:staff"))).code == ErrorCode.DENIED
        assert (await refused(client.subscribe("room:*"))).code == ErrorCode.DENIED


ASKED: list[tuple[str, str]] = []


@takes_patterns
def own_orders(scope: dict[str, Any], action: str, channel: str) -> bool:
    ASKED.append((action, channel))
    return channel.startswith(f"order:{scope['user'].pk}:")


@takes_patterns
async def own_orders_async(scope: dict[str, Any], action: str, channel: str) -> bool:
    return own_orders(scope, action, channel)


@pytest.mark.parametrize("hook", ["own_orders", "own_orders_async"])
async def test_authorize_hook_decides_alone(ana: Person, configure: Configure, hook: str) -> None:
    configure(AUTHORIZE=f"tests.realtime.test_authorization.{hook}")
    ASKED.clear()
    async with connected_client(ana) as client:
        await client.subscribe("order:1:*")
        assert (await refused(client.subscribe("order:2:*"))).code == ErrorCode.DENIED
        assert (await refused(client.subscribe("room:1"))).code == ErrorCode.DENIED
    assert ASKED[0] == ("subscribe", "order:1:*")


def broken_hook(scope: dict[str, Any], action: str, channel: str) -> bool:
    raise RuntimeError("secret of the hook")


async def test_broken_hook_denies_and_keeps_its_secret(ana: Person, configure: Configure) -> None:
    configure(AUTHORIZE="tests.realtime.test_authorization.broken_hook")
    async with connected_client(ana) as client:
        error = await refused(client.subscribe("room:1"))
        assert (error.code, error.is_temporary) == (ErrorCode.DENIED, False)
        assert "secret" not in str(error)
