"""Requests that the tasks of one event loop share while they are under way."""

from __future__ import annotations

import asyncio

import pytest

from pleme_redis_django.redis_state.cache.shared_flights import SharedFlights


async def test_a_request_is_joined_while_it_is_under_way_and_not_afterwards() -> None:
    flights: SharedFlights[int] = SharedFlights()
    may_end = asyncio.Event()

    async def request() -> int:
        await may_end.wait()
        return 7

    flight = flights.start("a", request)
    assert flights.join("a") is flight
    assert flights.join("b") is None
    may_end.set()
    assert await flight == 7
    assert flights.join("a") is None


async def test_a_failed_request_reaches_all_who_joined_and_is_not_joined_again() -> None:
    flights: SharedFlights[int] = SharedFlights()

    async def request() -> int:
        raise LookupError("no such entry")

    flight = flights.start("a", request)
    answers = await asyncio.gather(flight, asyncio.shield(flight), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LookupError, LookupError]
    assert flights.join("a") is None


async def test_a_cancelled_request_is_not_joined_again() -> None:
    flights: SharedFlights[object] = SharedFlights()
    flight = flights.start("a", asyncio.Event().wait)
    flight.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flight
    assert flights.join("a") is None
