"""Insertion: writes new rows, thousands in a statement."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from pleme_redis_django.enqueueing.unique_insertion import insert_one_unique, insert_unique
from pleme_redis_django.orm_store.dialects.dialect import Dialect
from pleme_redis_django.orm_store.job_table import JobTable, M
from pleme_redis_django.orm_store.new_rows import ROWS_PER_STATEMENT, NewRow, RowTemplate, jobs_of


def insert_rows(
    dialect: Dialect, table: JobTable[M], template: RowTemplate, rows: Sequence[NewRow]
) -> Sequence[M]:
    """Insert the rows in one transaction; return the jobs in order.

    A row whose unique slot is taken is not inserted; the job that holds the slot stands in its
    place. Raises UniqueSlotContended when a slot was taken and free again three times in a row.
    """
    if template.uniqueness is not None:
        if len(rows) == 1 and rows[0].unique_slot:
            return [insert_one_unique(dialect, table, template, rows[0], rows[0].unique_slot)]
        return insert_unique(dialect, table, template, rows)
    # One statement is atomic by itself, and BEGIN and COMMIT would be two more round trips.
    whole = transaction.atomic if len(rows) > ROWS_PER_STATEMENT else transaction.mark_for_rollback_on_error
    with whole(using=table.using):
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            dialect.insert(table, template, rows[start : start + ROWS_PER_STATEMENT])
    return jobs_of(table.model, table.using, template, rows)
