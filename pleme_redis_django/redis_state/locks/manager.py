"""LockManager: the locks and semaphores of one product."""

from __future__ import annotations

from collections.abc import Callable

from asgiref.sync import sync_to_async

from pleme_redis_django.conf import resolve_product
from pleme_redis_django.exceptions import InvalidName
from pleme_redis_django.redis_state.locks import held
from pleme_redis_django.redis_state.locks.acquisition import Acquisition
from pleme_redis_django.redis_state.locks.claims import LockClaim, PermitClaim
from pleme_redis_django.redis_state.locks.clock import Clock, elapsed_seconds
from pleme_redis_django.redis_state.locks.durations import permit_limit, ttl_milliseconds, wait_duration
from pleme_redis_django.redis_state.locks.guard import LockGuard, Permit
from pleme_redis_django.redis_state.locks.held import HeldLock
from pleme_redis_django.redis_state.server.flows import arun, run
from pleme_redis_django.redis_state.server.keyspace import digest

NAME_MAX_LENGTH = 500
LockName = str | Callable[..., str]


class LockManager:
    """The locks that the processes of one product take in turn; they are separate from those of other products.

    ``product`` may be left out where the settings name one. Raises InvalidProduct for a bad one.
    """

    def __init__(self, product: str | None = None, *, clock: Clock = elapsed_seconds) -> None:
        self.product = resolve_product(product)
        self._clock = clock

    def try_lock(self, name: str, ttl_seconds: float, *, auto_renew: bool = False) -> LockGuard | None:
        """Take the lock for ``ttl_seconds`` (0.01 to 86,400) if it is free; one round trip.

        Returns None if somebody else holds it. Raises RedisUnavailable if Redis is away: then it is not known
        whether the lock is free.
        """
        return self.lock(name, ttl_seconds, auto_renew=auto_renew).try_acquire()

    async def atry_lock(self, name: str, ttl_seconds: float, *, auto_renew: bool = False) -> LockGuard | None:
        return await self.lock(name, ttl_seconds, auto_renew=auto_renew).atry_acquire()

    def lock(
        self, name: LockName, ttl_seconds: float, wait_seconds: float = 10.0, *, auto_renew: bool = False
    ) -> Acquisition[LockGuard]:
        """Return a (async) context manager and decorator that takes the lock, and waits for it if necessary.

        ``name`` may be a function of the decorated function's arguments. ``auto_renew`` extends the
        lock at each third of its TTL for as long as the guard exists. Entering raises LockBusy after
        ``wait_seconds`` (0 to 86,400), RedisUnavailable if Redis is away.
        """
        return Acquisition(
            name=name,
            claim=lambda name: LockClaim(self.product, validate_lock_name(name)),
            guard=LockGuard,
            ttl_ms=ttl_milliseconds(ttl_seconds),
            wait_seconds=wait_duration(wait_seconds),
            auto_renew=auto_renew,
            clock=self._clock,
        )

    def semaphore(
        self,
        name: LockName,
        limit: int,
        ttl_seconds: float,
        wait_seconds: float = 10.0,
        *,
        auto_renew: bool = False,
    ) -> Acquisition[Permit]:
        """Return a (async) context manager and decorator that takes one of ``limit`` permits.

        Permits expire by the server's clock. Entering raises what ``lock`` raises.
        """
        limit = permit_limit(limit)
        return Acquisition(
            name=name,
            claim=lambda name: PermitClaim(self.product, validate_lock_name(name), limit),
            guard=Permit,
            ttl_ms=ttl_milliseconds(ttl_seconds),
            wait_seconds=wait_duration(wait_seconds),
            auto_renew=auto_renew,
            clock=self._clock,
        )

    def holder(self, name: str) -> HeldLock | None:
        """Return the current holder of the lock, None if it is free; one round trip."""
        return held.inspect(self.product, digest(validate_lock_name(name))).run()

    async def aholder(self, name: str) -> HeldLock | None:
        return await held.inspect(self.product, digest(validate_lock_name(name))).arun()

    def held_locks(self, *, limit: int = 200) -> list[HeldLock]:
        """Return up to ``limit`` held locks, longest held first. Scans the locks' database."""
        return run(held.held_locks(self.product, limit))

    async def aheld_locks(self, *, limit: int = 200) -> list[HeldLock]:
        return await arun(held.held_locks(self.product, limit))

    def force_release(
        self, lock: str | HeldLock, *, by: str, reason: str, fence: int | None = None
    ) -> HeldLock | None:
        """Take a lock away from its holder; return what was taken, None if there was nothing to take.

        ``lock`` is a name, or an entry of ``held_locks()``, which is released only while that very
        holder has it. ``by`` and ``reason`` go to the log and to the signal ``lock_force_released``.
        The holder is not stopped: its guard becomes ``lost`` at its next renewal, and its fenced
        writes are refused once a later holder has written.
        """
        if isinstance(lock, HeldLock):
            lock_digest, fence = lock.digest, lock.fence
        else:
            lock_digest = digest(validate_lock_name(lock))
        return held.force_release(self.product, lock_digest, by=by, reason=reason, fence=fence)

    async def aforce_release(
        self, lock: str | HeldLock, *, by: str, reason: str, fence: int | None = None
    ) -> HeldLock | None:
        return await sync_to_async(self.force_release)(lock, by=by, reason=reason, fence=fence)

    def __repr__(self) -> str:
        return f"LockManager({self.product!r})"


def validate_lock_name(name: object) -> str:
    """Return ``name`` unchanged if it is a valid lock name; keys contain only its digest.

    Raises InvalidName for anything but text of 1 to 500 characters without lone surrogates.
    """
    if isinstance(name, str) and 0 < len(name) <= NAME_MAX_LENGTH and not _has_surrogates(name):
        return name
    raise InvalidName(
        f"{str(name)[:60]!a} is not a valid lock name. Accepted: text of 1 to {NAME_MAX_LENGTH} characters; "
        "hash longer names yourself."
    )


def _has_surrogates(name: str) -> bool:
    return not name.isascii() and any("\ud800" <= character <= "\udfff" for character in name)
