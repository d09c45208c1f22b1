"""Insertion: writes new rows, thousands in a statement."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from django.db import transaction

from pleme_redis_django.enqueueing.stored import Stored
from pleme_redis_django.enqueueing.unique_insertion import insert_one_unique, insert_unique
from pleme_redis_django.orm_store.dialects.dialect import Dialect
from pleme_redis_django.orm_store.flow.lines import Line
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.new_rows import ROWS_PER_STATEMENT, NewRow, RowTemplate, jobs_of


def insert_rows(
    dialect: Dialect, table: JobTable[M], template: RowTemplate, rows: Sequence[NewRow]
) -> Stored[M]:
    """Insert the rows in one transaction; return the jobs in order, and the lines to look at after the commit.

    A row whose unique slot is taken is not inserted; the job that holds the slot stands in its
    place. Raises UniqueSlotContended when a slot was taken and free again three times in a row.
    """
    stored = _insert(dialect, table, template, rows)
    if template.keys is None:
        return stored
    lines = {Line(template.product, row.order_key) for row in rows if row.order_key is not None}
    return dataclasses.replace(stored, lines=lines.union(stored.lines))


def _insert(dialect: Dialect, table: JobTable[M], template: RowTemplate, rows: Sequence[NewRow]) -> Stored[M]:
    if template.uniqueness is not None:
        if len(rows) == 1 and rows[0].unique_slot:
            return insert_one_unique(dialect, table, template, rows[0], rows[0].unique_slot)
        return insert_unique(dialect, table, template, rows)
    if len(rows) > ROWS_PER_STATEMENT:
        with transaction.atomic(using=table.using):
            for start in range(0, len(rows), ROWS_PER_STATEMENT):
                dialect.insert(table, template, rows[start : start + ROWS_PER_STATEMENT])
        return Stored(jobs=jobs_of(table.model, table.using, template, rows))
    # One statement is atomic by itself, and BEGIN and COMMIT would be two more round trips.
    try:
        dialect.insert(table, template, rows)
    except Exception:
        with transaction.mark_for_rollback_on_error(using=table.using):
            raise
    return Stored(jobs=jobs_of(table.model, table.using, template, rows))
