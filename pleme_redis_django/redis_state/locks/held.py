"""Who holds which lock of a product, and taking a lock away from its holder: for operators.

A list scans the whole keyspace of the locks' database, in steps that block nobody: it is for a page that a
person looks at, not for code that runs often.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
from functools import partial
from typing import Any

from pleme_redis_django.redis_state.locks.owner import LockOwner, decode_owner
from pleme_redis_django.redis_state.server.flows import Flow
from pleme_redis_django.redis_state.server.keyspace import (
    LockKeys,
    held_locks_pattern,
    lock_digest_of,
    lock_keys_by_digest,
)
from pleme_redis_django.redis_state.server.redis_call import RedisCall, script_call
from pleme_redis_django.signals import lock_force_released

logger = logging.getLogger("pleme_redis_django.locks")

SCAN_COUNT = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeldLock:
    """A lock that was held when Redis was asked; ``digest`` identifies it if the name is not known."""

    product: str
    digest: str
    owner: LockOwner | None
    fence: int
    since: datetime.datetime
    remaining_seconds: float

    @property
    def name(self) -> str:
        return self.owner.name if self.owner else f"(digest {self.digest})"


def inspect(product: str, digest: str) -> RedisCall[HeldLock | None]:
    """Return the holder of the lock; None if it is free."""
    keys = lock_keys_by_digest(product, digest)
    return script_call("lock_inspect", (keys.lock,), read=partial(_read, product, digest))


def held_locks(product: str, limit: int) -> Flow[list[HeldLock]]:
    """Return up to ``limit`` held locks of a product, longest held first. It scans the database."""
    digests: dict[str, None] = {}  # SCAN may name a key twice
    cursor = None
    while cursor != 0 and len(digests) < limit:
        scan = ("SCAN", cursor or 0, "MATCH", held_locks_pattern(product), "COUNT", SCAN_COUNT)
        cursor, keys = yield RedisCall(scan)
        digests.update((lock_digest_of(key.decode()), None) for key in keys)
    found = []
    for digest in list(digests)[:limit]:
        held: HeldLock | None = yield inspect(product, digest)
        if held is not None:
            found.append(held)
    return sorted(found, key=lambda held: (held.since, held.name))


def force_release(product: str, digest: str, *, by: str, reason: str, fence: int | None) -> HeldLock | None:
    """Release the lock even if somebody else holds it; return what was taken away, None if it was free.

    With ``fence``, only while that holder still has it. The action is logged and sent as
    ``lock_force_released``.
    """
    keys: LockKeys = lock_keys_by_digest(product, digest)
    expected_fence = "" if fence is None else str(fence)
    read = partial(_read, product, digest)
    held = script_call("lock_force_release", (keys.lock, keys.wake), (expected_fence,), read=read).run()
    if held is not None:
        logger.warning(
            "lock %s of %s, held by %s, was released by force by %s: %s",
            held.name,
            product,
            held.owner,
            by,
            reason,
        )
        lock_force_released.send_robust(sender=HeldLock, lock=held, by=by, reason=reason)
    return held


def _read(product: str, digest: str, reply: list[Any]) -> HeldLock | None:
    if not reply:
        return None
    fence, since_ms, owner, remaining_ms = reply
    return HeldLock(
        product=product,
        digest=digest,
        owner=decode_owner(owner),
        fence=int(fence),
        since=datetime.datetime.fromtimestamp(int(since_ms) / 1000, tz=datetime.UTC),
        remaining_seconds=max(remaining_ms, 0) / 1000,
    )
