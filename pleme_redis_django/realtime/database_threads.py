"""The threads in which sockets use the database: some load users and sessions, others ask the rules.

With asgiref's one thread for a process, a handshake would wait behind every rule of every open socket. After a
deploy, a web server has to do all of this at the same moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar, cast

from channels.db import DatabaseSyncToAsync

from pleme_redis_django.redis_state.server.loop_registry import LoopRegistry

P = ParamSpec("P")
R = TypeVar("R")

IDENTITY_THREADS = 2
RULE_THREADS = 4
"""Each of them has a database connection while it works."""
RULES_OF_CLIENTS = 2 * RULE_THREADS
"""How many rules that clients' commands ask may queue for these threads; the others wait before that."""

_identities = ThreadPoolExecutor(IDENTITY_THREADS, thread_name_prefix="pleme-identity")
_rules = ThreadPoolExecutor(RULE_THREADS, thread_name_prefix="pleme-rule")
_turns: LoopRegistry[None, asyncio.Semaphore] = LoopRegistry()


async def call_for_identity(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that loads users and sessions: for a handshake, or to check open sockets again."""
    call = DatabaseSyncToAsync(function, thread_sensitive=False, executor=_identities)
    return cast(R, await call(*args, **kwargs))


async def call_for_rule(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function of the project that decides about a socket; it may be slow."""
    call = DatabaseSyncToAsync(function, thread_sensitive=False, executor=_rules)
    return cast(R, await call(*args, **kwargs))


async def call_for_client(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a rule for a client's command, in turn with those of all others.

    A check of an open socket does not queue here. Otherwise users would keep a permission that they have lost
    until all clients that come back after a deploy have subscribed.
    """
    async with _turns.get(None, lambda: asyncio.Semaphore(RULES_OF_CLIENTS)):
        return await call_for_rule(function, *args, **kwargs)
