"""The storage of a job table, as values: size, dead rows, and what prevents their removal."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Literal

SnapshotKind = Literal["session", "standby", "prepared transaction", "replication slot"]
QUERY_SHOWN = 200
"""Characters of a query."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunningVacuum:
    """A vacuum that works on the table now."""

    pid: int
    phase: str
    """In PostgreSQL's words; empty: the role may not see it."""
    done: float | None
    """The share of the table that this phase has passed; None: it does not tell, or the role may not see it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IndexStorage:
    """An index of a job table on the disk."""

    name: str
    bytes: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TableStorage:
    """A job table on the disk. Rows are PostgreSQL's estimates."""

    table_bytes: int
    """With its TOAST table and maps, without its indexes."""
    index_bytes: int
    live_rows: int
    dead_rows: int
    vacuumed_at: datetime | None
    """The last vacuum to its end, by autovacuum or by hand; None: never since the statistics were reset."""
    analyzed_at: datetime | None
    vacuum: RunningVacuum | None
    has_stock_settings: bool
    """Whether it is vacuumed when a fifth of it has changed, as any table."""
    is_autovacuumed: bool
    """Whether autovacuum is switched on, for the server and for the table."""
    fair_indexes: tuple[IndexStorage, ...] = ()
    """Those that ``migrate`` made for fair pools; in ``index_bytes`` too."""

    @property
    def dead_share(self) -> float:
        """The share of dead rows in all, from 0 to 1."""
        return self.dead_rows / max(self.live_rows + self.dead_rows, 1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OldestSnapshot:
    """What sees the oldest rows of the database: no vacuum removes a row that has died since."""

    kind: SnapshotKind
    name: str
    """Of a prepared transaction or a slot; empty: it has none."""
    database: str
    """Empty: it is of no single one."""
    pid: int | None
    user: str
    application: str
    state: str
    seconds: float | None
    """Since its transaction began; None: the server does not say, or the role may not see it."""
    transactions: int
    """How many have begun since."""
    query: str
    """The beginning of its last query; empty: it has none, or the role may not see it."""
    is_hidden: bool
    """Whether the role may not see state, age and query."""
