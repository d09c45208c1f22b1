"""Checks that ask the Redis server: only with ``manage.py check --deploy``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.core.checks import CheckMessage, Error, Warning

from pleme_redis_django.conf import SETTING_NAME, get_settings
from pleme_redis_django.exceptions import RedisUnavailable

if TYPE_CHECKING:
    from pleme_redis_django.redis_state.server.facts import ServerFacts

OLDEST = (6, 2)


def check_redis_server(**_kwargs: Any) -> Iterator[CheckMessage]:
    """W052: locks may be evicted. W057: nobody answers. E058: too old. W060: the user may do too little."""
    if get_settings().url is None:
        return
    # Not at the top: a project without Redis imports no redis.
    from pleme_redis_django.redis_state.server.facts import refused_rights, server_facts

    try:
        facts, refused = server_facts(), refused_rights()
    except RedisUnavailable as error:
        yield Warning(
            f'The Redis of {SETTING_NAME}["URL"] did not answer. {error}',
            hint="Start it, or correct the URL. Jobs run without it, delayed by up to poll_timeout seconds.",
            id="pleme_redis_django.W057",
        )
        return
    yield from _rights(refused)
    if facts is not None:
        yield from _eviction(facts)
        yield from _version(facts)


def _rights(refused: list[str]) -> Iterator[CheckMessage]:
    if refused:
        yield Warning(
            f'The user of {SETTING_NAME}["URL"] may not use {"; ".join(refused)}.',
            hint="ACL SETUSER <user> ~pl:* resetchannels &pl:* +@all -@admin -@dangerous +info, or fewer rights, "
            "as in the guide about Redis. Without INFO, only this check and the detection of restarts do not work.",
            id="pleme_redis_django.W060",
        )


def _eviction(facts: ServerFacts) -> Iterator[CheckMessage]:
    if facts.maxmemory_bytes and facts.maxmemory_policy != "noeviction":
        yield Warning(
            f'The Redis of {SETTING_NAME}["URL"] evicts keys ({facts.maxmemory_policy}) at '
            f"{facts.maxmemory_bytes:,} bytes: a held lock may be lost, so that two holders have it.",
            hint='Use a separate server with "maxmemory-policy noeviction"; the policy applies to the '
            "whole server, not to one database.",
            id="pleme_redis_django.W052",
        )


def _version(facts: ServerFacts) -> Iterator[CheckMessage]:
    if facts.version < OLDEST:
        found = ".".join(map(str, facts.version))
        yield Error(
            f'The Redis of {SETTING_NAME}["URL"] is {found}, but this package uses commands of 6.2.',
            hint="Upgrade to Redis 6.2 or newer, or to Valkey.",
            id="pleme_redis_django.E058",
        )
