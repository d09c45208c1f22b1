"""AttemptGuard: ORM updates that refuse an attempt after a later one of the same job has written.

Each row keeps the number of the attempt that wrote it last, and the database compares it in the statement that
writes: a worker that was paused for longer than its lease is refused too.
"""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import FieldDoesNotExist
from django.db import models, router, transaction
from django.db.models import Q, QuerySet

from pleme_redis_django.exceptions import AttemptLost, FenceFieldMissing
from pleme_redis_django.interruption import uninterrupted
from pleme_redis_django.jobs.interface.context import JobContext


class AttemptGuard:
    """Writes to rows under the number of an attempt."""

    def __init__(self, context: JobContext, rows: QuerySet[Any], fence_field: str = "fence") -> None:
        self._job = context.job
        self._fence = context.fence()
        self._rows = rows
        self._field = fence_field
        _require_field(rows.model, fence_field)

    @uninterrupted
    def update(self, **values: Any) -> int:
        """Write ``values`` and the fence to every row, or to none; return their number.

        Raises AttemptLost when a row carries the number of a later attempt.
        """
        using = getattr(self._rows, "_db", None) or router.db_for_write(self._rows.model)
        not_later = Q(**{f"{self._field}__lte": self._fence}) | Q(**{f"{self._field}__isnull": True})
        with transaction.atomic(using=using):
            rows = self._rows.using(using)
            written = rows.filter(not_later).update(**values, **{self._field: self._fence})
            # The refused rows are as they were, so they still match the queryset; the written ones may not.
            if rows.filter(**{f"{self._field}__gt": self._fence}).exists():
                raise AttemptLost(
                    f"Attempt {self._fence} of the job {self._job.id} ({self._job.job_type}) came too late to write "
                    f"to {self._rows.model._meta.label}: a later attempt has. Nothing was written."
                )
        return written

    async def aupdate(self, **values: Any) -> int:
        return await sync_to_async(self.update)(**values)


def _require_field(model: type[models.Model], name: str) -> None:
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        field = None
    if not isinstance(field, models.IntegerField):
        raise FenceFieldMissing(
            f"{model._meta.label} has no integer field {name!r}. Add {name} = models.PositiveIntegerField(default=0), "
            "or name another one with fence_field=."
        )
