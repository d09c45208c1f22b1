"""What a holder has in hand: release, renew, whether the claim was lost, and fenced writes.

The server's answer counts if there is one. Without one, a guard counts from the moment *before* its last granted
request was sent, so that it considers itself lost too early rather than too late.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pleme_redis_django.exceptions import LockLost, RedisUnavailable
from pleme_redis_django.interruption import uninterrupted
from pleme_redis_django.redis_state.locks import fenced_writes
from pleme_redis_django.redis_state.locks.claims import Answer, Claim, answer_to
from pleme_redis_django.redis_state.locks.clock import Clock
from pleme_redis_django.redis_state.locks.durations import ttl_milliseconds
from pleme_redis_django.redis_state.locks.renewal import Renewal
from pleme_redis_django.redis_state.server.cancellation import to_its_end
from pleme_redis_django.redis_state.server.flows import Flow, arun, run

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

logger = logging.getLogger("pleme_redis_django.locks")


class Guard:
    """A granted claim. Leaving its ``with`` (or ``async with``) block releases it.

    If a block ends without an error, and the claim was lost meanwhile, LockLost is raised: its work was not
    exclusive. If the block ends with an error, that error is raised.
    """

    __slots__ = ("__weakref__", "_claim", "_clock", "_deadline", "_kept", "_lost", "_renewal", "_ttl_ms")

    def __init__(self, claim: Claim, *, fence: int, ttl_ms: int, sent_at: float, clock: Clock) -> None:
        self._claim = claim
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._deadline = sent_at + ttl_ms / 1000
        self._lost = False
        self._kept: bool | None = None  # None: not released yet; else what release() returned
        self._renewal: Renewal | asyncio.Task[None] | None = None

    @property
    def product(self) -> str:
        return self._claim.product

    @property
    def name(self) -> str:
        return self._claim.name

    @property
    def remaining_seconds(self) -> float:
        """Seconds until the claim expires unless it is renewed; 0 if it is lost or released."""
        if self._lost or self._kept is not None:
            return 0.0
        return max(self._deadline - self._clock(), 0.0)

    @property
    def lost(self) -> bool:
        """Whether the claim can no longer be relied on: Redis said so, or its time ran out without a renewal.

        Stays False once the claim was released in time. It sends nothing: the next renewal notices a lock that
        Redis has lost.
        """
        if self._kept is not None:
            return not self._kept
        return self._lost or self._clock() >= self._deadline

    @uninterrupted
    def renew(self, ttl_seconds: float | None = None) -> bool:
        """Start the time to live again, or a new one; False (and ``lost``) if the claim is gone.

        Raises RedisUnavailable if Redis does not answer; the claim then expires at its old time.
        """
        return run(self._renewing(ttl_seconds))

    async def arenew(self, ttl_seconds: float | None = None) -> bool:
        return await arun(self._renewing(ttl_seconds))

    @uninterrupted
    def release(self) -> bool:
        """Release the claim; True if it was held without a gap until now, else False.

        A second call sends nothing and returns the same. Raises RedisUnavailable if Redis does not answer; the
        claim then expires by itself.
        """
        if self._kept is None:
            self._end()
            self._kept = self._read_release(run(answer_to(self._claim.release(), self._clock)))
        return self._kept

    async def arelease(self) -> bool:
        if self._kept is None:
            self._end()
            try:
                self._kept = self._read_release(await arun(answer_to(self._claim.release(), self._clock)))
            except asyncio.CancelledError:
                # It takes effect once the claim is released.
                with contextlib.suppress(RedisUnavailable):  # then it expires
                    answer = await to_its_end(arun(answer_to(self._claim.release(), self._clock)))
                    self._kept = self._read_release(answer._replace(retried=True))
                raise
        return self._kept

    def __enter__(self) -> Self:
        return self

    @uninterrupted
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            kept = self.release()
        except RedisUnavailable as outage:
            kept = self._outlive(outage)
        self._report(kept, error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            kept = await self.arelease()
        except RedisUnavailable as outage:
            kept = self._outlive(outage)
        self._report(kept, error)

    def __repr__(self) -> str:
        state = "lost" if self.lost else "released" if self._kept else f"{self.remaining_seconds:.1f} s left"
        return f"<{type(self).__name__} {self.name!r} of {self.product}, {state}>"

    def keep_renewed_by(self, renewal: Renewal | asyncio.Task[None]) -> None:
        """Cancel ``renewal`` when the claim is released."""
        self._renewal = renewal

    def _end(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None

    def _renewing(self, ttl_seconds: float | None) -> Flow[bool]:
        ttl_ms = self._ttl_ms if ttl_seconds is None else ttl_milliseconds(ttl_seconds)
        if self._lost or self._kept is not None:
            return False
        answer = yield from answer_to(self._claim.renew(ttl_ms), self._clock)
        if answer.reply == 1:
            self._ttl_ms = ttl_ms
            self._deadline = answer.sent_at + ttl_ms / 1000
            return True
        self._lost = True
        return False

    def _read_release(self, answer: Answer[int]) -> bool:
        if answer.reply == 1:
            return True
        # After a lost reply, "not yours" may be the answer to our own second request.
        return answer.retried and not self._lost and answer.sent_at < self._deadline

    def _outlive(self, outage: RedisUnavailable) -> bool:
        """Redis is away when the block ends: the claim expires by itself, and counts until its deadline."""
        self._kept = not self.lost
        logger.warning("lock %s of %s was not released: %s", self.name, self.product, outage)
        return self._kept

    def _report(self, kept: bool, error: BaseException | None) -> None:
        if kept:
            return
        message = (
            f"The lock {self.name[:80]!r} of {self.product} was lost before its block ended: it expired "
            "unrenewed, Redis forgot it, or an operator released it. Use a longer ttl_seconds or "
            "auto_renew=True, and write through guard.update() where two holders would do harm."
        )
        if error is None:
            raise LockLost(message, name=self.name)
        logger.warning(message)


class LockGuard(Guard):
    """A held lock; ``fence`` grows with every holder of the name, even after Redis was emptied."""

    __slots__ = ("fence",)

    def __init__(self, claim: Claim, *, fence: int, ttl_ms: int, sent_at: float, clock: Clock) -> None:
        super().__init__(claim, fence=fence, ttl_ms=ttl_ms, sent_at=sent_at, clock=clock)
        self.fence = fence

    @uninterrupted
    def update(self, queryset: QuerySet[Model], /, *, fence_field: str = "last_fence", **values: Any) -> int:
        """Update the queryset's rows, unless a later holder has written to one; return their number.

        Each row keeps the fence of its last writer in ``fence_field``, a BigIntegerField. Raises
        LockLost, and writes nothing, if the lock is lost or a row has a later fence; 0 means that no row matches.
        Raises FenceFieldMissing if the model has no such field.
        """
        self._require_held()
        return fenced_writes.update(
            queryset, values, fence_field=fence_field, fence=self.fence, name=self.name
        )

    async def aupdate(
        self, queryset: QuerySet[Model], /, *, fence_field: str = "last_fence", **values: Any
    ) -> int:
        self._require_held()
        return await fenced_writes.aupdate(
            queryset, values, fence_field=fence_field, fence=self.fence, name=self.name
        )

    def _require_held(self) -> None:
        if self._kept is not None or self.lost:
            raise LockLost(
                f"The lock {self.name!r} of {self.product} is no longer held, so nothing was written. "
                "Take it again and read the rows again.",
                name=self.name,
            )


class Permit(Guard):
    """One of a semaphore's permits. It has no fence: several holders write side by side."""

    __slots__ = ()
