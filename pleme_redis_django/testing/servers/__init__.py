"""A real PostgreSQL and a real Redis for tests, demos and benchmarks, without installing either.

    with BackingServices(durable=False) as services:
        DATABASES = {"default": services.database_settings()}
        PLEME_REDIS = {"URL": services.redis_url}

``DATABASE_URL`` and ``REDIS_URL`` win when set. Otherwise servers of our own are started on unix
sockets (``tcp=True``: on free loopback ports, with a password), from the wheels of the extra
``[servers]`` or from programs on ``PATH``. They stop with ``stop()``, at exit, and when this process
is killed. Windows is not supported.
"""

from __future__ import annotations

from pleme_redis_django.testing.servers.backing_services import BackingServices
from pleme_redis_django.testing.servers.postgres_server import PostgresServer, database_settings
from pleme_redis_django.testing.servers.redis_server import RedisServer

__all__ = ["BackingServices", "PostgresServer", "RedisServer", "database_settings"]
