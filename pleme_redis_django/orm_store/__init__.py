"""OrmJobStore and OrmWorkerRegistry: the engine's persistence on Django models.

PostgreSQL is the reference. SQLite, for a project's tests and small demos, has no SKIP LOCKED, so
that one claim runs at a time; its transactions have to be IMMEDIATE.
"""

from pleme_redis_django.orm_store.handler_connections import DatabaseScope
from pleme_redis_django.orm_store.store import OrmJobStore
from pleme_redis_django.orm_store.worker_registry import OrmWorkerRegistry

__all__ = ["DatabaseScope", "OrmJobStore", "OrmWorkerRegistry"]
