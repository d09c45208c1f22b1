"""WaitingHints: hints in lists are read once, and none is taken."""

from __future__ import annotations

from uuid import uuid4

from pleme_redis_django.jobs.interface.hints import Hinted
from pleme_redis_django.redis_state.server.connections import COMMANDS
from pleme_redis_django.redis_state.server.redis_call import redis_client
from pleme_redis_django.redis_state.wakeups.waiting_hints import WaitingHints, named_by


def test_what_has_come_since_the_last_read_is_told() -> None:
    client, waiting = redis_client(COMMANDS), WaitingHints()
    keys = [f"waiting-{uuid4().hex}" for _ in range(2)]
    names_key = f"names-{uuid4().hex}"
    client.lpush(keys[0], b'{"product": "a", "job_type": "t"}')
    assert waiting.read(keys, names_key) == {Hinted("a", "t")}
    client.lpush(keys[0], b'{"product": "b"}')
    client.lpush(keys[1], b"{}")
    assert waiting.read(keys, names_key) == {Hinted("b"), Hinted()}
    assert waiting.read(keys, names_key) == frozenset()
    assert client.llen(keys[0]) == 2


def test_nudges_and_other_elements_name_nothing() -> None:
    assert named_by([b"{}", b"x", b"[]", b"", b'{"product": "a"}']) == {Hinted("a"), Hinted()}
