"""Who holds which lock of a product, and taking a lock away from its holder: for operators.

Listing scans the whole keyspace of the locks' database, in steps that block nobody: for a page that
a person looks at, not for code that runs often.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pleme_redis_django.redis_state.connections import redis_client
from pleme_redis_django.redis_state.keyspace import (
    LockKeys,
    held_locks_pattern,
    lock_digest_of,
    lock_keys_by_digest,
)
from pleme_redis_django.redis_state.locks.owner import LockOwner, decode_owner
from pleme_redis_django.redis_state.outages import outages_as_unavailable
from pleme_redis_django.redis_state.scripts import script
from pleme_redis_django.signals import lock_force_released

logger = logging.getLogger("pleme_redis_django.locks")

SCAN_COUNT = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeldLock:
    """A lock that was held when Redis was asked; ``digest`` identifies it where the name does not."""

    product: str
    digest: str
    owner: LockOwner | None
    fence: int
    since: datetime.datetime
    remaining_seconds: float

    @property
    def name(self) -> str:
        return self.owner.name if self.owner else f"(digest {self.digest})"


def inspect(product: str, digest: str) -> HeldLock | None:
    """Return who holds the lock, None when it is free. One round trip."""
    keys = lock_keys_by_digest(product, digest)
    return _read(product, digest, script("lock_inspect").run(redis_client(), (keys.lock,)))


def held_locks(product: str, *, limit: int) -> list[HeldLock]:
    """Return up to ``limit`` held locks of a product, longest held first. Costs a scan of the database."""
    found = [held for digest in islice(_digests(product), limit) if (held := inspect(product, digest))]
    return sorted(found, key=lambda held: (held.since, held.name))


def force_release(product: str, digest: str, *, by: str, reason: str, fence: int | None) -> HeldLock | None:
    """Free the lock whoever holds it; return what was taken away, None when there was nothing.

    With ``fence``, only while that holder still has it. The action is logged and sent as
    ``lock_force_released``.
    """
    keys: LockKeys = lock_keys_by_digest(product, digest)
    expected_fence = "" if fence is None else str(fence)
    reply = script("lock_force_release").run(redis_client(), (keys.lock, keys.wake), (expected_fence,))
    held = _read(product, digest, reply)
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


def _digests(product: str) -> Iterator[str]:
    seen: set[str] = set()  # SCAN may name a key twice
    with outages_as_unavailable():
        for key in redis_client().scan_iter(match=held_locks_pattern(product), count=SCAN_COUNT):
            digest = lock_digest_of(key.decode())
            if digest not in seen:
                seen.add(digest)
                yield digest


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
