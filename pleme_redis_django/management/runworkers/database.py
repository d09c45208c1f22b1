"""How a worker process connects: a database that stops answering must not hold its threads for ever.

Without these, a connection through a network that drops packets waits for TCP's own retries, about
a quarter of an hour. What the project's settings say wins.
"""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

# libpq's connection parameters (PostgreSQL documentation, 34.1.2); seconds, and milliseconds for
# tcp_user_timeout. They concern TCP only; a Unix socket cannot lose its peer.
_LIBPQ_OPTIONS: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "pleme-redis-django worker",
}


def bound_database_waits() -> None:
    """Give every PostgreSQL alias of this process the timeouts that its settings leave out."""
    for alias in connections:
        bound_waits_of(connections[alias])


def bound_waits_of(connection: BaseDatabaseWrapper) -> None:
    """Give one connection the timeouts that its settings leave out, before it connects."""
    if connection.vendor == "postgresql":
        options = connection.settings_dict.setdefault("OPTIONS", {})
        for name, value in _LIBPQ_OPTIONS.items():
            options.setdefault(name, value)
