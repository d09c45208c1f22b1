"""The threads in which sockets use the database: some for handshakes, others for all that is asked later.

asgiref's one thread for a process would let a handshake wait behind every rule of every open socket, which
is what a web server that was deployed anew has to do at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar, cast

from channels.db import DatabaseSyncToAsync

P = ParamSpec("P")
R = TypeVar("R")

HANDSHAKE_THREADS = 2
RULE_THREADS = 4
"""Each of them has a database connection while it works."""

_handshakes = ThreadPoolExecutor(HANDSHAKE_THREADS, thread_name_prefix="pleme-handshake")
_rules = ThreadPoolExecutor(RULE_THREADS, thread_name_prefix="pleme-rule")


async def call_for_handshake(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that may use the database, for a socket that is about to open."""
    call = DatabaseSyncToAsync(function, thread_sensitive=False, executor=_handshakes)
    return cast(R, await call(*args, **kwargs))


async def call_for_socket(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that may use the database, for a socket that is open."""
    call = DatabaseSyncToAsync(function, thread_sensitive=False, executor=_rules)
    return cast(R, await call(*args, **kwargs))
