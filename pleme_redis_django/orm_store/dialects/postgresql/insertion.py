"""Insertion: thousands of rows in a statement, and unique ones where their slot is free."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connections

from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.lookups import uuid_array
from pleme_redis_django.orm_store.new_rows import (
    BOUND_COLUMNS,
    OWN_COLUMNS,
    SHARED_COLUMNS,
    Column,
    NewRow,
    RowTemplate,
)

# The ORM writes one VALUES tuple with all columns of the table a row; these leave the others to their database
# defaults. Of many rows, arrays cost a fifth of VALUES; of one row, they are more to plan.
_INSERT_SQL = "INSERT INTO {table} ({columns}) {rows} {conflict}"
_ONE_ROW = "VALUES ({shared}, {own})"
_ROWS = "SELECT {shared}, {own} FROM unnest({arrays}) AS new({names})"


def insert(table: JobTable[Any], template: RowTemplate, rows: Sequence[NewRow]) -> set[UUID]:
    """Insert the rows; return the ids of those that are stored: one whose unique slot is taken is not."""
    unique = template.uniqueness is not None
    is_one = len(rows) == 1
    own = _own_sent(rows[0]) if is_one else _arrays(rows)
    bounds = BOUND_COLUMNS if template.is_bounded else ()
    sql = _insert_sql(table, bounded=bool(bounds), is_one=is_one, unique=unique)
    with connections[table.using].cursor() as cursor:
        cursor.execute(sql, (*_shared_sent(template), *(_bounds_sent(template) if bounds else ()), *own))
        return {found[0] for found in cursor.fetchall()} if unique else {row.id for row in rows}


@functools.lru_cache(maxsize=64)
def _insert_sql(table: JobTable[Any], *, bounded: bool, is_one: bool, unique: bool) -> str:
    shared_columns = (*SHARED_COLUMNS, *BOUND_COLUMNS) if bounded else SHARED_COLUMNS
    shared = ", ".join(_sent(column, "%s") for column in shared_columns)
    if is_one:
        rows = _ONE_ROW.format(shared=shared, own=", ".join(_sent(column, "%s") for column in OWN_COLUMNS))
    else:
        rows = _ROWS.format(
            shared=shared,
            own=", ".join(_sent(column, f"new.{column.name}") for column in OWN_COLUMNS),
            arrays=", ".join(f"%s::{_item_type(column)}[]" for column in OWN_COLUMNS),
            names=", ".join(column.name for column in OWN_COLUMNS),
        )
    return _INSERT_SQL.format(
        table=table.sql_name,
        columns=", ".join(column.name for column in (*shared_columns, *OWN_COLUMNS)),
        rows=rows,
        conflict="ON CONFLICT DO NOTHING RETURNING id" if unique else "",
    )


def _sent(column: Column, value: str) -> str:
    typed = f"{value}::{column.cast}" if column.cast else value
    if column.seconds_from_now:
        return f"COALESCE({typed}, statement_timestamp() + make_interval(secs => {value}))"
    return f"COALESCE({typed}, statement_timestamp())" if column.now_if_none else typed


def _item_type(column: Column) -> str:
    # JSON travels as text: an array of it would be quoted twice.
    return "text" if column.cast in ("", "jsonb") else column.cast


def _attributes(columns: Sequence[Column]) -> Any:
    return attrgetter(*(column.sent_as or column.name for column in columns))


_bounds_sent = attrgetter(
    *(name for column in BOUND_COLUMNS for name in (column.name, column.seconds_from_now) if name)
)
_shared_sent, _own_sent = _attributes(SHARED_COLUMNS), _attributes(OWN_COLUMNS)


def _arrays(rows: Sequence[NewRow]) -> list[Any]:
    """Return the values of each column; ids as one text, which costs a third."""
    by_column = zip(OWN_COLUMNS, zip(*map(_own_sent, rows), strict=True), strict=True)
    return [uuid_array(values) if column.cast == "uuid" else list(values) for column, values in by_column]
