"""The check of what fair pools read; it asks the database, with ``manage.py check --database default``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage, Warning

from pleme_redis_django.fair_indexes import fair_indexes
from pleme_redis_django.orm_store.fairness.index import missing


def check_fair_indexes(
    app_configs: Any = None, databases: Sequence[str] | None = None, **_kwargs: Any
) -> Iterator[CheckMessage]:
    """W039: a pool is fair, and its table lacks the index that fair claims read."""
    for index in fair_indexes():
        if index.using in (databases or ()) and index.has_table() and not index.exists():
            yield Warning(
                missing(index),
                hint="Run manage.py migrate, with the settings of the workers.",
                obj=index.model,
                id="pleme_redis_django.W039",
            )
