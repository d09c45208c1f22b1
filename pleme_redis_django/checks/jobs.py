"""Checks of the pools and the job models; they read the settings and ask no server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning
from django.db.models import Index

from pleme_redis_django.conf import SETTING_NAME, get_settings
from pleme_redis_django.configured_pools import (
    ConfiguredPool,
    configured_pool,
    known_types_of_models,
    pool_names,
    valid_pools,
)
from pleme_redis_django.enqueueing.pools import hint_namespace, hints_enabled
from pleme_redis_django.exceptions import InvalidSettings
from pleme_redis_django.models import AbstractJob, job_constraints, job_indexes, model_label
from pleme_redis_django.wording import did_you_mean


def check_pools(**_kwargs: Any) -> Iterator[CheckMessage]:
    """E020: a pool has an unknown field, preset, path or model, or a value out of range."""
    for name in pool_names():
        try:
            configured_pool(name)
        except InvalidSettings as error:
            yield Error(
                str(error),
                hint=f'Correct {SETTING_NAME}["POOLS"]; the settings reference lists the fields.',
                id="pleme_redis_django.E020",
            )


def check_queue_keys(**_kwargs: Any) -> Iterator[CheckMessage]:
    """E021: pools of different models share a queue_key. W022: a pool listens where nobody hints."""
    if not hints_enabled():
        return
    first_of_key: dict[str, ConfiguredPool] = {}
    # A pool of one product scans: it takes no hints from anyone.
    for parts in (one for one in valid_pools() if one.config.product is None):
        key = parts.config.queue_key
        first = first_of_key.setdefault(key, parts)
        if first.model is not parts.model:
            yield _shared_queue_key(first, parts)
        elif key != hint_namespace(parts.model):
            yield _silent_queue_key(parts, hint_namespace(parts.model))


def check_job_events(**_kwargs: Any) -> Iterator[CheckMessage]:
    """W030: JOB_EVENTS names a type that no pool runs."""
    known: set[str] = set()
    for types in known_types_of_models().values():
        if types is None:
            return  # This pool runs whatever it is given.
        known |= types
    for name in get_settings().job_events:
        if name != "*" and name not in known:
            yield Warning(
                f'{SETTING_NAME}["JOB_EVENTS"] names "{name}", but no pool runs this type, so it has no events.',
                hint=did_you_mean(name, known, otherwise='Name a job, or use "*" for all jobs.'),
                id="pleme_redis_django.W030",
            )


def check_job_models(app_configs: Any = None, **_kwargs: Any) -> Iterator[CheckMessage]:
    """E023: a job model lacks an index or the constraint. E024: an index name is too long."""
    for model in job_models(app_configs or apps.get_app_configs()):
        missing = [*_missing_indexes(model), *_missing_constraints(model)]
        if missing:
            yield Error(
                f"The job model {model.__name__} lacks {', '.join(missing)}, so claims read the whole table, or "
                "unique jobs are not unique.",
                hint="Write its Meta as `class Meta(AbstractJob.Meta):`, then run makemigrations.",
                obj=model,
                id="pleme_redis_django.E023",
            )
        yield from _too_long_names(model)


def check_database(**_kwargs: Any) -> Iterator[CheckMessage]:
    """E025: DATABASE names no database. W026, E033: SQLite's transactions cannot become writers, or its times lie."""
    alias = get_settings().database
    if alias not in django_settings.DATABASES:
        yield Error(
            f'{SETTING_NAME}["DATABASE"] is {alias!r}, which is not in DATABASES. Accepted: '
            f"{', '.join(sorted(django_settings.DATABASES))}.",
            hint="Name the database that holds the job tables.",
            id="pleme_redis_django.E025",
        )
    elif _is_sqlite_without_immediate(django_settings.DATABASES[alias]):
        yield Warning(
            f'The database "{alias}" is SQLite without IMMEDIATE transactions: of two writers, one fails with '
            '"database is locked".',
            hint=f'DATABASES["{alias}"]["OPTIONS"] = {{"transaction_mode": "IMMEDIATE", '
            '"init_command": "PRAGMA journal_mode=WAL"}. Use PostgreSQL in production.',
            id="pleme_redis_django.W026",
        )
    if _is_sqlite(django_settings.DATABASES.get(alias, {})) and not _naive_times_are_utc():
        yield Error(
            f'The database "{alias}" is SQLite, whose clock is UTC, but with USE_TZ = False the times of jobs are '
            f"in {django_settings.TIME_ZONE}: scheduled jobs and retries would run hours too early or too late.",
            hint='Set USE_TZ = True, or TIME_ZONE = "UTC", or use PostgreSQL.',
            id="pleme_redis_django.E033",
        )


def _shared_queue_key(first: ConfiguredPool, second: ConfiguredPool) -> Error:
    return Error(
        f'The pools "{first.name}" ({model_label(first.model)}) and "{second.name}" '
        f'({model_label(second.model)}) share the queue_key "{first.config.queue_key}": each takes hints '
        "meant for the other, whose jobs then wait for a scan.",
        hint="Give pools of different job models different queue_keys, or leave queue_key out.",
        id="pleme_redis_django.E021",
    )


def _silent_queue_key(parts: ConfiguredPool, namespace: str) -> Warning:
    return Warning(
        f'The pool "{parts.name}" listens under the queue_key "{parts.config.queue_key}", and an enqueue of '
        f'{model_label(parts.model)} hints under "{namespace}", that of the first pool of this model: the pool '
        f"finds jobs only by scanning, every {parts.config.poll_timeout:g} s.",
        hint="Give all pools of one job model the same queue_key.",
        id="pleme_redis_django.W022",
    )


def job_models(app_configs: Iterable[AppConfig]) -> list[type[AbstractJob]]:
    """Return the models of the apps that have a job table of their own."""
    return [
        model
        for config in app_configs
        for model in config.get_models()
        if issubclass(model, AbstractJob) and model._meta.managed and not model._meta.proxy
    ]


def _missing_indexes(model: type[AbstractJob]) -> Iterator[str]:
    present = [_nature(index) for index in model._meta.indexes]
    for index in job_indexes(""):
        if _nature(index) not in present:
            yield f'the index "{index.name}"'


def _missing_constraints(model: type[AbstractJob]) -> Iterator[str]:
    present = [_nature(constraint) for constraint in model._meta.constraints]
    for constraint in job_constraints(""):
        if _nature(constraint) not in present:
            yield f'the constraint "{constraint.name}"'


def _nature(index: Any) -> Any:
    """Return what an index or a constraint is, whatever its name."""
    path, expressions, options = index.deconstruct()
    return path, expressions, {key: value for key, value in options.items() if key != "name"}


def _too_long_names(model: type[AbstractJob]) -> Iterator[CheckMessage]:
    names = [index.name for index in model._meta.indexes if len(index.name) > Index.max_name_length]
    if names:
        yield Error(
            f"The job model {model.__name__} has index names that are longer than the {Index.max_name_length} "
            f"characters that Django accepts: {', '.join(names)}.",
            hint="Give them a short prefix: `class Meta(AbstractJob.Meta): indexes = job_indexes("
            f'"{_short_prefix(model)}")`, imported from pleme_redis_django.models.',
            obj=model,
            id="pleme_redis_django.E024",
        )


def _short_prefix(model: type[AbstractJob]) -> str:
    return f"{model._meta.app_label[:8]}_{model._meta.model_name}"[:20].rstrip("_") + "_"


def _is_sqlite_without_immediate(database: Any) -> bool:
    mode = str(database.get("OPTIONS", {}).get("transaction_mode", "")).upper()
    return _is_sqlite(database) and mode not in ("IMMEDIATE", "EXCLUSIVE")


def _is_sqlite(database: Any) -> bool:
    return str(database.get("ENGINE", "")).endswith("sqlite3")


def _naive_times_are_utc() -> bool:
    return bool(django_settings.USE_TZ) or django_settings.TIME_ZONE in ("UTC", "Etc/UTC")
