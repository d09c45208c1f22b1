"""Acquires that went unanswered: a Redis that hung may still carry them out, for callers that have given up.

They are undone before the next acquire of this process. One that comes no more leaves them to expire.
"""

from __future__ import annotations

import asyncio
from collections import deque

from pleme_redis_django.conf import get_settings
from pleme_redis_django.exceptions import RedisNotConfigured, RedisUnavailable
from pleme_redis_django.redis_state.locks.claims import Answer, Busy, Claim, Held, answer_to
from pleme_redis_django.redis_state.locks.clock import Clock
from pleme_redis_django.redis_state.server.flows import Flow
from pleme_redis_django.redis_state.server.outages import ServerRefuses

MOST_UNANSWERED = 100
"""How many are remembered: undoing them delays one acquire. Of more, the oldest expire by themselves."""

_unanswered: dict[str | None, deque[Claim]] = {}
"""By the URL of the server that they were sent to."""


def acquiring(claim: Claim, ttl_ms: int, clock: Clock, *, will_wait: bool) -> Flow[Answer[Held | Busy]]:
    """Undo what went unanswered before, which may be what is asked for; then ask for ``claim``."""
    yield from _undo_earlier(clock)
    try:
        return (yield from answer_to(claim.acquire(ttl_ms, will_wait=will_wait), clock))
    except RedisUnavailable as error:
        if not _is_refused(error):
            _remember(claim)
        raise


def undoing(claim: Claim, clock: Clock) -> Flow[None]:
    """Free what an acquire that was given up took, or will take: its request may arrive after the release.

    If that fails, it is tried again before the next acquire.
    """
    try:
        yield from answer_to(claim.void(), clock)
        yield from answer_to(claim.release(), clock)
    except (RedisUnavailable, asyncio.CancelledError):
        _remember(claim)
        raise


def _remember(claim: Claim) -> None:
    _unanswered.setdefault(get_settings().url, deque(maxlen=MOST_UNANSWERED)).append(claim)


def _undo_earlier(clock: Clock) -> Flow[None]:
    claims = _unanswered.get(get_settings().url)
    if not claims:
        return
    for _ in range(len(claims)):
        try:
            claim = claims.popleft()
        except IndexError:  # another thread undoes it
            return
        try:
            yield from undoing(claim, clock)
        except RedisUnavailable as error:
            if _is_refused(error):
                return  # Redis answers, and may do what is asked for now.
            raise


def _is_refused(error: RedisUnavailable) -> bool:
    """Return whether Redis said no, or was not even asked: then nothing of it is on its way."""
    return isinstance(error, RedisNotConfigured) or isinstance(error.__cause__, ServerRefuses)
