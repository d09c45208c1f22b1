"""Insertion: thousands of rows in a statement, and unique ones where their slot is free."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connections

from pleme_redis_django.orm_store.dialects.postgresql.prepared import executed_prepared
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.orm_store.lookups import uuid_array
from pleme_redis_django.orm_store.new_rows import (
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


# Compared by identity: a connection that runs it again and again plans it once.
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _InsertStatement:
    """An insert of rows whose templates leave the same columns unsaid."""

    sql: str
    parameters: tuple[()] = ()
    shared_sent: Callable[[RowTemplate], Sequence[Any]]
    own_sent: Callable[[NewRow], Sequence[Any]]
    own_columns: Sequence[Column]


def insert(table: JobTable[Any], template: RowTemplate, rows: Sequence[NewRow]) -> set[UUID]:
    unique, is_one = template.uniqueness is not None, len(rows) == 1
    statement = _statement(table, template.unsaid, is_one=is_one, unique=unique)
    own = statement.own_sent(rows[0]) if is_one else _arrays(statement, rows)
    values = (*statement.shared_sent(template), *own)
    if is_one and not unique and executed_prepared(statement, table.using, values):
        return {rows[0].id}
    with connections[table.using].cursor() as cursor:
        cursor.execute(statement.sql, values)
        return {found[0] for found in cursor.fetchall()} if unique else {row.id for row in rows}


@functools.lru_cache(maxsize=256)
def _statement(
    table: JobTable[Any], unsaid: frozenset[str], *, is_one: bool, unique: bool
) -> _InsertStatement:
    shared_columns, own_columns = (
        [column for column in columns if column.name not in unsaid]
        for columns in (SHARED_COLUMNS, OWN_COLUMNS)
    )
    sql = _INSERT_SQL.format(
        table=table.sql_name,
        columns=", ".join(column.name for column in (*shared_columns, *own_columns)),
        rows=_rows_sql(shared_columns, own_columns, is_one=is_one),
        conflict="ON CONFLICT DO NOTHING RETURNING id" if unique else "",
    )
    return _InsertStatement(
        sql=sql,
        shared_sent=_attributes(shared_columns),
        own_sent=_attributes(own_columns, is_one=is_one),
        own_columns=own_columns,
    )


def _rows_sql(shared_columns: Sequence[Column], own_columns: Sequence[Column], *, is_one: bool) -> str:
    shared = ", ".join(_sent(column, "%s") for column in shared_columns)
    if is_one:
        return _ONE_ROW.format(shared=shared, own=", ".join(_sent(column, "%s") for column in own_columns))
    return _ROWS.format(
        shared=shared,
        own=", ".join(_sent(column, f"new.{column.name}") for column in own_columns),
        arrays=", ".join(f"%s::{_item_type(column)}[]" for column in own_columns),
        names=", ".join(column.name for column in own_columns),
    )


def _sent(column: Column, value: str) -> str:
    typed = f"{value}::{column.cast}" if column.cast else value
    if column.seconds_from_now:
        return f"COALESCE({typed}, statement_timestamp() + make_interval(secs => {value}))"
    return typed


def _item_type(column: Column) -> str:
    # JSON travels as text: an array of it would be quoted twice.
    return "text" if column.cast in ("", "jsonb") else column.cast


def _attributes(columns: Sequence[Column], *, is_one: bool = False) -> Any:
    names = [
        # Of one row as text, for which psycopg needs no Python; those of many rows go into one text together.
        f"{name}.hex" if is_one and column.cast == "uuid" else name
        for column in columns
        for name in column.attributes
    ]
    return attrgetter(*names)


def _arrays(statement: _InsertStatement, rows: Sequence[NewRow]) -> list[Any]:
    """Return the values of each column; ids as one text, which costs a third."""
    columns = zip(statement.own_columns, zip(*map(statement.own_sent, rows), strict=True), strict=True)
    return [uuid_array(values) if column.cast == "uuid" else list(values) for column, values in columns]
