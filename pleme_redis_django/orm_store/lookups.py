"""AnyOf: ``column = ANY(array)``, one parameter however long the list; ``IN`` where there are no arrays.

``IN`` with hundreds of placeholders costs more to parse, in the client and in the server, than the
update that it stands in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import F, Lookup
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
