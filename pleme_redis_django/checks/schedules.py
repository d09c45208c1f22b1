"""Checks of schedules: those that the code declares, and, where the database is asked, those that are stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import DatabaseError
from django.utils.connection import ConnectionDoesNotExist

from pleme_redis_django.conf import SETTING_NAME, get_settings
from pleme_redis_django.configured_pools import fires_schedules, valid_pools
from pleme_redis_django.exceptions import InvalidProduct, InvalidSchedule
from pleme_redis_django.jobs.definitions.cron_expression import zone_of
from pleme_redis_django.jobs.definitions.registry import registry
from pleme_redis_django.models import Schedule
from pleme_redis_django.models.schedule import ScheduleSource
from pleme_redis_django.schedules.declaring import Key, declarations, declared_product
from pleme_redis_django.schedules.reading import UNREADABLE, read_schedule
from pleme_redis_django.schedules.tables import schedules

ROWS_READ = 10_000
ROWS_NAMED = 5


def check_declared_schedules(**_kwargs: Any) -> Iterator[CheckMessage]:
    """E040: two of one name. E041: one without a product, or a zone that is not there. W042: no pool fires them."""
    first: dict[Key, str] = {}
    for one in declarations():
        other = first.setdefault(one.key, one.job_type)
        if other != one.job_type:
            yield Error(
                f'The jobs {other} and {one.job_type} both declare a schedule "{one.name}" for the product '
                f"{one.product}.",
                hint="Give one of them another name: cron(..., name=...).",
                id="pleme_redis_django.E040",
            )
    yield from _without_product_or_zone()
    if first and not any(fires_schedules(parts) for parts in valid_pools()):
        yield Warning(
            f"{len(first)} schedule(s) are declared, and no pool fires them: none runs @job functions on the "
            "package's own job table.",
            hint=f'Add such a pool to {SETTING_NAME}["POOLS"].',
            id="pleme_redis_django.W042",
        )


def _without_product_or_zone() -> Iterator[CheckMessage]:
    for definition in registry:
        for declared in definition.schedules:
            try:
                declared_product(declared)
                zone_of(declared.timezone or django_settings.TIME_ZONE)
            except (InvalidProduct, InvalidSchedule) as error:
                yield Error(
                    f'The schedule "{declared.name}" of {definition.name} is not stored: {error}',
                    hint=f'Set product= or {SETTING_NAME}["PRODUCT"]; the time zone is timezone= or TIME_ZONE.',
                    id="pleme_redis_django.E041",
                )


def check_stored_schedules(**_kwargs: Any) -> Iterator[CheckMessage]:
    """W043: stored schedules cannot be read. W044: a name is declared and made in the admin."""
    using = get_settings().database
    try:
        rows = list(schedules(using).order_by("name")[:ROWS_READ])
    except (DatabaseError, ConnectionDoesNotExist, ValueError):
        return  # W029 says that nobody answers; a row that cannot be loaded is disabled at its turn.
    unreadable = [f"{row.name} of {row.product}: {said}" for row in rows if (said := _fault(row))]
    if unreadable:
        more = f"; and {len(unreadable) - ROWS_NAMED} more" if len(unreadable) > ROWS_NAMED else ""
        yield Warning(
            f"{len(unreadable)} schedule(s) cannot be read by this code, and do not fire: "
            f"{'; '.join(unreadable[:ROWS_NAMED])}{more}",
            hint="Edit them in the admin, or restore the code that they need.",
            id="pleme_redis_django.W043",
        )
    declared = {one.key for one in declarations()}
    for row in rows:
        if row.source == ScheduleSource.ADMIN and (row.product, row.name) in declared:
            yield Warning(
                f'The schedule "{row.name}" of {row.product} is declared in code, but one with that name was made '
                "in the admin earlier. Only that one fires.",
                hint="Rename or delete the one in the admin.",
                id="pleme_redis_django.W044",
            )


def _fault(row: Schedule) -> str:
    if not row.enabled:
        return row.disabled_reason
    try:
        read_schedule(row)
    except UNREADABLE as error:
        return str(error)
    return ""
