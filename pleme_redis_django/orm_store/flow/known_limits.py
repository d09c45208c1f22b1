"""KnownLimits: what this process knows of the limits of a job model, for how long that holds, and how a row is made.

While no row is known a claim reads no table for it: a condition that PostgreSQL evaluates once per statement makes it
come back empty when there is one. A declared limit has its row from the first job on that meets it. Then the rows are
read again twice a second. The statements that count join a limit by its id, so that another number counts at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Protocol

from django.db import connections, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from pleme_redis_django.jobs.definitions.limits import DeclaredLimit
from pleme_redis_django.jobs.interface.store import LIMITS_LOOKED_AFTER_SECONDS
from pleme_redis_django.models.flow_limit import FlowLimit, LimitKind, LimitSource
from pleme_redis_django.models.job import model_label
from pleme_redis_django.orm_store.flow.abandoned import holds_up_known_types_alone
from pleme_redis_django.orm_store.flow.gates import Limited
from pleme_redis_django.orm_store.flow.limits import NO_LIMITS, Declared, KnownLimit, LimitName, Limits
from pleme_redis_django.orm_store.job_table import JobTable

logger = logging.getLogger("pleme_redis_django.jobs")

REREAD_SECONDS = 0.5
# A row that another process has just seen to is left alone.
SEEN_TO = timedelta(seconds=LIMITS_LOOKED_AFTER_SECONDS / 2)
# Four times as long as a process takes that is alive and declares it.
ABANDONED_AFTER = timedelta(seconds=4 * LIMITS_LOOKED_AFTER_SECONDS)
UNUSED_AFTER = timedelta(days=1)
_FIELDS = KnownLimit._fields


class Declarations(Protocol):
    """What code and settings say of the limits of a model."""

    def current(self) -> Declared:
        """Return what is declared now; the same object while it is the same."""

    def known_types(self) -> Collection[str]:
        """Return the job types of which this process would know a limit, were there still one."""


class KnownLimits:
    """What a store knows of the limits of its model."""

    def __init__(self, table: JobTable[Any], declarations: Declarations, *, follows: bool = True) -> None:
        """``follows``: give the rows the numbers of this release first, as a worker does."""
        self._table = table
        self._declarations = declarations
        self._declared: Declared = {}
        self._is_in_step = not follows
        self._read_at = 0.0
        self.last_read = NO_LIMITS

    def current(self) -> Limits:
        """Return the limits, read again only while there are some."""
        self._note_declarations()
        if self.last_read.rows and time.monotonic() - self._read_at >= REREAD_SECONDS:
            self.read_again()
        return self.last_read

    def met_by(self, jobs: Sequence[Limited]) -> Limits:
        """Return the limits, with rows for those declared ones that the jobs are the first to meet."""
        limits = self.current()
        if unmade := limits.unmade_among(jobs):
            self.make(unmade)
        return self.last_read

    def read_again(self) -> bool:
        """Read the rows; return whether they differ from what was known."""
        self._note_declarations()
        before, self._read_at = self.last_read.rows, time.monotonic()
        if not self._is_in_step and (self._declared or self._rows().exists()):
            self._bring_rows_in_step()
        rows = self._rows().order_by("id").values_list(*_FIELDS)
        read = tuple(KnownLimit(*row)._replace(kind=LimitKind(row[1])) for row in rows)
        if read == before:
            return False  # The value is kept with what it has found out about gates.
        self.last_read = Limits(read, self._declared)
        return True

    def read_first(self) -> bool:
        """Read the rows, if none is known so far; return whether there are some."""
        return not self.last_read.rows and self.read_again()

    def make(self, names: Collection[LimitName]) -> None:
        """Make the rows of declared limits."""
        rows = [self._new_row(*self._declared[name]) for name in sorted(names) if name in self._declared]
        FlowLimit._base_manager.using(self._table.using).bulk_create(rows, ignore_conflicts=True)
        self.read_again()

    def look_after(self) -> int:
        """Keep the rows that this process declares, and end those that nobody declares any more; return how many."""
        self._note_declarations()
        self.read_again()
        declared: list[int] = []
        undeclared: list[int] = []
        for row in self.last_read.rows:
            (declared if (row.kind, row.name) in self._declared else undeclared).append(row.id)
        if declared:
            self._keep(declared)
        return self._end_abandoned(undeclared) if undeclared else 0

    def prune(self) -> int:
        """Delete the rows that nobody has declared for a day, and that no operator has edited.

        Returns how many. One that is still declared is made again by the first job that meets it.
        """
        self._note_declarations()
        unused = self._rows().filter(edited_at=None, last_used_at__lt=Now() - UNUSED_AFTER)
        # One that is made again has all its tokens again.
        unused = unused.exclude(gates__full_again_at__gt=Now())
        rows = list(unused.exclude(source=LimitSource.ADMIN))
        for row in rows:
            if (LimitKind(row.kind), row.name) in self._declared:
                self._rows().filter(pk=row.pk, edited_at=None).delete()
            else:
                self._withdraw(row)
        return len(rows)

    def _note_declarations(self) -> None:
        declared = self._declarations.current()
        if declared is not self._declared:
            self._declared = declared
            self.last_read = Limits(self.last_read.rows, self._declared)

    def _bring_rows_in_step(self) -> None:
        """Give rows the numbers of this release, once a process; an operator's stay in force.

        A limit that is not declared any more ends: what waits behind it goes on.
        """
        self._is_in_step = True
        for row in self._rows().filter(product="").exclude(source=LimitSource.ADMIN):
            declared = self._declared.get((LimitKind(row.kind), row.name))
            if declared is not None:
                self._follow(row, *declared)
            elif row.edited_at is None and self._is_withdrawn(row):
                self._withdraw(row)

    def _follow(self, row: FlowLimit, declared: DeclaredLimit, source: LimitSource) -> None:
        numbers = declared.numbers()
        if row.edited_at is None:
            changes = numbers | {"is_shared": declared.shared, "source": source}
        else:
            changes = {"declared": numbers, "source": source}
        if any(getattr(row, name) != value for name, value in changes.items()):
            # An operator may have edited it meanwhile.
            self._rows().filter(pk=row.pk, edited_at=row.edited_at).update(**changes)

    def _keep(self, ids: Sequence[int]) -> None:
        """Say that the limits are declared."""
        stale = self._rows().filter(id__in=ids, last_used_at__lt=Now() - SEEN_TO)
        using, features = self._table.using, connections[self._table.using].features
        with transaction.atomic(using=using):
            if features.has_select_for_update_skip_locked:
                # Nobody waits for an operator who edits one, for another process that does the same, or for this one:
                # tokens of a new key refer to the row.
                locked = stale.select_for_update(
                    skip_locked=True, no_key=features.has_select_for_no_key_update
                )
                stale = self._rows().filter(id__in=locked.values("id"))
            stale.update(last_used_at=Now())

    def _end_abandoned(self, ids: Sequence[int]) -> int:
        """End those limits that nobody has declared for a while, as far as they are this process's business.

        A process of the release before may have made one again after this one began. One that holds nobody up is
        left as it is: a service that is only away finds its tokens as they were.
        """
        silent = self._rows().filter(id__in=ids, product="", edited_at=None)
        silent = silent.filter(last_used_at__lt=Now() - ABANDONED_AFTER).exclude(source=LimitSource.ADMIN)
        rows = [row for row in silent if self._is_withdrawn(row) or self._is_abandoned(row)]
        return sum(self._withdraw(row) for row in rows)

    def _is_withdrawn(self, row: FlowLimit) -> bool:
        """Whether this process would know of the declaration, were there still one."""
        of_known_type = row.kind == LimitKind.TYPE and row.name in self._declarations.known_types()
        return row.source == LimitSource.SETTINGS or of_known_type

    def _is_abandoned(self, row: FlowLimit) -> bool:
        """Whether a key that another service may declare holds up jobs of this process alone."""
        return row.kind == LimitKind.KEY and holds_up_known_types_alone(
            self._table.blocked(), self._table.running(), row.name, self._declarations.known_types()
        )

    def _withdraw(self, row: FlowLimit) -> bool:
        # Whoever declares it may have said so meanwhile.
        as_it_was = self._rows().filter(pk=row.pk, edited_at=None, last_used_at=row.last_used_at)
        has_ended = bool(as_it_was.delete()[0])
        if has_ended:
            logger.warning(
                "the limit of the %s %s is not declared any more and has ended: jobs that wait behind it go on",
                row.kind,
                row.name,
            )
        return has_ended

    def _new_row(self, declared: DeclaredLimit, source: LimitSource) -> FlowLimit:
        return FlowLimit(
            job_model=model_label(self._table.model),
            kind=declared.kind,
            name=declared.name,
            is_shared=declared.shared,
            source=source,
            **declared.numbers(),
        )

    def _rows(self) -> QuerySet[FlowLimit]:
        return self._table.limits()
