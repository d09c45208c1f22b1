"""adopt(): moves what waits in the table of another queue, batch by batch; each is one transaction."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.db import connections, transaction
from django.db.models import QuerySet

from pleme_redis_django.adoption.calls import call_of
from pleme_redis_django.adoption.foreign_call import CannotMove
from pleme_redis_django.adoption.sources import Source
from pleme_redis_django.conf import get_settings
from pleme_redis_django.enqueueing.enqueuer import OrmEnqueuer
from pleme_redis_django.enqueueing.rows import new_row
from pleme_redis_django.enqueueing.templates import templates
from pleme_redis_django.exceptions import PlemeError

BATCH_SIZE = 500
KEYS_SHOWN = 3


@dataclasses.dataclass(slots=True, kw_only=True)
class Refusal:
    """Rows that stay for one reason."""

    count: int = 0
    keys: list[str] = dataclasses.field(default_factory=list)
    """Of the first few."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Adoption:
    """What became of the rows of one source."""

    source: str
    moved: int = 0
    """In a dry run: that could be moved."""
    running: int = 0
    """Rows that a worker of the other queue has, and that were left to it."""
    refused: dict[str, Refusal] = dataclasses.field(default_factory=dict)
    """By the reason."""

    def refuse(self, key: object, reason: str) -> None:
        refusal = self.refused.setdefault(reason, Refusal())
        refusal.count += 1
        if len(refusal.keys) < KEYS_SHOWN:
            refusal.keys.append(str(key))


def has_table(source: Source) -> bool:
    connection = connections[get_settings().database]
    with connection.cursor() as cursor:
        return source.table._meta.db_table in connection.introspection.table_names(cursor)


def adopt(source: Source, *, dry_run: bool = False, batch_size: int = BATCH_SIZE) -> Adoption:
    """Make jobs of the rows that wait and delete those rows, or only look at them.

    A row that cannot be moved stays as it is. Rows that a worker of the other queue has locked are passed over, and
    what is moved no worker of it can take. It does no harm to run it again: what was moved is gone from the table.
    """
    using = get_settings().database
    can_skip = connections[using].features.has_select_for_update_skip_locked
    rows = source.table._default_manager.using(using).order_by("pk")
    adoption, last = Adoption(source=source.name), None
    while True:
        with transaction.atomic(using=using):
            waiting = rows.filter(source.waiting)
            if last is not None:
                waiting = waiting.filter(pk__gt=last)
            if not dry_run:
                waiting = waiting.select_for_update(skip_locked=can_skip)
            batch = list(waiting[:batch_size])
            if not batch:
                break
            last = batch[-1].pk
            moved = [row.pk for row in batch if _move(source, row, adoption, dry_run=dry_run)]
            if not dry_run:
                _delete(rows, moved)
        adoption.moved += len(moved)
    adoption.running = rows.filter(source.running).count()
    return adoption


def _delete(rows: QuerySet[Any], keys: list[Any]) -> None:
    rows.filter(pk__in=keys).delete()


def _move(source: Source, row: Any, adoption: Adoption, *, dry_run: bool) -> bool:
    """Store a row as a job, in the caller's transaction; return whether it could be."""
    try:
        metadata = {"adopted_from": source.name, "adopted_id": str(row.pk)}
        definition, parameters = call_of(source.read(row), metadata)
        if dry_run:
            new_row(templates.of(definition), parameters)
        else:
            OrmEnqueuer().enqueue(definition, parameters)
    except (CannotMove, PlemeError) as error:
        adoption.refuse(row.pk, str(error))
        return False
    except (TypeError, ValueError, LookupError) as error:
        # What is in the row is not what that queue writes.
        adoption.refuse(row.pk, f"it cannot be read ({type(error).__name__}: {str(error)[:100]})")
        return False
    return True
