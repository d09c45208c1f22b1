"""Trying and waiting for a claim; the context manager and the decorator around it.

A waiter does not poll: it blocks on the wake key until a release, for as long as the holder's claim
lasts. It asks again every two seconds, because a wake-up is lost if the waiter that received it dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import inspect
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, cast

from asgiref.sync import iscoroutinefunction

from pleme_redis_django.exceptions import LockBusy, RedisUnavailable
from pleme_redis_django.interruption import (
    give_back_if_interrupted,
    give_back_now,
    given_back,
    granted_or_undone,
    interruptible,
    uninterrupted,
)
from pleme_redis_django.redis_state.locks.claims import Answer, Busy, Claim, Held
from pleme_redis_django.redis_state.locks.clock import Clock
from pleme_redis_django.redis_state.locks.entered import EnteredGuards
from pleme_redis_django.redis_state.locks.guard import Guard
from pleme_redis_django.redis_state.locks.renewal import Renewal, start_task
from pleme_redis_django.redis_state.locks.unanswered import acquiring, undoing
from pleme_redis_django.redis_state.server.cancellation import CancellationWatch, to_its_end
from pleme_redis_django.redis_state.server.connections import SHORTEST_BLOCK_SECONDS, WAITS
from pleme_redis_django.redis_state.server.flows import arun, run
from pleme_redis_django.redis_state.server.redis_call import RedisCall

G = TypeVar("G", bound=Guard)
P = ParamSpec("P")
R = TypeVar("R")


def _release(guard: Guard) -> None:
    with contextlib.suppress(RedisUnavailable):  # then it expires
        guard.release()


WAIT_SLICE_SECONDS = 2.0


@dataclasses.dataclass(slots=True, kw_only=True)
class Acquisition(Generic[G]):
    """How to take one lock or permit; it takes nothing until it is entered or called.

    - ``with locks.lock("x", 30) as guard:``, ``async with ...``
    - ``guard = locks.lock("x", 30).acquire()``, ``await ....aacquire()``
    - ``@locks.lock("x", 30)`` on a function or a coroutine function: each call takes the lock again

    It may be entered again while it is open, by the same thread or task or by others.
    """

    name: str | Callable[..., str]
    claim: Callable[[str], Claim]
    guard: type[G]
    ttl_ms: int
    wait_seconds: float
    auto_renew: bool
    clock: Clock
    _threads: EnteredGuards[G] = dataclasses.field(default_factory=EnteredGuards, init=False)
    _tasks: EnteredGuards[G] = dataclasses.field(default_factory=EnteredGuards, init=False)

    @granted_or_undone(_release)
    def try_acquire(self) -> G | None:
        """Return a guard, or None if it is held. Raises RedisUnavailable if Redis is away."""
        outcome = self._try(self._new_claim(), will_wait=False)
        return None if isinstance(outcome, Busy) else outcome

    async def atry_acquire(self) -> G | None:
        outcome = await self._atry(self._new_claim(), will_wait=False)
        return None if isinstance(outcome, Busy) else outcome

    @granted_or_undone(_release)
    def acquire(self) -> G:
        """Return a guard, waiting up to ``wait_seconds`` for it.

        Raises LockBusy if the wait was not long enough, RedisUnavailable if Redis is away. If it is cancelled
        or interrupted, nothing stays held.
        """
        claim = self._new_claim()
        give_up_at = self.clock() + self.wait_seconds
        while isinstance(outcome := self._try(claim, will_wait=True), Busy):
            interruptible(self._wait(claim, outcome, give_up_at).run)
        return outcome

    async def aacquire(self) -> G:
        claim = self._new_claim()
        give_up_at = self.clock() + self.wait_seconds
        while isinstance(outcome := await self._atry(claim, will_wait=True), Busy):
            await self._wait(claim, outcome, give_up_at).arun()
        return outcome

    @granted_or_undone(give_back_now)
    def __enter__(self) -> G:
        guard = self.acquire()
        self._threads.push(threading.get_ident(), guard)
        # An interrupt may come on the way into the block, or before the first step of __exit__.
        give_back_if_interrupted(guard, lambda: self.__exit__(None, None, None))
        return guard

    @uninterrupted
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        guard = self._threads.pop(threading.get_ident(), self.name)
        given_back(guard)
        guard.__exit__(kind, error, trace)

    async def __aenter__(self) -> G:
        guard = await self.aacquire()
        self._tasks.push(asyncio.current_task(), guard)
        return guard

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.pop(asyncio.current_task(), self.name).__aexit__(kind, error, trace)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return ``function`` wrapped so that each call holds the claim; its arguments may name it.

        Raises TypeError for a generator function: its call returns before its body begins.
        """
        _refuse_generators(function)
        if _is_async(function):
            return cast("Callable[P, R]", self._wrap_async(cast("Callable[P, Awaitable[Any]]", function)))

        @functools.wraps(function)
        def locked(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._for_call(args, kwargs):
                return function(*args, **kwargs)

        return locked

    def _wrap_async(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(function)
        async def locked(*args: P.args, **kwargs: P.kwargs) -> R:
            async with await self._for_call(args, kwargs).aacquire():
                return await function(*args, **kwargs)

        return locked

    def _for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Acquisition[G]:
        if not callable(self.name):
            return self
        return dataclasses.replace(self, name=self.name(*args, **kwargs))

    def _new_claim(self) -> Claim:
        if callable(self.name):
            raise TypeError("A lock that is named by a function's arguments works as a decorator only.")
        return self.claim(self.name)

    def _try(self, claim: Claim, *, will_wait: bool) -> G | Busy:
        outcome = self._read(claim, run(acquiring(claim, self.ttl_ms, self.clock, will_wait=will_wait)))
        if self.auto_renew and not isinstance(outcome, Busy):
            outcome.keep_renewed_by(Renewal(outcome, self.ttl_ms))
        return outcome

    async def _atry(self, claim: Claim, *, will_wait: bool) -> G | Busy:
        watch = CancellationWatch()
        try:
            answer = await arun(acquiring(claim, self.ttl_ms, self.clock, will_wait=will_wait))
            outcome = self._read(claim, answer)
            if watch.noticed():
                raise asyncio.CancelledError
        except asyncio.CancelledError:
            await to_its_end(_undo(claim, self.clock))
            raise
        if self.auto_renew and not isinstance(outcome, Busy):
            outcome.keep_renewed_by(start_task(outcome, self.ttl_ms))
        return outcome

    def _read(self, claim: Claim, answer: Answer[Held | Busy]) -> G | Busy:
        outcome = answer.reply
        if isinstance(outcome, Busy):
            return outcome
        return self.guard(
            claim, fence=outcome.fence, ttl_ms=self.ttl_ms, sent_at=answer.sent_at, clock=self.clock
        )

    def _wait(self, claim: Claim, busy: Busy, give_up_at: float) -> RedisCall[object]:
        """Return the request that waits for a wake-up. Raises LockBusy if there is no time left."""
        left = give_up_at - self.clock()
        if left > 0:
            seconds = max(min(busy.remaining_seconds, left, WAIT_SLICE_SECONDS), SHORTEST_BLOCK_SECONDS)
            return RedisCall(("BLPOP", claim.wake_key, seconds), profile=WAITS)
        holder = f"held by {busy.owner}" if busy.owner else "held"
        raise LockBusy(
            f"{claim.name[:80]!r} of {claim.product} is {holder}, for {busy.remaining_seconds:.1f} s more "
            f"unless it is renewed or released. Waited {self.wait_seconds:g} s; try again later or raise "
            "wait_seconds.",
            name=claim.name,
            remaining_seconds=busy.remaining_seconds,
            holder_host=busy.owner.host if busy.owner else None,
            holder_pid=busy.owner.pid if busy.owner else None,
            holder_job_id=busy.owner.job_id if busy.owner else None,
        )


def _refuse_generators(function: Callable[..., Any]) -> None:
    for called in (function, type(function).__call__):
        if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(
                f"{name} is a generator: calling it returns before its body begins, and the lock would be "
                "released by then. Write `with locks.lock(...):` (`async with` if it is async) inside it, or "
                "decorate the function that uses it up."
            )


def _is_async(function: Callable[..., Any]) -> bool:
    return iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__)


async def _undo(claim: Claim, clock: Clock) -> None:
    """Free what a cancelled acquire took or will take."""
    with contextlib.suppress(RedisUnavailable):  # then the next acquire undoes it
        await arun(undoing(claim, clock))
