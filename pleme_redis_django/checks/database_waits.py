"""The check of a worker's database timeouts: a wait as long as the lease makes the worker look dead.

It reads the settings and asks no server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Warning

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool, valid_pools
from pleme_redis_django.management.runworkers.database import libpq_options

# libpq's OPTIONS["options"], a command line for the session: -c name=value, -cname=value, --name=value.
_SESSION_SETTING = re.compile(r"(?:-c\s*|--)(lock_timeout|statement_timeout)\s*=\s*'?(\d+)\s*([a-z]*)")
_SECONDS_OF_UNIT = {"us": 1e-6, "": 1e-3, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def check_database_waits(**_kwargs: Any) -> Iterator[CheckMessage]:
    """W032: what OPTIONS say of timeouts keeps a worker waiting for as long as its lease."""
    alias = get_settings().database
    database = django_settings.DATABASES.get(alias, {})
    pools = list(valid_pools())
    if not pools or not str(database.get("ENGINE", "")).endswith(("postgresql", "postgis")):
        return
    shortest = min(pools, key=lambda parts: parts.config.lease_seconds)
    for what, hint in [*_session_waits(database, shortest), *_network_waits(database, shortest)]:
        yield Warning(
            f'DATABASES["{alias}"]["OPTIONS"]: {what}. The lease of the pool "{shortest.name}" is '
            f"{shortest.config.lease_seconds:g} s: a worker that waits for so long is declared dead, and its jobs "
            "run a second time.",
            hint=hint,
            id="pleme_redis_django.W032",
        )


def _session_waits(database: Mapping[str, Any], parts: ConfiguredPool) -> Iterator[tuple[str, str]]:
    for name, number, unit in _SESSION_SETTING.findall(str(_options(database).get("options", ""))):
        seconds = int(number) * _SECONDS_OF_UNIT.get(unit, 1e-3)
        if seconds >= parts.config.lease_seconds:
            yield (
                f"{name} is {seconds:g} s, and workers use it too",
                "Leave it out, or make it a fraction of the lease; with 0 workers set their own.",
            )


def _network_waits(database: Mapping[str, Any], parts: ConfiguredPool) -> Iterator[tuple[str, str]]:
    """What libpq waits for, over TCP alone: a Unix socket cannot lose its peer."""
    options, lease = _options(database), parts.config.lease_seconds
    hosts = [host for host in str(database.get("HOST") or options.get("host") or "").split(",") if host]
    if all(host.startswith("/") for host in hosts):
        return
    ours = {"keepalives": 1} | libpq_options(lease)
    used = ours | options
    own = [name for name in ours if name in options and name != "application_name"]
    for name in own:
        if _number(used, name) <= 0:
            yield (
                f"{name} is {used[name]!r}, which is no limit",
                f"Leave {name} out: workers set their own.",
            )
            return
    beat, connect = parts.config.heartbeat_seconds, _number(used, "connect_timeout") * len(hosts)
    probes = _number(used, "keepalives_interval") * _number(used, "keepalives_count")
    silent = max(_number(used, "tcp_user_timeout") / 1000, _number(used, "keepalives_idle") + probes)
    if beat + silent + connect > lease:
        with_own = f"with {', '.join(own)} " if own else ""
        yield (
            f"{with_own}it takes up to {beat + silent + connect:g} s until a "
            f"connection that died silently is replaced (a heartbeat {beat:g} s, to notice it {silent:g} s, to "
            f"connect {connect:g} s)",
            "Leave them out: workers set their own, whose sum stays below the lease."
            if own
            else "Make lease_seconds longer: libpq waits at least 2 s for a connection.",
        )


def _options(database: Mapping[str, Any]) -> dict[str, Any]:
    return dict(database.get("OPTIONS") or {})


def _number(options: Mapping[str, Any], name: str) -> float:
    try:
        return float(options[name])
    except (TypeError, ValueError):
        return 0.0
