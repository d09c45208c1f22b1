"""Insertion: writes new rows, thousands in a statement, and finds the jobs that hold a unique slot."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import OperationalError, connections, transaction
from django.db.models import Q
from django.db.models.functions import Now

from pleme_redis_django.enqueueing.rows import NewRow, RowTemplate
from pleme_redis_django.enqueueing.unique_jobs import holder_or_insert, kept_waiting
from pleme_redis_django.exceptions import UniqueSlotContended
from pleme_redis_django.jobs.definitions.uniqueness import period_seconds, waits_only
from pleme_redis_django.jobs.interface.json_text import from_json, to_json
from pleme_redis_django.models import Job

ROWS_PER_STATEMENT = 2_000
INSERT_TRIES = 3
# serialization_failure and deadlock_detected: the same transaction may succeed when it is run again.
_BEGIN_ANEW = ("40001", "40P01")
_CONFIGURATION_MAX_BYTES = 64 * 1024


def insert_rows(using: str, template: RowTemplate, rows: Sequence[NewRow]) -> list[Job]:
    """Insert the rows in one transaction; return the jobs in order.

    A row whose unique slot is taken is not inserted; the job that holds the slot stands in its
    place. Raises UniqueSlotContended when a slot was taken and free again three times in a row.
    """
    if template.uniqueness is None:
        # One statement is atomic by itself, and BEGIN and COMMIT would be two more round trips.
        whole = (
            transaction.atomic if len(rows) > ROWS_PER_STATEMENT else transaction.mark_for_rollback_on_error
        )
        with whole(using=using):
            for start in range(0, len(rows), ROWS_PER_STATEMENT):
                _insert(using, template, rows[start : start + ROWS_PER_STATEMENT])
        return [_as_job(using, template, row) for row in rows]
    if len(rows) == 1 and rows[0].unique_slot:
        return [_insert_one_unique(using, template, rows[0], rows[0].unique_slot)]
    return _insert_unique(using, template, rows)


def _insert_one_unique(using: str, template: RowTemplate, row: NewRow, slot: str) -> Job:
    def insert() -> Job:
        return _insert_unique(using, template, [row])[0]

    return holder_or_insert(using, template.product, slot, row.id, insert)


def _insert_unique(using: str, template: RowTemplate, rows: Sequence[NewRow]) -> list[Job]:
    if connections[using].in_atomic_block:
        return _insert_unique_once(using, template, rows)
    # Under REPEATABLE READ and SERIALIZABLE, whoever meets a concurrent enqueue has to begin anew.
    for _try in range(INSERT_TRIES - 1):
        try:
            return _insert_unique_once(using, template, rows)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) not in _BEGIN_ANEW:
                raise
    return _insert_unique_once(using, template, rows)


def _insert_unique_once(using: str, template: RowTemplate, rows: Sequence[NewRow]) -> list[Job]:
    """Insert in the order of slots, so that two calls with the same ones cannot deadlock."""
    winners: dict[str | None, Job] = {}
    open_rows = {row.unique_slot: row for row in reversed(rows) if row.unique_slot}
    # Alone, the enqueue is over when it returns, and the job that it found may start at once.
    keep_waiting = connections[using].in_atomic_block
    with transaction.atomic(using=using):
        for _try in range(INSERT_TRIES):
            ordered = [row for _slot, row in sorted(open_rows.items())]
            inserted = _insert(using, template, ordered)
            winners |= {
                row.unique_slot: _as_job(using, template, row) for row in ordered if row.id in inserted
            }
            losers = [slot for slot in open_rows if slot not in winners]
            winners |= _holders(using, template, losers, keep_waiting=keep_waiting)
            open_rows = {slot: row for slot, row in open_rows.items() if slot not in winners}
            if not open_rows:
                return [winners[row.unique_slot] for row in rows]
        # Inside the block, whose end would otherwise keep the rows of the slots that were free.
        raise UniqueSlotContended(
            f"{template.job_type}: the unique slot of {len(open_rows)} job(s) was taken and freed again "
            f"{INSERT_TRIES} times while this enqueue tried to take it. Nothing was stored. Enqueue again."
        )


def _holders(
    using: str, template: RowTemplate, slots: Sequence[str], *, keep_waiting: bool
) -> dict[str | None, Job]:
    """Return the jobs that hold the slots, after freeing those of deleted jobs and of periods that are over."""
    if not slots:
        return {}
    held = Job._base_manager.using(using).filter(product=template.product, unique_slot__in=slots)
    # A deleted job is never run: whoever got it in place of a new one would wait for nothing.
    over = Q(deleted_at__isnull=False)
    seconds = period_seconds(slots[0])
    if seconds is not None:
        over |= Q(created_at__lte=Now() - timedelta(seconds=seconds))
    held.filter(over).update(unique_slot=None)
    found = kept_waiting(held) if keep_waiting and waits_only(slots[0]) else held
    return {job.unique_slot: job for job in found}


# The ORM writes one VALUES tuple with 38 columns a row; these leave the others to their database
# defaults. Of many rows, arrays cost a fifth of VALUES; of one row, they are more to plan.
_COLUMNS = """
product, job_type, queue_name, priority, status, configuration, run_after, max_retries, metadata,
id, parameters, unique_slot
"""
_SHARED = "%s, %s, %s, %s, %s, %s::jsonb, COALESCE(%s::timestamptz, statement_timestamp()), %s, %s::jsonb"
_ONE_ROW = f"VALUES ({_SHARED}, %s, %s::jsonb, %s)"
_ROWS = f"""
SELECT {_SHARED}, new.id, new.parameters::jsonb, new.unique_slot
FROM unnest(%s::uuid[], %s::text[], %s::text[]) AS new(id, parameters, unique_slot)
"""  # noqa: S608


@functools.cache
def _insert_sql(using: str, rows: str, *, unique: bool) -> str:
    table = connections[using].ops.quote_name(Job._meta.db_table)
    conflict = "ON CONFLICT DO NOTHING RETURNING id" if unique else ""
    return f"INSERT INTO {table} ({_COLUMNS}) {rows} {conflict}"


def _insert(using: str, template: RowTemplate, rows: Sequence[NewRow]) -> set[UUID]:
    if connections[using].vendor == "postgresql":
        return _insert_by_statement(using, template, rows)
    return _insert_models(using, template, rows)


def _insert_by_statement(using: str, template: RowTemplate, rows: Sequence[NewRow]) -> set[UUID]:
    unique = template.uniqueness is not None
    configuration = template.configuration
    parameters: list[Any] = [
        template.product,
        template.job_type,
        template.queue_name,
        template.priority,
        template.status.value,
        None if configuration is None else to_json(configuration, max_bytes=_CONFIGURATION_MAX_BYTES),
        template.run_after,
        template.max_retries,
        template.metadata_json,
    ]
    if len(rows) == 1:
        (row,) = rows
        parameters += [row.id, row.parameters_json, row.unique_slot]
    else:
        parameters.append("{" + ",".join(row.id.hex for row in rows) + "}")
        parameters += [[row.parameters_json for row in rows], [row.unique_slot for row in rows]]
    sql = _insert_sql(using, _ONE_ROW if len(rows) == 1 else _ROWS, unique=unique)
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        return {found[0] for found in cursor.fetchall()} if unique else {row.id for row in rows}


def _insert_models(using: str, template: RowTemplate, rows: Sequence[NewRow]) -> set[UUID]:
    models = []
    for row in rows:
        job = Job(
            id=row.id, parameters=row.parameters, unique_slot=row.unique_slot, **_shared_fields(template)
        )
        if template.run_after is not None:
            job.run_after = template.run_after
        models.append(job)
    manager = Job._base_manager.using(using)
    manager.bulk_create(models, ignore_conflicts=template.uniqueness is not None)
    ids = [row.id for row in rows]
    return set(manager.filter(id__in=ids).values_list("id", flat=True))


def _shared_fields(template: RowTemplate) -> dict[str, object]:
    return {
        "product": template.product,
        "job_type": template.job_type,
        "queue_name": template.queue_name,
        "priority": template.priority,
        "status": template.status,
        "configuration": template.configuration,
        "max_retries": template.max_retries,
        "metadata": from_json(template.metadata_json),
    }


_INSERTED_FIELDS = (
    "id",
    "product",
    "job_type",
    "queue_name",
    "priority",
    "status",
    "parameters",
    "configuration",
    "max_retries",
    "unique_slot",
)


def _as_job(using: str, template: RowTemplate, row: NewRow) -> Job:
    """Return the row as a model instance; what the database filled in is loaded when asked for."""
    shared = (
        template.product,
        template.job_type,
        template.queue_name,
        template.priority,
        template.status,
    )
    tail = (template.configuration, template.max_retries, row.unique_slot)
    return Job.from_db(using, _INSERTED_FIELDS, (row.id, *shared, row.parameters, *tail))
