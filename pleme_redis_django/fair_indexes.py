"""The indexes that the claims of fair pools read: which ones the settings ask for, and who makes them."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool, valid_pools
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.orm_store.fairness.index import FairIndex, fair_index


def fair_indexes() -> list[FairIndex]:
    """Return the indexes that the fair pools of the settings read, each once."""
    if not any(entry.get("fair") for entry in get_settings().pools.values()):
        return []  # Without resolving a pool, which imports its executor.
    return list(dict.fromkeys(index for parts in valid_pools() for index in fair_indexes_of(parts)))


def fair_indexes_of(parts: ConfiguredPool) -> list[FairIndex]:
    """Return the index that a pool reads if it is fair and its jobs are rows of its model."""
    if not parts.config.shares_between_products or parts.own_store is not None:
        return []
    selection = JobSelection(queue_names=parts.config.queue_names, aging_seconds_per_point=parts.config.aging)
    return [fair_index(parts.model, get_settings().database, selection)]


def make_fair_indexes(using: str, verbosity: int = 0, stdout: TextIO = sys.stdout, **_signal: Any) -> None:
    """Make what fair pools read and is not there: the receiver of ``post_migrate``."""
    try:
        indexes = [index for index in fair_indexes() if index.using == using]
    except InvalidSettings:
        return  # Check E001 says it.
    for index in indexes:
        if index.has_table() and index.make() and verbosity:
            stdout.write(f"  Made the index {index.name} for fair pools.\n")
