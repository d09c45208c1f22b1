"""FairIndex: the index that fair claims read, which only a table with a fair pool has.

One more index of ready jobs makes a bulk enqueue a tenth slower, so that it is not in the model's Meta:
``migrate`` makes it where a configured pool asks for it. It stays when none does any more; who drops it
while a fair worker runs turns that one's claims into ordinary ones.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from django.db import connections, models
from django.db.backends.utils import truncate_name
from django.db.models import F, Q

from pleme_redis_django.jobs.interface.selection import JobSelection
from pleme_redis_django.models.indexes import READY_CONDITION
from pleme_redis_django.models.job import AbstractJob
from pleme_redis_django.orm_store.fairness.aging import AgedDueTime

# Django's own names of indexes are as long at most, on every database.
_LONGEST_NAME = 30

# What every row meets, and only the statements of fair claims say: nothing else reads it. Where the statistics know of
# no backlog, any index of ready jobs looks as good as the one in claim order, and a claim would sort the backlog.
FOR_FAIR_CLAIMS = Q(product__gte="")
FAIR_CONDITION = READY_CONDITION & FOR_FAIR_CLAIMS

_NAME = re.compile(r"_fairq?(_[0-9.e+-]+)?$")

_IS_USABLE_SQL = """
SELECT bool_and(index.indisvalid AND index.indisready) FROM pg_index AS index
WHERE index.indrelid = to_regclass(%s) AND index.indexrelid = to_regclass(%s)
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FairIndex:
    """The fair index of a job model on the database ``using``: of the products, or of those in each queue."""

    model: type[AbstractJob]
    using: str
    by_queue: bool
    aging_seconds_per_point: float | None = None

    @property
    def name(self) -> str:
        """Its name in the database."""
        suffix = "_fairq" if self.by_queue else "_fair"
        if self.aging_seconds_per_point is not None:
            suffix += f"_{self.aging_seconds_per_point:g}"
        return truncate_name(self.model._meta.db_table, _LONGEST_NAME - len(suffix)) + suffix

    def has_table(self) -> bool:
        """Return whether there is a table to index yet."""
        connection = connections[self.using]
        with connection.cursor() as cursor:
            return self.model._meta.db_table in connection.introspection.table_names(cursor)

    def exists(self) -> bool | None:
        """Return whether claims can use it; None: it is there, but what was to build it has failed."""
        connection = connections[self.using]
        quote, table = connection.ops.quote_name, self.model._meta.db_table
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(_IS_USABLE_SQL, [quote(table), quote(self.name)])
                (is_usable,) = cursor.fetchone()
                return False if is_usable is None else is_usable or None
            return self.name in connection.introspection.get_constraints(cursor, table)

    def make(self) -> bool:
        """Make it unless it is there, without keeping writers waiting; return whether that was necessary.

        One whose making has failed before is made again.
        """
        found = self.exists()
        if found:
            return False
        connection: Any = connections[self.using]
        # A transaction of the caller's cannot hold what is made without a lock.
        apart = connection.vendor == "postgresql" and not connection.in_atomic_block
        apart_only: dict[str, Any] = {"concurrently": True} if apart else {}
        making = self._index().create_sql(self.model, connection.schema_editor(), **apart_only)
        with connection.cursor() as cursor:
            if found is None:
                name = connection.ops.quote_name(self.name)
                cursor.execute(f"DROP INDEX {'CONCURRENTLY' if apart else ''} {name}")
            cursor.execute(str(making))
        return True

    def _index(self) -> models.Index:
        strand = [F("queue_name"), F("product")] if self.by_queue else [F("product")]
        if self.aging_seconds_per_point is not None:
            aged = AgedDueTime(self.aging_seconds_per_point)
            return models.Index(*strand, aged, F("id"), condition=FAIR_CONDITION, name=self.name)
        return models.Index(
            *strand,
            F("priority").desc(),
            F("run_after"),
            F("id"),
            condition=FAIR_CONDITION,
            name=self.name,
        )


def fair_index(model: type[AbstractJob], using: str, selection: JobSelection) -> FairIndex:
    """Return the index that fair claims of a selection read."""
    return FairIndex(
        model=model,
        using=using,
        by_queue=selection.queue_names is not None,
        aging_seconds_per_point=selection.aging_seconds_per_point,
    )


def is_name_of_one(name: str) -> bool:
    """Whether an index of a job table has the name of a fair one."""
    return _NAME.search(name) is not None


def missing(index: FairIndex) -> str:
    """Return what to tell of an index that is not there."""
    return (
        f"The table {index.model._meta.db_table} lacks the index {index.name}, so a fair pool claims as one that is "
        "not fair."
    )
