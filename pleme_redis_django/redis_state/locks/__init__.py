"""Locks and semaphores in Redis, scoped to a product.

- ``manager.py``: LockManager, the way in
- ``acquisition.py``: trying, waiting, context managers, decorators
- ``guard.py``: what a holder has in hand
- ``claims.py``: which script, keys and arguments; the meaning of the replies; one retry after a lost one
- ``fenced_writes.py``: ORM writes that refuse a stale holder
- ``held.py``: who holds what; an operator's force-release
- ``renewal.py``, ``owner.py``, ``clock.py``, ``durations.py``

A Redis lock is efficiency: a failover or a paused holder can break it. Correctness is the fence,
checked by the resource that is written (``guard.update``).
"""

from __future__ import annotations

from pleme_redis_django.redis_state.locks.acquisition import Acquisition
from pleme_redis_django.redis_state.locks.guard import Guard, LockGuard, Permit
from pleme_redis_django.redis_state.locks.held import HeldLock
from pleme_redis_django.redis_state.locks.manager import LockManager
from pleme_redis_django.redis_state.locks.owner import LockOwner

__all__ = ["Acquisition", "Guard", "HeldLock", "LockGuard", "LockManager", "LockOwner", "Permit"]
