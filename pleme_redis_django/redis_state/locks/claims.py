"""What is asked of Redis for a lock or a permit, and what the replies mean. Pure: sends nothing."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Any, NamedTuple, Protocol

from pleme_redis_django.redis_state.keyspace import LockKeys, lock_keys
from pleme_redis_django.redis_state.locks.owner import LockOwner, decode_owner, encode_owner
from pleme_redis_django.redis_state.scripts import Argument, Script, script

_FLAG = ("0", "1")


class Call(NamedTuple):
    """One script with its keys and arguments."""

    script: Script
    keys: tuple[str, ...]
    arguments: tuple[Argument, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The claim was granted; ``fence`` is 0 for a permit."""

    fence: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """The claim was refused; another one may succeed in ``remaining_seconds`` or when woken."""

    remaining_seconds: float
    owner: LockOwner | None


class Claim(Protocol):
    """A wish to hold something, with the token that proves it: a lock's or a permit's."""

    product: str
    name: str
    wake_key: str

    def acquire(self, ttl_ms: int, *, will_wait: bool) -> Call: ...

    def renew(self, ttl_ms: int) -> Call: ...

    def release(self) -> Call: ...

    def void(self) -> Call:
        """Refuse an acquire that was abandoned and may still arrive."""
        ...

    def read(self, reply: list[Any]) -> Held | Busy: ...


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

    def acquire(self, ttl_ms: int, *, will_wait: bool) -> Call:
        keys = (self._keys.lock, self._keys.fence, self._keys.notes)
        return Call(script("lock_acquire"), keys, (self.token, ttl_ms, self._owner, _FLAG[will_wait]))

    def renew(self, ttl_ms: int) -> Call:
        return Call(script("lock_renew"), (self._keys.lock,), (self.token, ttl_ms))

    def release(self) -> Call:
        keys = (self._keys.lock, self._keys.wake, self._keys.notes)
        return Call(script("lock_release"), keys, (self.token,))

    def void(self) -> Call:
        return Call(script("claim_void"), (self._keys.notes,), (self.token,))

    def read(self, reply: list[Any]) -> Held | Busy:
        if reply[0] == 1:
            return Held(fence=int(reply[1]))
        return _busy(reply[1], reply[2])


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

    def acquire(self, ttl_ms: int, *, will_wait: bool) -> Call:
        keys = (self._keys.semaphore, self._keys.notes)
        return Call(script("semaphore_acquire"), keys, (self._permit, self.limit, ttl_ms, _FLAG[will_wait]))

    def renew(self, ttl_ms: int) -> Call:
        return Call(script("semaphore_renew"), (self._keys.semaphore,), (self._permit, ttl_ms))

    def release(self) -> Call:
        keys = (self._keys.semaphore, self._keys.wake, self._keys.notes)
        return Call(script("semaphore_release"), keys, (self._permit,))

    def void(self) -> Call:
        return Call(script("claim_void"), (self._keys.notes,), (self._permit,))

    def read(self, reply: list[Any]) -> Held | Busy:
        if reply[0] == 1:
            return Held(fence=0)
        return _busy(reply[1], reply[2][32:])


def _busy(remaining_ms: int, owner: bytes | None) -> Busy:
    # Negative: the key has no TTL (-1, which these scripts never leave) or expired meanwhile (-2).
    return Busy(remaining_seconds=max(remaining_ms, 0) / 1000, owner=decode_owner(owner))
