"""Lookups: expressions that each database writes in its own way.

``AnyOf`` is ``column = ANY(array)``, one parameter however long the list, and ``IN`` where there are no arrays.

``IN`` with hundreds of placeholders costs more to parse, in the client and in the server, than the
update that it stands in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import F, FloatField, Func, Lookup
from django.db.models.lookups import In


class AnyOf(Lookup):
    """Whether a UUID column holds one of these ids; for ``queryset.filter(any_of("id", ids))``."""

    lookup_name = "any_of"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return In(self.lhs, self.rhs).as_sql(compiler, connection)

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::uuid[])", [*parameters, uuid_array(self.rhs)]


def any_of(field: str, ids: Sequence[UUID]) -> AnyOf:
    """Return the condition that ``field`` is one of ``ids``."""
    return AnyOf(F(field), ids)


def uuid_array(ids: Iterable[UUID]) -> str:
    """Return PostgreSQL's array literal of ids: one parameter, however many they are."""
    return "{" + ",".join(item.hex for item in ids) + "}"


def number_array(numbers: Iterable[float]) -> str:
    """Return PostgreSQL's array literal of numbers; a list costs the driver several times as much."""
    return "{" + ",".join(map(str, numbers)) + "}"


def text_array(texts: Iterable[str]) -> str:
    """Return PostgreSQL's array literal of texts; a list costs the driver several times as much."""
    quoted = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    return '{"' + '","'.join(quoted) + '"}' if quoted else "{}"


class SecondsSince(Func):
    """How long ago a time was, in seconds by the database's clock; NULL where its SQL is not known here.

    Not as an interval: reading one costs a claim of many jobs three times as much as a number does.
    """

    output_field = FloatField()
    template = "NULL"

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        # EXTRACT makes a numeric of it first.
        template = "DATE_PART('epoch', STATEMENT_TIMESTAMP() - %(expressions)s)"
        return self.as_sql(compiler, connection, template=template)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "((JULIANDAY('now') - JULIANDAY(%(expressions)s)) * 86400.0)"
        return self.as_sql(compiler, connection, template=template)
