"""The indexes that the claims of fair pools read: which ones the settings ask for, and who makes them."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from typing import Any, TextIO

from django.apps import apps
from django.db import connections

from pleme_redis_django.conf import get_settings
from pleme_redis_django.configured_pools import ConfiguredPool, valid_pools
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models import AbstractJob
from pleme_redis_django.orm_store.fairness.index import FairIndex, fair_index, is_name_of_one


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
    if verbosity:
        for name in _unread_indexes(using, {index.name for index in indexes}):
            stdout.write(
                f"  The index {name} is for fair pools, and these settings have none that reads it. It makes a bulk "
                f"enqueue slower: drop it, unless other settings have such a pool.\n"
            )


def _unread_indexes(using: str, read: Collection[str]) -> Iterator[str]:
    """Yield the indexes that were made for fair pools and are not among those that pools of the settings read."""
    connection = connections[using]
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        for model in apps.get_models():
            if issubclass(model, AbstractJob) and model._meta.db_table in tables:
                found = connection.introspection.get_constraints(cursor, model._meta.db_table)
                yield from sorted(name for name in found if is_name_of_one(name) and name not in read)
