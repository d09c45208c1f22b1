"""The requests to Redis for a lock or a permit, and the meaning of the replies. Pure: sends nothing."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from pleme_redis_django.exceptions import RedisNotConfigured, RedisUnavailable
from pleme_redis_django.redis_state.locks.clock import Clock
from pleme_redis_django.redis_state.locks.owner import LockOwner, decode_owner, encode_owner
from pleme_redis_django.redis_state.server.connections import LOCKS
from pleme_redis_django.redis_state.server.flows import Flow
from pleme_redis_django.redis_state.server.keyspace import LockKeys, lock_keys
from pleme_redis_django.redis_state.server.redis_call import RedisCall, script_call

T = TypeVar("T")

_FLAG = ("0", "1")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The claim was granted; ``fence`` is 0 for a permit."""

    fence: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """The claim was refused; another one may succeed in ``remaining_seconds``, or after a wake-up."""

    remaining_seconds: float
    owner: LockOwner | None


class Answer(NamedTuple, Generic[T]):
    """A reply, when its request was sent, and whether an earlier one went unanswered."""

    reply: T
    sent_at: float
    retried: bool


class Claim(Protocol):
    """A request to hold a lock or a permit, with the token that proves it."""

    product: str
    name: str
    wake_key: str

    def acquire(self, ttl_ms: int, *, will_wait: bool) -> RedisCall[Held | Busy]: ...

    def renew(self, ttl_ms: int) -> RedisCall[int]: ...

    def release(self) -> RedisCall[int]: ...

    def void(self) -> RedisCall[int]:
        """Refuse an acquire that was given up, and may still arrive."""
        ...


class LockClaim:
    """A claim on a lock, which one token holds at a time."""

    __slots__ = ("_keys", "_owner", "name", "product", "token", "wake_key")

    def __init__(self, product: str, name: str) -> None:
        self.product = product
        self.name = name
        self.token = secrets.token_hex(16)
        self._keys: LockKeys = lock_keys(product, name)
        self._owner = encode_owner(name)
        self.wake_key = self._keys.wake

    def acquire(self, ttl_ms: int, *, will_wait: bool) -> RedisCall[Held | Busy]:
        keys = (self._keys.lock, self._keys.fence, self._keys.notes)
        arguments = (self.token, ttl_ms, self._owner, _FLAG[will_wait])
        return script_call("lock_acquire", keys, arguments, read=_read_lock, profile=LOCKS)

    def renew(self, ttl_ms: int) -> RedisCall[int]:
        return script_call("lock_renew", (self._keys.lock,), (self.token, ttl_ms), profile=LOCKS)

    def release(self) -> RedisCall[int]:
        keys = (self._keys.lock, self._keys.wake, self._keys.notes)
        return script_call("lock_release", keys, (self.token,), profile=LOCKS)

    def void(self) -> RedisCall[int]:
        return script_call("lock_void", (self._keys.notes,), (self.token,), profile=LOCKS)


class PermitClaim:
    """A claim on one of ``limit`` permits; the ZSET's member is the token and the owner in one."""

    __slots__ = ("_keys", "_permit", "limit", "name", "product", "wake_key")

    def __init__(self, product: str, name: str, limit: int) -> None:
        self.product = product
        self.name = name
        self.limit = limit
        self._permit = f"{secrets.token_hex(16)}{encode_owner(name)}"
        self._keys = lock_keys(product, name)
        self.wake_key = self._keys.wake

    def acquire(self, ttl_ms: int, *, will_wait: bool) -> RedisCall[Held | Busy]:
        keys = (self._keys.semaphore, self._keys.notes)
        arguments = (self._permit, self.limit, ttl_ms, _FLAG[will_wait])
        return script_call("semaphore_acquire", keys, arguments, read=_read_permit, profile=LOCKS)

    def renew(self, ttl_ms: int) -> RedisCall[int]:
        return script_call("semaphore_renew", (self._keys.semaphore,), (self._permit, ttl_ms), profile=LOCKS)

    def release(self) -> RedisCall[int]:
        keys = (self._keys.semaphore, self._keys.wake, self._keys.notes)
        return script_call("semaphore_release", keys, (self._permit,), profile=LOCKS)

    def void(self) -> RedisCall[int]:
        return script_call("lock_void", (self._keys.notes,), (self._permit,), profile=LOCKS)


def answer_to(call: RedisCall[T], clock: Clock) -> Flow[Answer[T]]:
    """Send a call, and once more if the first reply is lost: the token makes the scripts idempotent."""
    sent_at = clock()
    try:
        return Answer((yield call), sent_at, False)
    except RedisNotConfigured:
        raise
    except RedisUnavailable:
        sent_at = clock()
        return Answer((yield call), sent_at, True)


def _read_lock(reply: list[Any]) -> Held | Busy:
    if reply[0] == 1:
        return Held(fence=int(reply[1]))
    return _busy(reply[1], reply[2])


def _read_permit(reply: list[Any]) -> Held | Busy:
    if reply[0] == 1:
        return Held(fence=0)
    return _busy(reply[1], reply[2][32:])


def _busy(remaining_ms: int, owner: bytes | None) -> Busy:
    # Negative: the key has no TTL (-1, which these scripts never leave) or expired meanwhile (-2).
    return Busy(remaining_seconds=max(remaining_ms, 0) / 1000, owner=decode_owner(owner))
