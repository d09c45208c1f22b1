"""What is counted as a call of a client, and what as one that comes with time."""

from __future__ import annotations

import redis

from pleme_redis_django.redis_state.server import keyspace
from pleme_redis_django.testing.servers.redis_server import RedisServer
from tests.benchmarks.redis_calls import count_calls

PUBLISH_TWICE = "redis.call('PUBLISH', KEYS[1], 'a') redis.call('PUBLISH', KEYS[1], 'b')"


def test_commands_of_scripts_are_no_calls_and_a_sweep_comes_with_time() -> None:
    with RedisServer() as server, redis.Redis.from_url(server.url()) as client:
        client.ping()
        with count_calls(server.url()) as calls:
            client.eval(PUBLISH_TWICE, 1, "bus")
            client.publish("bus", "c")
            client.get(keyspace.presence_turn())
            client.ping()
    assert (calls.with_messages, calls.with_time) == (2, 2)
    assert calls.seconds > 0
