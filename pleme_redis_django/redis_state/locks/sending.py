"""Sends a claim's call, once more when the first reply is lost; the scripts are idempotent by token."""

from __future__ import annotations

from typing import Any, NamedTuple

from pleme_redis_django.exceptions import RedisNotConfigured, RedisUnavailable
from pleme_redis_django.redis_state.connections import LOCKS, async_redis_client, redis_client
from pleme_redis_django.redis_state.locks.claims import Call
from pleme_redis_django.redis_state.locks.clock import Clock


class Answer(NamedTuple):
    """A reply, when its request was sent, and whether an earlier one went unanswered."""

    reply: Any
    sent_at: float
    retried: bool


def send(call: Call, clock: Clock) -> Answer:
    """Return the reply to ``call``. Raises RedisUnavailable when two attempts went unanswered."""
    client = redis_client(LOCKS)
    sent_at = clock()
    try:
        return Answer(call.script.run(client, call.keys, call.arguments), sent_at, False)
    except RedisNotConfigured:
        raise
    except RedisUnavailable:
        sent_at = clock()
        return Answer(call.script.run(client, call.keys, call.arguments), sent_at, True)


async def asend(call: Call, clock: Clock) -> Answer:
    """Do what ``send`` does on the running loop's client."""
    client = async_redis_client(LOCKS)
    sent_at = clock()
    try:
        return Answer(await call.script.arun(client, call.keys, call.arguments), sent_at, False)
    except RedisNotConfigured:
        raise
    except RedisUnavailable:
        sent_at = clock()
        return Answer(await call.script.arun(client, call.keys, call.arguments), sent_at, True)
