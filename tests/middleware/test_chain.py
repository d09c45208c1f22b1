"""Chains: the order of the links, and the two mistakes that a link can make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pleme_redis_django.exceptions import BrokenMiddleware
from pleme_redis_django.middleware.chain import Link, acomposed, composed

Run = Callable[..., Any]


async def run_sync(methods: list[Any], value: object = 1) -> Any:
    links = [Link(f"shop.{method.__name__}", method) for method in methods]
    return composed(links, lambda passed: [passed], int)(value)


async def run_async(methods: list[Any], value: object = 1) -> Any:
    async def innermost(passed: Any) -> Any:
        return [passed]

    def as_async(method: Any) -> Any:
        async def amethod(call_next: Any, value: Any) -> Any:
            return await method(call_next, value)

        return amethod

    links = [Link(f"shop.{method.__name__}", as_async(method)) for method in methods]
    return await acomposed(links, innermost, int)(value)


BOTH = pytest.mark.parametrize("run", [run_sync, run_async], ids=["sync", "async"])


def add_one(call_next: Any, value: int) -> Any:
    return call_next(value + 1)


def double(call_next: Any, value: int) -> Any:
    return call_next(value * 2)


def forgets(_call_next: Any, value: int) -> Any:
    return passed_on(value)


def passed_on(value: Any) -> Any:
    """Return it in a form that can be awaited too."""
    return Awaitable(value)


class Awaitable:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Any:
        yield from ()
        return self.value


def passes_text(call_next: Any, value: int) -> Any:
    return call_next(str(value))


@BOTH
async def test_the_first_is_the_outermost(run: Run) -> None:
    assert await run([add_one, double]) == [4]
    assert await run([double, add_one]) == [3]
    assert await run([]) == [1]


@BOTH
async def test_one_that_does_not_call_on_is_named(run: Run) -> None:
    with pytest.raises(BrokenMiddleware, match=r"shop\.forgets\(\) returned without (await )?call_next"):
        await run([add_one, forgets])


@BOTH
async def test_one_that_passes_something_else_on_is_named_with_what_it_passed(run: Run) -> None:
    with pytest.raises(
        BrokenMiddleware, match=r"shop\.passes_text\(\) called call_next with a str. Accepted: the int"
    ):
        await run([passes_text])


async def test_a_second_call_is_refused_and_does_not_run_again() -> None:
    ran: list[int] = []

    def twice(call_next: Any, value: int) -> Any:
        call_next(value)
        return call_next(value)

    async def atwice(call_next: Any, value: int) -> Any:
        await call_next(value)
        return await call_next(value)

    async def innermost(value: int) -> None:
        ran.append(value)

    with pytest.raises(BrokenMiddleware, match="a second time"):
        composed([Link("shop.twice", twice)], ran.append, int)(1)
    with pytest.raises(BrokenMiddleware, match="a second time"):
        await acomposed([Link("shop.twice", atwice)], innermost, int)(2)
    assert ran == [1, 2]


async def test_a_call_that_is_not_awaited_has_not_been_made() -> None:
    async def unawaited(call_next: Any, value: int) -> Any:
        return call_next(value)

    async def innermost(value: int) -> int:
        return value

    with pytest.raises(BrokenMiddleware, match="without await call_next"):
        await acomposed([Link("shop.unawaited", unawaited)], innermost, int)(1)


def test_what_a_link_raises_is_not_covered_up() -> None:
    def raises(_call_next: Any, _value: int) -> Any:
        raise KeyError("of the project")

    with pytest.raises(KeyError, match="of the project"):
        composed([Link("shop.raises", raises)], lambda value: value, int)(1)
