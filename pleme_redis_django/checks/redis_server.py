"""Checks that ask the Redis server: only with ``manage.py check --deploy``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Warning

from pleme_redis_django.conf import SETTING_NAME, get_settings
from pleme_redis_django.exceptions import RedisUnavailable
from pleme_redis_django.redis_state.server_facts import ServerFacts, server_facts

OLDEST = (6, 2)


def check_redis_server(**_kwargs: Any) -> Iterator[CheckMessage]:
    """W052: locks may be evicted. W057: nobody answers. E058: the server is too old."""
    if get_settings().url is None:
        return
    try:
        facts = server_facts()
    except RedisUnavailable as error:
        yield Warning(
            f'The Redis of {SETTING_NAME}["URL"] could not be asked. {error}',
            hint="Start it, or correct the URL. Jobs run without it, with up to poll_timeout seconds of delay.",
            id="pleme_redis_django.W057",
        )
        return
    yield from _eviction(facts)
    yield from _version(facts)


def _eviction(facts: ServerFacts) -> Iterator[CheckMessage]:
    if facts.maxmemory_bytes and facts.maxmemory_policy != "noeviction":
        yield Warning(
            f'The Redis of {SETTING_NAME}["URL"] evicts keys ({facts.maxmemory_policy}) at '
            f"{facts.maxmemory_bytes:,} bytes: a held lock may vanish, and a second holder get in.",
            hint='Keep locks on a server of its own with "maxmemory-policy noeviction"; the policy is the '
            "server's, not the database's.",
            id="pleme_redis_django.W052",
        )


def _version(facts: ServerFacts) -> Iterator[CheckMessage]:
    if facts.version < OLDEST:
        found = ".".join(map(str, facts.version))
        yield Error(
            f'The Redis of {SETTING_NAME}["URL"] is {found}; commands used here came with 6.2.',
            hint="Upgrade to Redis 6.2 or newer, or to Valkey.",
            id="pleme_redis_django.E058",
        )
