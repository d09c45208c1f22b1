"""Pause and resume of queues: from the commit on, no worker claims a job of a paused one."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction

from pleme_redis_django.conf import get_settings
from pleme_redis_django.jobs.interface.queue_names import validate_queue_name
from pleme_redis_django.models import AbstractJob, Job, QueuePause, model_label
from pleme_redis_django.operations.stored_jobs import hint_after_commit
from pleme_redis_django.orm_store.job_table import JobTable
from pleme_redis_django.products import validate_product


def pause_queue(
    queue_name: str,
    *,
    product: str | None = None,
    model: type[AbstractJob] = Job,
    reason: str = "",
    paused_by: str = "",
    using: str | None = None,
) -> bool:
    """Have the jobs of a queue wait; return whether it was not paused yet.

    ``product``: only its jobs in the queue; None: those of every product. Jobs that run go on, and
    new ones may be enqueued. A queue that is paused already keeps its reason and who gave it.
    ``using``: database alias, None: the one of the settings. Raises InvalidName and InvalidProduct.
    """
    names = _names(queue_name, product)
    pauses = _table(model, using).pauses()
    if pauses.filter(**names).exists():
        return False
    new = QueuePause(job_model=model_label(model), reason=reason, paused_by=paused_by[:150], **names)
    pauses.bulk_create([new], ignore_conflicts=True)
    return True


def resume_queue(
    queue_name: str, *, product: str | None = None, model: type[AbstractJob] = Job, using: str | None = None
) -> bool:
    """End the pause that ``pause_queue`` with the same names began; return whether there was one."""
    table = _table(model, using)
    pauses = table.pauses()
    with transaction.atomic(using=pauses.db):
        ended, _by_model = pauses.filter(**_names(queue_name, product)).delete()
        if ended:
            hint_after_commit(table, [queue_name])
    return bool(ended)


def paused_queues(
    *, product: str | None = None, model: type[AbstractJob] = Job, using: str | None = None
) -> list[QueuePause]:
    """Return what is paused, by queue and product.

    ``product``: only what keeps its jobs waiting, pauses of every product included.
    """
    pauses = _table(model, using).pauses().order_by("queue_name", "product")
    if product is not None:
        pauses = pauses.filter(product__in=["", validate_product(product)])
    return list(pauses)


def _names(queue_name: str, product: str | None) -> dict[str, str]:
    return {
        "queue_name": validate_queue_name(queue_name),
        "product": "" if product is None else validate_product(product),
    }


def _table(model: type[AbstractJob], using: str | None) -> JobTable[Any]:
    return JobTable(model, using or get_settings().database)


apause_queue = sync_to_async(pause_queue)
aresume_queue = sync_to_async(resume_queue)
apaused_queues = sync_to_async(paused_queues)
