"""Checks of what the tables and indexes of jobs are in the database, with ``manage.py check --database default``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Warning
from django.db import connections

from pleme_redis_django.checks.jobs import job_models
from pleme_redis_django.conf import get_settings
from pleme_redis_django.fair_indexes import fair_indexes
from pleme_redis_django.orm_store.dialects.postgresql.table_storage import stock_tables
from pleme_redis_django.orm_store.fairness.index import missing


def check_job_storage(
    app_configs: Any = None, databases: Sequence[str] | None = None, **_kwargs: Any
) -> Iterator[CheckMessage]:
    """W031: PostgreSQL vacuums a job table by its size, history included."""
    alias = get_settings().database
    if alias not in (databases or ()) or connections[alias].vendor != "postgresql":
        return
    models = {model._meta.db_table: model for model in job_models(app_configs or apps.get_app_configs())}
    for table in stock_tables(alias, list(models)):
        model = models[table]
        yield Warning(
            f"The table {table} of the job model {model.__name__} is vacuumed only when a fifth of it has changed: the "
            "longer its history, the more dead rows each claim reads.",
            hint="Run manage.py migrate; for a job model of your own, add a migration with "
            f'operations = [JobTableStorage("{model._meta.model_name}")], from pleme_redis_django.storage.',
            obj=model,
            id="pleme_redis_django.W031",
        )


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
