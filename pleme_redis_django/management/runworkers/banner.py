"""The start banner of runworkers: what will be run, where from, and how to stop it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from urllib.parse import urlsplit

import django
from django.conf import settings as django_settings
from django.db import connections

import pleme_redis_django
from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool
from pleme_redis_django.durations import counted
from pleme_redis_django.jobs.interface.executor import known_job_types
from pleme_redis_django.jobs.worker.agenda import SCAN_SECONDS_WITHOUT_HINTS
from pleme_redis_django.management.runworkers.options import RunOptions
from pleme_redis_django.models import model_label

_DEBUG_LINES = [
    "  warning    DEBUG is on: Django keeps every query of a running job in memory. Do not use it in production."
]


def banner(parts: Sequence[ConfiguredPool], options: RunOptions) -> str:
    """Return the banner, a few lines of text."""
    settings = get_settings()
    versions = f"Django {django.get_version()}, Python {platform.python_version()}"
    database = connections[settings.database]
    lines = [
        f"pleme-redis-django {pleme_redis_django.__version__} ({versions})",
        f"  database   {settings.database} ({database.vendor})",
        f"  hints      {_redis_place(settings.url)}",
        *(line for one in parts for line in _pool_lines(one, options)),
        *(_DEBUG_LINES if django_settings.DEBUG else ()),
        "  stop       " + ("when nothing is claimable" if options.burst else "Ctrl-C or SIGTERM drains"),
    ]
    return "\n".join(lines)


def _redis_place(url: str | None) -> str:
    if url is None:
        return f"none: the database is scanned every {SCAN_SECONDS_WITHOUT_HINTS:g} s"
    parts = urlsplit(url)
    # Neither user nor password of the URL belongs on a terminal or in a log.
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _pool_lines(parts: ConfiguredPool, options: RunOptions) -> list[str]:
    config = parts.config
    served = ", ".join(config.queues) if config.queue_names else "every queue"
    product = f", product {config.product}" if config.product else ""
    processes = counted(options.processes, "process", "processes")
    lines = [
        f"  pool       {parts.name}: {processes} x {config.worker_count} sync + "
        f"{config.async_count} async slots, {served}{product}, table {model_label(parts.model)}"
    ]
    types = known_job_types(parts.executor)
    if types is not None:
        known = sorted(types)
        lines.append(
            f"  job types  {', '.join(known[:8]) or 'none: no jobs.py defines a @job'}{_more(known)}"
        )
    return lines


def _more(known: list[str]) -> str:
    return f" and {len(known) - 8} more" if len(known) > 8 else ""
