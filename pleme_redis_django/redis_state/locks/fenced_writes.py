"""ORM updates that refuse a stale holder: each row keeps the fence of its last writer.

The fence is compared by the database, in the statement that writes, so a holder that was paused
between looking at its lock and writing is refused too (Kleppmann, "How to do distributed locking",
2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import FieldDoesNotExist
from django.db import models, router, transaction
from django.db.models import Model, Q, QuerySet

from pleme_redis_django.exceptions import FenceFieldMissing, LockLost


def update(
    queryset: QuerySet[Model], values: Mapping[str, Any], *, fence_field: str, fence: int, name: str
) -> int:
    """Write ``values`` and the fence to every row of ``queryset``, or to none; return their number.

    Raises LockLost if a row has a later fence, FenceFieldMissing if the model has no field for
    it. One transaction, a savepoint inside an open one.
    """
    _require_fence_field(queryset.model, fence_field)
    not_later = Q(**{f"{fence_field}__lte": fence}) | Q(**{f"{fence_field}__isnull": True})
    using = _write_alias(queryset)
    with transaction.atomic(using=using):
        written = queryset.using(using).filter(not_later).update(**values, **{fence_field: fence})
        # The refused rows are as they were, so they still match the queryset; the written ones may not.
        if queryset.using(using).filter(**{f"{fence_field}__gt": fence}).exists():
            raise LockLost(
                f"A later holder of the lock {name!r} has written to {queryset.model._meta.label} (fence "
                f"over {fence}), so nothing was written. Take the lock again and read the rows again.",
                name=name,
            )
    return written


async def aupdate(
    queryset: QuerySet[Model], values: Mapping[str, Any], *, fence_field: str, fence: int, name: str
) -> int:
    return await sync_to_async(update)(queryset, values, fence_field=fence_field, fence=fence, name=name)


def _write_alias(queryset: QuerySet[Model]) -> str:
    # QuerySet.db answers for reads; what .using() chose has no public name (Django 6.1: still _db).
    return getattr(queryset, "_db", None) or router.db_for_write(queryset.model)


def _require_fence_field(model: type[Model], fence_field: str) -> None:
    try:
        field = model._meta.get_field(fence_field)
    except FieldDoesNotExist:
        field = None
    # A fence is a number of microseconds since 1970 and does not fit into 32 bits.
    if not isinstance(field, models.BigIntegerField):
        raise FenceFieldMissing(
            f"{model._meta.label} has no BigIntegerField {fence_field!r}. Add "
            f"{fence_field} = models.BigIntegerField(default=0), or name another one with fence_field=."
        )
