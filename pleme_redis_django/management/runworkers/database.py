"""How a worker process connects to the database: with timeouts, so that no thread waits for ever.

Without these, a connection through a network that drops packets waits for TCP's own retries, about
a quarter of an hour. What the project's settings say wins.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from pleme_redis_django.jobs.interface.workers import DEFAULT_LEASE_SECONDS

logger = logging.getLogger("pleme_redis_django.jobs")

# Parts of a lease, after which a wait is given up. With a heartbeat interval before them they stay below
# one lease together: a process that finds its connection dead is back before it is declared dead itself.
_TCP_PART = 0.25
_CONNECT_PART = 0.15
# At least what libpq accepts as a bound: 1 s means 2 s.
_LEAST_SECONDS = 2


def libpq_options(lease_seconds: float) -> dict[str, Any]:
    """Return libpq's connection parameters (PostgreSQL documentation, 34.1.2) for a lease.

    Seconds, and milliseconds for tcp_user_timeout. They concern TCP only; a Unix socket cannot lose its peer.
    """
    tcp_seconds = max(lease_seconds * _TCP_PART, 1.0)
    probe_seconds = max(int(tcp_seconds / 4), 1)
    return {
        "connect_timeout": max(int(lease_seconds * _CONNECT_PART), _LEAST_SECONDS),
        "keepalives_idle": probe_seconds,
        "keepalives_interval": probe_seconds,
        "keepalives_count": 3,
        "tcp_user_timeout": int(tcp_seconds * 1000),
        "application_name": "pleme-redis-django worker",
    }


def bound_database_waits(lease_seconds: float, *, jobs_alias: str) -> None:
    """Give every PostgreSQL alias of this process the timeouts that its settings leave out, and no pool.

    Each thread of the engine keeps its connection, and each that runs handlers its own: taken out of a pool of
    fewer, they would wait for each other for ever.
    """
    pooled = [alias for alias in connections if "pool" in connections.settings[alias].get("OPTIONS", {})]
    for alias in connections:
        bound_waits_of(connections[alias], lease_seconds)
    if connections[jobs_alias].vendor == "postgresql":
        # Of several hosts the one that takes writes: a standby answers, and is of no use to a worker.
        connections.settings[jobs_alias]["OPTIONS"].setdefault("target_session_attrs", "read-write")
    if pooled:
        logger.info(
            "workers do not use the connection pool: each of their threads keeps its own connection (%s)",
            ", ".join(pooled),
        )


def bound_waits_of(connection: BaseDatabaseWrapper, lease_seconds: float = DEFAULT_LEASE_SECONDS) -> None:
    """Give one connection the timeouts that its settings leave out, and no pool, before it connects."""
    if connection.vendor == "postgresql":
        options = connection.settings_dict.setdefault("OPTIONS", {})
        options.pop("pool", None)
        for name, value in libpq_options(lease_seconds).items():
            options.setdefault(name, value)
