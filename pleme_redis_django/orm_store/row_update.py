"""RowUpdate: what is set in the row of a query, which may be sent together with others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RowUpdate:
    """An update of one row at most."""

    rows: QuerySet[Any]
    values: Mapping[str, Any]
    """Values and expressions by field."""

    def run(self) -> bool:
        """Run it by itself; return whether it met a row."""
        return bool(self.rows.update(**self.values))
