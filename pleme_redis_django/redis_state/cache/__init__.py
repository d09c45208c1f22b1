"""A cache scoped to a product, on a Django cache alias.

- ``manager.py``: CacheManager, the way in; ``decorators.py``: ``@cached``
- ``operations.py``: what each operation does, for sync and async alike
- ``codec.py``, ``envelope.py``: typed JSON, and the generations and ages around it
- ``stores.py`` chooses between ``native_store.py`` (Redis) and ``django_store.py`` (any Django cache)
- ``read_batch.py``, ``shared_flights.py``: what many tasks ask at the same time is asked once
- ``building.py``: what passes between operations and stores; ``counters.py``, ``limits.py``
"""

from __future__ import annotations

from pleme_redis_django.redis_state.cache.counters import CacheStats
from pleme_redis_django.redis_state.cache.decorators import cached
from pleme_redis_django.redis_state.cache.limits import Uncached
from pleme_redis_django.redis_state.cache.manager import CacheManager

__all__ = ["CacheManager", "CacheStats", "Uncached", "cached"]
