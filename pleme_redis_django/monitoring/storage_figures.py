"""StorageReport: what is known of the storage of one job table, as a value."""

from __future__ import annotations

import dataclasses
from typing import Any

from pleme_redis_django.monitoring.figures import plain_values
from pleme_redis_django.orm_store.retention import OverdueJobs
from pleme_redis_django.orm_store.table_storage import OldestSnapshot, TableStorage


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StorageReport:
    """The storage of one job table. What did not answer in time is None, and named in ``unanswered``."""

    model: str
    vendor: str
    """Of the database, as Django names it."""
    table: TableStorage | None
    """None also if the database does not say."""
    snapshot: OldestSnapshot | None
    """None also where nothing holds back a vacuum."""
    overdue: OverdueJobs | None
    unanswered: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as nested dicts and lists of what JSON knows, times as ISO 8601."""
        payload: dict[str, Any] = plain_values(self)
        return payload

    @property
    def is_known(self) -> bool:
        return self.vendor == "postgresql"
